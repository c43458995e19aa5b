"""Outlines of regions as polygons along the edges of their pixels: exact, and not smoothed."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from frugalseg.serve.regions import Ints, Regions, TooRaggedError, neighbours

MOST_EDGES = 400_000
"""More are refused: each costs a step of plain Python."""

_RIGHT, _DOWN, _LEFT, _UP = range(4)


def polygons(regions: Regions, chosen: Ints) -> list[list[list[int]]]:
    """Return for each chosen region its rings [x, y, x, y, ...], the outer one first.

    Corners lie between pixels, from 0 to width and height. Outer rings run clockwise as one sees
    them, holes the other way. Raises TooRaggedError.
    """
    edges = _edges(regions)
    wanted = np.isin(edges[:, 0], chosen)
    if wanted.sum() > MOST_EDGES:
        raise TooRaggedError(f"{wanted.sum():,} edges, at most {MOST_EDGES:,} are drawn")
    edges = edges[wanted]
    rings: dict[int, list[list[int]]] = {int(number): [] for number in chosen}
    for number, ring in _rings(edges, regions.size):
        rings[number].append(ring)
    return [sorted(rings[int(number)], key=_doubled_area, reverse=True) for number in chosen]


def _edges(regions: Regions) -> NDArray[np.int64]:
    """Return edges (region, direction, x, y, x, y), each with its region on its right."""
    height, _ = regions.size
    columns, tops = np.divmod(regions.starts, height)
    bottoms = tops + (regions.stops - regions.starts)
    of = regions.region
    left, right = neighbours(regions.starts, regions.stops, height)
    alike = of[left] == of[right]
    left, right = left[alike], right[alike]
    # Where two runs meet there is no edge between them.
    meet_from, meet_to = (
        np.maximum(tops[left], tops[right]),
        np.minimum(bottoms[left], bottoms[right]),
    )
    right_of, right_from, right_to = _bare(tops, bottoms, left, meet_from, meet_to)
    left_of, left_from, left_to = _bare(tops, bottoms, right, meet_from, meet_to)
    parts = [
        (of, _RIGHT, columns, tops, columns + 1, tops),
        (of, _LEFT, columns + 1, bottoms, columns, bottoms),
        (of[right_of], _DOWN, columns[right_of] + 1, right_from, columns[right_of] + 1, right_to),
        (of[left_of], _UP, columns[left_of], left_to, columns[left_of], left_from),
    ]
    return np.concatenate([np.stack(np.broadcast_arrays(*part), axis=1) for part in parts])


def _bare(
    tops: Ints, bottoms: Ints, runs: Ints, meet_from: Ints, meet_to: Ints
) -> tuple[Ints, Ints, Ints]:
    """Return what is left of each run on one side: run, first row, row after the last."""
    every = np.arange(len(tops))
    owner = np.concatenate([every, runs, runs, every])
    row = np.concatenate([tops, meet_from, meet_to, bottoms])
    order = np.lexsort([row, owner])
    pairs = row[order].reshape(-1, 2)
    is_bare = pairs[:, 0] < pairs[:, 1]
    return owner[order][::2][is_bare], pairs[is_bare, 0], pairs[is_bare, 1]


def _rings(edges: NDArray[np.int64], size: tuple[int, int]) -> list[tuple[int, list[int]]]:
    """Follow the edges round; where two rings touch in a corner, each keeps to its own pixels."""
    following = _following(edges, size).tolist()
    directions = edges[:, 1].tolist()
    corners = edges[:, 2:4].tolist()
    owners = edges[:, 0].tolist()
    rings, unseen = [], [True] * len(following)
    for first in range(len(following)):
        if not unseen[first]:
            continue
        ring: list[int] = []
        edge, before = first, -1
        while unseen[edge]:
            unseen[edge] = False
            if directions[edge] != before:
                ring += corners[edge]
            before, edge = directions[edge], following[edge]
        if directions[first] == before:  # it began in the middle of a side
            del ring[:2]
        rings.append((owners[first], ring))
    return rings


def _following(edges: NDArray[np.int64], size: tuple[int, int]) -> Ints:
    height, width = size
    region, direction = edges[:, 0], edges[:, 1]

    def key(x: Ints, y: Ints, towards: Ints) -> Ints:
        corner = (region * (height + 1) + y) * (width + 1) + x
        keys: Ints = corner * 4 + towards
        return keys

    begins = key(edges[:, 2], edges[:, 3], direction)
    order = np.argsort(begins)
    begins = begins[order]
    following = np.full(len(edges), -1)
    for turn in (3, 0, 1):  # left, straight on, right: what comes last has its way
        wanted = key(edges[:, 4], edges[:, 5], (direction + turn) % 4)
        place = np.searchsorted(begins, wanted).clip(max=len(begins) - 1)
        there = begins[place] == wanted
        following[there] = order[place[there]]
    return following


def _doubled_area(ring: Sequence[int]) -> int:
    x, y = np.array(ring[::2]), np.array(ring[1::2])
    return int((x * np.roll(y, -1) - np.roll(x, -1) * y).sum())
