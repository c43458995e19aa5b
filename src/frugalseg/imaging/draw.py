"""Labels as colours, alone or over the picture."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from frugalseg.core.labels import Color


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
    picture_HWC = np.broadcast_to(image_HWC, (*labels_HW.shape, 3))
    mixed_HWC = (1 - alpha) * picture_HWC + alpha * colorize(labels_HW, colors)
    known_HW = labels_HW < len(colors)
    return np.where(known_HW[..., None], np.rint(mixed_HWC).astype(np.uint8), picture_HWC)
