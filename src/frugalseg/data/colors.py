"""Classes whose masks are drawn in colours, as a file of names and colours declares them."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from frugalseg.core.errors import DataError
from frugalseg.core.labels import IGNORE, Color, LabelSpace
from frugalseg.data.dataset import Rasterise, Sample
from frugalseg.data.masks import ColorTable, from_colors
from frugalseg.data.names import BACKGROUND, VOID_NAMES, background_of, class_names
from frugalseg.data.text import blamed
from frugalseg.imaging.read import read_color_mask

_BYTE = range(256)


def color_classes(rows: Sequence[tuple[str, Color]], path: Path) -> tuple[LabelSpace, ColorTable]:
    """Number the classes in the order of the rows; those of a void name are ignored.

    Raises DataError that names `path` for a colour that is there twice or is none, and for wrong
    names.
    """
    names = class_names([name for name, _ in rows], path)
    by_color: dict[Color, str] = {}
    for name, color in rows:
        if not all(part in _BYTE for part in color):
            raise DataError(f"{path}: the parts of a colour are 0 to 255, got {color} for {name}")
        if color in by_color:
            raise DataError(f"{path}: {by_color[color]} and {name} have the same colour {color}")
        by_color[color] = name
    kept = tuple(name for name in names if name.lower() not in VOID_NAMES)
    with blamed(path):
        labels = LabelSpace.of(
            kept,
            colors=[color for name, color in rows if name in kept],
            background=kept.index(BACKGROUND) if BACKGROUND in kept else background_of(kept),
        )
    ids = {name: i for i, name in enumerate(kept)}
    return labels, tuple((color, ids.get(name, IGNORE)) for name, color in rows)


def rasteriser(table: ColorTable) -> Rasterise:
    """Give the function that reads a mask of these colours as train ids."""
    return partial(_rasterise, table=table)


def _rasterise(sample: Sample, _size: tuple[int, int], *, table: ColorTable) -> NDArray[np.uint8]:
    return from_colors(read_color_mask(sample.label), sample.label, table)
