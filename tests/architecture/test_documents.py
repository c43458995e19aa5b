"""The documents keep up with the code: commands, flags, targets and links that exist."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from frugalseg.cli.main import app

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
FENCED = re.compile(r"^```(?:console|sh|bash|shell)\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?:|#|mailto:)([^)#\s]+)")
DECISION = re.compile(r"ADR (\d{4})")
HEADINGS = [
    "Status",
    "Context",
    "Decision",
    "Consequences",
    "How we would notice that this was wrong",
]
ADRS = sorted((ROOT / "docs" / "adr").glob("*.md"))


def commands_in(document: Path) -> Iterator[list[str]]:
    """Each shell command of the fenced blocks, split into words."""
    for block in FENCED.findall(document.read_text(encoding="utf-8")):
        lines = block.replace("\\\n", " ").splitlines()
        asked = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
        for line in asked or lines:  # a block without prompts is commands only
            for part in line.split("#")[0].split("&&"):
                if part.strip():
                    yield shlex.split(part)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda d: str(d.relative_to(ROOT)))
class TestEveryDocument:
    def test_its_frugalseg_commands_and_flags_exist(self, document: Path) -> None:
        for words in commands_in(document):
            name = words[0].rpartition("/")[2]
            if name == "frugalseg":
                _check_command(words[1:])

    def test_its_make_targets_exist(self, document: Path) -> None:
        makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
        targets = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))
        named = {
            word
            for words in commands_in(document)
            if words[0] == "make"
            for word in words[1:]
            if "=" not in word
        }
        assert named <= targets

    def test_its_links_lead_somewhere(self, document: Path) -> None:
        links = LINK.findall(document.read_text(encoding="utf-8"))
        assert [link for link in links if not (document.parent / link).exists()] == []


def _check_command(words: list[str]) -> None:
    command: Any = typer.main.get_command(app)
    while words and words[0] in getattr(command, "commands", {}):
        command = command.commands[words.pop(0)]
    if hasattr(command, "commands"):
        assert words in ([], ["--help"], ["--version"]), f"no command {words}"
    known = {o for p in command.params for o in (*p.opts, *p.secondary_opts)} | {"--help"}
    given = {w.partition("=")[0] for w in words if w.startswith("-") and w != "-"}
    assert given <= known, f"{command.name}: unknown {sorted(given - known)}"


def test_the_readme_opens_with_the_two_commands() -> None:
    asked = list(commands_in(ROOT / "README.md"))
    assert ["make", "demo"] in asked
    assert ["make", "test"] in asked


def test_decisions_are_numbered_without_a_gap() -> None:
    assert [int(path.name[:4]) for path in ADRS] == list(range(1, len(ADRS) + 1))


@pytest.mark.parametrize("path", ADRS, ids=lambda p: p.stem)
def test_a_decision_says_how_we_would_notice_that_it_was_wrong(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert re.match(rf"# {path.name[:4]} \S", text)
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == HEADINGS
    assert text.count("\n") <= 60, "a decision fits on one screen"


def test_every_decision_that_the_code_names_is_written() -> None:
    written = {path.name[:4] for path in ADRS}
    named = {
        number
        for folder in ("src", "tests")
        for path in (ROOT / folder).rglob("*.py")
        for number in DECISION.findall(path.read_text(encoding="utf-8"))
    }
    assert named <= written
