"""Pairs under data/xnnpack: graphs, and what benchmarks/measure_rss.py measured for the file.

Machine and versions are those that `cost/xnnpack.py` names.
"""

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from frugalseg.cost.device import load_device
from frugalseg.cost.file_size import file_bytes
from frugalseg.cost.graph import Graph, Op, Tensor, Window, chain
from frugalseg.cost.memory import memory_of
from frugalseg.cost.xnnpack import resident, unknown

DATA = Path(__file__).parent / "data" / "xnnpack"
NETWORKS = sorted(DATA.glob("*.json"))
WITHIN = 0.1
MAP = (1, 8, 32, 32)
SIZE = 8 * 32 * 32


def from_data(data: dict[str, Any]) -> Graph:
    return Graph(
        tensors={
            str(i): Tensor(name=str(i), shape=tuple(shape), element_bytes=element_bytes)
            for i, (shape, element_bytes) in enumerate(data["tensors"])
        },
        ops=tuple(
            Op(
                name=f"{i} {kind}",
                kind=kind,
                reads=tuple(map(str, reads)),
                writes=tuple(map(str, writes)),
                weight_elements=weights,
                bias_elements=biases,
                window=_window(*window[0]) if window else None,
            )
            for i, (kind, reads, writes, weights, biases, *window) in enumerate(data["ops"])
        ),
        inputs=tuple(map(str, data["inputs"])),
        outputs=tuple(map(str, data["outputs"])),
        num_constants=data["num_constants"],
    )


def _window(kernel: Any, stride: Any, dilation: Any) -> Window:
    return Window(kernel=tuple(kernel), stride=tuple(stride), dilation=tuple(dilation))


def op(kind: str, reads: str, write: str, **more: Any) -> Op:
    return Op(name=f"{kind} {write}", kind=kind, reads=tuple(reads), writes=(write,), **more)


def parts(*ops: Op, **shapes: tuple[int, ...]) -> Any:
    """Lay tensors of one size between the operators; those named have another."""
    names = sorted({name for o in ops for name in (*o.reads, *o.writes)})
    return resident(chain(*ops, shapes={name: shapes.get(name, MAP) for name in names}), 0)


@pytest.mark.parametrize("path", NETWORKS, ids=lambda path: path.stem)
class TestNetworks:
    def test_the_estimate_of_a_file_is_within_a_tenth(self, path: Path) -> None:
        pair = json.loads(path.read_text(encoding="utf-8"))
        found = sum(resident(from_data(pair["file"]), pair["file_bytes"]).values())
        for measured in pair["measured"].values():
            assert found == pytest.approx(measured, rel=WITHIN)

    def test_so_is_the_estimate_before_training(self, path: Path) -> None:
        pair = json.loads(path.read_text(encoding="utf-8"))
        graph = from_data(pair["traced"])
        memory = memory_of(graph, load_device("raspberry-pi-5"))
        assert memory.ram_bytes == sum(resident(graph, file_bytes(graph)).values())
        assert memory.ram_bytes == pytest.approx(pair["measured"]["threads 1"], rel=WITHIN)
        assert not memory.doubts


def test_there_are_pairs_of_both_networks_and_of_random_ones() -> None:
    assert {path.stem.split("_")[0] for path in NETWORKS} == {"enet", "frugalnet", "random"}
    assert len(NETWORKS) >= 12


class TestWeights:
    def test_channels_are_rounded_up_to_tiles_and_have_bias_and_scale(self) -> None:
        conv = op("conv_2d", "a", "b", weight_elements=9 * 3 * 20, bias_elements=20)
        found = parts(conv, a=(1, 3, 8, 8), b=(1, 20, 8, 8))
        assert found["packed weights"] == (9 * 8 + 8) * 32

    def test_a_depthwise_convolution_has_wider_tiles(self) -> None:
        conv = op("depthwise_conv_2d", "a", "b", weight_elements=9 * 20, bias_elements=20)
        found = parts(conv, a=(1, 20, 8, 8), b=(1, 20, 8, 8))
        assert found["packed weights"] == -(-(9 + 8) * 32 // 64) * 64

    def test_what_litert_keeps_packs_nothing(self) -> None:
        assert parts(op("hard_swish", "a", "b"))["packed weights"] == 0


class TestPointers:
    def conv(self, kernel: int, *, stride: int = 1) -> int:
        window = Window(kernel=(kernel, kernel), stride=(stride, stride))
        side = 32 // stride
        many = kernel * kernel * 64
        conv = op("conv_2d", "a", "b", weight_elements=many, bias_elements=8, window=window)
        return int(parts(conv, b=(1, 8, side, side))["pointers"])

    def test_one_for_each_tap_and_pixel_in_rows_of_seven(self) -> None:
        assert self.conv(3) == 8 * 9 * 1029
        assert self.conv(3, stride=2) == 8 * 9 * 259

    def test_none_for_a_product_of_matrices(self) -> None:
        assert self.conv(1) == 0
        assert self.conv(1, stride=2) == 8 * 259

    def test_dilation_keeps_neighbours_from_sharing(self) -> None:
        def depthwise(dilation: int) -> int:
            window = Window(kernel=(3, 3), dilation=(dilation, dilation))
            conv = op("depthwise_conv_2d", "a", "b", weight_elements=72, window=window)
            return int(parts(conv)["pointers"])

        assert depthwise(1) == 8 * 32 * (9 + 31 * 3)
        assert depthwise(2) == 8 * 32 * 9 * 32

    def test_a_file_tells_kernel_and_stride_by_its_sizes(self) -> None:
        graph = chain(
            op("conv_2d", "a", "b", weight_elements=25 * 64, bias_elements=8),
            shapes={"a": (1, 32, 32, 8), "b": (1, 16, 16, 8)},
        )
        file = Graph(
            tensors=graph.tensors, ops=graph.ops, inputs=("a",), outputs=("b",), num_constants=2
        )
        assert resident(file, 0)["pointers"] == 8 * 25 * 259

    def test_bands_that_share_weights_have_pointers_of_their_own(self) -> None:
        first = op("conv_2d", "a", "b", weight_elements=576, bias_elements=8, macs=576 * 1024)
        again = op("conv_2d", "c", "d", macs=576 * 1024)
        graphs = [
            replace(chain(*ops, shapes=dict.fromkeys("abcd", (1, 32, 32, 8))), num_constants=2)
            for ops in ([first], [first, again])
        ]
        one, two = (resident(graph, 0) for graph in graphs)
        assert two["pointers"] == 2 * one["pointers"] > 0
        assert two["packed weights"] == 2 * one["packed weights"]

    def test_a_transposed_convolution_uses_the_share_of_one_offset(self) -> None:
        up = op("transpose_conv", "a", "b", weight_elements=4 * 64, bias_elements=8)
        assert parts(up, b=(1, 8, 64, 64))["pointers"] == 8 * 4 * 1024

    def test_a_resize_reads_four_pixels(self) -> None:
        found = parts(op("resize_bilinear", "a", "b"), b=(1, 8, 64, 64))
        assert found["pointers"] == 8 * 4 * 64 * 64
        assert found["packed weights"] == 4 * 64 * 64


def convs(names: str) -> list[Op]:
    return [op("conv_2d", a, b, weight_elements=64) for a, b in pairwise(names)]


class TestMaps:
    def test_inside_a_run_they_lie_in_the_workspace_with_a_guard_behind(self) -> None:
        found = parts(*convs("abcd"))
        assert found["workspace"] == 2 * (SIZE + 16)
        assert found["arena"] == 2 * SIZE + 64  # the input and the output

    def test_between_runs_they_lie_in_the_arena(self) -> None:
        found = parts(op("conv_2d", "a", "b"), op("hard_swish", "b", "c"), op("conv_2d", "c", "d"))
        assert found["workspace"] == 0
        assert found["arena"] == 3 * SIZE + 64  # the output where the second map was

    def test_runs_share_the_workspace(self) -> None:
        found = parts(*convs("abc"), op("relu", "c", "d"), *convs("defg"))
        assert found["workspace"] == 2 * (SIZE + 16)

    def test_what_can_run_early_joins_the_run(self) -> None:
        late = (op("conv_2d", "a", "b"), op("relu", "b", "c"), op("conv_2d", "a", "d"))
        assert parts(*late, op("add", "dc", "e"))["workspace"] == 0

    def test_a_sum_overwrites_its_first_input_if_nobody_needs_it_later(self) -> None:
        first = parts(*convs("abc"), op("add", "cb", "d"), op("conv_2d", "d", "e"))
        assert first["workspace"] == 2 * (SIZE + 16)
        later = parts(*convs("abc"), op("add", "cb", "d"), op("add", "dc", "e"), *convs("ef"))
        assert later["workspace"] == 3 * (SIZE + 16)

    def test_a_pad_before_convolutions_costs_nothing(self) -> None:
        wide = (1, 8, 34, 34)
        pad = (*convs("ab"), op("pad", "b", "c"))
        conv = op("conv_2d", "c", "d", weight_elements=64)
        end = op("conv_2d", "d", "e", weight_elements=64)
        assert parts(*pad, conv, end, c=wide)["workspace"] == 2 * (SIZE + 16)
        more = op("mean", "c", "m")
        assert parts(*pad, conv, more, end, c=wide)["workspace"] > 2 * (SIZE + 16)


def test_what_was_not_measured_is_named() -> None:
    graph = chain(
        op("fft", "a", "b"), op("relu", "b", "c"), op("add", "cd", "e"),
        shapes=dict.fromkeys("abcde", MAP),
    )  # fmt: skip
    float_e = {**graph.tensors, "e": Tensor(name="e", shape=MAP, element_bytes=4)}
    assert unknown(graph) == ("fft",)
    assert unknown(
        Graph(tensors=float_e, ops=graph.ops, inputs=graph.inputs, outputs=graph.outputs)
    ) == ("add in float", "fft")


def test_each_part_of_the_structures_counts() -> None:
    one, two = (parts(*convs(names))["structures"] for names in ("ab", "abc"))
    assert two > one
    channels = op("conv_2d", "a", "b", weight_elements=64, bias_elements=8)
    assert parts(channels)["structures"] > one
