"""Finding: something that was found in a data set, in which files, and what to do about it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Severity = Literal["problem", "warning", "note"]

SHOWN = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What was found. Problems must be mended, warnings are for a person to judge, notes to know.

    `kind` is the same for findings of the same sort. `groups` holds the files; those of one group
    are found together, such as two copies of one picture.

    >>> Finding(
    ...     severity="note", kind="copies", what="the same picture", todo="keep one of each",
    ...     groups=((Path("a.png"), Path("b.png")), (Path("c.png"), Path("d.png"))),
    ... ).text
    'the same picture: a.png = b.png, c.png = d.png'
    """

    severity: Severity
    kind: str
    what: str
    todo: str
    groups: tuple[tuple[Path, ...], ...] = ()

    @property
    def files(self) -> tuple[Path, ...]:
        """All files, group by group."""
        return tuple(path for group in self.groups for path in group)

    @property
    def text(self) -> str:
        """What was found and in which files: the first few, then a count."""
        if self.groups and all(str(path) in self.what for path in self.files):
            return self.what
        named = some(" = ".join(map(str, group)) for group in self.groups)
        return f"{self.what}: {named}" if named else self.what

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {
            "severity": self.severity,
            "kind": self.kind,
            "what": self.what,
            "todo": self.todo,
            "groups": [[str(path) for path in group] for group in self.groups],
        }


def alone(paths: Iterable[Path]) -> tuple[tuple[Path, ...], ...]:
    """Make each file a group by itself."""
    return tuple((path,) for path in paths)


def some(texts: Iterable[str]) -> str:
    """Name a few, then a count.

    >>> some(f"{i}.png" for i in range(7))
    '0.png, 1.png, 2.png, 3.png, 4.png and 2 more'
    """
    names: Sequence[str] = list(texts)
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
