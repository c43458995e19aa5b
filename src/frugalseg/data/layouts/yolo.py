"""YOLO polygons: `data.yaml`, `images/<split>` and, beside each, `labels/<split>` with text.

A line is "class x1 y1 x2 y2 ...", coordinates divided by the picture's width and height. The
polygons are filled in the order of the file, the later one on top; a pixel belongs to a polygon
if its centre lies inside. What no polygon covers is class 0, "background": a class id of the
files is therefore one less than its train id.

A picture without a text file is all background; a split in which no picture has one is refused.

`train`, `val` and `test` in `data.yaml` name folders, relative to `path` in it or to the file;
where a key is missing, `images/<split>` is taken. No path and no link may leave the data set's
folder.
"""

import contextlib
import os
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from frugalseg.core.errors import DataError
from frugalseg.core.labels import LabelSpace
from frugalseg.data.dataset import Dataset, Sample, refuse
from frugalseg.data.files import files_by_stem
from frugalseg.data.names import BACKGROUND, class_names
from frugalseg.data.shapes.polygons import fill
from frugalseg.data.split import SPLITS, folders_of
from frugalseg.data.text import read_lines, read_yaml, shown
from frugalseg.imaging.read import IMAGE_SUFFIXES

_MARGIN = 0.01
_BOX_NUMBERS = 5
_MIN_POLYGON_NUMBERS = 7
_MOST_DIGITS = 9

Points = tuple[tuple[float, float], ...]
Polygon = tuple[int, Points]


def detect(root: Path) -> bool:
    """Tell whether this is the layout of `root`."""
    return (root / "data.yaml").is_file() and not has_masks(root)


def has_masks(root: Path) -> bool:
    """Tell whether `data.yaml` is about masks: it says so, or there is nothing else."""
    path = root / "data.yaml"
    if not path.is_file():
        return False
    other = any((root / name).exists() for name in ("labels", "labels.yaml"))
    if (root / "images").is_dir() and (root / "masks").is_dir() and not other:
        return True
    try:
        return "masks_dir" in read_yaml(path)
    except DataError:  # this is told when it is read
        return False


def read(root: Path) -> Dataset:
    """List the samples and the classes, without decoding anything."""
    path = root / "data.yaml"
    written = read_yaml(path)
    names = class_names(written.get("names"), path)
    if written.get("nc", len(names)) != len(names):
        raise DataError(f"{path}: nc is {written['nc']} but there are {len(names)} names")
    if BACKGROUND in names:
        raise DataError(
            f"{path}: names has {BACKGROUND!r}, which is added by itself for all that no"
            " polygon covers; rename it"
        )
    labels = LabelSpace.of([BACKGROUND, *names], background=0)
    problems: list[str] = []
    splits = {
        split: samples
        for split in SPLITS
        if (samples := _samples(root, written, folders_of(split), problems))
    }
    refuse(root, problems)
    if not splits:
        raise DataError(f"{root}: no images (JPEG, PNG, BMP or WebP) where {path} says")
    return Dataset(
        root=root,
        format="yolo",
        labels=labels,
        splits=splits,
        rasterise=partial(rasterise_polygons, num_classes=len(names)),
    )


def rasterise_polygons(
    sample: Sample, size: tuple[int, int], *, num_classes: int
) -> NDArray[np.uint8]:
    """Fill the polygons of a file over background (0); no file means background only."""
    labels_HW = np.zeros(size, dtype=np.uint8)
    for class_id, points in read_polygons(sample.label, num_classes=num_classes):
        try:
            fill(labels_HW, np.array(points) * size[::-1], class_id + 1)
        except ValueError as wrong:
            raise DataError(f"{sample.label}: {wrong}") from wrong
    return labels_HW


def read_polygons(path: Path, *, num_classes: int) -> list[Polygon]:
    """Read one label file; raises with all of its bad lines."""
    if not path.exists():
        return []
    polygons: list[Polygon] = []
    problems: list[str] = []
    for number, line in enumerate(read_lines(path), start=1):
        try:
            if words := line.split():
                polygons.append(_polygon(words, num_classes))
        except ValueError as wrong:
            problems.append(f"{path} line {number}: {wrong}")
    if problems:
        raise DataError(f"{path}: {len(problems)} bad lines", problems)
    return polygons


def _polygon(words: list[str], num_classes: int) -> Polygon:
    if len(words) == _BOX_NUMBERS:
        raise ValueError("a box, not a polygon; boxes do not say which pixels are meant")
    if len(words) < _MIN_POLYGON_NUMBERS or len(words) % 2 == 0:
        raise ValueError(f"{len(words)} numbers; a polygon is a class and at least three x y pairs")
    is_short = len(words[0]) <= _MOST_DIGITS  # else Python refuses to read it, in its own words
    if not (
        is_short and words[0].isascii() and words[0].isdecimal() and int(words[0]) < num_classes
    ):
        raise ValueError(f"class id {shown(words[0])}; known are 0 to {num_classes - 1}")
    numbers = [_coordinate(word) for word in words[1:]]
    return int(words[0]), tuple(zip(numbers[::2], numbers[1::2], strict=True))


def _coordinate(word: str) -> float:
    try:
        number = float(word)
    except ValueError:
        raise ValueError(f"{shown(word)} is not a number") from None
    if not -_MARGIN <= number <= 1 + _MARGIN:  # NaN is refused too
        raise ValueError(f"coordinate {word} is outside 0 to 1; divide by the width and height")
    return min(max(number, 0.0), 1.0)


def _samples(
    root: Path, written: dict[str, Any], keys: tuple[str, ...], problems: list[str]
) -> tuple[Sample, ...]:
    key = next((key for key in keys if written.get(key)), None)
    if key is None:
        folders = [root / "images" / name for name in keys]
        folders = [folder for folder in folders if folder.is_dir()]
    else:
        entries = written[key] if isinstance(written[key], list) else [written[key]]
        base = str(written.get("path") or "")
        found = [named_folder(root, base, str(entry)) for entry in entries]
        problems += [
            f"{root / 'data.yaml'}: {key}: {entry} is not a folder of {root}; put it there, or take"
            " the line out"
            for entry, folder in zip(entries, found, strict=True)
            if folder is None
        ]
        folders = [folder for folder in found if folder]
    samples: dict[str, Sample] = {}
    for sample in (sample for folder in folders for sample in _matched(root, folder, problems)):
        if sample.name in samples:
            problems.append(f"{sample.image}: same name as {samples[sample.name].image}")
        samples[sample.name] = sample
    if samples and not any(sample.label.exists() for sample in samples.values()):
        labels = ", ".join(str(_labels_folder(folder)) for folder in folders)
        problems.append(
            f"{labels}: no .txt for any of the {len(samples)} images of {key or keys[0]};"
            " labels lie where the images do, with labels/ for images/ in the path"
        )
    return tuple(samples.values())


def named_folder(root: Path, base: str, entry: str) -> Path | None:
    """Find a folder inside `root`; the "../train" of some exports means "train"."""
    top = os.path.normpath(root.absolute())
    for tail in ((base, entry), (entry,), (entry.lstrip("./"),)):
        path = Path(os.path.normpath(Path(top, *tail)))
        with contextlib.suppress(OSError):  # a name that is too long for any folder
            if path.is_relative_to(top) and path.is_dir():
                return root / path.relative_to(top)
    return None


def _matched(root: Path, images: Path, problems: list[str]) -> list[Sample]:
    labels = _labels_folder(images)
    image_by_stem = files_by_stem(images, IMAGE_SUFFIXES, problems, root=root)
    text_by_stem = files_by_stem(labels, {".txt"}, problems, root=root)
    for stem, path in text_by_stem.items():
        if stem not in image_by_stem:
            problems.append(f"{path}: no image for these labels in {images}")
    return [
        Sample(name=stem, image=path, label=text_by_stem.get(stem, labels / f"{stem}.txt"))
        for stem, path in image_by_stem.items()
    ]


def _labels_folder(images: Path) -> Path:
    """Swap the last "images" of a path for "labels", as all readers of this format do.

    >>> _labels_folder(Path("waste/images/train")).as_posix()
    'waste/labels/train'
    """
    parts = list(images.parts)
    if "images" in parts:
        parts[len(parts) - 1 - parts[::-1].index("images")] = "labels"
    return Path(*parts)
