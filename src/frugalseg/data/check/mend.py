"""Mending a sample: the picture upright and RGB, the mask without specks."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from shutil import copyfile

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from frugalseg.core.labels import IGNORE
from frugalseg.data.check.facts import SPECK_PIXELS, header_of
from frugalseg.data.check.regions import Regions, regions_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Mended:
    """What was done to one sample."""

    straightened: bool = False
    recoloured: bool = False
    specks: int = 0


def without_specks(labels_HW: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], int]:
    """Give regions of one or two pixels the commonest label around them; also how many those were.

    Pixels that are ignored neither are specks nor count as what is around one, unless there is
    nothing else. Of several labels that are as common, the lowest is taken. Specks that touch
    specks alone are looked at again when these have become something; a mask of nothing but
    specks stays as it is.

    >>> labels_HW, count = without_specks(np.array([[0, 0, 0], [0, 1, 0], [0, 0, 0]], np.uint8))
    >>> labels_HW.tolist(), count
    ([[0, 0, 0], [0, 0, 0], [0, 0, 0]], 1)
    """
    total = 0
    while True:
        found = regions_of(labels_HW)
        is_speck_R = found.small(SPECK_PIXELS)
        if not is_speck_R.any() or is_speck_R.all():
            return labels_HW, total
        new_labels = _around(labels_HW, found, is_speck_R)
        if not new_labels:
            return labels_HW, total
        changed = found.labels.copy()
        changed[list(new_labels)] = list(new_labels.values())
        labels_HW = changed[found.map()]
        total += len(new_labels)


def _around(
    labels_HW: NDArray[np.uint8], found: Regions, is_speck_R: NDArray[np.bool_]
) -> Mapping[int, int]:
    """Find for each speck the label that most of the pixels around it have, specks left out."""
    region_HW = np.pad(found.map(), 1, constant_values=-1)
    padded_HW = np.pad(labels_HW, 1)
    rows, columns = np.nonzero(is_speck_R[found.map()])
    votes: dict[int, NDArray[np.int64]] = {}
    for down, right in ((a, b) for a in (-1, 0, 1) for b in (-1, 0, 1) if (a, b) != (0, 0)):
        near = region_HW[rows + 1 + down, columns + 1 + right]
        label = padded_HW[rows + 1 + down, columns + 1 + right]
        own = region_HW[rows + 1, columns + 1]
        counts = (near >= 0) & ~is_speck_R[near]
        for speck, value in zip(own[counts].tolist(), label[counts].tolist(), strict=True):
            votes.setdefault(speck, np.zeros(IGNORE + 1, np.int64))[value] += 1
    return {
        speck: int(count[:IGNORE].argmax()) if count[:IGNORE].any() else IGNORE
        for speck, count in votes.items()
    }


def write_picture(image_HWC: NDArray[np.uint8], source: Path, stem: Path) -> tuple[Path, Mended]:
    """Write a picture as `stem` with a suffix: a copy where it is upright RGB, else as PNG.

    `image_HWC` is what `source` reads as.
    """
    mode, turned = header_of(source)
    if mode == "RGB" and not turned:
        path = stem.with_name(stem.name + source.suffix.lower())
        copyfile(source, path)
        return path, Mended()
    path = stem.with_name(f"{stem.name}.png")
    Image.fromarray(image_HWC).save(path, "PNG")
    return path, Mended(straightened=turned, recoloured=mode != "RGB")
