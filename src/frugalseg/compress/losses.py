"""What single changes were measured to lose, kept as it comes: none is measured twice."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from frugalseg.core.files import write_text

Key = tuple[str, str, tuple[str | float, ...]]


class Losses:
    """Losses by kind, name and amount of a change; in a file too, if a path is given.

    The file begins with what it is `about`, plain values; one about something else is begun anew. A
    line follows for each loss, so that a measuring that is killed loses one at most.
    """

    def __init__(self, path: Path | None = None, about: Mapping[str, Any] | None = None) -> None:
        self._path = path
        self._found: dict[Key, float] = {}
        if path is not None:
            head = json.dumps({"about": about}, sort_keys=True)
            self._found = _read(path, head)
            lines = [head, *(_line(key, loss) for key, loss in self._found.items())]
            write_text(path, "\n".join(lines) + "\n")

    def of(
        self, kind: str, name: str, amount: tuple[str | float, ...], measure: Callable[[], float]
    ) -> float:
        """Return the loss that is known, or measure it and keep it."""
        key = (kind, name, amount)
        if key not in self._found:
            self._found[key] = measure()
            if self._path is not None:
                with self._path.open("a", encoding="utf-8") as stream:
                    stream.write(_line(key, self._found[key]) + "\n")
        return self._found[key]


def _line(key: Key, loss: float) -> str:
    return json.dumps([*key, loss])


def _read(path: Path, head: str) -> dict[Key, float]:
    """Read the losses of a file that begins so; what was being written when it ended is left."""
    try:
        first, *lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, ValueError):
        return {}
    found: dict[Key, float] = {}
    for line in lines if first == head else ():
        try:
            kind, name, amount, loss = json.loads(line)
            found[kind, name, tuple(amount)] = float(loss)
        except (ValueError, TypeError):
            break
    return found
