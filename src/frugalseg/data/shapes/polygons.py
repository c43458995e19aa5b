"""Polygons to pixels."""

import numpy as np
from numpy.typing import NDArray

MOST_CROSSINGS = 4_000_000  # of edges and rows; each takes some 50 bytes while it is filled


def fill(labels_HW: NDArray[np.uint8], points_P2: NDArray[np.float64], value: int) -> None:
    """Set the pixels whose centre lies inside an outline of (x, y) in pixels.

    The outline may leave the picture. Inside is where it is crossed an odd number of times on the
    way to the left. Each edge is met with each row of centres between its ends. A crossing turns
    all pixels from the first centre on its right, so the parity of the crossings so far is what is
    inside. Raises ValueError for an outline that runs up and down too often.

    >>> labels_HW = np.zeros((2, 3), np.uint8)
    >>> fill(labels_HW, np.array([[1.0, 0.0], [9.0, 0.0], [9.0, 1.0], [1.0, 1.0]]), 7)
    >>> labels_HW.tolist()
    [[0, 7, 7], [0, 0, 0]]
    """
    height, width = labels_HW.shape
    x, y = (points_P2 - 0.5).T  # centres are at whole numbers
    to_x, to_y = np.roll(x, -1), np.roll(y, -1)
    first = np.ceil(np.minimum(y, to_y)).clip(0, height).astype(np.intp)
    count = np.ceil(np.maximum(y, to_y)).clip(0, height).astype(np.intp) - first
    if count.sum() > MOST_CROSSINGS:
        raise ValueError(f"an outline that crosses {count.sum():,} rows; draw it simpler")
    edge = np.repeat(np.arange(len(x)), count)
    if not len(edge):
        return
    row = np.arange(len(edge)) - np.repeat(count.cumsum() - count, count) + first[edge]
    share = (row - y[edge]) / (to_y - y)[edge]
    column = np.ceil(x[edge] + share * (to_x - x)[edge]).clip(0, width).astype(np.intp)
    box = slice(row.min(), row.max() + 1), slice(column.min(), column.max())
    turns_HW = np.zeros((row.max() + 1, column.max() + 1), dtype=np.uint8)
    np.bitwise_xor.at(turns_HW, (row, column), 1)
    inside_HW = np.bitwise_xor.accumulate(turns_HW[box], axis=1)
    labels_HW[box][inside_HW.view(np.bool_)] = value
