"""Progress for people: bars with time left, or plain lines where there is no terminal."""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

from frugalseg.core.progress import Progress, silent

if TYPE_CHECKING:
    from rich.progress import Progress as Bar
    from rich.progress import TaskID

LINE_EVERY_S = 15.0
ENOUGH_TO_GUESS = 0.01


@contextmanager
def shown(*, quiet: bool) -> Iterator[Progress]:
    """Hand out a `Progress` that draws on standard error; `quiet` silences it."""
    if quiet:
        yield silent
        return
    # A copy of the handle: converters are silenced at the original one while they run.
    with os.fdopen(os.dup(sys.stderr.fileno()), "w", encoding="utf-8") as stream:
        if not stream.isatty():
            yield _Lines(stream)
            return
        with _bar(stream) as bar:
            yield _Bars(bar)


def _bar(stream: TextIO) -> "Bar":
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar
    from rich.table import Column

    return Bar(
        TextColumn("{task.description:<18}", table_column=Column(no_wrap=True, min_width=18)),
        BarColumn(bar_width=16, table_column=Column(min_width=16)),
        TextColumn("{task.percentage:>4.0f} %", table_column=Column(no_wrap=True, min_width=6)),
        TimeRemainingColumn(table_column=Column(no_wrap=True, min_width=7)),
        TextColumn("{task.fields[note]}", table_column=Column(no_wrap=True, overflow="ellipsis")),
        console=Console(file=stream),
    )


class _Bars:
    """One bar for each stage; a stage that comes back starts anew."""

    def __init__(self, bar: "Bar") -> None:
        self.bar = bar
        self.tasks: dict[str, TaskID] = {}

    def __call__(self, stage: str, done: float, total: float, note: str = "") -> None:
        from rich.markup import escape

        text = escape(note)
        if stage not in self.tasks:
            self.tasks[stage] = self.bar.add_task(stage, total=total, note=text)
        self.bar.update(self.tasks[stage], completed=done, total=total, note=text)


class _Lines:
    """A line when a stage first begins, when it ends, and now and then between."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.began: dict[str, tuple[float, float]] = {}
        self.last: dict[str, float] = {}
        self.told_s = 0.0

    def __call__(self, stage: str, done: float, total: float, note: str = "") -> None:
        now = time.monotonic()
        share = done / total if total else 0.0
        first = stage not in self.began
        if first or share < self.last.get(stage, 0.0):  # a stage that comes back starts anew
            self.began[stage] = now, share
        began_s, began_at = self.began[stage]
        self.last[stage] = share
        ends = done >= total and not first and now - self.told_s > 1
        if not (first or ends or now - self.told_s > LINE_EVERY_S):
            return
        self.told_s = now
        parts = [f"{stage}: {share:.0%}"]
        if share < 1 and share - began_at > ENOUGH_TO_GUESS:
            left_s = (now - began_s) * (1 - share) / (share - began_at)
            parts.append(f"{left_s:.0f} s left")
        told = ", ".join([*parts, note] if note else parts)
        # A file may have a name that is no UTF-8.
        print(told.encode(errors="replace").decode(), file=self.stream, flush=True)
