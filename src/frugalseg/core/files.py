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


@contextlib.contextmanager
def complete_file(path: Path) -> Iterator[Path]:
    """Hand out a draft beside `path`; on success it replaces `path`, else it is removed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=".draft-", suffix=path.suffix, dir=path.parent)
    os.close(handle)
    draft = Path(name)
    try:
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
    is moved aside first and moved back if the second rename fails.
    """
    path = path.absolute()
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=".draft-", dir=path.parent))
    draft.chmod(0o755)
    aside = draft.with_name(draft.name + "-old")
    try:
        yield draft
        for file in draft.rglob("*"):
            _sync(file)
        if path.exists():
            path.replace(aside)
        try:
            draft.replace(path)
        except OSError:
            if aside.exists():
                aside.replace(path)
            raise
        _sync(path.parent)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
        shutil.rmtree(aside, ignore_errors=True)


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


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
