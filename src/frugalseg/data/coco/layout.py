"""Annotation files of the COCO family as splits: which each is of, and where its images lie."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

from frugalseg.core.errors import DataError
from frugalseg.core.labels import MAX_CLASSES
from frugalseg.data.coco.cache import open_index
from frugalseg.data.coco.index import Category, Index, Kind
from frugalseg.data.coco.samples import CocoSamples, find_folder
from frugalseg.data.dataset import Sample, refuse
from frugalseg.data.files import inside
from frugalseg.data.split import SPLIT_FOLDERS, divided, folders_of
from frugalseg.data.text import shown

_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One annotation file, the split that it is of, and the folders where its images may lie.

    The split is "" where the name of the file tells none. `masks` is the folder of the PNGs of a
    panoptic file.
    """

    annotations: Path
    split: str
    folders: tuple[Path, ...]
    masks: Path | None = None


@dataclass(frozen=True, slots=True)
class Opened:
    """What some annotation files hold together; categories are in the order of their ids."""

    splits: dict[str, Sequence[Sample]]
    categories: tuple[Category, ...]


def split_told(name: str) -> str:
    """Find the one split that a name tells of, or "".

    >>> split_told("train2017"), split_told("4clBasicVal"), split_told("minitrain")
    ('train', 'val', '')
    """
    told = {SPLIT_FOLDERS.get(word.lower(), "") for word in _WORD.findall(name)} - {""}
    return told.pop() if len(told) == 1 else ""


def image_folders(root: Path, tag: str) -> tuple[Path, ...]:
    """List the folders in which the images may lie of a split that a file calls `tag`."""
    split = split_told(tag)
    names = [tag, *folders_of(split)]
    pairs = ((root / name, root / "images" / name) for name in dict.fromkeys(names))
    return (*chain.from_iterable(pairs), root / "images", root)


def open_parts(root: Path, parts: Sequence[Part], kind: Kind, cache: Path) -> Opened:
    """Index the files, and look for all images; raises DataError with all problems.

    A single file that tells no split is divided as the folder layout is.
    """
    problems = list(_unclear(parts))
    indexes: list[Index] = []
    splits: dict[str, CocoSamples] = {}
    for part in parts:
        if not inside(root, part.annotations):
            problems.append(f"{part.annotations}: lies outside {root}; put the file itself there")
            continue
        try:
            index = open_index(part.annotations, kind, cache)
        except DataError as wrong:
            problems += wrong.problems or (str(wrong),)
            continue
        images = find_folder(index.images.all(), part.folders, part.annotations, problems)
        if part.masks:
            find_folder(index.masks.all(), [part.masks], part.annotations, problems)
        indexes.append(index)
        splits[part.split] = CocoSamples(
            annotations=part.annotations, kind=kind, cache=cache, images=images, masks=part.masks
        )
    problems += _differences(indexes)
    refuse(root, problems)
    return Opened(_divided(splits), _counted(indexes))


def check_names(root: Path, names: Sequence[str]) -> None:
    """Refuse names that are there twice, and too many."""
    twice = sorted({name for name in names if names.count(name) > 1})
    refuse(root, [f"categories: two are called {shown(name)}; rename one" for name in twice])
    if len(names) > MAX_CLASSES:
        raise DataError(f"{root}: {len(names)} classes; {MAX_CLASSES} at most")


def _unclear(parts: Sequence[Part]) -> Iterator[str]:
    if len(parts) == 1:
        return
    of_split: dict[str, Path] = {}
    for part in parts:
        if not part.split:
            yield f"{part.annotations}: its name does not tell train, val or test; rename it"
        elif first := of_split.get(part.split):
            yield f"{part.annotations}: a second file for {part.split!r} beside {first.name}"
        of_split[part.split] = part.annotations


def _differences(indexes: Sequence[Index]) -> Iterator[str]:
    """Say where the categories of a file are not those of the first."""
    for index in indexes[1:]:
        first = {category.id: category.name for category in indexes[0].categories}
        names = {category.id: category.name for category in index.categories}
        for number in sorted(first.keys() | names.keys()):
            if names.get(number) != first.get(number):
                yield (
                    f"{index.path}: category {number} is {_named(names.get(number))}, in"
                    f" {indexes[0].path.name} it is {_named(first.get(number))}"
                )


def _named(name: str | None) -> str:
    return "not there" if name is None else repr(name)


def _divided(splits: dict[str, CocoSamples]) -> dict[str, Sequence[Sample]]:
    whole = splits.get("")
    if whole is None:
        return dict(splits)
    return {
        split: whole.of_rows(sample.item for sample in samples)
        for split, samples in divided(tuple(whole)).items()
    }


def _counted(indexes: Sequence[Index]) -> tuple[Category, ...]:
    columns = zip(*(index.categories for index in indexes), strict=True)
    return tuple(replace(same[0], count=sum(c.count for c in same)) for same in columns)
