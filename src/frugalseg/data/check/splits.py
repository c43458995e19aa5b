"""SplitReport: the pictures of one split by size, and how the classes share them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from frugalseg.core.labels import LabelSpace
from frugalseg.data.check.facts import Facts

MEDIAN, SMALL = 0.5, 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassShare:
    """How much of a split is one class; `pixel_share` is of all pixels, ignored ones too.

    A region is what hangs together, over corners as well. `median_region_px` is the area of the
    middle one, `small_region_px` that below which 5 % are; 0 without regions. `regions_by_size`
    counts those of 1, 2 to 3, 4 to 7 pixels and so on, in powers of two.
    """

    name: str
    pixels: int
    pixel_share: float
    images: int
    image_share: float
    regions: int = 0
    median_region_px: int = 0
    small_region_px: int = 0
    regions_by_size: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitReport:
    """One split: how many images of which "HEIGHTxWIDTH", and how the classes share them."""

    name: str
    images: int
    sizes: Mapping[str, int]
    classes: tuple[ClassShare, ...]
    ignore_share: float

    @property
    def pixels(self) -> tuple[int, ...]:
        """Labelled pixels of each class, ignored ones left out."""
        return tuple(share.pixels for share in self.classes)


def split_report(name: str, facts: Sequence[Facts], labels: LabelSpace) -> SplitReport:
    """Sum up the facts of one split."""
    pixels_NC = np.array([f.pixels for f in facts], dtype=np.int64).reshape(
        -1, labels.num_classes + 1
    )
    pixels_C, images_C = pixels_NC.sum(axis=0), (pixels_NC > 0).sum(axis=0)
    total = max(int(pixels_C.sum()), 1)
    sizes = Counter(f"{height}x{width}" for height, width in (f.size for f in facts))
    areas = np.concatenate([np.zeros((3, 0), np.int64), *(f.areas for f in facts)], axis=1)
    classes = [
        _class_share(
            class_name, int(pixels_C[i]), total, (int(images_C[i]), len(facts)),
            areas[1:, areas[0] == i],
        )
        for i, class_name in enumerate(labels.names)
    ]  # fmt: skip
    return SplitReport(
        name=name,
        images=len(facts),
        sizes=dict(sizes.most_common()),
        classes=tuple(classes),
        ignore_share=int(pixels_C[-1]) / total,
    )


def quantile(values: NDArray[np.number], counts: NDArray[np.int64], share: float) -> float:
    """Give the least value that, with all below it, makes up `share` of the counts; 0 if none.

    >>> quantile(np.array([9, 1, 4]), np.array([1, 2, 1]), 0.5)
    1.0
    """
    if not len(values):
        return 0.0
    order = np.argsort(values)
    up_to = counts[order].cumsum()
    return float(values[order][np.searchsorted(up_to, share * up_to[-1])])


def _class_share(
    name: str, pixels: int, total: int, images: tuple[int, int], areas: NDArray[np.int64]
) -> ClassShare:
    """Sum up one class; `areas` are pixels and how many regions have so many."""
    powers = np.log2(np.maximum(areas[0], 1)).astype(np.intp)
    return ClassShare(
        name=name,
        pixels=pixels,
        pixel_share=pixels / total,
        images=images[0],
        image_share=images[0] / max(images[1], 1),
        regions=int(areas[1].sum()),
        median_region_px=int(quantile(areas[0], areas[1], MEDIAN)),
        small_region_px=int(quantile(areas[0], areas[1], SMALL)),
        regions_by_size=tuple(np.bincount(powers, weights=areas[1]).astype(int).tolist()),
    )
