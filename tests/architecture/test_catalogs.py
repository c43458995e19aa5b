"""A catalog is a literal table: the entry `x` lives in the file `x.py`, beside it or below.

Where several are one family, `x` is a folder of that name, and `x-y` is `x/y.py`.
"""

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from frugalseg.models.catalog import MODELS

CATALOGS = {
    "frugalseg.data.catalog": "FORMATS",
    "frugalseg.models.catalog": "MODELS",
    "frugalseg.losses.catalog": "LOSSES",
    "frugalseg.export.catalog": "FORMATS",
}


@pytest.mark.parametrize(("module", "table"), CATALOGS.items())
def test_every_entry_has_a_file_of_its_name(module: str, table: str) -> None:
    catalog = import_module(module)
    entries: Mapping[str, Any] = getattr(catalog, table)
    folder = Path(str(catalog.__file__)).parent
    assert entries, f"{module}.{table} is empty"
    assert [name for name in entries if not has_home(folder, name)] == []


def test_the_page_of_the_zoo_tells_of_each_network_and_of_nothing_else() -> None:
    page = (Path(__file__).parents[2] / "docs" / "zoo.md").read_text(encoding="utf-8")
    told = [line.removeprefix("### ") for line in page.splitlines() if line.startswith("### ")]
    assert told == sorted(MODELS)


def has_home(folder: Path, name: str) -> bool:
    file = f"{name.replace('-', '_')}.py"
    family = [folder / name / "__init__.py", folder / f"{name.replace('-', '/')}.py"]
    return any(path.is_file() for path in [folder / file, *folder.glob(f"*/{file}"), *family])
