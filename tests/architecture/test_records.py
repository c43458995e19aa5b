"""No number without its origin: the README's tables are what the records say."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from frugalseg.core.records import Record

ROOT = Path(__file__).parents[2]
RECORDS = sorted((ROOT / "benchmarks" / "records").glob("*.json"))


def test_the_tables_of_the_readme_are_written_from_the_records() -> None:
    done = subprocess.run(
        [sys.executable, "benchmarks/tables.py", "--check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_there_are_records() -> None:
    assert RECORDS


@pytest.mark.parametrize("path", RECORDS, ids=lambda p: p.stem)
def test_a_record_file_tells_where_its_numbers_come_from(path: Path) -> None:
    file = json.loads(path.read_text(encoding="utf-8"))
    assert path.stem == f"{file['theme']}_{path.stem.split('_')[1]}_{file['date']}"
    assert file["machine"]
    assert file["commit"]
    assert file["libraries"]
    for values in file["records"]:
        record = Record(**values)
        assert record.kind in {"measured", "estimated", "cited"}
        assert record.on
