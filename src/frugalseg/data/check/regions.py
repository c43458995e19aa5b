"""Regions: pixels of one class that hang together, corners included."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from frugalseg.core.labels import IGNORE


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Regions:
    """The regions of one picture, each with its label and its area in pixels.

    A run is a stretch of equal labels in one row; the runs cover the picture in reading order.
    `length_R` says how long each is, and `region_R` to which region it belongs.
    """

    labels: NDArray[np.uint8]
    areas: NDArray[np.int64]
    shape: tuple[int, int]
    length_R: NDArray[np.intp]
    region_R: NDArray[np.intp]

    def map(self) -> NDArray[np.intp]:
        """Number the region of each pixel (H, W)."""
        return np.repeat(self.region_R, self.length_R).reshape(self.shape)

    def small(self, most_px: int) -> NDArray[np.bool_]:
        """Tell for each region whether it is of a class, not 255, and of at most so many pixels."""
        small: NDArray[np.bool_] = (self.areas <= most_px) & (self.labels != IGNORE)
        return small


def regions_of(labels_HW: NDArray[np.uint8]) -> Regions:
    """Find all regions at once, whatever their label, 255 too; pixels touch at corners as well.

    >>> found = regions_of(np.array([[1, 0, 0], [0, 1, 0]], np.uint8))
    >>> found.labels.tolist(), found.areas.tolist()
    ([1, 0], [2, 4])
    """
    height, width = labels_HW.shape
    begins_HW = np.ones((height, width), dtype=np.bool_)
    np.not_equal(labels_HW[:, 1:], labels_HW[:, :-1], out=begins_HW[:, 1:])
    start_R = np.flatnonzero(begins_HW)
    length_R = np.diff(start_R, append=height * width)
    label_R = labels_HW.ravel()[start_R]
    above, below = _touching(start_R, length_R, (height, width))
    same = label_R[above] == label_R[below]
    root_R = joined(np.arange(len(start_R)), above[same], below[same])
    first_R, region_R = np.unique(root_R, return_inverse=True)
    return Regions(
        labels=label_R[first_R],
        areas=np.bincount(region_R, weights=length_R).astype(np.int64),
        shape=(height, width),
        length_R=length_R,
        region_R=region_R,
    )


def _touching(
    start_R: NDArray[np.intp], length_R: NDArray[np.intp], shape: tuple[int, int]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Pair each run with all runs of the row below that it touches, if by a corner only."""
    height, width = shape
    upper = int(np.searchsorted(start_R, (height - 1) * width))  # the last row has none below
    row, column = np.divmod(start_R[:upper], width)
    left = np.maximum(column - 1, 0)
    right = np.minimum(column + length_R[:upper], width - 1)
    next_row = (row + 1) * width
    first = np.searchsorted(start_R, next_row + left, side="right") - 1
    last = np.searchsorted(start_R, next_row + right, side="right") - 1
    count = last - first + 1
    above = np.repeat(np.arange(upper), count)
    below = np.arange(len(above)) - np.repeat(count.cumsum() - count, count) + first[above]
    return above, below


def joined(
    root: NDArray[np.intp], one: NDArray[np.intp], other: NDArray[np.intp]
) -> NDArray[np.intp]:
    """Join things by edges: all that hang together get the same number, the least of them.

    `root` says what hangs together already; to begin with, each thing has its own number. Each
    root takes the least root that one of its edges leads to, until no edge leads elsewhere.

    >>> joined(np.arange(4), np.array([3]), np.array([1])).tolist()
    [0, 1, 2, 1]
    """
    root = root.copy()
    while len(one):
        low, high = np.minimum(root[one], root[other]), np.maximum(root[one], root[other])
        apart = low != high
        one, other = one[apart], other[apart]
        np.minimum.at(root, high[apart], low[apart])
        while not np.array_equal(above := root[root], root):
            root = above
    return root
