"""Pairs under data/tflm: a graph, and what the interpreter of tflite_micro reported for its file.

`operators.json` was made by benchmarks/probe_tflm.py, the others by benchmarks/measure_tflm.py.
A pair that `weigh --verify --pairs` kept can be put beside them: one of a .tflite file alone has no
"traced" graph.
Those under `least` also hold the smallest arena that the interpreter accepted, by bisection.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from frugalseg.cost.graph import Graph, Op, Tensor, chain
from frugalseg.cost.tflm import Arena, arena, num_tensors

DATA = Path(__file__).parent / "data" / "tflm"
NETWORKS = sorted(path for path in DATA.glob("*.json") if path.stem != "operators")
OPERATORS: dict[str, Any] = json.loads((DATA / "operators.json").read_text(encoding="utf-8"))
WITHIN = 0.005


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
                pads=tuple(map(tuple, pads[0])) if pads else None,  # type: ignore[arg-type]
            )
            for i, (kind, reads, writes, weights, biases, *pads) in enumerate(data["ops"])
        ),
        inputs=tuple(map(str, data["inputs"])),
        outputs=tuple(map(str, data["outputs"])),
        num_constants=data["num_constants"],
        offsets=data.get("offsets", {}),
    )


def load(path: Path) -> dict[str, Any]:
    pair: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return pair


def op(kind: str, reads: str, write: str, **more: Any) -> Op:
    return Op(name=kind, kind=kind, reads=tuple(reads), writes=(write,), **more)


@pytest.mark.parametrize("path", NETWORKS, ids=lambda path: path.stem)
class TestNetworks:
    def test_the_arena_of_a_file_is_exact(self, path: Path) -> None:
        pair = load(path)
        found = arena(from_data(pair["file"]))
        assert found.head_bytes == pair["reported"]["head"]
        assert found.tail_bytes == pair["reported"]["tail"]
        assert not found.unknown

    def test_the_arena_of_a_traced_graph_is_within_half_a_percent(self, path: Path) -> None:
        pair = load(path)
        if "traced" not in pair:
            pytest.skip("of a file only")
        found, reported = arena(from_data(pair["traced"])), pair["reported"]
        assert found.head_bytes == reported["head"]
        total = reported["head"] + reported["tail"]
        assert found.total_bytes == pytest.approx(total, rel=WITHIN)


def pair_with_least(name: str) -> tuple[Arena, int]:
    pair = load(DATA / "least" / f"{name}.json")
    return arena(from_data(pair["file"])), pair["reported"]["least"]


@pytest.mark.parametrize("name", ["frugalnet_16x16_0.25_1", "enet_16x16_indices"])
def test_the_smallest_arena_has_room_for_the_plan(name: str) -> None:
    found, least = pair_with_least(name)
    assert found.least_bytes == -(-least // 16) * 16
    assert found.least_bytes == found.planning_bytes > found.total_bytes


@pytest.mark.parametrize(("length", "least"), [(50, 10_400), (200, 39_200), (1001, 192_984)])
def test_many_small_tensors_need_more_to_be_planned_than_to_be_held(
    length: int, least: int
) -> None:
    graph = relus(length, sides=(1, 1, 1, 16))
    assert arena(graph).least_bytes == -(-least // 16) * 16


def test_large_tensors_leave_room_enough_for_the_plan() -> None:
    found = arena(relus(200, sides=(1, 1, 1, 8192)))
    assert found.least_bytes == found.total_bytes == 41_120  # bisected


def relus(length: int, sides: tuple[int, ...]) -> Graph:
    """The graph of a file with so many activations in a row."""
    tensors = {str(i): Tensor(name=str(i), shape=sides, element_bytes=1) for i in range(length + 1)}
    ops = [
        Op(name=f"r{i}", kind="relu", reads=(f"{i}",), writes=(f"{i + 1}",)) for i in range(length)
    ]
    return Graph(
        tensors=tensors, ops=tuple(ops), inputs=("0",), outputs=(str(length),), num_constants=0
    )


@pytest.mark.parametrize("path", NETWORKS, ids=lambda path: path.stem)
def test_shorter_pointers_shorten_the_tail_and_nothing_else(path: Path) -> None:
    graph = from_data(load(path)["file"])
    wide, narrow = arena(graph), arena(graph, pointer_bytes=4)
    assert narrow.head_bytes == wide.head_bytes
    saved = wide.tail_bytes - narrow.tail_bytes
    # Of each tensor's 24 bytes and each operator's 64, half are left; the rest is alignment.
    halves = 12 * num_tensors(graph) + 32 * len(graph.ops)
    assert saved == pytest.approx(halves, abs=200)
    assert narrow.least_bytes % 16 == 0


@pytest.mark.parametrize("name", OPERATORS)
def test_the_arena_of_some_equal_operators_is_exact(name: str) -> None:
    pair = OPERATORS[name]
    found = arena(from_data(pair["file"]))
    reported = pair["reported"]
    assert (found.head_bytes, found.tail_bytes) == (reported["head"], reported["tail"])


def test_there_are_pairs_of_both_networks_and_of_random_ones() -> None:
    assert {path.stem.split("_")[0] for path in NETWORKS} >= {"enet", "frugalnet", "random"}


def test_buffers_tell_where_each_tensor_lies_and_when() -> None:
    graph = chain(
        op("conv_2d", "a", "b"), op("relu", "b", "c"),
        shapes={"a": (1, 4, 4, 3), "b": (1, 4, 4, 8), "c": (1, 4, 4, 8)},
    )  # fmt: skip
    found = {b.name: (b.offset, b.bytes, b.first, b.last) for b in arena(graph).buffers}
    assert found == {"a": (0, 48, 0, 1), "b": (128, 128, 1, 2), "c": (0, 128, 2, 2)}


def test_sizes_are_rounded_up_to_16_bytes() -> None:
    found = arena(chain(op("relu", "a", "b"), shapes={"a": (1, 17), "b": (1, 17)}))
    assert found.head_bytes == 64


def test_a_reshape_has_a_tensor_of_its_own() -> None:
    shapes = {"a": (1, 4, 4, 8), "b": (1, 128), "c": (1, 128)}
    graph = chain(op("reshape", "a", "b"), op("relu", "b", "c"), shapes=shapes)
    assert arena(graph).head_bytes == 256


def test_a_transposed_convolution_sums_in_32_bits_beside_its_result() -> None:
    shapes = {"a": (1, 4, 4, 8), "b": (1, 8, 8, 8)}
    found = arena(chain(op("transpose_conv", "a", "b", bias_elements=8), shapes=shapes))
    assert found.head_bytes == 128 + 512 + 4 * 512
    assert [b.name for b in found.buffers if b.bytes == 4 * 512] == ["transpose_conv scratch"]


def test_what_was_not_measured_is_named() -> None:
    graph = chain(op("fft", "a", "b"), op("relu", "b", "c"), shapes=dict.fromkeys("abc", (1, 8)))
    assert arena(graph).unknown == ("fft",)
