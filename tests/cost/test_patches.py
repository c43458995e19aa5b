"""Bands are run here with whole numbers, in a memory as small as they are said to need."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from frugalseg.cost.bands import Banded, BandsError, Part, first_row, in_bands
from frugalseg.cost.graph import Graph, Op, Window, chain
from frugalseg.cost.overlay import IN_PLACE, bodies, live_bytes, place
from frugalseg.cost.patches import Patches, patched
from frugalseg.cost.rows import Reach, Rows, reach_of
from frugalseg.cost.tflm import arena

Map = NDArray[np.int64]
WIDTH = 512


def windowed(name: str, read: str, write: str, **window: Any) -> Op:
    kernel, stride, dilation, padding = (
        window.get(key, default)
        for key, default in (("kernel", 3), ("stride", 1), ("dilation", 1), ("padding", (1, 1)))
    )
    geometry = Window(
        kernel=(kernel, 1), stride=(stride, 1), dilation=(dilation, 1),
        padding=(padding, (0, 0)),
    )  # fmt: skip
    return Op(name=name, kind="conv_2d", reads=(read,), writes=(write,), window=geometry, macs=900)


def plain(kind: str, reads: str, write: str) -> Op:
    return Op(name=f"{kind} {write}", kind=kind, reads=tuple(reads), writes=(write,))


def same(side: int, stride: int) -> tuple[int, int]:
    total = max(0, (-(-side // stride) - 1) * stride + 3 - side)
    return total // 2, total - total // 2


def network(height: int) -> Graph:
    """Two strided convolutions, a residual block, a side path, a resize and a join of both."""
    half = -(-height // 2)
    quarter = -(-half // 2)
    raised = 2 * quarter
    ops = (
        windowed("down", "p", "a", stride=2, padding=same(height, 2)),
        windowed("mix", "a", "b"),
        plain("add", "ab", "c"),
        windowed("deep", "c", "d", stride=2, padding=same(half, 2)),
        windowed("wide", "d", "e", dilation=2, padding=(2, 2)),
        plain("resize_bilinear", "e", "f"),
        windowed("trim", "f", "g", kernel=raised - half + 1, padding=(0, 0)),
        plain("add", "gc", "h"),
        windowed("last", "h", "o"),
    )
    heights = {"p": height, "d": quarter, "e": quarter, "f": raised}
    shapes = {name: (1, heights.get(name, half), WIDTH, 1) for name in "pabcdefgho"}
    return replace(chain(*ops, shapes=shapes), num_constants=0)


def weights(op: Op) -> Map:
    assert op.window is not None
    seed = sum(map(ord, op.name.split()[0]))
    return np.random.default_rng(seed).integers(-3, 4, op.window.kernel[0])


def computed(op: Op, maps: list[Map], reach: Reach) -> Map:
    """Run one operator on rows, with the padding that its kernel would add to just these rows."""
    x = maps[0]
    if op.kind == "add":
        return maps[0] + maps[1]
    if op.kind == "resize_bilinear":  # at factor 2 rows are mixed 1:3 and 3:1
        above, below = np.vstack([x[:1], x[:-1]]), np.vstack([x[1:], x[-1:]])
        return np.stack([above + 3 * x, 3 * x + below], 1).reshape(-1, x.shape[1])
    assert op.window is not None
    stride, dilation = op.window.stride[0], op.window.dilation[0]
    if reach.pads:
        total = max(0, (-(-len(x) // stride) - 1) * stride + reach.reach - len(x))
        x = np.pad(x, ((total // 2, total - total // 2), (0, 0)))
    taps = np.arange((len(x) - reach.reach) // stride + 1)[:, None] * stride
    picked = x[taps + np.arange(op.window.kernel[0]) * dilation]
    summed: Map = np.einsum("rkw,k->rw", picked, weights(op))
    return summed


class Memory:
    """Tensors by name, or in one strip of memory where each has its place in bytes."""

    def __init__(self, banded: Banded) -> None:
        self.graph = banded.graph
        ends = [at + self.graph.tensors[n].bytes for n, at in self.graph.offsets.items()]
        self.strip = np.zeros(max(ends, default=0), np.int64)
        self.named: dict[str, Map] = {}

    def read(self, name: str) -> Map:
        if name not in self.graph.offsets:
            return self.named[name]
        at, tensor = self.graph.offsets[name], self.graph.tensors[name]
        return self.strip[at : at + tensor.bytes].reshape(-1, WIDTH).copy()

    def write(self, name: str, rows: Map) -> None:
        assert len(rows) == self.graph.tensors[name].shape[1]
        self.named[name] = rows
        if name in self.graph.offsets:
            at = self.graph.offsets[name]
            self.strip[at : at + rows.size] = rows.ravel()


def run(source: Graph, banded: Banded, picture: Map) -> Map:
    memory = Memory(banded)
    memory.write("p", picture)
    for op, copy in zip(banded.graph.ops, banded.copies, strict=True):
        maps = [memory.read(name) for name in op.reads]
        if copy is not None:
            original = source.ops[copy]
            reach = reach_of(source, original)
            assert reach is not None
            rows = computed(original, maps, reach)
        elif op.kind == "slice":
            first = first_row(banded.rows, op)
            rows = maps[0][first : first + banded.graph.tensors[op.writes[0]].shape[1]]
        else:
            rows = np.vstack(maps)
        memory.write(op.writes[0], rows)
    return memory.read("o")


def picture(height: int) -> Map:
    return np.random.default_rng(height).integers(-9, 10, (height, WIDTH))


@pytest.mark.parametrize("height", [64, 62, 61])
@pytest.mark.parametrize("bands", [2, 5, 10])
@pytest.mark.parametrize("stretch", [(0, 3), (0, 5), (2, 5), (1, 2), (7, 9)])
def test_bands_give_what_the_whole_gives(height: int, bands: int, stretch: tuple[int, int]) -> None:
    graph = network(height)
    whole = run(graph, in_bands(graph, []), picture(height))
    banded = in_bands(graph, [Part(first=stretch[0], end=stretch[1], bands=bands)])
    assert sum(op.kind == "slice" for op in banded.graph.ops) >= bands - 1
    assert (run(graph, banded, picture(height)) == whole).all()


def test_a_resize_is_divided_at_rows_of_its_input() -> None:
    graph = network(64)
    banded = in_bands(graph, [Part(first=4, end=6, bands=3)])
    whole = run(graph, in_bands(graph, []), picture(64))
    assert (run(graph, banded, picture(64)) == whole).all()
    raised = [op for op in banded.graph.ops if op.kind == "resize_bilinear"]
    assert [banded.graph.tensors[op.writes[0]].shape[1] % 2 for op in raised] == [0, 0, 0]


def test_a_band_of_a_padded_convolution_has_more_rows_than_are_used() -> None:
    reach = Reach(maps=("a",), source=64, height=32, reach=3, stride=2, pads=True)
    assert reach.needed(Rows(8, 16)) == Rows(16, 33)
    assert reach.fed(Rows(8, 16)) == Rows(16, 32)
    assert reach.fed(Rows(8, 17)) == Rows(16, 34)


def test_an_odd_map_is_cut_where_its_padding_falls() -> None:
    reach = Reach(maps=("a",), source=63, height=32, reach=3, stride=2, above=1, pads=True)
    assert reach.fed(Rows(0, 16)) == Rows(0, 31)
    assert reach.fed(Rows(16, 32)) == Rows(31, 63)


def test_a_mean_over_the_map_cannot_be_divided() -> None:
    mean = plain("mean", "p", "o")
    shapes = {"p": (1, 8, WIDTH, 1), "o": (1, 1, 1, 1)}
    graph = replace(chain(mean, shapes=shapes), num_constants=0)
    with pytest.raises(BandsError, match="mean o has rows that depend on all rows"):
        in_bands(graph, [Part(first=0, end=1, bands=2)])


@pytest.mark.parametrize("height", [64, 63, 62, 61])
def test_maps_that_share_memory_do_not_harm_each_other(height: int) -> None:
    graph = network(height)
    found = patched(graph, more_macs=0.5)
    assert found.parts
    assert found.arena_bytes < arena(graph).total_bytes
    assert found.macs <= graph.macs * 1.5
    source = replace(graph, ops=tuple(graph.ops[i] for i in found.order))
    whole = run(graph, in_bands(graph, []), picture(height))
    assert (run(source, found.banded, picture(height)) == whole).all()
    apart(found)


def apart(found: Patches) -> None:
    """Kernels that look around may not write where they read."""
    graph = found.graph

    def span(name: str) -> tuple[int, int]:
        return graph.offsets[name], graph.offsets[name] + graph.tensors[name].bytes

    for op in graph.ops:
        if op.kind not in IN_PLACE | {"slice", "concatenation"}:
            (low, high), *_ = map(span, op.writes)
            assert all(high <= a or b <= low for a, b in map(span, op.reads)), op.name
        elif op.kind in IN_PLACE:
            starts = {span(name)[0] for name in op.reads if span(name)[1] > span(op.writes[0])[0]
                      and span(name)[0] < span(op.writes[0])[1]}  # fmt: skip
            assert starts <= {span(op.writes[0])[0]}, op.name


def test_rows_of_the_picture_that_are_used_up_make_room() -> None:
    ops = (windowed("one", "p", "a"), windowed("two", "a", "o"))
    shapes = dict.fromkeys("pao", (1, 100, WIDTH, 1))
    graph = replace(chain(*ops, shapes=shapes), num_constants=0)
    whole = in_bands(graph, [])
    banded = in_bands(graph, [Part(first=0, end=2, bands=10)])
    assert max(live_bytes(bodies(whole))) == 2 * 100 * WIDTH
    assert max(live_bytes(bodies(banded))) < 1.4 * 100 * WIDTH
    offsets = place(bodies(banded))
    assert max(at + banded.graph.tensors[n].bytes for n, at in offsets.items()) < 1.5 * 100 * WIDTH


def test_a_sum_is_not_written_over_a_term_that_is_needed_later() -> None:
    ops = (
        windowed("one", "p", "a"), windowed("two", "a", "b"), plain("add", "ab", "c"),
        plain("add", "ca", "d"), plain("add", "bd", "o"),
    )  # fmt: skip
    graph = replace(chain(*ops, shapes=dict.fromkeys("pabcdo", (1, 20, WIDTH, 1))), num_constants=0)
    whole = in_bands(graph, [])
    expected = run(graph, whole, picture(20))
    placed = replace(whole, graph=replace(graph, offsets=place(bodies(whole))))
    assert (run(graph, placed, picture(20)) == expected).all()
    assert placed.graph.offsets["d"] in {placed.graph.offsets["a"], placed.graph.offsets["c"]}


def test_channels_that_are_joined_do_not_lie_one_behind_the_other() -> None:
    ops = (
        windowed("one", "p", "a"), windowed("two", "p", "b"), plain("concatenation", "ab", "c"),
    )  # fmt: skip
    shapes = {**dict.fromkeys("pab", (1, 20, WIDTH, 1)), "c": (1, 20, WIDTH, 2)}
    graph = replace(chain(*ops, shapes=shapes), num_constants=0)
    banded = in_bands(graph, [Part(first=0, end=3, bands=2)])
    nested = {banded.rows[name][0] for name in bodies(banded).within}
    assert nested <= {"c", "p"}


class TestSearch:
    def test_a_limit_is_met_at_least_cost(self) -> None:
        graph = network(64)
        least = patched(graph, more_macs=1)
        middle = (least.arena_bytes + arena(graph).total_bytes) // 2
        found = patched(graph, ram_bytes=middle, more_macs=1)
        assert least.arena_bytes < found.arena_bytes <= middle
        assert found.macs <= least.macs

    def test_what_fits_is_left_alone(self) -> None:
        found = patched(network(64), ram_bytes=10**9)
        assert found.parts == ()
        assert found.graph.ops == network(64).ops

    def test_a_limit_out_of_reach_gives_the_least(self) -> None:
        assert patched(network(64), ram_bytes=1).parts == patched(network(64)).parts

    def test_a_limit_out_of_reach_may_be_given_up_at_once(self) -> None:
        found = patched(network(64), ram_bytes=1, or_least=False)
        assert found.parts == ()

    def test_no_operator_is_divided_that_must_not_be(self) -> None:
        graph = network(64)
        found = patched(graph, undivided=frozenset(op.name for op in graph.ops))
        assert found.parts == ()


def test_traced_graphs_have_the_channels_first() -> None:
    graph = network(64)
    first = {n: replace(t, shape=(1, 1, *t.shape[1:3])) for n, t in graph.tensors.items()}
    traced = replace(graph, tensors=first, num_constants=None)
    sizes = [
        {name: tensor.bytes for name, tensor in banded.graph.tensors.items()}
        for banded in (in_bands(g, [Part(first=0, end=4, bands=3)]) for g in (graph, traced))
    ]
    assert sizes[0] == sizes[1]
    assert len(sizes[0]) > len(graph.tensors)


@pytest.mark.parametrize(("factor", "local"), [(2, True), (3, False), (4, True)])
def test_a_resize_is_divided_only_where_kernels_hit_its_rows_exactly(
    factor: int, local: bool
) -> None:
    """Int8 kernels count in 1/1024 of a row, of which a third is no whole number."""
    resize = plain("resize_bilinear", "a", "b")
    shapes = {"a": (1, 20, WIDTH, 1), "b": (1, 20 * factor, WIDTH * factor, 1)}
    graph = replace(chain(resize, shapes=shapes), num_constants=0)
    assert (reach_of(graph, graph.ops[0]) is not None) == local
