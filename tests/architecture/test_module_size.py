"""A module is a page. The ceilings for functions are ruff's; no comment switches them off."""

import re
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "src" / "frugalseg"
MODULES = sorted(PACKAGE.rglob("*.py"))
MOST_LINES = 350
SWITCHED_OFF = re.compile(r"#\s*(ruff:\s*)?noqa(\s*$|:.*\b(C901|PLR09\d\d)\b)", re.MULTILINE)


@pytest.mark.parametrize("module", MODULES, ids=lambda m: str(m.relative_to(PACKAGE)))
def test_a_module_is_a_page_long(module: Path) -> None:
    text = module.read_text(encoding="utf-8")
    assert text.count("\n") <= MOST_LINES
    assert SWITCHED_OFF.search(text) is None


@pytest.mark.parametrize("name", ["utils", "common", "helpers", "misc"])
def test_nothing_lives_in_a_drawer(name: str) -> None:
    assert list(PACKAGE.rglob(f"{name}*")) == []
