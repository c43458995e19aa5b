"""Where each buffer lies when maps share memory: slices lie in their map, bands in the joined one.

A body is a map with all that lies in it. Its rows are alive from the moment when the first of them
is written to the last read of it, each band on its own: the memory of rows of the picture that
are used up takes the first rows of the map that is made of them. Then a slice, a join and a
sum written over one of its terms move no memory of their own:

    picture   ████████████        band 1 of 3: reads its rows, writes its rows of the map
    picture   ····████████        there the map may now lie
    map       ███·········

TensorFlow Lite Micro takes such places from the file, where the metadata "OfflineMemoryAllocation"
names an offset for each tensor.
"""

from bisect import insort
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from random import Random

from frugalseg.cost.bands import ALIGN, JOIN, SLICE, Banded, first_row
from frugalseg.cost.graph import Op

TURNS = 300  # of trials to place bodies better
HIGHEST = 0.6  # share of trials with a body that ends highest
IN_PLACE = frozenset({"add", "sub", "mul"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """Bytes `low` to `high` of a body, alive from operator `first` to `last`."""

    low: int
    high: int
    first: int
    last: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Bodies:
    """`within` says for each tensor in which body it lies, and where; `chunks` is by body."""

    within: Mapping[str, tuple[str, int]] = field(hash=False)
    chunks: Mapping[str, tuple[Chunk, ...]] = field(hash=False)
    size: Mapping[str, int] = field(hash=False)


def bodies(banded: Banded) -> Bodies:
    """Find what can lie within what, and when which bytes are alive."""
    within = _Nesting(banded).within
    spans: dict[str, list[Chunk]] = {}
    size: dict[str, int] = {}
    for name, low, high, time in _events(banded):
        root, offset = within.get(name, (name, 0))
        chunk = Chunk(low=offset + low, high=offset + high, first=time, last=time)
        spans.setdefault(root, []).append(chunk)
        size[root] = max(size.get(root, 0), chunk.high)
    chunks = {root: tuple(_merged(found)) for root, found in spans.items()}
    return Bodies(within=within, chunks=chunks, size=size)


def live_bytes(found: Bodies) -> list[int]:
    """Sum what is alive at each time, 0 before the first operator. No placement needs less."""
    end = 1 + max((chunk.last for chunks in found.chunks.values() for chunk in chunks), default=0)
    change = [0] * (end + 1)
    for chunks in found.chunks.values():
        for chunk in chunks:
            change[chunk.first] += chunk.high - chunk.low
            change[chunk.last + 1] -= chunk.high - chunk.low
    return [*accumulate(change[:end])]


def place(found: Bodies) -> dict[str, int]:
    """Return an offset for each tensor: bodies go, in turn, to the lowest place that is free.

    The largest is placed first. Then one body, most often one that ends highest, takes its turn
    earlier; what does no harm is kept. The dice are always the same ones.
    """
    dice = Random(0)
    turn = sorted(found.chunks, key=lambda root: (-found.size[root], root))
    best, top = _in_turn(found, turn)
    lowest = max(live_bytes(found), default=0)
    for _ in range(TURNS):
        if top <= lowest:
            break
        highest = [root for root in turn if best[root] + found.size[root] == top]
        root = dice.choice(highest if dice.random() < HIGHEST else turn)
        rest = [other for other in turn if other != root]
        rest.insert(dice.randrange(turn.index(root) or len(turn)), root)
        offsets, height = _in_turn(found, rest)
        if height <= top:
            turn, best, top = rest, offsets, height
    return best | {name: best[root] + offset for name, (root, offset) in found.within.items()}


def _in_turn(found: Bodies, turn: list[str]) -> tuple[dict[str, int], int]:
    """Place the bodies; return their offsets, and the height of it all."""
    placed: list[Chunk] = []
    offsets: dict[str, int] = {}
    for root in turn:
        at = offsets[root] = _lowest(found.chunks[root], placed)
        for c in found.chunks[root]:
            new = Chunk(low=at + c.low, high=at + c.high, first=c.first, last=c.last)
            insort(placed, new, key=lambda chunk: chunk.low)
    return offsets, max((offsets[root] + found.size[root] for root in turn), default=0)


def _lowest(chunks: tuple[Chunk, ...], placed: list[Chunk]) -> int:
    rivals = [
        (chunk, [p for p in placed if p.first <= chunk.last and chunk.first <= p.last])
        for chunk in chunks
    ]
    at, moved = 0, True
    while moved:
        moved = False
        for chunk, others in rivals:
            for other in others:
                if other.low < at + chunk.high and at + chunk.low < other.high:
                    at = -(-(other.high - chunk.low) // ALIGN) * ALIGN
                    moved = True
    return at


def _events(banded: Banded) -> Iterator[tuple[str, int, int, int]]:
    """Yield (tensor, from byte, to byte, time) of each write and read; time 0 is the start."""
    graph = banded.graph
    size = {name: tensor.bytes for name, tensor in graph.tensors.items()}
    for name in graph.inputs:
        yield name, 0, size[name], 0
    for time, op in enumerate(graph.ops, 1):
        for name in op.writes:
            yield name, 0, size[name], time
        for name in op.reads:
            low, high = 0, size[name]
            if op.kind == SLICE and op.writes[0] in banded.rows:
                low = _cut_at(banded, op)
                high = low + size[op.writes[0]]
            yield name, low, high, time
    for name in graph.outputs:
        yield name, 0, size[name], len(graph.ops)


def _cut_at(banded: Banded, op: Op) -> int:
    """Return at which byte of its source a slice of rows begins."""
    _, rows = banded.rows[op.writes[0]]
    row_bytes = banded.graph.tensors[op.writes[0]].bytes // len(rows)
    return first_row(banded.rows, op) * row_bytes


def _merged(spans: list[Chunk]) -> Iterator[Chunk]:
    """Cut spans at all borders, and give each piece its first and last moment."""
    borders = sorted({border for span in spans for border in (span.low, span.high)})
    for low, high in pairwise(borders):
        over = [span for span in spans if span.low <= low and high <= span.high]
        if over:
            first, last = min(span.first for span in over), max(span.last for span in over)
            yield Chunk(low=low, high=high, first=first, last=last)


class _Nesting:
    """Decides which tensors lie within others; those that nothing holds are bodies."""

    def __init__(self, banded: Banded) -> None:
        self.banded, self.graph = banded, banded.graph
        self.within: dict[str, tuple[str, int]] = {}
        self.hosts: set[str] = set()
        self._joins()
        self._slices()
        self._sums()

    def _joins(self) -> None:
        for op, copy in zip(self.graph.ops, self.banded.copies, strict=True):
            if op.kind == JOIN and copy is None:
                at = 0
                for name in op.reads:
                    self._put(name, op.writes[0], at)
                    at += self.graph.tensors[name].bytes

    def _slices(self) -> None:
        for op in self.graph.ops:
            if op.kind == SLICE and op.writes[0] in self.banded.rows:
                self._put(op.writes[0], op.reads[0], _cut_at(self.banded, op))

    def _sums(self) -> None:
        """Let an elementwise operator write over a map of the same size that dies with it."""
        last = {name: time for time, op in enumerate(self.graph.ops) for name in op.reads}
        last |= dict.fromkeys(self.graph.outputs, len(self.graph.ops))
        for name, (root, _) in self.within.items():
            last[root] = max(last.get(root, -1), last.get(name, -1))
        for time, op in enumerate(self.graph.ops):
            if op.kind not in IN_PLACE or op.writes[0] in self.within:
                continue
            for name in reversed(op.reads):
                alone = name not in self.within and name not in self.graph.inputs
                same = self.graph.tensors[name].bytes == self.graph.tensors[op.writes[0]].bytes
                if alone and same and last[name] == time:
                    self._put(name, op.writes[0], 0)
                    last[op.writes[0]] = max(last.get(op.writes[0], time), time)
                    break

    def _put(self, name: str, host: str, at: int) -> None:
        if name in self.within or at % ALIGN:
            return
        root, offset = self.within.get(host, (host, 0))
        if name in self.hosts:  # what lies in it moves with it
            for inner, (old, inside) in [*self.within.items()]:
                if old == name:
                    self.within[inner] = (root, offset + at + inside)
        self.within[name] = (root, offset + at)
        self.hosts |= {host, root}
