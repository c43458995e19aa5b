"""Every flag of the command line is recorded, so that adding one is a deliberate act.

After a wanted change, `make record` writes the list anew.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from frugalseg.cli.main import app

RECORDED = Path(__file__).with_name("cli_flags.txt")


def test_the_flags_are_those_recorded() -> None:
    assert flags() == RECORDED.read_text(encoding="utf-8").splitlines()


def test_every_command_and_flag_says_what_it_does() -> None:
    silent = [
        f"{name} {'/'.join(parameter.opts)}"
        for name, command in commands(typer.main.get_command(app), "frugalseg")
        for parameter in command.params
        if not getattr(parameter, "help", None)
    ]
    silent += [
        name
        for name, command in commands(typer.main.get_command(app), "frugalseg")
        if not command.help
    ]
    assert silent == []


def commands(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Walk a command and those below it."""
    yield name, command
    for child, below in sorted(getattr(command, "commands", {}).items()):
        yield from commands(below, f"{name} {child}")


def flags() -> list[str]:
    """One line per command, and one per flag or argument of it."""
    lines = []
    for name, command in commands(typer.main.get_command(app), "frugalseg"):
        lines.append(name)
        for parameter in command.params:
            names = [*parameter.opts, *parameter.secondary_opts]
            shown = [n if n.startswith("-") else n.upper() for n in names]
            lines.append(f"{name} {'/'.join(shown)}")
    return lines


if __name__ == "__main__":
    RECORDED.write_text("\n".join(flags()) + "\n", encoding="utf-8")
