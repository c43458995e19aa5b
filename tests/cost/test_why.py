"""Advice is weighed, so each case here has an answer that can be counted by hand."""

from dataclasses import replace

import pytest

from frugalseg.core.inputs import InputSpec
from frugalseg.cost.device import Device, device_names, load_device
from frugalseg.cost.graph import Graph, Op, Window, chain
from frugalseg.cost.memory import as_run, memory_of
from frugalseg.cost.why import why

POINT = Window(kernel=(1, 1))


def conv(name: str, reads: str, writes: str, weights: int, window: Window = POINT) -> Op:
    return Op(
        name=name, kind="conv_2d", reads=(reads,), writes=(writes,), weight_elements=weights,
        window=window,
    )  # fmt: skip


def saved(graph: Graph, text: str, device: Device | None = None) -> int:
    found = [advice for advice in why(graph, device).advice if text in advice.text]
    assert len(found) == 1, why(graph, device).advice
    return found[0].ram_bytes_saved


def upsampled() -> Graph:
    """Scores of 4 classes at 8x8, resized to 32x32."""
    up = Op(name="up", kind="resize_bilinear", reads=("s",), writes=("full",))
    head = conv("head", "a", "s", 12, Window(kernel=(4, 4), stride=(4, 4)))
    return chain(head, up, shapes={"a": (1, 3, 32, 32), "s": (1, 4, 8, 8), "full": (1, 4, 32, 32)})


class TestWhatIsAlive:
    def test_it_is_named_with_the_bytes_that_the_device_stores(self) -> None:
        found = why(upsampled())
        assert (found.at, found.peak_bytes) == ("up", 4 * 1024 + 256)
        assert found.alive == (("full", 4096), ("s", 256))

    def test_a_network_without_operators_has_a_peak_at_nothing(self) -> None:
        found = why(chain(shapes={"a": (1, 3, 4, 4)}))
        assert (found.at, found.alive, found.advice) == ("", (), ())

    @pytest.mark.parametrize("name", device_names())
    def test_the_sum_is_that_of_the_highest_moment(self, name: str) -> None:
        device = load_device(name)
        memory = memory_of(as_run(upsampled(), device), device)
        found = why(upsampled(), device)
        assert found.peak_bytes == sum(size for _, size in found.alive)
        assert found.peak_bytes == max(moment.bytes for moment in memory.timeline)


class TestAdvice:
    def test_scores_before_the_last_upsampling(self) -> None:
        assert saved(upsampled(), "scores before the last upsampling") == 4352 - (3072 + 256)

    def test_argmax_before_the_last_upsampling(self) -> None:
        graph = upsampled()
        ids = Op(name="ids", kind="arg_max", reads=("full",), writes=("out",))
        shapes = {name: tensor.shape for name, tensor in graph.tensors.items()}
        late = chain(*graph.ops, ids, shapes={**shapes, "out": (1, 32, 32)})
        # LiteRT has an argmax of floats only: 4 bytes for each score.
        assert why(late).peak_bytes == 5 * 4096
        assert saved(late, "argmax before the last upsampling") == 5 * 4096 - (3072 + 256)

    def test_the_best_order_of_a_file(self) -> None:
        graph = chain(
            Op(name="thin", kind="relu", reads=("in",), writes=("b",)),
            Op(name="wide", kind="relu", reads=("in",), writes=("a",)),
            Op(name="back", kind="tanh", reads=("a",), writes=("c",)),
            Op(name="add", kind="add", reads=("b", "c"), writes=("out",)),
            shapes={"in": (50,), "b": (40,), "a": (100,), "c": (10,), "out": (10,)},
        )
        assert saved(replace(graph, num_constants=0), "best order") == 190 - 160
        assert why(graph).peak_bytes == 160  # export will write it so

    def test_a_sum_that_holds_a_map(self) -> None:
        """The large map b waits while wide is made from its small copy."""
        graph = chain(
            conv("first", "a", "b", 24),
            conv("low", "b", "c", 64, Window(kernel=(2, 2), stride=(2, 2))),
            conv("wide", "c", "d", 8 * 64),
            conv("thin", "d", "e", 8 * 64),
            Op(name="up", kind="resize_bilinear", reads=("e",), writes=("f",)),
            Op(name="add", kind="add", reads=("b", "f"), writes=("g",)),
            conv("last", "g", "h", 8),
            shapes={
                "a": (1, 3, 16, 16), "b": (1, 8, 16, 16), "c": (1, 8, 8, 8), "d": (1, 64, 8, 8),
                "e": (1, 8, 8, 8), "f": (1, 8, 16, 16), "g": (1, 8, 16, 16), "h": (1, 1, 16, 16),
            },
        )  # fmt: skip
        # While wide runs: b, c, d. Without the sum the most is c, d or d, e: the same, less b.
        assert why(graph).at == "wide"
        assert why(graph).peak_bytes == 2048 + 512 + 4096
        assert saved(graph, "without b in add") == 2048

    def test_a_concatenation_that_holds_a_map(self) -> None:
        graph = chain(
            conv("first", "a", "b", 24),
            conv("wide", "b", "c", 8 * 32),
            conv("thin", "c", "d", 8 * 32),
            Op(name="cat", kind="concatenation", reads=("b", "d"), writes=("e",)),
            conv("last", "e", "f", 16),
            shapes={
                "a": (1, 3, 8, 8), "b": (1, 8, 8, 8), "c": (1, 32, 8, 8), "d": (1, 8, 8, 8),
                "e": (1, 16, 8, 8), "f": (1, 1, 8, 8),
            },
        )  # fmt: skip
        assert why(graph).at == "thin"
        assert why(graph).peak_bytes == 64 * (8 + 32 + 8)
        assert saved(graph, "without b in cat") == 64 * 8

    def test_fewer_channels_at_the_peak_in_the_multiples_of_the_device(self) -> None:
        graph = chain(
            conv("stem", "a", "b", 3 * 64),
            conv("head", "b", "c", 64),
            shapes={"a": (1, 3, 8, 8), "b": (1, 64, 8, 8), "c": (1, 1, 8, 8)},
        )
        assert saved(graph, "60 channels for 64 in stem") == 4 * 64
        blocks = load_device("mcu-1mb").model_copy(update={"channel_multiple": 32})
        assert "32 channels for 64 in stem" in [advice.text for advice in why(graph, blocks).advice]

    def test_neither_the_picture_nor_the_classes_are_made_fewer(self) -> None:
        graph = chain(
            conv("stem", "a", "scores", 3 * 64),
            Op(name="ids", kind="arg_max", reads=("scores",), writes=("out",)),
            shapes={"a": (1, 3, 8, 8), "scores": (1, 64, 8, 8), "out": (1, 8, 8)},
        )
        assert not [advice for advice in why(graph).advice if "channels" in advice.text]

    def test_a_smaller_picture(self) -> None:
        graph = chain(conv("head", "a", "b", 12), shapes={"a": (1, 3, 80, 40), "b": (1, 4, 80, 40)})
        assert saved(graph, "a picture of 72x32") == 7 * (80 * 40 - 72 * 32)

    def test_what_cannot_be_rescaled_gives_no_such_advice(self) -> None:
        roll = Op(name="roll", kind="roll", reads=("a",), writes=("b",))
        graph = chain(roll, shapes={"a": (1, 3, 64, 64), "b": (1, 3, 64, 64)})
        assert [advice.text for advice in why(graph).advice] == []

    def test_the_sensor_need_not_keep_the_picture(self) -> None:
        assert saved(upsampled(), "not keeping the picture", load_device("imx500")) > 0

    def test_the_best_comes_first_and_what_saves_nothing_is_not_said(self) -> None:
        sizes = [advice.ram_bytes_saved for advice in why(upsampled()).advice]
        assert sizes == sorted(sizes, reverse=True)
        assert min(sizes) > 0

    def test_it_serialises(self) -> None:
        told = why(upsampled()).to_dict()
        assert told["at"] == "up"
        assert told["advice"][0].keys() == {"text", "ram_bytes_saved"}


def test_a_real_network_with_full_scores_is_told_to_upsample_later() -> None:
    pytest.importorskip("torch", reason="networks are built with torch")
    from torch import nn

    from frugalseg.models.frugalnet import FrugalNet, FrugalNetConfig
    from frugalseg.trace import record

    net = FrugalNet(FrugalNetConfig(num_classes=11, width=0.35, depth=1))
    spec = InputSpec(height=96, width=128)
    native, full = record(net, spec), record(nn.Sequential(net), spec)  # its forward resizes
    device = load_device("mcu-4mb").model_copy(update={"runtime": "litert"})
    by_hand = (memory_of(as_run(graph, device), device).ram_bytes for graph in (full, native))
    assert saved(full, "scores before the last upsampling", device) == next(by_hand) - next(by_hand)
