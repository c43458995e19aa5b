"""How long work reports how far it is. The command line draws it; a library call is silent."""

from typing import Protocol


class Progress(Protocol):
    """Called again and again: which stage, how much of it is done, and a few words."""

    def __call__(self, stage: str, done: float, total: float, note: str = "") -> None:
        """Take notice."""


def silent(stage: str, done: float, total: float, note: str = "") -> None:
    """Report nothing."""
