"""A catalog is a literal table: the entry `x` lives in the file `x.py` beside the catalog."""

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

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
    missing = [n for n in entries if not (folder / f"{n.replace('-', '_')}.py").is_file()]
    assert missing == []
