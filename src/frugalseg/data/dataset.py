"""Dataset: which files belong together, and how a label file becomes train ids."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from frugalseg.core.errors import DataError
from frugalseg.core.labels import Color, LabelSpace
from frugalseg.imaging.read import (
    IMAGE_SUFFIXES,
    LOSSY,
    MASK_SUFFIXES,
    read_image,
    read_mask,
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


ColorTable = tuple[tuple[Color, int], ...]  # colours on disk, and the train id of each
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


def files_by_stem(
    folder: Path, suffixes: Collection[str], problems: list[str], *, root: Path | None = None
) -> dict[str, Path]:
    """List the files of one folder by stem, sorted; two of the same stem are a problem.

    Hidden files and other kinds of file are passed over (`data check` names them). Links to files
    outside `root` are problems, if it is given.
    """
    files: dict[str, Path] = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.name.startswith(".") or path.suffix.lower() not in suffixes:
            continue
        if not path.is_file():
            problems.append(f"{path}: not a file, or a link to none")
        elif root and path.is_symlink() and not path.resolve().is_relative_to(root.resolve()):
            problems.append(f"{path}: a link that leaves the data set; put the file here instead")
        elif path.stem in files:
            problems.append(
                f"{path}: same name as {files[path.stem].name}; keep one of them"
                " or rename it together with its label"
            )
        else:
            files[path.stem] = path
    return files


def match_masks(
    images: Path, masks: Path, problems: list[str], *, root: Path | None = None
) -> tuple[Sample, ...]:
    """Match two folders by stem; a file without partner is a problem, as is a lossy mask."""
    image_by_stem = files_by_stem(images, IMAGE_SUFFIXES, problems, root=root)
    mask_by_stem = files_by_stem(masks, IMAGE_SUFFIXES, problems, root=root)
    for stem, path in image_by_stem.items():
        if stem not in mask_by_stem:
            problems.append(f"{path}: no mask; expected {masks / stem}.png")
    for stem, path in mask_by_stem.items():
        if stem not in image_by_stem:
            problems.append(f"{path}: no image for this mask in {images}")
        if path.suffix.lower() not in MASK_SUFFIXES:
            problems.append(f"{path}: {LOSSY}")
    return tuple(
        Sample(name=stem, image=path, label=mask_by_stem[stem])
        for stem, path in image_by_stem.items()
        if stem in mask_by_stem
    )


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
