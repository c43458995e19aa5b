"""The order of operators that needs least memory, and a proven bound under which none can go.

A schedule is a path from "nothing done" to "all done" through sets of operators that are done; what
is alive depends on the set alone, not on how it was reached. The path whose highest step is lowest
is found as Dijkstra finds the shortest: the set with the lowest peak so far is extended first, so
that the first complete one is optimal. If the search is given up, the lowest peak among the sets
still open is a bound: every order leads through one of them.

Three things keep the number of sets small. What lies between two points that all paths pass adds to
the number and does not multiply it. In a chain of operators there is no use in stopping anywhere
but in its valleys, each the least that the chain will have alive after its next hill, so it runs
from valley to valley (Liu 1987, "An application of generalized tree pebbling to sparse matrix
factorization", hill-valley segments; he merges trees, we search graphs). And what can run now,
within the peak so far, and leaves no more alive than before is run at once: no order is better for
waiting. Many branches side by side (some ten) still go beyond what is searched.
"""

import heapq
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from frugalseg.cost.graph import Graph, Op
from frugalseg.cost.peak import peak

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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Step:
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
    stays, readers = set(graph.outputs), dict[str, set[int]]()
    for i, op in enumerate(graph.ops):
        for name in op.reads:
            readers.setdefault(name, set()).add(i)
    parts = _parts(graph, readers)
    step_of = {i: number for number, ops in enumerate(parts) for i in ops}
    writer = {name: i for i, op in enumerate(graph.ops) for name in op.writes}
    steps = []
    for ops in parts:
        op, hill, gone, frees = graph.ops[ops[0]], 0, 0, list[tuple[int, int]]()
        if _follows(graph, readers, ops[0]) is not None:  # a stretch of a chain
            live = 0
            for i in ops:
                hill = max(hill, live + size[graph.ops[i].writes[0]])
                live += size[graph.ops[i].writes[0]] - size[graph.ops[i].reads[0]]
            gone = hill - live
        else:
            written = {*op.writes}
            hill = sum(size[name] for name in written)
            gone = sum(size[name] for name in written - stays if name not in readers)
            frees = [
                (size[name], _bits(step_of[i] for i in readers[name]))
                for name in {*op.reads} - stays
            ]
        needs = _bits(step_of[writer[name]] for name in op.reads if name in writer)
        steps.append(_Step(ops=ops, needs=needs, hill=hill, gone=gone, frees=tuple(frees)))
    return steps, sum(size[name] for name in {*graph.inputs} & (readers.keys() | stays))


def _follows(graph: Graph, readers: Mapping[str, set[int]], i: int) -> int | None:
    """Return the operator that `i` follows in a chain; None if it begins one."""
    op = graph.ops[i]
    if len({*op.reads}) != 1 or len({*op.writes}) != 1 or op.reads[0] in graph.outputs:
        return None
    if len(readers[op.reads[0]]) != 1 or not ({*op.writes} & {*readers, *graph.outputs}):
        return None
    return next((j for j, b in enumerate(graph.ops) if {*b.writes} == {op.reads[0]}), None)


def _parts(graph: Graph, readers: Mapping[str, set[int]]) -> list[tuple[int, ...]]:
    """Cut the operators into steps: chains at their valleys, everything else one by one."""
    before = {i: _follows(graph, readers, i) for i in range(len(graph.ops))}
    after = {j: i for i, j in before.items() if j is not None}
    parts: list[tuple[int, ...]] = []
    for head in (i for i, j in before.items() if j is None):
        chain, i = list[int](), after.get(head)
        while i is not None:
            chain.append(i)
            i = after.get(i)
        parts += [(head,), *_valleys(graph, chain)]
    return parts


def _valleys(graph: Graph, chain: Sequence[int]) -> list[tuple[int, ...]]:
    """Cut a chain after each point that is the lowest behind the highest that is to come."""
    size = graph.tensors
    valley = [size[graph.ops[i].writes[0]].bytes for i in chain]
    hill = [size[graph.ops[i].reads[0]].bytes + low for i, low in zip(chain, valley, strict=True)]
    cuts, start = [], 0
    while start < len(chain):
        top = max(range(start, len(chain)), key=lambda k: (hill[k], k))
        low = min(range(top, len(chain)), key=lambda k: (valley[k], -k))
        cuts.append(tuple(chain[start : low + 1]))
        start = low + 1
    return cuts


def _indices(bits: int) -> list[int]:
    return [i for i in range(bits.bit_length()) if bits >> i & 1]


def _bits(indices: Iterable[int]) -> int:
    bits = 0
    for i in indices:
        bits |= 1 << i
    return bits
