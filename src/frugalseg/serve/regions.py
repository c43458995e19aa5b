"""Regions: connected pixels of one class, found by runs in columns as COCO counts them."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.intp]

_CODE_BITS, _FIRST_CODE, _GOES_ON, _MOST_CODES = 5, 48, 32, 7


MOST_RUNS = 2_000_000


class TooRaggedError(Exception):
    """There are more runs, or more edges of outlines, than are looked at."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Regions:
    """All regions of a label map, four neighbours to a pixel.

    Run r covers the pixels `starts[r]` to `stops[r]` of the map laid out column by column, within
    one column, and belongs to region `region[r]`. Regions are numbered by their first pixels;
    `classes` holds the train id of each, `pixels` how many it has, `boxes` x, y, width, height.
    """

    size: tuple[int, int]
    starts: Ints
    stops: Ints
    region: Ints
    classes: NDArray[np.uint8]
    pixels: Ints
    boxes: Ints

    def means(self, values_HW: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the mean of a value in each region."""
        sums = np.concatenate([[0.0], np.cumsum(values_HW.ravel(order="F"), dtype=np.float64)])
        of_run = sums[self.stops] - sums[self.starts]
        totals = np.bincount(self.region, of_run, len(self.classes))
        return totals.astype(np.float64) / self.pixels

    def runs_of(self, chosen: Ints) -> Iterator[tuple[Ints, Ints]]:
        """Yield starts and stops of the runs of each chosen region."""
        order = np.argsort(self.region, kind="stable")
        bounds = np.searchsorted(self.region[order], np.arange(len(self.classes) + 1))
        for number in chosen:
            mine = order[bounds[number] : bounds[number + 1]]
            yield self.starts[mine], self.stops[mine]


def find_regions(labels_HW: NDArray[np.uint8]) -> Regions:
    """Divide a label map into regions; raises TooRaggedError.

    >>> found = find_regions(np.array([[1, 1, 0], [0, 1, 0]], np.uint8))
    >>> found.classes.tolist(), found.pixels.tolist(), found.boxes.tolist()
    ([1, 0, 0], [3, 1, 2], [[0, 0, 2, 2], [0, 1, 1, 1], [2, 0, 1, 2]])
    """
    height, width = labels_HW.shape
    flat_P = labels_HW.ravel(order="F")
    begins_P = np.ones(flat_P.size, bool)
    begins_P[1:] = flat_P[1:] != flat_P[:-1]
    begins_P[::height] = True
    starts = np.flatnonzero(begins_P)
    if len(starts) > MOST_RUNS:
        raise TooRaggedError(f"{len(starts):,} runs, at most {MOST_RUNS:,} are looked at")
    stops = np.append(starts[1:], flat_P.size)
    class_of_run = flat_P[starts]
    region = _joined(len(starts), *_touching(starts, stops, class_of_run, height))
    firsts = np.unique(region, return_index=True)[1]
    pixels = np.bincount(region, stops - starts).astype(np.intp)
    columns, tops = np.divmod(starts, height)
    bottoms = tops + (stops - starts)
    lows = np.full((len(firsts), 2), max(height, width))
    highs = np.zeros((len(firsts), 2), np.intp)
    np.minimum.at(lows, region, np.stack([columns, tops], axis=1))
    np.maximum.at(highs, region, np.stack([columns + 1, bottoms], axis=1))
    return Regions(
        size=(height, width), starts=starts, stops=stops, region=region,
        classes=class_of_run[firsts], pixels=pixels,
        boxes=np.concatenate([lows, highs - lows], axis=1),
    )  # fmt: skip


def neighbours(starts: Ints, stops: Ints, height: int) -> tuple[Ints, Ints]:
    """Pair each run with those of the next column that it touches, in order."""
    of_last = int(np.searchsorted(starts, starts[-1] // height * height))
    here = np.arange(of_last)
    first = np.searchsorted(starts, starts[:of_last] + height, side="right") - 1
    last = np.searchsorted(starts, stops[:of_last] + height - 1, side="right") - 1
    counts = last - first + 1
    ends = np.cumsum(counts)
    offsets = np.arange(counts.sum()) - np.repeat(ends - counts, counts)
    return np.repeat(here, counts), np.repeat(first, counts) + offsets


def _touching(
    starts: Ints, stops: Ints, class_of_run: NDArray[np.uint8], height: int
) -> tuple[Ints, Ints]:
    left, right = neighbours(starts, stops, height)
    alike = class_of_run[left] == class_of_run[right]
    return left[alike], right[alike]


def _joined(count: int, left: Ints, right: Ints) -> Ints:
    """Number the connected parts of a graph of `count` nodes, in order of their first nodes."""
    parent = np.arange(count)
    while len(left):
        low, high = np.minimum(parent[left], parent[right]), np.maximum(parent[left], parent[right])
        np.minimum.at(parent, high, low)
        while not np.array_equal(above := parent[parent], parent):
            parent = above
        apart = parent[left] != parent[right]
        left, right = left[apart], right[apart]
    numbers: Ints = np.unique(parent, return_inverse=True)[1]
    return numbers


def compressed_rle(starts: Ints, stops: Ints, size: tuple[int, int]) -> dict[str, object]:
    """Write one region as COCO's compressed run lengths.

    >>> compressed_rle(np.array([1]), np.array([3]), (2, 2))
    {'size': [2, 2], 'counts': '121'}
    """
    height, width = size
    apart = starts[1:] != stops[:-1]  # a run may go on at the top of the next column
    begins, ends = starts[np.append(True, apart)], stops[np.append(apart, True)]
    borders = np.empty(2 * len(begins) + 2, np.int64)
    borders[0], borders[-1] = 0, height * width
    borders[1:-1:2], borders[2:-1:2] = begins, ends
    counts = np.diff(borders)
    if counts[-1] == 0:
        counts = counts[:-1]
    return {"size": [height, width], "counts": _compressed(counts)}


def _compressed(counts: NDArray[np.int64]) -> str:
    """Write numbers as pycocotools does, from the third but one on as differences.

    Five bits to a character, the lowest first; the sixth says that the number goes on, the fifth of
    the last one is its sign.
    """
    values = counts.copy()
    values[3:] -= counts[1:-2]
    groups = values[:, None] >> (_CODE_BITS * np.arange(_MOST_CODES))
    codes = groups & (_GOES_ON - 1)
    left = groups >> _CODE_BITS
    negative = (codes & (_GOES_ON >> 1)) != 0
    goes_on = left != np.where(negative, -1, 0)
    written = np.cumprod(np.insert(goes_on[:, :-1], 0, True, axis=1), axis=1, dtype=bool)
    text = (codes | np.where(goes_on, _GOES_ON, 0)) + _FIRST_CODE
    return bytes(text[written].astype(np.uint8)).decode("ascii")
