import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

Run = Callable[..., Any]


def test_good_data_is_described_and_drawn(cli: Run, tiny_folder: Path, tmp_path: Path) -> None:
    sheet = tmp_path / "sheet.png"
    ended = cli("data", "check", tiny_folder, "--sheet", sheet)
    assert ended.code == 0
    assert "layout folder, 3 classes" in ended.out
    assert sheet.is_file()


def test_json_is_for_programs(cli: Run, tiny_folder: Path, tmp_path: Path) -> None:
    ended = cli("data", "check", tiny_folder, "--sheet", tmp_path / "s.png", "--json", "-q")
    told = json.loads(ended.out)
    assert (ended.code, told["ok"], told["problems"]) == (0, True, [])


def test_problems_end_with_two_and_no_sheet(cli: Run, tiny_folder: Path, tmp_path: Path) -> None:
    (tiny_folder / "images" / "0.png").write_bytes(b"")
    sheet = tmp_path / "sheet.png"
    ended = cli("data", "check", tiny_folder, "--sheet", sheet, "-q")
    assert ended.code == 2
    assert "0.png: empty file" in ended.out
    assert not sheet.exists()
