"""Parts of a graph computed in bands of rows, so that their large maps never exist as a whole.

A part is a stretch of operators. Each of its bands is cut from the maps that the part reads, goes
through copies of the operators, and its results are joined along the rows:

    read ─┬─ slice ─ op ─ op ─┬─ join ─ result        Two bands; the ops are the same, and
          └─ slice ─ op ─ op ─┘                       read the same weights.

Near inner borders some rows are computed twice, and some wrongly and not used: see `rows`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from math import gcd

from frugalseg.cost.graph import Graph, Op
from frugalseg.cost.rows import RESIZES, Reach, Rows, num_rows, reach_of, row_axis

ALIGN = 16  # bytes; where bands should begin, so that they can lie within the joined map
WIDER = 12  # rows by which a band is widened at most, to meet strides and factors
SLICE, JOIN = "slice", "concatenation"
Bands = Mapping[str, Rows]


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """The operators from `first` to `end`, without `end`, computed in `bands` bands."""

    first: int
    end: int
    bands: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Banded:
    """A graph with parts in bands, and what each operator and tensor of it is a copy of.

    `copies` has for each operator the index of the original one; None for slices and joins.
    `rows` says for each new tensor which rows of which old one it holds.
    """

    graph: Graph
    copies: tuple[int | None, ...]
    rows: Mapping[str, tuple[str, Rows]] = field(hash=False)


class BandsError(ValueError):
    """A part cannot be computed in so many bands."""


def in_bands(graph: Graph, parts: Sequence[Part]) -> Banded:
    """Rewrite the graph; parts must not overlap. Raises BandsError where a part has no such bands.

    >>> from frugalseg.cost.graph import chain
    >>> wide = Op(name="wide", kind="relu", reads=("in",), writes=("a",))
    >>> back = Op(name="back", kind="relu", reads=("a",), writes=("out",))
    >>> shapes = dict.fromkeys(("in", "a", "out"), (1, 8, 16, 4))
    >>> graph = replace(chain(wide, back, shapes=shapes), num_constants=0)
    >>> found = in_bands(graph, [Part(first=0, end=2, bands=2)])
    >>> [(op.kind, op.writes[0]) for op in found.graph.ops][:3]
    [('slice', 'in.1[0:4]'), ('relu', 'a.1[0:4]'), ('relu', 'out.1[0:4]')]
    >>> found.graph.ops[-1].reads
    ('out.1[0:4]', 'out.2[4:8]')
    """
    writer = _Writer(graph)
    position = 0
    for part in sorted(parts, key=lambda part: part.first):
        writer.whole(range(position, part.first))
        writer.part(part)
        position = part.end
    writer.whole(range(position, len(graph.ops)))
    return writer.banded()


def results_of(graph: Graph, part: Part) -> list[str]:
    """Name what a part writes and others read."""
    written = [name for op in graph.ops[part.first : part.end] for name in op.writes]
    others = (*graph.ops[: part.first], *graph.ops[part.end :])
    read = {*graph.outputs, *(name for op in others for name in op.reads)}
    return [name for name in written if name in read]


def split(graph: Graph, results: Sequence[str], bands: int) -> Iterator[dict[str, Rows]]:
    """Divide results into bands of rows that belong together, by the coarsest of them."""
    heights = {name: num_rows(graph, name) or 1 for name in results}
    coarsest = min(heights, key=lambda name: heights[name])
    lowest = heights[coarsest]
    row_bytes = graph.tensors[coarsest].bytes // lowest
    step = ALIGN // gcd(ALIGN, row_bytes)
    if step * bands > lowest // 2:
        step = 1
    cuts = sorted({round(lowest * i / bands / step) * step for i in range(bands)} | {lowest})
    for first, end in pairwise(cuts):
        yield {
            name: Rows(-(-first * height // lowest), -(-end * height // lowest))
            for name, height in heights.items()
        }


def solve(reaches: dict[str, Reach], wanted: Bands) -> dict[str, Rows]:
    """Find the band of each map that operators write, so that the rows wanted come out right.

    `reaches` are those of the operators by what they write, in order. What each makes of its bands
    must be the band of its result, to the row: bands grow until that holds everywhere. Raises
    BandsError where they would have to grow too far.
    """
    must = dict(wanted)  # the rows that must be right, from the results back
    for name in reversed(reaches):
        if name in must:
            rows = reaches[name].needed(must[name])
            for source in reaches[name].maps:
                must[source] = must[source] | rows if source in must else rows
    bands = {name: must[name] for name in reaches if name in must}
    while True:
        before = dict(bands)
        for name in reversed(bands):
            reach = reaches[name]
            least = reach.needed(must[name])
            for source in reach.maps:
                least = least | bands.get(source, least)
            bands[name], band = _widened(reach, bands[name], least)
            bands |= dict.fromkeys((source for source in reach.maps if source in bands), band)
        if bands == before:
            return bands


def _widened(reach: Reach, out: Rows, least: Rows) -> tuple[Rows, Rows]:
    """Find the smallest band of a result that is made of a band which holds what it has to."""
    for more in range(WIDER):
        for above in range(more, -1, -1):
            wider = Rows(out.first - above, out.end + more - above)
            if wider.first >= 0 and wider.end <= reach.height:
                band = reach.fed(wider)
                if band is not None and band.holds(least):
                    return wider, band
    whole = Rows(0, reach.height)
    if out == whole or reach.fed(whole) is None:
        raise BandsError(f"no band for rows {out.first} to {out.end}")
    return whole, Rows(0, reach.source)


def first_row(rows: Mapping[str, tuple[str, Rows]], op: Op) -> int:
    """Return at which row of what it reads a slice begins; `rows` are those of `Banded`."""
    held = rows.get(op.reads[0])
    return rows[op.writes[0]][1].first - (held[1].first if held else 0)


class _Writer:
    def __init__(self, graph: Graph) -> None:
        self.source = graph
        self.tensors = {name: graph.tensors[name] for name in graph.inputs}
        self.ops: list[Op] = []
        self.copies: list[int | None] = []
        self.rows: dict[str, tuple[str, Rows]] = {}
        self.num_bands = 0

    def whole(self, indices: range) -> None:
        """Copy operators as they are."""
        for i in indices:
            op = self.source.ops[i]
            self.tensors |= {name: self.source.tensors[name] for name in op.writes}
            self._add(op, i)

    def part(self, part: Part) -> None:
        """Write a part band by band, then the joins."""
        reaches: dict[str, Reach] = {}
        for op in self.source.ops[part.first : part.end]:
            reach = reach_of(self.source, op)
            if reach is None:
                raise BandsError(f"{op.name} has rows that depend on all rows")
            reaches[op.writes[0]] = reach
        results = results_of(self.source, part)
        pieces: dict[str, list[str]] = {name: [] for name in results}
        for wanted in split(self.source, results, part.bands):
            bands = solve(reaches, wanted)
            self.num_bands += 1
            held: dict[tuple[str, Rows], str] = {}
            for i, (name, reach) in enumerate(reaches.items(), part.first):
                if name in bands:
                    self._band(i, reach, bands, held)
            for name, rows in wanted.items():
                pieces[name].append(self._cut(name, rows, held[name, bands[name]], held))
        for name, parts in pieces.items():
            self.tensors[name] = self.source.tensors[name]
            joined = Op(name=f"{name} joined", kind=JOIN, reads=tuple(parts), writes=(name,))
            self._add(joined, None)

    def banded(self) -> Banded:
        """Return what was written."""
        known = self.source.num_constants
        graph = replace(
            self.source,
            tensors=self.tensors,
            ops=tuple(self.ops),
            num_constants=None if known is None else known + len({*self._settings()}),
        )
        return Banded(graph=graph, copies=tuple(self.copies), rows=self.rows)

    def _settings(self) -> Iterator[tuple[int, ...]]:
        """Yield the constants that come in: begin and size of slices, and sizes of resizes."""
        for op, copy in zip(self.ops, self.copies, strict=True):
            shape = self.tensors[op.writes[0]].shape
            if copy is None and op.kind == SLICE:
                yield shape
                yield (0, first_row(self.rows, op), *(0 for _ in shape[2:]))
            elif op.kind in RESIZES and op.writes[0] in self.rows:
                yield shape[1:3]

    def _band(self, i: int, reach: Reach, bands: Bands, held: dict[tuple[str, Rows], str]) -> None:
        """Write the operator `i` for one band; `held` names the rows of maps that there are."""
        op, out = self.source.ops[i], bands[self.source.ops[i].writes[0]]
        source = reach.fed(out) or Rows(0, reach.source)
        reads = tuple(
            self._cut(name, source, name, held) if name in reach.maps else name for name in op.reads
        )
        new = held[op.writes[0], out] = self._tensor(op.writes[0], out)
        macs = op.macs * len(out) // reach.height
        name = f"{op.name} {out.first}:{out.end}"
        self._add(replace(op, name=name, reads=reads, writes=(new,), macs=macs), i)

    def _cut(self, name: str, rows: Rows, whole: str, held: dict[tuple[str, Rows], str]) -> str:
        """Name some rows of a map, with a slice of the tensor `whole` if need be."""
        if (name, rows) not in held:
            if whole == name and len(rows) == num_rows(self.source, name):
                return name
            held[name, rows] = new = self._tensor(name, rows)
            self._add(Op(name=f"{new} cut", kind=SLICE, reads=(whole,), writes=(new,)), None)
        return held[name, rows]

    def _tensor(self, name: str, rows: Rows) -> str:
        """Set up a tensor for some rows of a map."""
        new = f"{name}.{self.num_bands}[{rows.first}:{rows.end}]"
        old = self.source.tensors[name]
        axis = row_axis(self.source, name)
        shape = (*old.shape[:axis], len(rows), *old.shape[axis + 1 :])
        self.tensors[new] = replace(old, name=new, shape=shape)
        self.rows[new] = (name, rows)
        return new

    def _add(self, op: Op, copy: int | None) -> None:
        self.ops.append(op)
        self.copies.append(copy)
