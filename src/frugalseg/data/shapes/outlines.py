"""Pixels to polygons, so that filling them by `polygons.fill` gives the same pixels."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Corner = tuple[int, int]  # (x, y) between pixels: 0 is the left or upper edge of the picture


def outlines(region_HW: NDArray[np.bool_]) -> list[NDArray[np.int64]]:
    """Return a polygon of (x, y) for each part of a region whose pixels touch by their sides.

    The corners lie between pixels. A part with holes is one polygon that goes to each hole and back
    on the same way; inside is where it is crossed an odd number of times.

    >>> [outline.tolist() for outline in outlines(np.array([[False, True]]))]
    [[[1, 0], [2, 0], [2, 1], [1, 1]]]
    """
    import cv2

    count, part_HW = cv2.connectedComponents(region_HW.astype(np.uint8), connectivity=4)
    rings: list[list[list[Corner]]] = [[] for _ in range(count)]
    for part, ring in _rings(np.asarray(part_HW)):
        rings[part].append(ring)
    return [np.array(_joined(of_part), dtype=np.int64) for of_part in rings[1:]]


def _rings(part_HW: NDArray[np.int32]) -> Iterator[tuple[int, list[Corner]]]:
    """Follow the sides between each part and what is not of it, the part on the right.

    Where two pixels of a part touch by a corner alone, two ways go on from there; the one that
    turns to the right stays with the pixel that it came along.
    """
    leaves = _sides(part_HW)
    while leaves:
        start, ways = next(iter(leaves.items()))
        way, part = ways[-1]
        ring, at = list[Corner](), start
        while at in leaves and (found := _next(leaves[at], way, part)) is not None:
            if found[0] != way or not ring:
                ring.append(at)
            leaves[at].remove(found)
            if not leaves[at]:
                del leaves[at]
            way = found[0]
            at = (at[0] + _STEP[way][0], at[1] + _STEP[way][1])
        yield part, _without_straight(ring)


_STEP = ((1, 0), (0, 1), (-1, 0), (0, -1))  # right, down, left, up

Way = tuple[int, int]  # a direction, and the part on the right of it


def _sides(part_HW: NDArray[np.int32]) -> dict[Corner, list[Way]]:
    """List by corner the sides that leave it, as (direction, part on the right)."""
    around = np.pad(part_HW, 1)
    leaves: dict[Corner, list[Way]] = {}
    for direction, (beside, start) in enumerate(_BESIDE):
        other = np.roll(around, beside, (0, 1))
        for row, column in np.argwhere((around > 0) & (around != other)).tolist():
            corner = (column - 1 + start[0], row - 1 + start[1])
            leaves.setdefault(corner, []).append((direction, int(around[row, column])))
    return leaves


# For each direction: how to shift the picture so that what lies beyond that side comes onto a
# pixel, and the corner of the pixel where the side begins.
_BESIDE = (((1, 0), (0, 0)), ((0, -1), (1, 0)), ((-1, 0), (1, 1)), ((0, 1), (0, 1)))


def _next(ways: list[Way], direction: int, part: int) -> Way | None:
    for turn in (1, 0, 3):
        if (way := ((direction + turn) % 4, part)) in ways:
            return way
    return (direction, part) if (direction, part) in ways else None


def _without_straight(ring: list[Corner]) -> list[Corner]:
    """Drop the first corner if the ring goes straight through it."""
    (x, y), (x1, y1), (x2, y2) = ring[0], ring[-1], ring[1]
    return ring[1:] if (x == x1 == x2) or (y == y1 == y2) else ring


def _joined(rings: list[list[Corner]]) -> list[Corner]:
    """Make one outline of several: to each further ring, around it, and back.

    The way there runs along rows and columns: on an oblique one, rounding could differ between the
    way there and the way back.
    """
    line = list(rings[0])
    (x, y) = line[0]
    for ring in rings[1:]:
        bend = (ring[0][0], y)
        line += [(x, y), bend, *ring, ring[0], bend]
    return [*line, (x, y)] if len(rings) > 1 else line
