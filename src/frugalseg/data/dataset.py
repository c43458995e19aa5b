"""Dataset: which files belong together, and how a label file becomes train ids."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from frugalseg.core.errors import DataError
from frugalseg.core.labels import Color, LabelSpace
from frugalseg.imaging.read import (
    read_image,
    read_mask,
    read_resized,
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


ColorTable = tuple[tuple[Color, int], ...]  # colours on disk, and the train id of each
Rasterise = Callable[[Sample, tuple[int, int]], NDArray[np.uint8]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """Samples by split ("train", "val", perhaps "test"), listed and matched but not decoded.

    `rasterise` turns the labels of a sample, given the (height, width) of its picture, into train
    ids with 255 for ignore. It can be pickled, so that workers can have it.
    """

    root: Path
    format: str
    labels: LabelSpace
    splits: Mapping[str, Sequence[Sample]]
    rasterise: Rasterise

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
        labels_HW = self.rasterise(sample, (height, width))
        if labels_HW.shape != (height, width):
            raise DataError(_other_size(sample, labels_HW.shape, (height, width)))
        return image_HWC, labels_HW if size is None else resize_labels(labels_HW, size)


def rasterise_mask(
    sample: Sample, _size: tuple[int, int], *, labels: LabelSpace
) -> NDArray[np.uint8]:
    """Read a mask of values as train ids, at its own size; the picture's does not matter."""
    return to_train_ids(read_mask(sample.label), sample.label, labels=labels)


def to_train_ids(
    values_HW: NDArray[np.uint8], path: Path, *, labels: LabelSpace
) -> NDArray[np.uint8]:
    """Map values on disk to train ids; refuses values that the label space does not declare.

    >>> labels = LabelSpace.of(["sky", "road"], ignore_on_disk=[11])
    >>> to_train_ids(np.array([[1, 11]], np.uint8), Path("a.png"), labels=labels).tolist()
    [[1, 255]]
    """
    # Bytes are translated ten times as fast as an array is indexed.
    content, declared = values_HW.tobytes(), labels.from_disk
    if content.translate(None, bytes(declared)):
        strange = ", ".join(map(str, sorted(set(content) - set(declared))))
        raise DataError(
            f"{path}: undeclared mask values {strange}; declared are {ranges(declared)}"
        )
    if all(value == train_id for value, train_id in declared.items()):
        return values_HW
    table = bytes(declared.get(value, 0) for value in range(256))
    writable = bytearray(content.translate(table))
    return np.frombuffer(writable, np.uint8).reshape(values_HW.shape)


def from_colors(mask_HWC: NDArray[np.uint8], path: Path, table: ColorTable) -> NDArray[np.uint8]:
    """Map colours (HxWx3) to train ids (HxW); refuses colours that the table does not declare."""
    codes_HW = mask_HWC.astype(np.int32) @ np.array([65536, 256, 1], dtype=np.int32)
    labels_HW = np.zeros(codes_HW.shape, dtype=np.uint8)
    known_HW = np.zeros(codes_HW.shape, dtype=np.bool_)
    for (red, green, blue), label in table:
        here_HW = codes_HW == (red << 16 | green << 8 | blue)
        labels_HW[here_HW] = label
        known_HW |= here_HW
    if not known_HW.all():
        strange = np.unique(mask_HWC[~known_HW], axis=0)
        shown = ", ".join(str(color) for color in strange[:5].tolist())
        raise DataError(f"{path}: {len(strange)} undeclared mask colours: {shown}")
    return labels_HW


def refuse(root: Path, problems: Sequence[str]) -> None:
    """Raise all problems together, if there are any."""
    if problems:
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        raise DataError(f"{root}: {count} in this data set", problems)


def ranges(values: Mapping[int, int] | set[int]) -> str:
    """Write numbers briefly.

    >>> ranges({0, 1, 2, 255})
    '0-2, 255'
    """
    parts: list[list[int]] = []
    for value in sorted(values):
        if parts and parts[-1][-1] == value - 1:
            parts[-1] = [parts[-1][0], value]
        else:
            parts.append([value])
    return ", ".join("-".join(map(str, part)) for part in parts)


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
