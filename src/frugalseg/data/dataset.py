"""Dataset: which files belong together, and what turns a label file into train ids."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from frugalseg.core.errors import DataError
from frugalseg.core.labels import LabelSpace
from frugalseg.imaging.read import (
    read_image,
    read_resized,
    read_size,
)
from frugalseg.imaging.resize import resize_labels


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One picture and the file of its labels: a mask, or polygons.

    Where one file labels many pictures, `item` says which of its entries is meant.
    """

    name: str
    image: Path
    label: Path
    item: int = -1


Rasterise = Callable[[Sample, tuple[int, int]], NDArray[np.uint8]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """Samples by split ("train", "val", perhaps "test"), listed and matched but not decoded.

    `rasterise` turns the labels of a sample, given the (height, width) of its picture, into train
    ids with 255 for ignore. It can be pickled, so that workers can have it. `supercategories` are
    groups of classes, where the data set itself has some.
    """

    root: Path
    format: str
    labels: LabelSpace
    splits: Mapping[str, Sequence[Sample]]
    rasterise: Rasterise
    supercategories: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def split(self, name: str) -> Sequence[Sample]:
        """Give the samples of one split; a split that is absent or empty is an error."""
        if samples := self.splits.get(name):
            return samples
        there = ", ".join(s for s, samples in self.splits.items() if samples) or "none"
        raise DataError(f"{self.root}: no split {name!r} with images; there is: {there}")

    def load(
        self, sample: Sample, *, size: tuple[int, int] | None = None
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Decode one sample: the upright picture HxWx3, and its train ids HxW.

        With a `size` (H, W) both are resized to it; large pictures are decoded quicker for it.
        """
        if size is None:
            image_HWC = read_image(sample.image)
            height, width = image_HWC.shape[:2]
        else:
            image_HWC, (height, width) = read_resized(sample.image, size)
        labels_HW = self._labels(sample, (height, width))
        return image_HWC, labels_HW if size is None else resize_labels(labels_HW, size)

    def load_labels(self, sample: Sample) -> NDArray[np.uint8]:
        """Read the train ids of one sample, HxW; of its picture no more than the header."""
        return self._labels(sample, read_size(sample.image))

    def _labels(self, sample: Sample, size: tuple[int, int]) -> NDArray[np.uint8]:
        labels_HW = self.rasterise(sample, size)
        if labels_HW.shape != size:
            raise DataError(_other_size(sample, labels_HW.shape, size))
        return labels_HW


def refuse(root: Path, problems: Sequence[str]) -> None:
    """Raise all problems together, if there are any."""
    if problems:
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        raise DataError(f"{root}: {count} in this data set", problems)


def _other_size(sample: Sample, mask: tuple[int, ...], image: tuple[int, int]) -> str:
    hint = (
        "the photograph has an EXIF rotation, so turn the mask as it is displayed"
        if mask == image[::-1]
        else "masks need the size of their image"
    )
    return (
        f"{sample.label}: mask is {mask[1]} px wide and {mask[0]} high,"
        f" {sample.image.name} is {image[1]} wide and {image[0]} high; {hint}"
    )
