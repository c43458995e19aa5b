"""Samples of an annotation file: made when they are asked for, from an index that is mapped.

A sequence of them holds paths alone, so that it costs a worker nothing. The images are looked for
once, when the data set is opened, in whole folders and not one by one.
"""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import overload

import numpy as np
from numpy.typing import NDArray

from frugalseg.data.coco.cache import open_index
from frugalseg.data.coco.index import Index, Kind
from frugalseg.data.dataset import Sample
from frugalseg.data.files import inside


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CocoSamples(Sequence[Sample]):
    """The samples of one annotation file, or those of some `rows` of it.

    A sample's `item` is its row. Its label is the annotation file or, for panoptic, the PNG.
    """

    annotations: Path
    kind: Kind
    cache: Path
    images: Path
    masks: Path | None = None
    rows: NDArray[np.int32] | None = None

    def __len__(self) -> int:
        return len(self._index() if self.rows is None else self.rows)

    @overload
    def __getitem__(self, at: int) -> Sample: ...
    @overload
    def __getitem__(self, at: slice) -> tuple[Sample, ...]: ...
    def __getitem__(self, at: int | slice) -> Sample | tuple[Sample, ...]:
        if isinstance(at, slice):
            return tuple(self[i] for i in range(*at.indices(len(self))))
        place = range(len(self))[at]
        return self._sample(place if self.rows is None else int(self.rows[place]))

    def of_rows(self, rows: Iterable[int]) -> "CocoSamples":
        """Keep some rows of the file."""
        return replace(self, rows=np.fromiter(rows, np.int32))

    def _sample(self, row: int) -> Sample:
        index = self._index()
        return Sample(
            name=index.sample_name(row),
            image=self.images / index.images[row],
            label=self.masks / index.masks[row] if self.masks else self.annotations,
            item=row,
        )

    def _index(self) -> Index:
        return open_index(self.annotations, self.kind, self.cache)


def find_folder(
    names: Sequence[str], folders: Sequence[Path], path: Path, problems: list[str]
) -> Path:
    """Choose, of some folders, that in which the files lie that `path` names.

    A file that is in none is a problem, and one that is reached through a link out of its folder.
    The folder itself may be a link: pictures are often kept elsewhere.
    """
    wanted = set(names)
    parts = {name.rpartition("/")[0] for name in names}
    best, outside, missing = folders[0], set[str](), wanted
    for folder in folders:
        there, leaving = _listed(folder, parts, wanted)
        if len(wanted) - len(there) < len(missing):
            best, outside, missing = folder, leaving, wanted - there
        if not missing:
            break
    if len(missing) == len(wanted):
        looked = ", ".join(str(folder) for folder in folders)
        problems.append(
            f"{path}: none of its {len(wanted):,} files is in {looked}; fetch them, or move this"
            " annotation file elsewhere"
        )
        return best
    problems += [f"{path}: no file {best / name}" for name in names if name in missing]
    problems += [
        f"{path}: {best / name} is a link that leaves {best}" for name in names if name in outside
    ]
    return best


def _listed(folder: Path, parts: Iterable[str], wanted: set[str]) -> tuple[set[str], set[str]]:
    """List the files below a folder that are wanted, and those of them that lie elsewhere."""
    there, leaving = set[str](), set[str]()
    for part in parts:
        try:
            entries = list(os.scandir(folder / part))
        except OSError:
            continue
        part_leaves = not inside(folder, folder / part)
        for entry in entries:
            name = f"{part}/{entry.name}" if part else entry.name
            if name in wanted and _is_file(entry):
                there.add(name)
                if part_leaves or (entry.is_symlink() and not inside(folder, Path(entry.path))):
                    leaving.add(name)
    return there, leaving


def _is_file(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_file()
    except OSError:  # a link to itself
        return False
