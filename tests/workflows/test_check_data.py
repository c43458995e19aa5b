from pathlib import Path

from PIL import Image

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
