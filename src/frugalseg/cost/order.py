"""The order of operators that needs least memory, and a proven bound under which none can go.

A schedule is a path from "nothing done" to "all done" through sets of operators that are done; what
is alive depends on the set alone, not on how it was reached. The path whose highest step is lowest
is found as Dijkstra finds the shortest: the set with the lowest peak so far is extended first, so
that the first complete one is optimal. If the search is given up, the lowest peak among the sets
still open is a bound: every order leads through one of them.

Four things keep the number of sets small. What lies between two points that all paths pass adds to
the number and does not multiply it. Regions with one way in and one way out run as one operator
(see `region`). In a chain of operators there is no use in stopping anywhere but in its valleys:
its lowest point, behind that the least that is alive after the highest hill to come, and so on,
and before it the same backwards (Liu 1987, "An application of generalized tree pebbling to sparse
matrix factorization", hill-valley segments; his trees begin with nothing alive, so that all is
behind the lowest point). And what can run now, within the peak so far, and leaves no more alive
than before is run at once: no order is better for waiting. Many branches side by side (some ten)
still go beyond what is searched.
"""

import heapq
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import NamedTuple

from frugalseg.cost.graph import Graph, Op
from frugalseg.cost.peak import peak
from frugalseg.cost.region import Piece, pieces

MOST_STATES = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """Operators of a graph by index, in the best order found; its peak; the bound, in bytes.

    `bound_bytes` is the least peak that any order can have, or less. Where both are equal, the
    order is proven to be optimal.
    """

    ops: tuple[int, ...]
    peak_bytes: int
    bound_bytes: int

    @property
    def is_optimal(self) -> bool:
        """Whether no order needs less."""
        return self.peak_bytes == self.bound_bytes


def best_order(graph: Graph, *, most_states: int = MOST_STATES) -> Order:
    """Find the order with the least peak of live activation bytes, as `peak` counts it.

    >>> from frugalseg.cost.graph import Op, chain
    >>> wide = Op(name="wide", kind="conv_2d", reads=("in",), writes=("a",))
    >>> thin = Op(name="thin", kind="conv_2d", reads=("in",), writes=("b",))
    >>> back = Op(name="back", kind="conv_2d", reads=("a",), writes=("c",))
    >>> add = Op(name="add", kind="add", reads=("b", "c"), writes=("out",))
    >>> sizes = {"in": (50,), "a": (100,), "b": (40,), "c": (10,), "out": (10,)}
    >>> graph = chain(thin, wide, back, add, shapes=sizes)
    >>> peak(graph).bytes, best_order(graph)
    (190, Order(ops=(1, 2, 0, 3), peak_bytes=160, bound_bytes=160))
    """
    if not graph.ops:
        through = peak(graph).bytes
        return Order(ops=(), peak_bytes=through, bound_bytes=through)
    as_given, ops = peak(graph).bytes, tuple(range(len(graph.ops)))
    floor = max(_around(graph, op) for op in graph.ops)
    if as_given == floor:
        return Order(ops=ops, peak_bytes=floor, bound_bytes=floor)
    search = _Search(graph, at_least=floor, at_most=as_given)
    found = search.run(most_states)
    if found is not None:
        return Order(ops=found, peak_bytes=search.peak, bound_bytes=search.peak)
    bound, greedy = min(as_given, search.peak), search.greedy()
    if (least := peak(reordered(graph, greedy)).bytes) < as_given:
        ops, as_given = greedy, least
    return Order(ops=ops, peak_bytes=as_given, bound_bytes=bound)


def in_best_order(graph: Graph) -> Graph:
    """Return the graph in the best order found, or as it is where no order is better."""
    best = best_order(graph)
    return reordered(graph, best.ops) if best.peak_bytes < peak(graph).bytes else graph


def _around(graph: Graph, op: Op) -> int:
    """Sum what an operator reads and writes: it must be there whatever the order."""
    return sum(graph.tensors[name].bytes for name in {*op.reads, *op.writes})


def reordered(graph: Graph, ops: Sequence[int]) -> Graph:
    """Return the graph with its operators in another order; it must respect who reads whom."""
    return replace(graph, ops=tuple(graph.ops[i] for i in ops))


class _Step(NamedTuple):
    """Operators that run one after the other, and what that does to the bytes alive.

    `needs` are the steps before it, as bits. While it runs, `hill` bytes more are alive than
    before; then `gone` of these are gone, and each of `frees` (bytes, steps that read it) whose
    readers are all done.
    """

    ops: tuple[int, ...]
    needs: int
    hill: int
    gone: int
    frees: tuple[tuple[int, int], ...]


class _Search:
    """`peak` is the lowest peak that the sets still open have; it never falls."""

    def __init__(self, graph: Graph, *, at_least: int, at_most: int) -> None:
        self.steps, self.start = _steps(graph)
        self.at_most, self.peak = at_most, max(at_least, self.start)
        self.after: dict[int, list[int]] = {}  # step -> those that need it; -1: that need none
        for i, step in enumerate(self.steps):
            for j in _indices(step.needs) if step.needs else (-1,):
                self.after.setdefault(j, []).append(i)

    def run(self, most_states: int) -> tuple[int, ...] | None:
        """Return the best order; None if too many sets had to be looked at."""
        complete = (1 << len(self.steps)) - 1
        came_from: dict[int, tuple[int, int]] = {}
        open_at: dict[int, tuple[int, ...]] = {}
        heap = [(self.start, 0, self.start, -1, 0)]
        while heap:
            top, _, live, by, before = heapq.heappop(heap)
            done = before | 1 << by if by >= 0 else 0
            if done in came_from:
                continue
            came_from[done] = (before, by)
            open_at[done] = self._opened(open_at.get(before, ()), by, done)
            self.peak = max(self.peak, top)
            if done == complete:
                return self._path(came_from, complete)
            if len(came_from) > most_states:
                return None
            for i, highest, after in self._wise(open_at[done], done, live):
                then = max(top, highest)
                if then <= self.at_most and done | 1 << i not in came_from:
                    heapq.heappush(heap, (then, -done.bit_count(), after, i, done))
        raise AssertionError("no order: the graph has a cycle")

    def greedy(self) -> tuple[int, ...]:
        """Always take what leaves least alive."""
        done, live, order = 0, self.start, list[int]()
        opened = self._opened((), -1, done)
        while opened:
            ready = self._weighed(opened, done, live)
            i, _, live = min(ready, key=lambda step: (step[2], step[1]))
            order += self.steps[i].ops
            done |= 1 << i
            opened = self._opened(opened, i, done)
        return tuple(order)

    def _opened(self, before: tuple[int, ...], by: int, done: int) -> tuple[int, ...]:
        """List the steps that can run: those that could before `by` ran, and those it opens."""
        new = (i for i in self.after.get(by, ()) if not self.steps[i].needs & ~done)
        return tuple(sorted((*(i for i in before if i != by), *new)))

    def _wise(self, opened: tuple[int, ...], done: int, live: int) -> list[tuple[int, int, int]]:
        """List what may run next: (step, bytes while it runs, bytes after it)."""
        ready = self._weighed(opened, done, live)
        for step in ready:
            if step[1] <= self.peak and step[2] <= live:
                return [step]
        return ready

    def _weighed(self, opened: tuple[int, ...], done: int, live: int) -> list[tuple[int, int, int]]:
        ready = []
        for i in opened:
            step, then = self.steps[i], done | 1 << i
            freed = step.gone + sum(b for b, readers in step.frees if not readers & ~then)
            ready.append((i, live + step.hill, live + step.hill - freed))
        return ready

    def _path(self, came_from: dict[int, tuple[int, int]], done: int) -> tuple[int, ...]:
        path: list[int] = []
        while done:
            done, by = came_from[done]
            path.append(by)
        return tuple(op for by in reversed(path) for op in self.steps[by].ops)


def _steps(graph: Graph) -> tuple[list[_Step], int]:
    """Join operators to steps; return these, and the bytes that are alive at the start."""
    size = {name: tensor.bytes for name, tensor in graph.tensors.items()}
    stays, found = set(graph.outputs), pieces(graph)
    readers = dict[str, set[int]]()
    for i, piece in enumerate(found):
        for name in piece.reads:
            readers.setdefault(name, set()).add(i)
    needed = stays | readers.keys()
    writer = {name: i for i, piece in enumerate(found) for name in piece.writes}
    chained = {
        i: writer[piece.reads[0]]
        for i, piece in enumerate(found)
        if _is_link(piece, readers, stays)
        if piece.reads[0] in writer and len(found[writer[piece.reads[0]]].writes) == 1
    }
    parts = _parts(found, chained, size)
    step_of = {i: number for number, part in enumerate(parts) for i in part}
    steps = []
    for part in parts:
        first, hill, gone, frees = found[part[0]], 0, 0, list[tuple[int, int]]()
        if part[0] in chained:  # a stretch of a chain
            live = 0
            for i in part:
                hill = max(hill, live + found[i].hill)
                live += size[found[i].writes[0]] - size[found[i].reads[0]]
            gone = hill - live
        else:
            hill = first.hill
            gone = hill - sum(size[name] for name in first.writes if name in needed)
            frees = [
                (size[name], _bits(step_of[i] for i in readers[name]))
                for name in {*first.reads} - stays
            ]
        needs = _bits(step_of[writer[name]] for name in first.reads if name in writer)
        ops = tuple(op for i in part for op in found[i].ops)
        steps.append(_Step(ops=ops, needs=needs, hill=hill, gone=gone, frees=tuple(frees)))
    return steps, sum(size[name] for name in {*graph.inputs} & needed)


def _is_link(piece: Piece, readers: Mapping[str, set[int]], stays: set[str]) -> bool:
    """Whether a piece turns one tensor, that nothing else needs, into one that is needed."""
    if len(piece.reads) != 1 or len(piece.writes) != 1 or piece.reads[0] in stays:
        return False
    is_needed = piece.writes[0] in stays or piece.writes[0] in readers
    return len(readers[piece.reads[0]]) == 1 and is_needed


def _parts(
    found: Sequence[Piece], chained: Mapping[int, int], size: Mapping[str, int]
) -> list[tuple[int, ...]]:
    """Cut the pieces into steps: chains at their valleys, everything else one by one."""
    after = {j: i for i, j in chained.items()}
    parts: list[tuple[int, ...]] = []
    for head in (i for i in range(len(found)) if i not in chained):
        chain, i = list[int](), after.get(head)
        while i is not None:
            chain.append(i)
            i = after.get(i)
        parts += [(head,), *_valleys(found, chain, size)]
    return parts


def _valleys(
    found: Sequence[Piece], chain: Sequence[int], size: Mapping[str, int]
) -> list[tuple[int, ...]]:
    """Cut a chain where it is worth while to stop in it: at its lowest point, and on both sides.

    Behind the lowest point that is where the least is left after the highest hill to come; before
    it, the same seen from there backwards.
    """
    if not chain:
        return []
    lows = [size[name] for i in chain[:1] for name in found[i].reads]
    lows += [size[found[i].writes[0]] for i in chain]
    hills = [low + found[i].hill for low, i in zip(lows[:-1], chain, strict=True)]
    least, end = lows.index(min(lows)), len(chain)
    before = [least - cut for cut in _falls(hills[:least][::-1], lows[: least + 1][::-1])]
    behind = [least + cut for cut in _falls(hills[least:], lows[least:])]
    cuts = [0, *reversed(before), least, *behind, end]
    return [tuple(chain[a:b]) for a, b in pairwise(cuts) if a < b]


def _falls(hills: Sequence[int], lows: Sequence[int]) -> Iterator[int]:
    """List the lowest point behind the highest hill, then behind the highest that is left, ..."""
    at = 0
    while at < len(hills):
        top = max(range(at, len(hills)), key=lambda k: (hills[k], -k))
        at = min(range(top + 1, len(lows)), key=lambda k: (lows[k], -k))
        yield at


def _indices(bits: int) -> Iterator[int]:
    while bits:
        yield bits.bit_length() - 1
        bits ^= 1 << bits.bit_length() - 1


def _bits(indices: Iterable[int]) -> int:
    bits = 0
    for i in indices:
        bits |= 1 << i
    return bits
