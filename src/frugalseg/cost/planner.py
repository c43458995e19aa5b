"""Where TensorFlow Lite Micro puts each buffer: its greedy planner, as a pure function.

Buffers are placed one by one, the largest first and of equals the one that was named last. Each
goes to the lowest place where it meets no buffer, placed before, that is alive at the same time.
"""

from bisect import insort
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """A buffer to be placed: its size, and the first and last moment at which it is alive.

    With an `offset` it stays there, whatever it meets.
    """

    bytes: int
    first: int
    last: int
    offset: int | None = None


def plan(needs: Sequence[Need]) -> tuple[int, ...]:
    """Return the offset of each buffer, in the order in which they are named.

    Sizes are taken as they are: whoever aligns buffers rounds them up before.

    >>> plan([Need(bytes=16, first=0, last=1), Need(bytes=32, first=1, last=2),
    ...       Need(bytes=16, first=2, last=3)])
    (32, 0, 32)
    """
    offsets = [need.offset or 0 for need in needs]
    placed: list[tuple[int, int, int, int]] = []  # (start, end, first, last), by start
    for need in needs:
        if need.offset is not None:
            end = need.offset + need.bytes
            insort(placed, (need.offset, end, need.first, need.last))
    free_ones = [i for i, need in enumerate(needs) if need.offset is None]
    for i in sorted(free_ones, key=lambda i: (-needs[i].bytes, -i)):
        size, first, last = needs[i].bytes, needs[i].first, needs[i].last
        free = 0
        for start, end, other_first, other_last in placed:
            if other_first > last or first > other_last:
                continue
            if start - free >= size:
                break
            free = max(free, end)
        offsets[i] = free
        insort(placed, (free, free + size, first, last))
    return tuple(offsets)


def height(needs: Sequence[Need], offsets: Sequence[int]) -> int:
    """Return the end of the highest buffer: the memory that the plan takes, in bytes."""
    return max((at + need.bytes for at, need in zip(offsets, needs, strict=True)), default=0)
