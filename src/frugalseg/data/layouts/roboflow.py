"""Roboflow semantic segmentation: `train/`, `valid/` and `test/`, each with pictures and masks.

    train/a.jpg  train/a_mask.png  train/_classes.csv

`_classes.csv` has the columns "Pixel Value" and "Class", and is the same in each of the folders. A
value of a mask that is not in it is refused; none is ignored. A class that is called "background"
is the background.
"""

import csv
from collections.abc import Iterable
from functools import partial
from pathlib import Path

from frugalseg.core.errors import DataError
from frugalseg.core.labels import LabelSpace, palette
from frugalseg.data.dataset import Dataset, Sample, refuse
from frugalseg.data.files import files_by_stem, is_lossy, leaving
from frugalseg.data.masks import rasterise_mask
from frugalseg.data.names import background_of, class_label
from frugalseg.data.split import SPLIT_FOLDERS
from frugalseg.data.text import blamed, head, read_lines
from frugalseg.imaging.read import IMAGE_SUFFIXES

_FOLDERS = ("train", "valid", "test")
_CLASSES = "_classes.csv"
_MASK = "_mask"
_COLUMNS = ["pixel value", "class"]
_VALUES = frozenset(map(str, range(256)))


def detect(root: Path) -> bool:
    """Tell whether this is the layout of `root`; other exports have a `_classes.csv` as well."""
    return any(
        (path := root / name / _CLASSES).is_file() and _columns(head(path, "")) == _COLUMNS
        for name in _FOLDERS
    )


def read(root: Path) -> Dataset:
    """List the samples and the classes, without decoding anything."""
    folders = [root / name for name in _FOLDERS if (root / name).is_dir()]
    problems: list[str] = []
    classes = _classes(folders, problems)
    splits = {SPLIT_FOLDERS[folder.name]: _samples(root, folder, problems) for folder in folders}
    refuse(root, problems)
    if not any(splits.values()):
        raise DataError(f"{root}: no images in {', '.join(f.name for f in folders)}")
    labels = _label_space(classes, folders[0] / _CLASSES)
    return Dataset(
        root=root,
        format="roboflow",
        labels=labels,
        splits=splits,
        rasterise=partial(rasterise_mask, labels=labels),
    )


def _columns(text: str) -> list[str]:
    first = text.lstrip("\ufeff").partition("\n")[0]
    return [word.strip().strip('"').lower() for word in first.split(",")]


def _samples(root: Path, folder: Path, problems: list[str]) -> tuple[Sample, ...]:
    files = files_by_stem(folder, IMAGE_SUFFIXES, problems)
    masks = {stem: path for stem, path in files.items() if stem.endswith(_MASK)}
    samples = [
        Sample(name=stem, image=path, label=masks[stem + _MASK])
        for stem, path in files.items()
        if stem + _MASK in masks
    ]
    used = {path for sample in samples for path in (sample.image, sample.label)}
    problems += [
        f"{path}: no image for this mask" if stem in masks else f"{path}: no mask {stem}{_MASK}.png"
        for stem, path in files.items()
        if path not in used
    ]
    for path in masks.values():
        is_lossy(path, problems)
    problems += leaving(root, samples)
    return tuple(samples)


def _classes(folders: Iterable[Path], problems: list[str]) -> dict[int, str]:
    """Read the classes of all folders, which must be the same."""
    read: dict[Path, dict[int, str]] = {}
    for folder in folders:
        path = folder / _CLASSES
        if path.is_file():
            read[path] = _of_file(path, problems)
        else:
            problems.append(f"{path}: missing; it says what the values of the masks mean")
    first = next(iter(read.values()), {})
    problems += [
        f"{path}: not the same classes as in {next(iter(read))}"
        for path, classes in read.items()
        if classes != first
    ]
    return first


def _of_file(path: Path, problems: list[str]) -> dict[int, str]:
    classes: dict[int, str] = {}
    try:
        lines = list(csv.reader(read_lines(path), skipinitialspace=True))
    except csv.Error as wrong:
        problems.append(f"{path}: not readable as CSV ({wrong})")
        return classes
    for number, line in enumerate(lines[1:], start=2):
        words = [word.strip() for word in line]
        if not any(words):
            continue
        try:
            value, name = _row(words)
        except ValueError as wrong:
            problems.append(f"{path} line {number}: {wrong}")
            continue
        if value in classes:
            problems.append(f"{path} line {number}: the value {value} is there twice")
        classes[value] = name
    return classes


def _row(words: list[str]) -> tuple[int, str]:
    if len(words) != len(_COLUMNS) or words[0] not in _VALUES:
        raise ValueError(f"expected a value 0 to 255 and a class, got {', '.join(words)[:80]!r}")
    return int(words[0]), class_label(words[1])


def _label_space(classes: dict[int, str], path: Path) -> LabelSpace:
    values = sorted(classes)
    names = tuple(classes[value] for value in values)
    background = background_of(names)
    with blamed(path):
        return LabelSpace(
            names=names,
            colors=palette(len(names), background),
            from_disk={value: i for i, value in enumerate(values)},
            background=background,
        )
