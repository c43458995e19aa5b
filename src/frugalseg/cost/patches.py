"""Patch-based execution: which parts of a graph to compute in bands, and in how many.

Lin et al. (MCUNetV2, NeurIPS 2021) compute the first layers of a classifier patch by patch. Here
any stretch of operators can be: where an operator needs more memory than a limit, it must lie in a
part whose bands need less. Parts are weighed one by one, and the cheapest set of them, in
multiply-accumulates computed twice, is found from the end of the graph to its start. Without a
limit, the lowest one that can be met is looked for. Memory is that of the arena of TensorFlow Lite
Micro, with maps laid over each other as `overlay` says.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import inf

from frugalseg.cost.bands import Banded, BandsError, Part, in_bands, results_of
from frugalseg.cost.graph import Graph
from frugalseg.cost.order import reordered
from frugalseg.cost.overlay import bodies, live_bytes, place
from frugalseg.cost.rows import reach_of
from frugalseg.cost.tflm import arena

MORE_MACS = 0.15  # of what the graph has; how much may be computed twice
MACS_PER_MOVE = 8  # at which moving a byte is counted; a choice: a few to some tens are alike
BANDS = (2, 3, 4, 5, 6, 8, 10)  # a CONCATENATION of TensorFlow Lite Micro takes no more than 10
LONGEST = 10  # operators of a part
BEFORE = 4  # operators of a part before the first that needs too much
HALVINGS = 6  # of the range of limits that is searched
LIMITS = 6  # lowest limits that are compared by the arena, which is larger by gaps and structures


@dataclass(frozen=True, slots=True, kw_only=True)
class Patches:
    """A graph in bands, with a place for each tensor.

    `parts` is empty where no division helps, and `graph.offsets` too where no other place does.
    `order` is the order of the operators, to which the indices of `parts` and `banded` refer.
    """

    banded: Banded = field(repr=False)
    order: tuple[int, ...] = field(repr=False)
    parts: tuple[Part, ...]
    arena_bytes: int
    macs: int

    @property
    def graph(self) -> Graph:
        """The graph as it is run."""
        return self.banded.graph


def patched(
    graph: Graph,
    *,
    ram_bytes: int | None = None,
    more_macs: float = MORE_MACS,
    undivided: frozenset[str] = frozenset(),
    or_least: bool = True,
) -> Patches:
    """Divide what needs most memory, so that the arena has `ram_bytes` at most, for least MACs.

    Without a limit, or where it cannot be met, go for the least memory at a share of `more_macs`
    multiply-accumulates more; without `or_least`, give up at once where it cannot. Operators named
    in `undivided` stay whole. The graph is one whose convolutions have a `window`: as `trace`
    returns it, or of a file with these filled in.
    """
    orders = dict.fromkeys((tuple(range(len(graph.ops))), _late(graph)))
    found = [
        p
        for order in orders
        for p in _Search(graph, order, more_macs, undivided).run(ram_bytes, or_least=or_least)
    ]
    enough = [patches for patches in found if patches.arena_bytes <= (ram_bytes or 0)]
    if enough:
        return min(enough, key=lambda p: (p.macs, len(p.graph.ops), bool(p.graph.offsets)))
    return min(found, key=lambda patches: (patches.arena_bytes, patches.macs))


def _late(graph: Graph) -> tuple[int, ...]:
    """Order operators so that each runs just before the first one that needs it."""
    writer = {name: i for i, op in enumerate(graph.ops) for name in op.writes}
    order: dict[int, None] = {}
    stack = [(i, False) for i in reversed(range(len(graph.ops)))
             if not {*graph.ops[i].writes}.isdisjoint(graph.outputs)]  # fmt: skip
    while stack:
        i, ready = stack.pop()
        if ready:
            order.setdefault(i)
        elif i not in order:
            stack.append((i, True))
            before = sorted({writer[name] for name in graph.ops[i].reads if name in writer})
            stack += [(j, False) for j in before]  # the latest runs first
    return tuple(order) if len(order) == len(graph.ops) else tuple(range(len(graph.ops)))


@dataclass(frozen=True, slots=True)
class _Weight:
    """What a part needs while it runs, and what it computes twice."""

    bytes: float
    macs: int
    moved: int  # bytes of slices and joins, which a runtime copies that does not know places

    @property
    def cost(self) -> int:
        """What one pays for it."""
        return self.macs + MACS_PER_MOVE * self.moved


class _Search:
    """All of one order of the operators. Bytes are those that are alive, places left aside."""

    def __init__(
        self, graph: Graph, order: tuple[int, ...], more_macs: float, undivided: frozenset[str]
    ) -> None:
        self.graph, self.order = reordered(graph, order), order
        self.most_macs = graph.macs * more_macs
        self.local = [
            op.name not in undivided and reach_of(self.graph, op) is not None
            for op in self.graph.ops
        ]
        self.live = live_bytes(bodies(in_bands(self.graph, [])))[1:]
        scratch = [b for b in arena(self.graph).buffers if b.name not in graph.tensors]
        for buffer in scratch:
            self.live[buffer.first - 1] += buffer.bytes
        self.weights: dict[Part, _Weight] = {}

    def run(self, ram_bytes: int | None, *, or_least: bool) -> Iterator[Patches]:
        """Yield what could be the best: first the graph as it is."""
        for laid in (False, True):
            whole = self._placed((), laid=laid)
            yield whole
            if ram_bytes is not None and whole.arena_bytes <= ram_bytes:
                return
        if ram_bytes is not None and not or_least and self._cheapest(ram_bytes) is None:
            return
        feasible = self._limits()
        for parts in [*dict.fromkeys(parts for _, parts in feasible)][:LIMITS]:
            yield self._placed(parts)
        if ram_bytes is not None:
            limits = [limit for limit, _ in feasible if limit <= ram_bytes]
            wanted = (self._cheapest(limit) for limit in (*limits[-LIMITS:], ram_bytes))
            for parts in dict.fromkeys(parts for parts in wanted if parts is not None):
                yield self._placed(parts)

    def _limits(self) -> list[tuple[int, tuple[Part, ...]]]:
        """Find limits that can be met, the lowest first, and the parts that do."""
        low, high = self._floor, max(self.live, default=0)
        found: list[tuple[int, tuple[Part, ...]]] = []
        step = max(1, (high - low) >> HALVINGS)
        top = high
        while high - low > step:
            limit = (low + high) // 2
            parts = self._cheapest(limit)
            if parts is None:
                low = limit
            else:
                high = limit
                found.append((limit, parts))
        for limit in range(high + step, min(top, high + LIMITS * 4 * step), 4 * step):
            if (parts := self._cheapest(limit)) is not None:
                found.append((limit, parts))
        return sorted(found, key=lambda pair: pair[0])

    @cached_property
    def _floor(self) -> int:
        """What is needed by operators that stay whole, and by what comes in and goes out."""
        size = self.graph.tensors
        ends = [sum(size[name].bytes for name in side)
                for side in (self.graph.inputs, self.graph.outputs)]  # fmt: skip
        pairs = zip(self.live, self.local, strict=True)
        return max(*ends, *(live for live, local in pairs if not local), 0)

    def _cheapest(self, limit: int) -> tuple[Part, ...] | None:
        """Find the parts that keep to the limit at least cost; None if there are none."""
        num_ops = len(self.graph.ops)
        nothing: tuple[Part, ...] = ()
        best = [(inf, nothing)] * num_ops + [(0.0, nothing)]
        too_much = num_ops
        for first in reversed(range(num_ops)):
            if self.live[first] <= limit:
                best[first] = best[first + 1]
            else:
                too_much = first
            if too_much - first > BEFORE or not self.local[first]:
                continue
            for part in self._parts(first, too_much, limit):
                cost, after = best[part.end]
                cost += self._weigh(part).cost
                if cost < best[first][0]:
                    best[first] = (cost, (part, *after))
        cost, parts = best[0]
        more = sum(self._weigh(part).macs for part in parts)
        return parts if cost < inf and more <= self.most_macs else None

    def _parts(self, first: int, through: int, limit: int) -> Iterator[Part]:
        """Yield parts that start at `first`, have `through` in them and keep to the limit."""
        for end in range(first + 1, min(first + LONGEST, len(self.graph.ops)) + 1):
            if not self.local[end - 1]:
                return
            if end > max(through, first + 1):
                part = self._coarsest(Part(first=first, end=end, bands=BANDS[-1]), limit)
                if part is not None:
                    yield part

    def _coarsest(self, finest: Part, limit: int) -> Part | None:
        """Find the least number of bands that keeps to the limit, if the largest does."""
        if self._least(finest) > limit or self._weigh(finest).bytes > limit:
            return None
        for bands in BANDS:
            part = replace(finest, bands=bands)
            if self._weigh(part).bytes <= limit:
                return part if self._weigh(part).macs <= self.most_macs else None
        return None

    def _least(self, part: Part) -> int:
        """Sum what must be there before and after a part, however it is divided."""
        size = self.graph.tensors
        reads, beside, results, after = self._around(part)
        before = sum(size[name].bytes for name in {*reads} | {*beside})
        return max(before, sum(size[name].bytes for name in {*results, *beside, *after}))

    def _weigh(self, part: Part) -> _Weight:
        """Put a part in bands as if it were a graph of its own, beside what it does not touch."""
        if part not in self.weights:
            reads, beside, results, after = self._around(part)
            ops = self.graph.ops[part.first : part.end]
            alone = replace(
                self.graph, ops=ops, inputs=tuple(reads), outputs=tuple({**results, **after})
            )
            size = self.graph.tensors
            held = sum(size[name].bytes for name in beside)
            try:
                banded = in_bands(alone, [replace(part, first=0, end=len(ops))])
            except BandsError:
                self.weights[part] = _Weight(inf, 0, 0)
            else:
                made = zip(banded.graph.ops, banded.copies, strict=True)
                self.weights[part] = _Weight(
                    bytes=held + max(live_bytes(bodies(banded))),
                    macs=banded.graph.macs - alone.macs,
                    moved=sum(
                        banded.graph.tensors[op.writes[0]].bytes
                        for op, copy in made
                        if copy is None
                    ),
                )
        return self.weights[part]

    def _around(self, part: Part) -> tuple[dict[str, None], ...]:
        """Name what a part reads, what is alive beside it, its results, and reads still needed."""
        ops = self.graph.ops
        inside = ops[part.first : part.end]
        written = {name for op in inside for name in op.writes}
        later = {*self.graph.outputs, *(name for op in ops[part.end :] for name in op.reads)}
        reads = dict.fromkeys(n for op in inside for n in op.reads if n not in written)
        earlier = (*self.graph.inputs, *(n for op in ops[: part.first] for n in op.writes))
        beside = dict.fromkeys(n for n in earlier if n in later and n not in reads)
        results = dict.fromkeys(results_of(self.graph, part))
        return reads, beside, results, dict.fromkeys(n for n in reads if n in later)

    def _placed(self, parts: Sequence[Part], *, laid: bool = True) -> Patches:
        """Find a place for each tensor if it is to be `laid`, and the arena to the byte."""
        banded = in_bands(self.graph, parts)
        if laid:
            placed = replace(banded.graph, offsets=place(bodies(banded)))
            banded = replace(banded, graph=placed)
        return Patches(
            banded=banded,
            order=self.order,
            parts=tuple(parts),
            arena_bytes=arena(banded.graph).least_bytes,
            macs=banded.graph.macs,
        )
