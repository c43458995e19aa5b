"""Text that others wrote: read within bounds, and quoted briefly where it is wrong."""

import contextlib
import json
import reprlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from frugalseg.core.errors import ConfigError, DataError
from frugalseg.core.parse import parse_yaml, reason

MAX_JSON_BYTES = 1 << 30

_HEAD_CHARACTERS = 4096
_SHOWN_CHARACTERS = 100
_BRIEF = reprlib.Repr()
_BRIEF.maxstring = 60  # most paths of pictures are shorter


def read_json(path: Path) -> Any:
    """Read a JSON file; a key that is there twice, NaN and a file over 1 GiB are refused."""
    try:
        if (count := path.stat().st_size) > MAX_JSON_BYTES:
            raise DataError(f"{path}: {count:,} bytes; JSON is read up to {MAX_JSON_BYTES:,}")
        text = path.read_text(encoding="utf-8-sig")
        return json.loads(text, object_pairs_hook=_once, parse_constant=_no_number)
    except (OSError, ValueError, RecursionError) as wrong:
        raise DataError(f"{path}: not readable as JSON ({reason(wrong)})") from wrong


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML file whose top level is "key: value" lines."""
    try:
        values = parse_yaml(path.read_text(encoding="utf-8-sig"), aliases=False)
    except (OSError, ValueError) as wrong:
        raise DataError(f"{path}: not readable as YAML ({reason(wrong)})") from wrong
    if not isinstance(values, dict):
        raise DataError(f"{path}: expected lines of the form 'key: value', such as 'names:'")
    if strange := [key for key in values if not isinstance(key, str)]:
        raise DataError(f"{path}: what stands before a colon is text; put into quotes: {strange}")
    return values


def read_lines(path: Path) -> list[str]:
    """Read a text file as lines, blank ones included, so that they can be numbered."""
    try:
        return path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as wrong:
        raise DataError(f"{path}: not readable as text ({wrong})") from wrong


def read_list(path: Path) -> list[str]:
    """Read a text file with one entry per line; blank lines are none."""
    return [line.strip() for line in read_lines(path) if line.strip()]


def head(path: Path, start: str) -> str:
    """Give the first 4096 characters of a text file if it begins with `start`, else nothing."""
    try:
        with path.open(encoding="utf-8-sig", errors="replace") as stream:
            text = stream.read(_HEAD_CHARACTERS)
    except OSError:
        return ""
    return text if text.lstrip().startswith(start) else ""


def shown(written: object) -> str:
    """Write what a file holds for a message, however long or deep it is.

    >>> shown(["a" * 99, [[0] * 99]])
    "['aaaaaaaaaaaaaaaaaaaaaaaaaaa...aaaaaaaaaaaaaaaaaaaaaaaaaaaa', [[0, 0, 0, 0, 0, 0, ...]]]"
    """
    return _BRIEF.repr(written)[:_SHOWN_CHARACTERS]


@contextlib.contextmanager
def blamed(path: Path) -> Iterator[None]:
    """Turn a ConfigError into a DataError that names the file which it comes from."""
    try:
        yield
    except ConfigError as wrong:
        raise DataError(f"{path}: {wrong}") from wrong


@contextlib.contextmanager
def noted(where: str, problems: list[str]) -> Iterator[None]:
    """Turn a ValueError into a problem at a place."""
    try:
        yield
    except ValueError as wrong:
        problems.append(f"{where}: {wrong}")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key {shown(twice)} is there twice")
    return values


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is not a number")
