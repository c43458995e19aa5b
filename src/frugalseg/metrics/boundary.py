"""Boundary F1: do the outlines agree? (Csurka et al., BMVC 2013, with the differences below.)

A pixel is on the boundary of its class if one of its four neighbours has another class.
Pixels that the label ignores take no part, neither as boundary nor as neighbour, and
predictions there are ignored as well. A boundary pixel of one side is a hit if the other side
has a boundary pixel of the same class at a Euclidean distance of at most `tolerance` pixels:
0.75 % of the diagonal of the picture, rounded, at least 1.

Hits and boundary pixels are summed over the whole split for each class. Precision is the share
of hits among predicted boundary pixels, recall that among labelled ones, and F1 their harmonic
mean. The score is the mean of F1 over the classes that have a boundary in labels or
predictions. (Csurka et al. average over pictures; sums over the split match how mIoU is
defined here, and a picture with a few odd pixels weighs no more than they do.)
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from frugalseg.core.labels import IGNORE

Array = NDArray[Any]
DIAGONAL_SHARE = 0.0075
WORD_BITS = 32


class BoundaryCounts:
    """Hits and boundary pixels of each class, summed over pictures."""

    def __init__(self, num_classes: int, *, tolerance: int | None = None) -> None:
        self.tolerance = tolerance
        self._hit_precision_K = np.zeros(num_classes, np.int64)
        self._hit_recall_K = np.zeros(num_classes, np.int64)
        self._predicted_K = np.zeros(num_classes, np.int64)
        self._labelled_K = np.zeros(num_classes, np.int64)

    def add(self, labels_HW: NDArray[np.uint8], predicted_HW: NDArray[np.uint8]) -> None:
        """Count one picture; ids must be valid, 255 in labels is ignored."""
        guess_HW = np.where(labels_HW == IGNORE, np.uint8(IGNORE), predicted_HW)
        edge_HW, guess_edge_HW = on_boundary(labels_HW), on_boundary(guess_HW)
        radius = self.tolerance or default_tolerance(*labels_HW.shape)
        n = len(self._labelled_K)
        self._labelled_K += np.bincount(labels_HW[edge_HW], minlength=n)
        self._predicted_K += np.bincount(guess_HW[guess_edge_HW], minlength=n)
        for first in range(0, n, WORD_BITS):
            word_HW = _words(labels_HW, edge_HW, first)
            guess_word_HW = _words(guess_HW, guess_edge_HW, first)
            self._hit_precision_K += _hits(guess_word_HW, _dilated(word_HW, radius), guess_HW, n)
            self._hit_recall_K += _hits(word_HW, _dilated(guess_word_HW, radius), labels_HW, n)

    def f1(self) -> float | None:
        """Return the mean F1 over classes with a boundary; None if there is none at all."""
        precision_K = self._hit_precision_K / np.maximum(self._predicted_K, 1)
        recall_K = self._hit_recall_K / np.maximum(self._labelled_K, 1)
        both_K = precision_K + recall_K
        f1_K = 2 * precision_K * recall_K / np.where(both_K > 0, both_K, 1)
        seen_K = (self._predicted_K + self._labelled_K) > 0
        return float(f1_K[seen_K].mean()) if seen_K.any() else None


def default_tolerance(height: int, width: int) -> int:
    """Return the tolerance in pixels for a picture of this size.

    >>> default_tolerance(360, 480), default_tolerance(20, 20)
    (5, 1)
    """
    return max(1, math.floor(DIAGONAL_SHARE * math.hypot(height, width) + 0.5))


def on_boundary(ids_HW: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Mark pixels that touch (4 neighbours) a pixel of another class; 255 is no class.

    >>> on_boundary(np.array([[1, 1, 2, 255, 1]], np.uint8)).astype(int)
    array([[0, 1, 1, 0, 0]])
    """
    valid_HW = ids_HW != IGNORE
    edge_HW = np.zeros(ids_HW.shape, np.bool_)
    for before, after in ((np.s_[:, :-1], np.s_[:, 1:]), (np.s_[:-1], np.s_[1:])):
        differs = (ids_HW[before] != ids_HW[after]) & valid_HW[before] & valid_HW[after]
        edge_HW[before] |= differs
        edge_HW[after] |= differs
    return edge_HW


def _words(ids_HW: Array, edge_HW: Array, first: int) -> NDArray[np.uint32]:
    """Write class `first` + i at bit i, on boundary pixels: 32 classes dilate at once."""
    bit_of = np.zeros(256, np.uint32)
    stop = min(first + WORD_BITS, 256)
    bit_of[first:stop] = np.uint32(1) << np.arange(stop - first, dtype=np.uint32)
    return np.where(edge_HW, bit_of[ids_HW], np.uint32(0))


def _dilated(word_HW: NDArray[np.uint32], radius: int) -> NDArray[np.uint32]:
    """OR each pixel over a disk: rows are widened step by step, then laid over each other."""
    out_HW = word_HW.copy()
    row_HW, half_width = word_HW.copy(), 0
    for dy in range(min(radius, word_HW.shape[0] - 1), -1, -1):
        reach = min(math.isqrt(radius * radius - dy * dy), word_HW.shape[1] - 1)
        for dx in range(half_width + 1, reach + 1):
            row_HW[:, dx:] |= word_HW[:, :-dx]
            row_HW[:, :-dx] |= word_HW[:, dx:]
        half_width = max(half_width, reach)
        rows = word_HW.shape[0] - dy
        out_HW[dy:] |= row_HW[:rows]
        out_HW[:rows] |= row_HW[dy:]
    return out_HW


def _hits(own_HW: Array, other_HW: Array, ids_HW: Array, num_classes: int) -> Array:
    return np.bincount(ids_HW[(own_HW & other_HW) != 0], minlength=num_classes)
