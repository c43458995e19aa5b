"""What an annotation file of the COCO family holds, and where.

An index knows the categories, the name and size of each image, and the bytes of the file where the
annotations of each image lie. Outlines are not copied: to draw an image, its few entries are read
from the annotation file itself. So an index is small, 16 bytes for an annotation and some 40 for an
image, and what is drawn is what the file says.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from frugalseg.core.errors import DataError
from frugalseg.core.labels import IGNORE
from frugalseg.data.coco.entries import decoded
from frugalseg.data.dataset import Sample
from frugalseg.data.text import shown

Kind = Literal["instances", "panoptic"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Category:
    """A category as the file tells it, and how many annotations (or segments) are of it."""

    id: int
    name: str
    supercategory: str
    count: int


@dataclass(frozen=True, slots=True)
class Names:
    """Many names in two arrays, which can be mapped from files.

    >>> names = Names.of(["a.jpg", "b/ä.jpg"])
    >>> names[1], names.all()
    ('b/ä.jpg', ['a.jpg', 'b/ä.jpg'])
    """

    text: NDArray[np.uint8]  # UTF-8, a zero after each name
    ends: NDArray[np.int64]  # of each name, its zero included

    @classmethod
    def of(cls, names: Sequence[str]) -> Self:
        """Pack names, none of which holds a zero."""
        coded = [name.encode() + b"\0" for name in names]
        ends = np.cumsum([len(code) for code in coded], dtype=np.int64)
        return cls(np.frombuffer(b"".join(coded), np.uint8), ends)

    def __getitem__(self, row: int) -> str:
        start = self.ends[row - 1] if row else 0
        return self.text[start : self.ends[row] - 1].tobytes().decode()

    def all(self) -> list[str]:
        """Unpack them."""
        return self.text.tobytes().decode().split("\0")[:-1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """What one file holds; arrays by row, which is the place of an image in the file.

    `masks` are the PNGs of a panoptic file, and none of another. The annotations of row i are the
    bytes `spans[first[i] : first[i + 1]]`, (start, stop) each.
    """

    path: Path
    kind: Kind
    categories: tuple[Category, ...]
    image_ids: NDArray[np.int64]
    sizes: NDArray[np.int32]  # (height, width)
    images: Names
    masks: Names
    first: NDArray[np.int64]
    spans: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.image_ids)

    def sample_name(self, row: int) -> str:
        """Name a sample after its image."""
        return sample_name(self.images[row])

    def size(self, sample: Sample) -> tuple[int, int]:
        """Give the (height, width) that the file tells of a sample's image.

        Raises DataError if the file has changed since the sample was made.
        """
        height, width = self.sizes[self._row(sample)].tolist()
        return height, width

    def annotations(self, sample: Sample) -> Iterator[dict[str, Any]]:
        """Read the annotations of a sample one by one, in their order.

        Raises DataError if the file has changed since the sample was made.
        """
        row = self._row(sample)
        image_id = int(self.image_ids[row])
        for start, stop in self.spans[self.first[row] : self.first[row + 1]].tolist():
            entry = self._entry(start, stop)
            if not isinstance(entry, dict) or entry.get("image_id") != image_id:
                raise self._changed()
            yield entry

    def _row(self, sample: Sample) -> int:
        row = sample.item
        if not 0 <= row < len(self) or self.sample_name(row) != sample.name:
            raise self._changed()
        return row

    def _entry(self, start: int, stop: int) -> Any:
        try:
            with self.path.open("rb", buffering=0) as stream:
                stream.seek(start)
                return decoded(stream.read(stop - start))
        except (OSError, ValueError, RecursionError) as wrong:
            raise self._changed() from wrong

    def _changed(self) -> DataError:
        return DataError(f"{self.path}: has changed since it was opened; open it again")


def supercategories(categories: Sequence[Category]) -> dict[str, list[str]]:
    """Give the categories below each super-category; one without stands for itself.

    The dict is empty where no category has any.
    """
    below: dict[str, list[str]] = {}
    for category in categories:
        below.setdefault(category.supercategory or category.name, []).append(category.name)
    return below if any(category.supercategory for category in categories) else {}


def sample_name(file_name: str) -> str:
    """Make one word of the path of an image, without its suffix.

    >>> sample_name("batch_1/000006.jpg")
    'batch_1_000006'
    """
    folder, slash, name = file_name.rpartition("/")
    return f"{folder}{slash}{name.rpartition('.')[0] or name}".replace("/", "_")


def train_id_of(entry: Mapping[str, Any], train_ids: Mapping[int, int]) -> int:
    """Give the train id of an annotation or a segment; crowds are ignored. Raises ValueError."""
    crowd, category = entry.get("iscrowd", 0), entry.get("category_id")
    if crowd not in (0, 1):
        raise ValueError(f"'iscrowd' is 0 or 1, got {shown(crowd)}")
    if type(category) is not int or category not in train_ids:
        raise ValueError(f"no category {shown(category)}")
    return IGNORE if crowd else train_ids[category]
