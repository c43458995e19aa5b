"""Names of classes: which are allowed, and which mean the background."""

import unicodedata
from collections.abc import Mapping
from pathlib import Path

from frugalseg.core.errors import DataError
from frugalseg.data.text import shown

BACKGROUND = "background"
LABELME_BACKGROUND = "_background_"  # in labelme, and in the VOC trees that its script writes
MAX_NAME = 200
VOID_NAMES = frozenset({"void", "unlabelled", "unlabeled", "ignore", "ignored"})
"""What does not count, in small letters."""


def class_names(names: object, path: Path) -> tuple[str, ...]:
    """Check names, given as a list or as a mapping from the ids 0, 1, 2 ... to names.

    >>> class_names({1: "road", 0: "sky"}, Path("labels.yaml"))
    ('sky', 'road')
    """
    if isinstance(names, Mapping):
        if sorted(names, key=str) != sorted(range(len(names)), key=str):
            raise DataError(
                f"{path}: names must have the ids 0, 1, 2 ..., got {shown(list(names))}"
            )
        names = [names[i] for i in range(len(names))]
    if not isinstance(names, list) or not names:
        raise DataError(f"{path}: names must be a list of class names, got {shown(names)}")
    if wrong := [name for name in names if not isinstance(name, str) or not name.strip()]:
        raise DataError(f"{path}: names are text; put into quotes: {shown(wrong)}")
    if long := [name for name in names if len(name) > MAX_NAME]:
        raise DataError(f"{path}: {shown(long[0])} has over {MAX_NAME} letters; no name of a class")
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise DataError(f"{path}: class names must differ; there twice: {', '.join(twice)}")
    return tuple(names)


def class_label(written: object) -> str:
    """Check the name of a class; raises ValueError unless it is one line of text."""
    if not isinstance(written, str) or not written.strip() or written.splitlines() != [written]:
        raise ValueError(f"a label is one line of text, got {shown(written)}")
    # JSON can hold control characters, and halves of characters, which nothing can print.
    if {unicodedata.category(letter) for letter in written} & {"Cc", "Cs"}:
        raise ValueError(f"a label is one line of text, got {shown(written)}")
    return written


def background_of(names: tuple[str, ...]) -> int | None:
    """Find the class that is called "background", in any case of letters.

    >>> background_of(("Background", "bag"))
    0
    """
    return next((i for i, name in enumerate(names) if name.lower() == BACKGROUND), None)
