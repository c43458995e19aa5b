"""What a user writes down about the classes, in YAML or as a list of names."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from frugalseg.core.errors import DataError

BACKGROUND = "background"


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML file whose top level is "key: value" lines."""
    try:
        text = path.read_text(encoding="utf-8-sig")
        aliases = [e.anchor for e in yaml.parse(text) if isinstance(e, yaml.AliasEvent)]
        values = None if aliases else yaml.safe_load(text)
    # ValueError: also for a date or number that is none. RecursionError: thousands of brackets.
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as wrong:
        raise DataError(f"{path}: not readable as YAML ({wrong})") from wrong
    if aliases:  # a few lines of them can stand for more than fits in memory
        raise DataError(f"{path}: *{aliases[0]} repeats another part; write that part out")
    if isinstance(values, dict) and (
        strange := [key for key in values if not isinstance(key, str)]
    ):
        raise DataError(f"{path}: what stands before a colon is text; put into quotes: {strange}")
    if not isinstance(values, dict):
        raise DataError(f"{path}: expected lines of the form 'key: value', such as 'names:'")
    return values


def read_lines(path: Path) -> list[str]:
    """Read a text file as lines, blank ones included, so that they can be numbered."""
    try:
        return path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as wrong:
        raise DataError(f"{path}: not readable as text ({wrong})") from wrong


def class_names(names: object, path: Path) -> tuple[str, ...]:
    """Check names, given as a list or as a mapping from the ids 0, 1, 2 ... to names.

    >>> class_names({1: "road", 0: "sky"}, Path("labels.yaml"))
    ('sky', 'road')
    """
    if isinstance(names, Mapping):
        if sorted(names, key=str) != sorted(range(len(names)), key=str):
            raise DataError(f"{path}: names must have the ids 0, 1, 2 ..., got {list(names)}")
        names = [names[i] for i in range(len(names))]
    if not isinstance(names, list) or not names:
        raise DataError(f"{path}: names must be a list of class names, got {names!r}")
    if wrong := [name for name in names if not isinstance(name, str) or not name.strip()]:
        raise DataError(f"{path}: names are text; put into quotes: {wrong}")
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise DataError(f"{path}: class names must differ; there twice: {', '.join(twice)}")
    return tuple(names)


def background_of(names: tuple[str, ...]) -> int | None:
    """Find the class that is called "background", in any case of letters.

    >>> background_of(("Background", "bag"))
    0
    """
    return next((i for i, name in enumerate(names) if name.lower() == BACKGROUND), None)
