"""Tar shards, as WebDataset lays them out: few large files where many small ones are slow to fetch.

    labels.yaml  train-000000.tar  train-000001.tar  val-000000.tar

A shard holds for each sample `KEY.jpg` (or another picture) and `KEY.mask.png`, or KEY.png where
the picture is none; KEY has no dot but in its folders, which become part of the name. `labels.yaml`
says what the values mean, as in the layout `folder`. Shards are unpacked once, into the user's
cache, and read from there as that layout: a changed shard is unpacked anew.
"""

import errno
import hashlib
import io
import json
import re
import shutil
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from frugalseg.core.errors import DataError
from frugalseg.core.files import cache_folder, complete_file, complete_folder
from frugalseg.data.dataset import Dataset, refuse
from frugalseg.data.layouts import folder
from frugalseg.data.split import SPLIT_FOLDERS
from frugalseg.data.text import shown
from frugalseg.imaging.read import IMAGE_SUFFIXES, MASK_SUFFIXES

SHARD_NAME = re.compile(r"([a-z]+)-(\d+)\.tar")
MASK = "mask.png"
RECORD = "shards.json"
MOST_BYTES = 1_000_000_000  # of a picture or a mask in a shard
LONGEST_NAME = 240  # bytes, folders included; file systems take 255, the ending included

_FULL = {errno.ENOSPC, errno.EDQUOT}


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A sample on its way into a shard: its key, and its files as (ending, content)."""

    key: str
    files: tuple[tuple[str, bytes], ...]

    @property
    def bytes(self) -> int:
        """What it takes in the shard, but for headers."""
        return sum(len(content) for _, content in self.files)


def detect(root: Path) -> bool:
    """Tell whether this is the layout of `root`."""
    return (root / "labels.yaml").is_file() and bool(_shards(root))


def read(root: Path, *, cache: Path | None = None) -> Dataset:
    """Unpack the shards below `cache` unless that was done before, and read what was unpacked."""
    shards = _shards(root)
    refuse(root, list(_missing(root)))
    place = (cache or cache_folder()) / "shards" / _hash(root, shards)
    if not place.is_dir():
        with complete_folder(place) as draft:
            _unpack(root, shards, draft)
            shutil.copyfile(root / "labels.yaml", draft / "labels.yaml")
    return replace(folder.read(place), root=root, format="shards")


def write_shard(path: Path, members: Sequence[Member]) -> None:
    """Write a shard, whole or not at all; the same members give the same bytes."""
    with complete_file(path) as draft, tarfile.open(draft, "w", format=tarfile.PAX_FORMAT) as shard:
        for member in members:
            for ending, content in member.files:
                entry = tarfile.TarInfo(f"{member.key}.{ending}")
                entry.size = len(content)
                shard.addfile(entry, io.BytesIO(content))


def shards_of(members: Iterator[Member], most_bytes: int) -> Iterator[list[Member]]:
    """Gather members to shards of at most so many bytes, or one member where that is larger."""
    shard, room = list[Member](), most_bytes
    for member in members:
        if shard and member.bytes > room:
            yield shard
            shard, room = [], most_bytes
        shard.append(member)
        room -= member.bytes
    if shard:
        yield shard


def _shards(root: Path) -> list[Path]:
    return sorted(
        path
        for path in root.glob("*.tar")
        if (match := SHARD_NAME.fullmatch(path.name)) and match[1] in SPLIT_FOLDERS
    )


def _missing(root: Path) -> Iterator[str]:
    """Name the shards that `shards.json` lists and that are not there as they were written."""
    path = root / RECORD
    if not path.is_file():
        return
    try:
        listed = json.loads(path.read_text(encoding="utf-8"))["shards"]
        sizes = {_shard_name(one["file"]): int(one["bytes"]) for one in listed}
    except (OSError, ValueError, OverflowError, RecursionError, KeyError, TypeError) as wrong:
        raise DataError(f"{path}: not the list of shards that `data shard` writes") from wrong
    for name, size in sizes.items():
        shard = root / name
        if not shard.is_file():
            yield f"{shard}: missing; {RECORD} lists it"
        elif shard.stat().st_size != size:
            yield f"{shard}: {shard.stat().st_size:,} bytes, {RECORD} says {size:,}; fetch it again"


def _shard_name(written: str) -> str:
    if not SHARD_NAME.fullmatch(written) or len(written) > LONGEST_NAME:
        raise ValueError(f"{shown(written)} is no name of a shard")
    return written


def _hash(root: Path, shards: Sequence[Path]) -> str:
    told = [str(root.resolve())]
    for path in (root / "labels.yaml", *shards):
        state = path.stat()
        told.append(f"{path.name} {state.st_size} {state.st_mtime_ns}")
    return hashlib.sha256("\n".join(told).encode()).hexdigest()[:16]


def _unpack(root: Path, shards: Sequence[Path], out: Path) -> None:
    problems: list[str] = []
    for path in shards:
        match = SHARD_NAME.fullmatch(path.name)
        split = SPLIT_FOLDERS[match[1]] if match else ""
        try:
            with tarfile.open(path, "r:") as shard:
                problems += _unpack_one(shard, path, split, out)
        except (tarfile.TarError, OSError, ValueError, EOFError) as wrong:
            if isinstance(wrong, OSError) and wrong.errno in _FULL:
                raise  # the disk is to blame, not the shard
            problems.append(f"{path}: damaged or no tar file ({wrong}); fetch it again")
    if not problems and not any(out.iterdir()):
        problems.append(f"no sample in {', '.join(path.name for path in shards)}")
    refuse(root, problems)


def _unpack_one(shard: tarfile.TarFile, path: Path, split: str, out: Path) -> list[str]:
    """Write pictures and masks of a shard below `out`; return what is wrong with it."""
    problems: list[str] = []
    seen = _members(shard, path, problems)
    for key, files in seen.items():
        try:
            image, mask = _pair(files)
        except ValueError as wrong:
            problems.append(f"{path}: {key}: {wrong}")
            continue
        for kind, ending in (("images", image), ("masks", mask)):
            place = out / kind / split / f"{key}.{ending.rpartition('.')[2]}"
            stream = shard.extractfile(files[ending])
            if stream is None or place.exists():
                problems.append(f"{path}: {key} is in another shard of {split} too")
                continue
            place.parent.mkdir(parents=True, exist_ok=True)
            with place.open("wb") as file:
                shutil.copyfileobj(stream, file)
    return problems


def _members(
    shard: tarfile.TarFile, path: Path, problems: list[str]
) -> dict[str, dict[str, tarfile.TarInfo]]:
    """Return the files of a shard by key and ending."""
    seen: dict[str, dict[str, tarfile.TarInfo]] = {}
    for entry in shard:
        name = Path(entry.name)
        if entry.isdir() or name.name.startswith("."):
            continue
        stem, _, ending = name.name.partition(".")
        key = "__".join([*(part for part in name.parts[:-1] if part.strip("./")), stem])
        if len(key.encode(errors="surrogateescape")) > LONGEST_NAME:
            problems.append(f"{path}: {shown(entry.name)} is a name of over {LONGEST_NAME} bytes")
        elif not entry.isreg() or entry.issparse() or not stem or entry.size > MOST_BYTES:
            problems.append(f"{path}: {entry.name!r} is no picture, mask or text file")
        elif ending.lower() in seen.setdefault(key, {}):
            problems.append(f"{path}: {entry.name!r} is there twice")
        else:
            seen[key][ending.lower()] = entry
    return seen


def _pair(files: dict[str, tarfile.TarInfo]) -> tuple[str, str]:
    """Return the endings of the picture and of the mask."""
    masks = [e for e in files if e in {MASK, "seg.png"}]
    masks = masks or [e for e in files if f".{e}" in MASK_SUFFIXES and len(files) > 1]
    images = [e for e in files if f".{e}" in IMAGE_SUFFIXES and e not in masks]
    if len(masks) != 1 or len(images) != 1:
        raise ValueError(f"expected a picture and KEY.{MASK}, got {', '.join(sorted(files))}")
    return images[0], masks[0]
