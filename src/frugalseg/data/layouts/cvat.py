"""CVAT's "Segmentation mask 1.1": a VOC tree, and `labelmap.txt` with a colour for each class.

    labelmap.txt                            a line "car:61,245,61::" for each class
    JPEGImages/a.jpg                        export with "Save images", or put them there
    SegmentationClass/a.png                 the class of each pixel as a colour
    ImageSets/Segmentation/default.txt      a name per line, without folder and suffix

Which colour is which class says `labelmap.txt` alone: a class may have another colour in the next
export. Grey and palette masks are read by the colours that they show. Classes are numbered in the
order of the file; one that is called void, ignored, unlabelled or the like is ignored.

Lists named train, val, valid, validation and test (in any case of letters) are the splits; where
there is none of these, the names of all lists are divided by their hash, and without any list all
masks are. CVAT lists a picture without annotations but writes no mask for it: it must be said what
is meant. `SegmentationObject/` is not read.
"""

import re
from functools import partial
from pathlib import Path

from frugalseg.core.errors import DataError
from frugalseg.core.labels import Color, LabelSpace
from frugalseg.data.colors import color_classes, rasteriser
from frugalseg.data.dataset import Dataset, Sample, refuse
from frugalseg.data.layouts.voc import (
    image_and_mask_files,
    listed,
    lists_of,
    paired,
    require_samples,
)
from frugalseg.data.masks import ColorTable
from frugalseg.data.split import SPLIT_FOLDERS, divided
from frugalseg.data.text import read_lines

_ROW = re.compile(r"(.+?):([0-9]{1,3}),([0-9]{1,3}),([0-9]{1,3})(:[^:]*:[^:]*)?")
_UNMASKED = (
    "CVAT writes no mask for a picture without annotations: take such names out of the list, or"
    " remove the list to take every picture that has a mask"
)


def detect(root: Path) -> bool:
    """Tell whether this is the layout of `root`."""
    return (root / "labelmap.txt").is_file() and (root / "SegmentationClass").is_dir()


def read(root: Path) -> Dataset:
    """List the samples and the classes, without decoding anything."""
    labels, table = _labelmap(root / "labelmap.txt")
    if not (root / "JPEGImages").is_dir():
        raise DataError(
            f"{root}: no pictures; export once more with 'Save images', or put them into"
            f" {root / 'JPEGImages'}"
        )
    problems: list[str] = []
    splits = _splits(root, problems)
    refuse(root, problems)
    require_samples(root, splits)
    return Dataset(
        root=root, format="cvat", labels=labels, splits=splits, rasterise=rasteriser(table)
    )


def _labelmap(path: Path) -> tuple[LabelSpace, ColorTable]:
    rows: list[tuple[str, Color]] = []
    problems: list[str] = []
    for number, line in enumerate(read_lines(path), start=1):
        if not (text := line.strip()) or text.startswith("#"):
            continue
        if found := _ROW.fullmatch(text):
            name, red, green, blue = found.group(1, 2, 3, 4)
            rows.append((name.strip(), (int(red), int(green), int(blue))))
        else:
            problems.append(
                f"{path} line {number}: expected name:red,green,blue:: such as car:61,245,61::"
                f" but got {text[:80]!r}"
            )
    refuse(path, problems)
    return color_classes(rows, path)


def _splits(root: Path, problems: list[str]) -> dict[str, tuple[Sample, ...]]:
    images, masks = image_and_mask_files(root, problems)
    lists = lists_of(root, problems)
    read_list = partial(listed, images=images, masks=masks, problems=problems, unmasked=_UNMASKED)
    by_split: dict[str, Path] = {}
    others: list[Path] = []
    for name, path in lists.items():
        split = SPLIT_FOLDERS.get(name.lower())
        if split is None:
            others.append(path)
        elif split in by_split:
            problems.append(f"{path}: a second list for {split!r}, beside {by_split[split].name}")
        else:
            by_split[split] = path
    if by_split:
        problems += [
            f"{path}: neither train, val nor test, as other lists are; rename or remove it"
            for path in others
        ]
        return {split: read_list(path) for split, path in by_split.items()}
    if not others:
        return paired(images, masks, problems)
    samples = [sample for path in others for sample in read_list(path)]
    by_name = {sample.name: sample for sample in samples}
    return divided(tuple(by_name.values()))
