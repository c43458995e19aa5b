"""COCO instances: annotation files in JSON, with polygons or run lengths, and folders of images.

    annotations/instances_<split>.json    images in <split>/, images/<split>/ or images/
    annot/*Train.json and the like        likewise; the split is a word in the name (ReSORT-IT);
                                          so too in annotations/ and in the top folder
    annotations.json                      images beside it, in folders too (TACO); no splits
    <split>/_annotations.coco.json        images beside it (Roboflow)

A split is "train", "val", "valid", "validation" or "test", with a year or not. A single file that
tells none is divided by the hash of the image's name, as the folder layout is.

Classes are the categories in the order of their ids, which may have gaps. What no annotation covers
is class 0, "background", and so is a category of that name. Where annotations overlap, the one of
fewer pixels lies on top (in the picture, counted); of two alike, the later one. An annotation with
`iscrowd` is ignored (255) and takes its place among the others by its size. What leaves the
picture is cut off.

Each image that is listed must be there, below the folder of the images; pictures that are not
listed are passed over. The category that Roboflow puts above the others, as their supercategory
and without annotations, is left out.
"""

import re
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from frugalseg.core.errors import DataError, require
from frugalseg.core.labels import LabelSpace
from frugalseg.data.coco.cache import open_index, user_folder
from frugalseg.data.coco.index import Category, supercategories, train_id_of
from frugalseg.data.coco.layout import Part, check_names, image_folders, open_parts, split_told
from frugalseg.data.coco.regions import read_region
from frugalseg.data.dataset import Dataset, Sample, refuse
from frugalseg.data.names import BACKGROUND
from frugalseg.data.shapes.runs import Runs, area, paint
from frugalseg.data.split import SPLIT_FOLDERS
from frugalseg.data.text import shown

_ROBOFLOW = "_annotations.coco.json"
_INSTANCES = "instances_"
_OTHERS = ("captions_", "person_keypoints_", "panoptic_", "stuff_", "image_info_")
_MOST_FILES = 16
_HEAD_BYTES = 1 << 16
_LISTS = re.compile(rb'"(images|annotations|categories)"\s*:\s*\[')


def detect(root: Path) -> bool:
    """Tell whether this is the layout of `root`."""
    return any(_groups(root))


def read(root: Path, *, cache: Path | None = None) -> Dataset:
    """List the samples and learn the classes; raises DataError with all that is wrong.

    Raises MissingExtraError without pycocotools, which draws the polygons later on.
    Large annotation files are indexed once, below `cache` (by default the user's cache folder).
    """
    require("pycocotools.mask", extra="coco")
    cache = cache or user_folder()
    parts = _parts(root)
    opened = open_parts(root, parts, "instances", cache)
    categories = _without_placeholder(opened.categories, parts)
    names, train_ids = _classes(root, categories)
    return Dataset(
        root=root,
        format="coco",
        labels=LabelSpace.of(names, background=0),
        splits=opened.splits,
        rasterise=partial(rasterise_regions, cache=cache, train_ids=train_ids),
        supercategories=supercategories(categories),
    )


def rasterise_regions(
    sample: Sample, _size: tuple[int, int], *, cache: Path, train_ids: Mapping[int, int]
) -> NDArray[np.uint8]:
    """Draw the annotations of an image, the largest first, at the size that the file tells.

    Raises DataError with all annotations that cannot be drawn.
    """
    regions: list[tuple[Runs, int]] = []
    problems: list[str] = []
    index = open_index(sample.label, "instances", cache)
    size = index.size(sample)
    for number, annotation in enumerate(index.annotations(sample)):
        try:
            runs = read_region(annotation.get("segmentation"), size)
            regions.append((runs, train_id_of(annotation, train_ids)))
        except ValueError as wrong:
            which = f"id {shown(annotation['id'])}" if "id" in annotation else f"number {number}"
            problems.append(f"{sample.label}: annotation {which} of {sample.image.name}: {wrong}")
    refuse(sample.label, problems)
    labels_P = np.zeros(size[0] * size[1], np.uint8)
    for runs, value in sorted(regions, key=lambda region: -area(region[0])):
        paint(labels_P, runs, value)
    return np.ascontiguousarray(labels_P.reshape(size[::-1]).T)


def _parts(root: Path) -> list[Part]:
    groups = _groups(root)
    if len(groups) > 1:
        raise DataError(
            f"{root}: annotation files in {len(groups)} places; keep those of one",
            [str(part.annotations) for group in groups for part in group],
        )
    if not groups:
        raise DataError(f"{root}: no annotation file of COCO, such as annotations/instances_*.json")
    return groups[0]


def _groups(root: Path) -> list[list[Part]]:
    """List annotation files by the ways of the layout in which they lie."""
    top = [part for part in _named(root, ".") if part.split]
    groups = [_named(root, "annotations"), _named(root, "annot"), top, _roboflow(root)]
    return [group for group in (*groups, _single(root)) if group]


def _named(root: Path, folder: str) -> list[Part]:
    paths = sorted(path for path in (root / folder).glob("*.json") if path.name[0] != ".")
    official = [path for path in paths if path.name.startswith(_INSTANCES)]
    others = [path for path in paths if not path.name.startswith(_OTHERS)]
    others = [path for path in others if split_told(path.stem)] or others
    if not official and (len(others) > _MOST_FILES or not all(map(_looks_alike, others))):
        return []  # one file for each image, of another layout
    return [
        Part(
            annotations=path,
            split=split_told(tag := path.stem.removeprefix(_INSTANCES)),
            folders=image_folders(root, tag),
        )
        for path in official or others
    ]


def _roboflow(root: Path) -> list[Part]:
    return [
        Part(annotations=root / name / _ROBOFLOW, split=split, folders=(root / name,))
        for name, split in SPLIT_FOLDERS.items()
        if (root / name / _ROBOFLOW).is_file()
    ]


def _single(root: Path) -> list[Part]:
    path = root / "annotations.json"
    if not _looks_alike(path):
        return []
    return [Part(annotations=path, split="", folders=(root, root / "images"))]


def _looks_alike(path: Path) -> bool:
    """Tell by its start whether a file has the lists of COCO."""
    if not path.is_file():
        return False
    try:
        with path.open("rb") as stream:
            head = stream.read(_HEAD_BYTES)
    except OSError:
        return False
    return head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{") and bool(_LISTS.search(head))


def _without_placeholder(
    categories: Sequence[Category], parts: Sequence[Part]
) -> tuple[Category, ...]:
    above = {category.supercategory for category in categories}
    if any(part.annotations.name != _ROBOFLOW for part in parts):
        return tuple(categories)
    return tuple(
        c for c in categories if c.count or c.supercategory != "none" or c.name not in above
    )


def _classes(root: Path, categories: Sequence[Category]) -> tuple[list[str], Mapping[int, int]]:
    names = [BACKGROUND]
    train_ids: dict[int, int] = {}
    for category in categories:
        if category.name.lower() == BACKGROUND:
            train_ids[category.id] = 0
        else:
            train_ids[category.id] = len(names)
            names.append(category.name)
    check_names(root, names)
    return names, train_ids
