"""Regions as COCO's files write them, checked, to run lengths.

There are three ways. Polygons go through pycocotools, so that they cover the pixels that COCO's own
tools count; lists of counts are taken as they are; compressed strings are decoded by `shapes.runs`,
since pycocotools reads past the end of one that is damaged.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from frugalseg.core.errors import require
from frugalseg.data.shapes.runs import Runs, decode_counts
from frugalseg.data.text import shown
from frugalseg.imaging.read import MAX_PIXELS

MAX_OUTLINE_PX = 2_000_000  # pycocotools takes some 50 bytes for a pixel of outline

_MIN_NUMBERS = 6  # of a polygon: three points


def read_region(segmentation: Any, size: tuple[int, int]) -> Runs:
    """Read the region of an annotation in a picture of (height, width).

    What leaves the picture is cut off. Raises ValueError for what is no region of that picture.
    """
    if isinstance(segmentation, list):
        return _of_polygons(segmentation, size)
    if type(segmentation) is not dict:
        raise ValueError("no 'segmentation' with polygons or run lengths")
    if segmentation.get("size") != list(size):
        told = segmentation.get("size")
        told = told if _is_size(told) else shown(told)
        raise ValueError(f"run lengths of size {told}, the picture's is {list(size)}")
    counts = segmentation.get("counts")
    runs = decode_counts(counts) if isinstance(counts, str) else _of_list(counts)
    total = size[0] * size[1]
    if (runs < 0).any() or runs.sum() != total:
        raise ValueError(f"run lengths do not add up to the picture's {total:,} pixels")
    return runs


def _is_size(told: Any) -> bool:
    sides = 2
    return isinstance(told, list) and len(told) == sides and all(type(side) is int for side in told)


def _of_list(counts: Any) -> Runs:
    found = _numbers(counts, {int})
    if found is None:
        raise ValueError("'counts' is a list of whole numbers or a string")
    return found.clip(-1, MAX_PIXELS + 1).astype(np.int64)


def _of_polygons(polygons: list[Any], size: tuple[int, int]) -> Runs:
    if not polygons:
        raise ValueError("no polygon; a box alone does not say which pixels are meant")
    outlines = [_outline(polygon, size) for polygon in polygons]
    length = sum(np.abs(np.diff(o, axis=0, append=o[:1])).max(axis=1).sum() for o in outlines)
    if length > MAX_OUTLINE_PX:
        raise ValueError(f"outlines of {length:,.0f} px; {MAX_OUTLINE_PX:,} at most")
    coding = require("pycocotools.mask", extra="coco")
    parts = coding.frPyObjects([outline.ravel().tolist() for outline in outlines], *size)
    return decode_counts(coding.merge(parts)["counts"].decode())


def _outline(polygon: Any, size: tuple[int, int]) -> NDArray[np.float64]:
    """Check a polygon, and give its points as (x, y)."""
    found = _numbers(polygon, {int, float})
    if found is None:
        raise ValueError("a polygon is a list of numbers x1, y1, x2, y2 ...")
    if len(found) < _MIN_NUMBERS or len(found) % 2:
        raise ValueError(f"a polygon of {len(found)} numbers; it has at least three points x, y")
    points_P2 = found.reshape(-1, 2)
    height, width = size
    low, high = points_P2.min(axis=0), points_P2.max(axis=0)
    where = f"x {low[0]:.6g} to {high[0]:.6g}, y {low[1]:.6g} to {high[1]:.6g}"
    if not (np.isfinite(low) & np.isfinite(high)).all():
        raise ValueError(f"a polygon with points that are no numbers ({where})")
    sides = np.array([width, height])
    if (high < 0).any() or (low > sides).any():
        raise ValueError(f"a polygon outside the picture of {width} x {height} px ({where})")
    if (low < -sides).any() or (high > 2 * sides).any():
        raise ValueError(
            f"a polygon that leaves the picture of {width} x {height} px by more than its own size"
            f" ({where}); was the picture resized?"
        )
    return points_P2


def _numbers(written: Any, kinds: set[type]) -> NDArray[np.float64] | None:
    """Give a list of numbers as an array; None for anything else."""
    if type(written) is not list or not set(map(type, written)) <= kinds:
        return None
    try:
        return np.array(written, np.float64)
    except OverflowError:  # of hundreds of digits
        return None
