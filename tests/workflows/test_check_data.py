from pathlib import Path

import pytest
from PIL import Image

from frugalseg.core.errors import ConfigError
from frugalseg.workflows.check_data import check_data


def test_good_data_is_reported_and_drawn(tiny_folder: Path, tmp_path: Path) -> None:
    report = check_data(tiny_folder, sheet=tmp_path / "sheet.png")
    assert report.ok
    with Image.open(tmp_path / "sheet.png") as drawn:
        assert drawn.width > 100


def test_bad_data_is_reported_and_not_drawn(tiny_folder: Path, tmp_path: Path) -> None:
    (tiny_folder / "images" / "0.png").write_bytes(b"nothing")
    report = check_data(tiny_folder, sheet=tmp_path / "sheet.png")
    assert len(report.problems) == 1
    assert not (tmp_path / "sheet.png").exists()


def test_without_a_sheet_nothing_is_written(tiny_folder: Path) -> None:
    before = sorted(tiny_folder.rglob("*"))
    assert check_data(tiny_folder).ok
    assert sorted(tiny_folder.rglob("*")) == before


def test_a_file_that_cannot_be_written_is_refused_before_the_work(
    tiny_folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "taken").write_bytes(b"")
    path = tmp_path / "taken" / "a.out"
    with pytest.raises(ConfigError, match=r"a\.out: .*taken is a file"):
        check_data(tiny_folder / "gone", sheet=path)
    with pytest.raises(ConfigError, match=r"a\.out: .*taken is a file"):
        check_data(tiny_folder / "gone", html=path)
