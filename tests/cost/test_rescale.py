"""What is re-scaled must equal, field by field, what is recorded of the network built that way."""

import random
from dataclasses import replace
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest

from frugalseg.core.errors import ConfigError
from frugalseg.core.inputs import InputSpec
from frugalseg.cost.channels import groups
from frugalseg.cost.graph import Graph, Op, Window, chain
from frugalseg.cost.rescale import rescale

DRAWING = Path(__file__).parents[2] / "benchmarks" / "random_networks.py"
# Random networks whose decoder resizes to a map that it does not join, by no whole factor.
MEETS_NO_MAP = {1, 3, 6, 7, 13, 14, 17, 18}
WHY = "networks are built with torch"


def halves(side: int, **more: Any) -> Graph:
    """Halve a map, then resize it back and add it."""
    half = Op(
        name="half", kind="max_pool_2d", reads=("a",), writes=("b",),
        window=Window(kernel=(2, 2), stride=(2, 2)),
    )  # fmt: skip
    back = Op(name="back", kind="resize_bilinear", reads=("b",), writes=("c",), **more)
    add = Op(name="add", kind="add", reads=("a", "c"), writes=("d",))
    low = (1, 8, side // 2, side // 2)
    high = (1, 8, side, side)
    return chain(half, back, add, shapes={"a": high, "b": low, "c": high, "d": high})


class TestByHand:
    def test_a_resize_goes_to_the_size_of_what_it_is_added_to(self) -> None:
        assert rescale(halves(9), size=(13, 13)).tensors["c"].shape == (1, 8, 13, 13)

    def test_a_resize_by_a_factor_keeps_it(self) -> None:
        found = rescale(halves(8, factor=(2.0, 2.0)), size=(12, 12))
        assert found.tensors["c"].shape == (1, 8, 12, 12)

    def test_a_factor_need_not_be_whole(self) -> None:
        up = Op(name="up", kind="resize_bilinear", reads=("a",), writes=("b",), factor=(1.5, 1.5))
        net = chain(up, shapes={"a": (1, 8, 4, 4), "b": (1, 8, 6, 6)})
        assert rescale(net, size=(7, 8)).tensors["b"].shape == (1, 8, 10, 12)

    def test_a_resize_that_would_change_nothing_is_refused(self) -> None:
        """A network may leave it out where the sizes are equal already."""
        valid, half = Window(kernel=(3, 3)), Window(kernel=(2, 2), stride=(2, 2))
        net = chain(
            Op(name="valid", kind="max_pool_2d", reads=("a",), writes=("b",), window=valid),
            Op(name="half", kind="max_pool_2d", reads=("a",), writes=("c",), window=half),
            Op(name="up", kind="resize_bilinear", reads=("b",), writes=("d",)),
            Op(name="add", kind="add", reads=("c", "d"), writes=("e",)),
            shapes={
                "a": (1, 8, 8, 8), "b": (1, 8, 6, 6), "c": (1, 8, 4, 4), "d": (1, 8, 4, 4),
                "e": (1, 8, 4, 4),
            },
        )  # fmt: skip
        assert rescale(net, size=(12, 12)).tensors["d"].shape == (1, 8, 6, 6)
        with pytest.raises(ConfigError, match=r"up .* would change nothing"):
            rescale(net, size=(4, 4))

    def test_a_resize_that_meets_nothing_keeps_a_whole_factor(self) -> None:
        up = Op(name="up", kind="resize_bilinear", reads=("a",), writes=("b",))
        net = chain(up, shapes={"a": (1, 8, 4, 4), "b": (1, 8, 8, 12)})
        assert rescale(net, size=(6, 10)).tensors["b"].shape == (1, 8, 12, 30)

    @pytest.mark.parametrize("made", [(1, 8, 9, 9), (1, 8, 3, 5)])
    def test_a_resize_to_a_size_that_nothing_tells_is_refused(self, made: tuple[int, ...]) -> None:
        up = Op(name="up", kind="resize_bilinear", reads=("a",), writes=("b",))
        with pytest.raises(ConfigError, match=r"up .* goes to a size that no other map tells"):
            rescale(chain(up, shapes={"a": (1, 8, 4, 4), "b": made}), size=(6, 6))

    def test_a_mean_resized_on_its_own_is_refused(self) -> None:
        mean = Op(name="mean", kind="mean", reads=("a",), writes=("b",))
        up = Op(name="up", kind="resize_bilinear", reads=("b",), writes=("c",))
        shapes = {"a": (1, 8, 4, 4), "b": (1, 8, 1, 1), "c": (1, 8, 4, 4)}
        with pytest.raises(ConfigError, match="goes to a size that no other map tells"):
            rescale(chain(mean, up, shapes=shapes), size=(8, 8))

    def test_another_remainder_of_a_stride_is_refused(self) -> None:
        with pytest.raises(ConfigError, match=r"half .* may be padded in another way"):
            rescale(halves(8), size=(9, 8))

    def test_what_is_not_known_is_refused_only_where_it_is_reached(self) -> None:
        mean = Op(name="mean", kind="mean", reads=("a",), writes=("b",))
        roll = Op(name="roll", kind="roll", reads=("b",), writes=("c",))
        shapes = {"a": (1, 8, 4, 4), "b": (1, 8, 1, 1), "c": (1, 8, 1, 1)}
        assert rescale(chain(mean, roll, shapes=shapes), size=(8, 8)).tensors["c"].shape[2] == 1
        early = chain(replace(roll, reads=("a",)), shapes={"a": (1, 8, 4, 4), "c": (1, 8, 4, 4)})
        with pytest.raises(ConfigError, match=r"roll .* has a geometry that is not known"):
            rescale(early, size=(8, 8))

    def test_a_rule_that_does_not_explain_what_was_recorded_is_not_used(self) -> None:
        odd = Op(name="odd", kind="relu", reads=("a",), writes=("b",))
        with pytest.raises(ConfigError, match=r"odd .* has a geometry that is not known"):
            rescale(chain(odd, shapes={"a": (1, 8, 4, 4), "b": (1, 8, 2, 2)}), size=(8, 8))

    @pytest.mark.parametrize("kind", ["mean", "slice", "sum"])
    def test_what_is_made_of_the_channels_of_each_pixel_follows_the_picture(
        self, kind: str
    ) -> None:
        op = Op(name="part", kind=kind, reads=("a",), writes=("b",))
        net = chain(op, shapes={"a": (1, 8, 4, 4), "b": (1, 1, 4, 4)})
        assert rescale(net, size=(8, 6)).tensors["b"].shape == (1, 1, 8, 6)
        for other in ((1, 8, 4, 4), (1, 8, 4, 3)):  # a part of a side, perhaps all of it
            net = chain(op, shapes={"a": (1, 8, 4, 4), "b": other})
            with pytest.raises(ConfigError, match=r"part .* has a geometry that is not known"):
                rescale(net, size=(8, 6))

    def test_a_picture_too_small_is_refused(self) -> None:
        big = Op(
            name="big", kind="conv_2d", reads=("a",), writes=("b",), weight_elements=8 * 49,
            window=Window(kernel=(7, 7)),
        )  # fmt: skip
        net = chain(big, shapes={"a": (1, 1, 16, 16), "b": (1, 8, 10, 10)})
        with pytest.raises(ConfigError, match="nothing left of a picture of 5x5"):
            rescale(net, size=(5, 5))

    def test_a_file_is_refused(self) -> None:
        with pytest.raises(ConfigError, match="only a network can be re-scaled"):
            rescale(replace(halves(8), num_constants=2), size=(16, 16))

    def test_without_a_change_nothing_changes(self) -> None:
        assert rescale(halves(8)) == halves(8)


def recorded(network: Any, spec: InputSpec) -> Graph:
    from frugalseg.trace import record

    return record(network, spec)


def assert_same(found: Graph, expected: Graph) -> None:
    assert found == expected
    assert [*found.tensors.items()] == [*expected.tensors.items()]


class TestAgainstARecord:
    @pytest.mark.parametrize("unpool", ["indices", "bilinear"])
    @pytest.mark.parametrize("size", ["24x16", "120x96", "200x328"])
    def test_enet_for_other_pictures(self, unpool: str, size: str) -> None:
        pytest.importorskip("torch", reason=WHY)
        from frugalseg.models.enet import ENet, ENetConfig

        net, spec = ENet(ENetConfig(num_classes=3, unpool=unpool)), InputSpec.parse(size)
        found = rescale(recorded(net, InputSpec(height=64, width=96)), size=spec.size)
        assert_same(found, recorded(net, spec))

    def test_enet_at_an_odd_size_is_not_guessed(self) -> None:
        pytest.importorskip("torch", reason=WHY)
        from frugalseg.models.enet import ENet, ENetConfig

        graph = recorded(ENet(ENetConfig(num_classes=3)), InputSpec(height=64, width=96))
        with pytest.raises(ConfigError, match="may be padded in another way"):
            rescale(graph, size=(65, 96))

    def test_regseg_for_other_pictures(self) -> None:
        pytest.importorskip("torch", reason=WHY)
        from frugalseg.models.regseg import RegSeg, RegSegConfig

        net, spec = RegSeg(RegSegConfig(num_classes=3)), InputSpec(height=128, width=64)
        found = rescale(recorded(net, InputSpec(height=128, width=96)), size=spec.size)
        assert_same(found, recorded(net, spec))

    @pytest.mark.parametrize("seed", range(20))
    def test_random_networks_for_other_pictures(self, seed: int) -> None:
        pytest.importorskip("torch", reason=WHY)
        network, spec = _drawing().random_network(seed)
        draw = random.Random(seed)
        more = [64 * draw.randint(0, 2) for _ in range(2)]
        new = replace(spec, height=spec.height + more[0], width=spec.width + more[1] + 64)
        graph = recorded(network, spec)
        if seed in MEETS_NO_MAP:
            with pytest.raises(ConfigError, match="goes to a size that no other map tells"):
                rescale(graph, size=new.size)
        else:
            assert_same(rescale(graph, size=new.size), recorded(network, new))

    @pytest.mark.parametrize("factor", [2, 4])
    def test_layers_of_many_kinds_with_more_channels(self, factor: int) -> None:
        torch = pytest.importorskip("torch", reason=WHY)
        from torch import nn

        def net(c: int) -> nn.Module:
            return nn.Sequential(
                nn.Conv2d(3, c, 3, stride=2, padding=1), nn.BatchNorm2d(c), nn.PReLU(c),
                nn.Conv2d(c, c, 5, padding=2, groups=c), nn.Hardswish(), nn.PReLU(1),
                nn.Conv2d(c, 2 * c, 3, groups=4, bias=False), nn.ReLU(),
                nn.ConvTranspose2d(2 * c, c, 3, stride=2, padding=1, output_padding=1),
                nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(c, 5), torch.nn.Sigmoid(),
            )  # fmt: skip

        spec = InputSpec(height=33, width=48)
        graph = recorded(net(8), spec)
        wanted = {
            group.makers[0]: group.channels * factor
            for group in groups(graph)
            if group.makers[0] not in {"image", "11 fully_connected"}
        }
        wider = rescale(graph, size=(65, 96), channels=wanted)
        assert len(wanted) == 3
        assert_same(wider, recorded(net(8 * factor), replace(spec, height=65, width=96)))


def _drawing() -> Any:
    spec = spec_from_file_location("random_networks", DRAWING)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
