"""Progress for people: a bar with time left, or plain lines where there is no terminal."""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from frugalseg.core.progress import Progress, silent

LINE_EVERY_S = 15.0


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
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        columns = (
            TextColumn("{task.description:<22}"),
            BarColumn(),
            TextColumn("{task.percentage:>4.0f} %"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
        )
        with Bar(*columns, console=Console(file=stream), transient=False) as bar:
            yield _Bars(bar)


class _Bars:
    """One bar for each stage; a stage that comes back starts anew."""

    def __init__(self, bar: object) -> None:
        self.bar, self.tasks = bar, {}  # type: ignore[var-annotated]

    def __call__(self, stage: str, done: float, total: float, note: str = "") -> None:
        from rich.markup import escape

        bar, text = self.bar, escape(note)
        if stage not in self.tasks:
            self.tasks[stage] = bar.add_task(stage, total=total, note=text)  # type: ignore[attr-defined]
        bar.update(self.tasks[stage], completed=done, total=total, note=text)  # type: ignore[attr-defined]


class _Lines:
    """A line when a stage begins and ends, and now and then between."""

    def __init__(self, stream: object) -> None:
        self.stream = stream
        self.stage, self.told_s, self.began_s = "", 0.0, 0.0

    def __call__(self, stage: str, done: float, total: float, note: str = "") -> None:
        now = time.monotonic()
        begins = stage != self.stage
        if not (begins or done >= total or now - self.told_s > LINE_EVERY_S):
            return
        if begins:
            self.stage, self.began_s = stage, now
        self.told_s = now
        share = done / total if total else 0.0
        left = ""
        if 0.01 < share < 1:  # noqa: PLR2004  (a guess from less is worth nothing)
            left = f", {(now - self.began_s) * (1 - share) / share:.0f} s left"
        print(
            f"{stage}: {share:.0%}{left}{', ' if note else ''}{note}",
            file=self.stream,  # type: ignore[call-overload]
            flush=True,
        )
