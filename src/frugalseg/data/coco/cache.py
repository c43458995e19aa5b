"""Indexes of annotation files, made once: large ones stay on disk and are mapped into memory.

The index of a file over 16 MiB is kept below the cache as arrays and a `header.json`. It is made
anew when the file's size or time, or the hash of 64 samples of its content, is another. That of a
smaller file is made by each process. Either way a data set holds paths alone, and a worker opens
the index for itself.
"""

import hashlib
import json
import os
import stat
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from frugalseg.core.errors import ConfigError, DataError
from frugalseg.core.files import cache_folder, check_folder, complete_folder, write_json
from frugalseg.data.coco.draft import make_index
from frugalseg.data.coco.index import Category, Index, Kind, Names

KEPT_FROM_BYTES = 16 << 20

_VERSION = 1
_SAMPLES = 64
_SAMPLE_BYTES = 1 << 16
_ARRAYS = (
    "image_ids", "sizes", "image_text", "image_ends", "mask_text", "mask_ends", "first", "spans"
)  # fmt: skip


def user_folder() -> Path:
    """Name the folder where indexes are kept if no other is named."""
    return cache_folder() / "coco"


def open_index(path: Path, kind: Kind, cache: Path) -> Index:
    """Open the index of a file, or make it; a change of the file is noticed.

    Raises DataError with all problems of the file, and ConfigError if the cache cannot be written.
    """
    try:
        found = path.stat()
    except OSError as wrong:
        raise DataError(f"{path}: {(wrong.strerror or 'cannot be read').lower()}") from wrong
    if not stat.S_ISREG(found.st_mode):
        raise DataError(f"{path}: not a file")
    return _index(path, kind, cache, found.st_size, found.st_mtime_ns)


@lru_cache(maxsize=16)
def _index(path: Path, kind: Kind, cache: Path, size: int, mtime_ns: int) -> Index:
    if size < KEPT_FROM_BYTES:
        return make_index(path, kind)
    source = {
        "version": _VERSION,
        "path": ascii(str(path.absolute())),
        "kind": kind,
        "size": size,
        "mtime_ns": mtime_ns,
        "samples_sha256": _samples_sha256(path, size),
    }
    name = hashlib.sha256(kind.encode() + os.fsencode(path.absolute())).hexdigest()[:16]
    if kept := _load(cache / name, path, source):
        return kept
    check_folder(cache)
    made = make_index(path, kind)
    try:
        _save(made, cache / name, source)
    except OSError as wrong:  # full, or another process was quicker
        if kept := _load(cache / name, path, source):
            return kept
        raise ConfigError(f"{cache / name}: cannot be written ({wrong})") from wrong
    return _load(cache / name, path, source) or made


def _samples_sha256(path: Path, size: int) -> str:
    samples = hashlib.sha256()
    with path.open("rb") as stream:
        for start in np.linspace(0, size - _SAMPLE_BYTES, _SAMPLES).astype(np.int64).tolist():
            stream.seek(start)
            samples.update(stream.read(_SAMPLE_BYTES))
    return samples.hexdigest()


def _save(index: Index, folder: Path, source: dict[str, Any]) -> None:
    with complete_folder(folder) as draft:
        for name, values in _arrays(index).items():
            np.save(draft / f"{name}.npy", values)
        categories = [asdict(category) for category in index.categories]
        write_json(draft / "header.json", {"source": source, "categories": categories})


def _load(folder: Path, path: Path, source: dict[str, Any]) -> Index | None:
    """Map what is kept; None if it is of another file, of another time, or damaged."""
    try:
        header = json.loads((folder / "header.json").read_text(encoding="utf-8"))
        if header["source"] != source:
            return None
        arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in _ARRAYS}
        return Index(
            path=path,
            kind=source["kind"],
            categories=tuple(Category(**category) for category in header["categories"]),
            images=Names(arrays.pop("image_text"), arrays.pop("image_ends")),
            masks=Names(arrays.pop("mask_text"), arrays.pop("mask_ends")),
            **arrays,
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _arrays(index: Index) -> dict[str, NDArray[Any]]:
    return {
        "image_ids": index.image_ids,
        "sizes": index.sizes,
        "image_text": index.images.text,
        "image_ends": index.images.ends,
        "mask_text": index.masks.text,
        "mask_ends": index.masks.ends,
        "first": index.first,
        "spans": index.spans,
    }
