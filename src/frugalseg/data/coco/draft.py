"""From an annotation file of the COCO family to its index, in one pass; lists all that is wrong.

Looked at here are the keys, the numbers and how they refer to each other. Outlines are looked at
when an image is drawn, and `data check` draws each. Ids of annotations do not matter, since nothing
refers to them; ReSORT-IT has none, and TACO has two twice.
"""

from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from frugalseg.core.errors import DataError
from frugalseg.data.coco.entries import Entry, read_entries
from frugalseg.data.coco.index import Category, Index, Kind, Names, sample_name
from frugalseg.data.text import shown
from frugalseg.imaging.read import MAX_PIXELS, MAX_SIDE

MAX_PROBLEMS = 1000  # a file that is wrong throughout is not read to its end

_KEYS = ("images", "annotations", "categories")
_MAX_NUMBER = 2**63 - 1


def make_index(path: Path, kind: Kind) -> Index:
    """Read a file once; raises DataError with all of its problems."""
    draft = _Draft(path, kind)
    for entry in read_entries(path, _KEYS):
        draft.take(entry)
    draft.problems += draft.contradictions()
    if draft.problems:
        raise DataError(f"{path}: not sound", draft.problems)
    return draft.finished()


class _Draft:
    """What has been read so far, in arrays, since there may be millions of numbers."""

    def __init__(self, path: Path, kind: Kind) -> None:
        self.path, self.kind = path, kind
        self.problems: list[str] = []
        self.unsound: set[str] = set()  # the lists that they are in
        self.categories: dict[int, tuple[str, str]] = {}
        self.images: list[str] = []
        self.image_ids = array("q")
        self.sizes = array("i")
        self.masks: list[str] = []
        self.owners = array("q")  # of each annotation, the id of its image
        self.owner_entries = array("q")
        self.spans = array("q")
        self.uses = array("q")  # of each annotation or segment, the id of its category
        self.use_entries = array("q")

    def take(self, entry: Entry) -> None:
        """Add one entry, or note what is wrong with it."""
        take = {"images": self._image, "annotations": self._annotation}.get(
            entry.key, self._category
        )
        try:
            take(entry, _object(entry.value))
        except ValueError as wrong:
            self.unsound.add(entry.key)
            self.problems.append(f"{self.path} {entry.key}[{entry.number}]: {wrong}")
        if len(self.problems) > MAX_PROBLEMS:
            raise DataError(f"{self.path}: not sound; the rest was not looked at", self.problems)

    def _category(self, _entry: Entry, value: Mapping[str, Any]) -> None:
        number, name, above = _integer(value, "id"), value.get("name"), value.get("supercategory")
        if number in self.categories:
            raise ValueError(f"a second category with the id {number}")
        if not isinstance(name, str) or name.splitlines() != [name] or not _encodable(name):
            raise ValueError(f"'name' is one line of text, got {shown(name)}")
        self.categories[number] = (name, above if isinstance(above, str) else "")

    def _image(self, _entry: Entry, value: Mapping[str, Any]) -> None:
        number = _integer(value, "id" if "id" in value else "image_id")
        height, width = _integer(value, "height"), _integer(value, "width")
        if not (0 < height <= MAX_SIDE and 0 < width <= MAX_SIDE and height * width <= MAX_PIXELS):
            raise ValueError(
                f"{shown(width)} x {shown(height)} px; sides are 1 to {MAX_SIDE:,} px, and"
                f" {MAX_PIXELS:,} pixels at most"
            )
        self.images.append(_file_name(value))
        self.image_ids.append(number)
        self.sizes.extend((height, width))

    def _annotation(self, entry: Entry, value: Mapping[str, Any]) -> None:
        owner = _integer(value, "image_id")
        if self.kind == "panoptic":
            uses = _segment_categories(value)
            self.masks.append(_file_name(value))
        else:
            uses = [_integer(value, "category_id")]
        self.owners.append(owner)
        self.owner_entries.append(entry.number)
        self.spans.extend((entry.start, entry.stop))
        self.uses.extend(uses)
        self.use_entries.extend([entry.number] * len(uses))

    def contradictions(self) -> Iterator[str]:
        """Say where entries do not fit each other."""
        counts = {"images": self.images, "annotations": self.owners, "categories": self.categories}
        for key in _KEYS:
            if not counts[key] and key not in self.unsound:
                yield f"{self.path}: the list {key!r} is empty"
        yield from self._same_twice()
        yield from self._strangers("image_id", self.owners, self.owner_entries, self.image_ids)
        yield from self._strangers("category_id", self.uses, self.use_entries, self.categories)
        if self.kind == "panoptic" and not self.unsound:
            for number in sorted(set(self.image_ids) - set(self.owners)):
                yield f"{self.path}: no annotation for the image with the id {number}"

    def _same_twice(self) -> Iterator[str]:
        yield from _twice(f"{self.path} images: id", self.image_ids)
        yield from _twice(f"{self.path} images: file_name", self.images)
        names = [sample_name(name) for name in dict.fromkeys(self.images)]
        yield from _twice(f"{self.path} images: file_name without folders and suffix", names)
        if self.kind == "panoptic":
            yield from _twice(f"{self.path} annotations: image_id", self.owners)
            yield from _twice(f"{self.path} annotations: file_name", self.masks)

    def _strangers(
        self, key: str, found: "array[int]", entries: "array[int]", known: Iterable[int]
    ) -> Iterator[str]:
        what = {"image_id": "images", "category_id": "categories"}[key]
        if what in self.unsound:
            return  # one entry that could not be read would be told again and again
        values, at, counts = np.unique(found, return_index=True, return_counts=True)
        for i in np.flatnonzero(~np.isin(values, np.fromiter(known, np.int64))).tolist():
            yield (
                f"{self.path} annotations[{entries[at[i]]}]: {key} {values[i]} is not in {what!r}"
                f" ({counts[i]} such)"
            )

    def finished(self) -> Index:
        """Sort the annotations by image; within one they keep their order."""
        image_ids = np.array(self.image_ids, np.int64)
        by_id = np.argsort(image_ids)
        rows = by_id[np.searchsorted(image_ids[by_id], np.array(self.owners, np.int64))]
        by_row = np.argsort(rows, kind="stable")
        counts = np.bincount(rows, minlength=len(image_ids))
        used = Counter(self.uses)
        return Index(
            path=self.path,
            kind=self.kind,
            categories=tuple(
                Category(id=number, name=name, supercategory=above, count=used[number])
                for number, (name, above) in sorted(self.categories.items())
            ),
            image_ids=image_ids,
            sizes=np.array(self.sizes, np.int32).reshape(-1, 2),
            images=Names.of(self.images),
            masks=Names.of([self.masks[i] for i in by_row] if self.masks else []),
            first=np.concatenate([[0], counts.cumsum()]).astype(np.int64),
            spans=np.array(self.spans, np.int64).reshape(-1, 2)[by_row],
        )


def _segment_categories(value: Mapping[str, Any]) -> list[int]:
    segments = value.get("segments_info")
    if type(segments) is not list:
        raise ValueError(f"'segments_info' is a list, got {shown(segments)}")
    return [_integer(_object(segment), "category_id") for segment in segments]


def _integer(value: Mapping[str, Any], key: str) -> int:
    number = value.get(key)
    if type(number) is not int or abs(number) > _MAX_NUMBER:
        raise ValueError(
            f"{key!r} is a whole number, got {shown(number)}" if key in value else f"no {key!r}"
        )
    return number


def _file_name(value: Mapping[str, Any]) -> str:
    """Check the path of a file, which must be below the folder of the images."""
    name = value.get("file_name")
    if not isinstance(name, str) or not name or "\0" in name or not _encodable(name):
        raise ValueError(f"'file_name' is the path of a file, got {shown(name)}")
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or not path.name:
        raise ValueError(f"file_name {shown(name)} leaves the folder of the images")
    return str(path)


def _encodable(text: str) -> bool:
    """Tell whether text is whole: JSON can hold halves of characters."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _twice(what: str, found: "array[int] | list[str]") -> Iterator[str]:
    for value, count in _counted(found):
        if count > 1:
            yield f"{what} {shown(value)} is there {count} times"


def _counted(found: "array[int] | list[str]") -> Iterable[tuple[object, int]]:
    if isinstance(found, list):
        return Counter(found).items()
    values, counts = np.unique(found, return_counts=True)
    repeated = counts > 1
    return zip(values[repeated].tolist(), counts[repeated].tolist(), strict=True)


def _object(value: object) -> dict[str, Any]:
    if type(value) is not dict:
        raise ValueError(f"expected an object, got {shown(value)}")
    return value
