"""Files that appear under their name only when they are complete (write, fsync, rename)."""

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from frugalseg.core.errors import ConfigError


@contextlib.contextmanager
def complete_file(path: Path) -> Iterator[Path]:
    """Hand out a draft beside `path`; on success it replaces `path`, else it is removed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=".draft-", suffix=path.suffix, dir=path.parent)
    os.close(handle)
    draft = Path(name)
    try:
        with _named(path):
            yield draft
            draft.chmod(0o644)  # mkstemp made it private
            _sync(draft)
            draft.replace(path)
            _sync(path.parent)
    finally:
        draft.unlink(missing_ok=True)


@contextlib.contextmanager
def complete_folder(path: Path) -> Iterator[Path]:
    """Hand out a draft folder beside `path`; on success it takes the place of `path`.

    What stood at `path` stays until then. A rename cannot replace a full folder, so the old one
    is moved aside first, and moved back if anything, Ctrl-C too, stops the second rename.
    """
    path = path.absolute()
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=".draft-", dir=path.parent))
    draft.chmod(0o755)
    aside = draft.with_name(draft.name + "-old")
    try:
        with _named(path):
            yield draft
            for file in (draft, *draft.rglob("*")):
                _sync(file)
            if path.exists():
                path.replace(aside)
            draft.replace(path)
            _sync(path.parent)
    finally:
        if aside.exists() and not path.exists():
            aside.replace(path)
        shutil.rmtree(draft, ignore_errors=True)
        shutil.rmtree(aside, ignore_errors=True)


def cache_folder() -> Path:
    """Return FRUGALSEG_CACHE, or else frugalseg's folder in the user's cache."""
    if given := os.environ.get("FRUGALSEG_CACHE"):
        return Path(given).absolute()
    below = os.environ.get("XDG_CACHE_HOME")
    return (Path(below) if below else Path.home() / ".cache").absolute() / "frugalseg"


def check_folder(path: Path) -> None:
    """Refuse a place where no folder can be written, before any work is done for it."""
    there = next(p for p in (path.absolute(), *path.absolute().parents) if p.exists())
    if not there.is_dir():
        raise ConfigError(f"{there} is a file; name a folder to write")
    if not os.access(there, os.W_OK | os.X_OK):
        raise ConfigError(f"{there} cannot be written to; name another folder")


def check_file(path: Path) -> None:
    """Refuse a file that cannot be written, before any work is done for it."""
    if path.is_dir():
        raise ConfigError(f"{path} is a folder; name the file to write")
    try:
        check_folder(path.parent)
    except ConfigError as wrong:
        raise ConfigError(f"{path}: {wrong}") from wrong


def write_text(path: Path, text: str) -> None:
    """Write a text file, whole or not at all."""
    with complete_file(path) as draft:
        draft.write_text(text, encoding="utf-8")


def write_json(path: Path, values: Any) -> None:
    """Write JSON, whole or not at all; NaN is refused, since JSON has none."""
    write_text(path, json.dumps(values, indent=2, allow_nan=False, ensure_ascii=False) + "\n")


def sha256(path: Path) -> str:
    """Hash a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@contextlib.contextmanager
def _named(path: Path) -> Iterator[None]:
    """Name what was being written where the system does not, as for a disk that is full."""
    try:
        yield
    except OSError as wrong:
        if wrong.errno is None or wrong.filename is not None:
            raise
        raise type(wrong)(wrong.errno, wrong.strerror, str(path)) from wrong


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
