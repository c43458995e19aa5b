"""Parts of a graph that count as one operator when an order of operators is sought.

A region is entered by one tensor and left by one. If whatever is alive in between takes at least
as much as either of them, nothing is gained by running other operators before it is done: moved to
the moment at which the region is at its fullest, all of it would leave less alive before and after
(the argument of Liu 1987 for chains, for graphs with one way in and one way out). So it runs at
once, in the order of its own that needs least, as a diamond of PReLU or a residual block does.
"""

from collections.abc import Iterator, Mapping, Sequence, Set
from typing import NamedTuple

from frugalseg.cost.graph import Graph

MOST_PIECES = 12
MOST_STATES = 48


class Piece(NamedTuple):
    """Operators that run one after the other; while they do, `hill` bytes more are alive."""

    ops: tuple[int, ...]
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    hill: int


def pieces(graph: Graph) -> list[Piece]:
    """Return the operators of a graph with its regions joined, each after those that it reads."""
    size = {name: tensor.bytes for name, tensor in graph.tensors.items()}
    found = {}
    for i, op in enumerate(graph.ops):
        writes = tuple(dict.fromkeys(op.writes))
        hill = sum(size[name] for name in writes)
        found[i] = Piece(ops=(i,), reads=tuple(dict.fromkeys(op.reads)), writes=writes, hill=hill)
    readers = dict[str, set[int]]()
    for i, piece in found.items():
        for name in piece.reads:
            readers.setdefault(name, set()).add(i)
    outputs = frozenset(graph.outputs)
    forks = [name for name, those in readers.items() if len(those) > 1 and name not in outputs]
    for fork in reversed(forks):  # what lies within a region is joined before it
        if (inside := _inside(found, readers, fork, outputs)) is None:
            continue
        region = _joined([found[i] for i in inside], fork, size)
        if region is not None:
            for i in inside:
                del found[i]
            last = max(inside)
            found[last] = region
            readers[fork] = {last}
    return [found[i] for i in sorted(found)]


def _inside(
    found: Mapping[int, Piece],
    readers: Mapping[str, set[int]],
    fork: str,
    outputs: Set[str],
) -> list[int] | None:
    """List the pieces of the smallest region that a tensor enters; None where none is small."""
    inside, near = list[int](), set(readers[fork])
    unread = {fork: len(near)}  # tensors of the region, and how many pieces still read each
    while len(inside) < MOST_PIECES:
        ready = (i for i in sorted(near) if all(name in unread for name in found[i].reads))
        i = next(ready, None)
        if i is None or len(found[i].writes) != 1:
            return None
        inside.append(i)
        near.discard(i)
        for name in found[i].reads:
            unread[name] -= 1
        end = found[i].writes[0]
        new = readers.get(end, set())
        unread[end] = len(new) + (end in outputs)
        if not unread[end]:  # then the last piece is not the one that all others lead to
            return None
        near |= new
        if not any(n for name, n in unread.items() if name != end):
            return inside
    return None


def _joined(inside: Sequence[Piece], fork: str, size: Mapping[str, int]) -> Piece | None:
    """Join pieces to one; None where less than at an end may be alive in between."""
    ends = max(size[fork], size[inside[-1].writes[0]])
    every = (1 << len(inside)) - 1
    best: dict[int, tuple[int, tuple[int, ...]]] = {0: (0, ())}
    layer = {0}
    while layer != {every}:
        after = set[int]()
        for done in layer:
            live, (highest, order) = _alive(inside, fork, size, done), best[done]
            if done and live < ends:
                return None
            for i in _ready(inside, fork, done):
                then = done | 1 << i
                hill = max(highest, live + inside[i].hill - size[fork])
                if then not in best or hill < best[then][0]:
                    best[then] = (hill, (*order, i))
                after.add(then)
        layer = after
        if len(best) > MOST_STATES:
            return None
    hill, order = best[every]
    return Piece(
        ops=tuple(op for i in order for op in inside[i].ops),
        reads=(fork,),
        writes=inside[-1].writes,
        hill=hill,
    )


def _ready(inside: Sequence[Piece], fork: str, done: int) -> Iterator[int]:
    there = {fork, *(p.writes[0] for i, p in enumerate(inside) if done >> i & 1)}
    for i, piece in enumerate(inside):
        if not done >> i & 1 and there.issuperset(piece.reads):
            yield i


def _alive(inside: Sequence[Piece], fork: str, size: Mapping[str, int], done: int) -> int:
    """Sum the tensors of a region that are there and read by what is not done."""
    to_come = {name for i, p in enumerate(inside) if not done >> i & 1 for name in p.reads}
    there = {fork, *(p.writes[0] for i, p in enumerate(inside) if done >> i & 1)}
    return sum(size[name] for name in there & to_come)
