"""Labels as colours, alone or over the picture."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from frugalseg.core.labels import Color

BAND_PIXELS = 250_000
"""That are mixed at once, with some 100 bytes for each."""


def colorize(labels_HW: NDArray[np.uint8], colors: Sequence[Color]) -> NDArray[np.uint8]:
    """Paint each class in its colour, HxWx3; ignored pixels are black.

    >>> colorize(np.array([[0, 255]], np.uint8), [(1, 2, 3)]).tolist()
    [[[1, 2, 3], [0, 0, 0]]]
    """
    return color_table(colors)[labels_HW]


def color_table(colors: Sequence[Color]) -> NDArray[np.uint8]:
    """Return the colour of every byte, (256, 3): that of its class, or black.

    >>> color_table([(1, 2, 3)])[[0, 255]].tolist()
    [[1, 2, 3], [0, 0, 0]]
    """
    table = np.zeros((256, 3), dtype=np.uint8)
    table[: len(colors)] = colors
    return table


def overlay(
    image_HWC: NDArray[np.uint8],
    labels_HW: NDArray[np.uint8],
    colors: Sequence[Color],
    alpha: float = 0.5,
) -> NDArray[np.uint8]:
    """Lay the colours of the labels over a picture (RGB or grey); ignored pixels show it bare.

    >>> picture_HWC = np.full((1, 2, 3), 100, np.uint8)
    >>> overlay(picture_HWC, np.array([[0, 255]], np.uint8), [(200, 0, 0)]).tolist()
    [[[150, 50, 50], [100, 100, 100]]]
    """
    height, width = labels_HW.shape
    picture_HWC = np.broadcast_to(image_HWC, (height, width, 3))
    laid_HWC = np.empty((height, width, 3), np.uint8)
    step = max(1, BAND_PIXELS // max(1, width))
    for top in range(0, height, step):
        rows = slice(top, top + step)
        laid_HWC[rows] = _laid(picture_HWC[rows], labels_HW[rows], colors, alpha)
    return laid_HWC


def _laid(
    picture_HWC: NDArray[np.uint8],
    labels_HW: NDArray[np.uint8],
    colors: Sequence[Color],
    alpha: float,
) -> NDArray[np.uint8]:
    mixed_HWC = (1 - alpha) * picture_HWC + alpha * colorize(labels_HW, colors)
    known_HW = labels_HW < len(colors)
    return np.where(known_HW[..., None], np.rint(mixed_HWC).astype(np.uint8), picture_HWC)
