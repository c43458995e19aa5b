import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

Run = Callable[..., Any]


@pytest.fixture
def speck(tiny_folder: Path) -> Path:
    """The tiny data set with a region of one pixel in one mask."""
    path = tiny_folder / "masks" / "0.png"
    mask = Image.open(path)
    mask.putpixel((5, 60), 2)
    mask.save(path)
    return tiny_folder


def test_findings_come_with_what_to_do(cli: Run, speck: Path, tmp_path: Path) -> None:
    ended = cli("data", "check", speck, "--sheet", tmp_path / "s.png", "-q")
    assert ended.code == 0
    assert "1 region of one or two pixels:" in ended.out
    assert "to do: look whether they are slips of the pen" in ended.out
    assert "regions  middle px" in ended.out


def test_copies_stand_a_line_for_each_picture(cli: Run, tiny_folder: Path, tmp_path: Path) -> None:
    for number in range(6):
        Image.new("RGB", (96, 64)).save(tiny_folder / "images" / f"{number}.png")
    ended = cli("data", "check", tiny_folder, "--sheet", tmp_path / "s.png", "-q")
    [line] = [line for line in ended.out.splitlines() if "the same picture is in train" in line]
    assert line.endswith(" val:")
    below = ended.out.splitlines()[ended.out.splitlines().index(line) + 1]
    assert below.startswith("    ")
    assert below.count(" = ") == 5


def test_a_sheet_or_a_page_that_is_a_folder_is_refused_before_the_work(
    cli: Run, tiny_folder: Path, tmp_path: Path
) -> None:
    for flag in ("--sheet", "--html"):
        ended = cli("data", "check", tiny_folder, flag, tmp_path, "-q")
        assert ended.code == 2
        assert "is a folder; name the file to write" in ended.err


def test_json_has_the_findings(cli: Run, speck: Path, tmp_path: Path) -> None:
    ended = cli("data", "check", speck, "--sheet", tmp_path / "s.png", "--json", "-q")
    told = json.loads(ended.out)
    [found] = [f for f in told["findings"] if f["kind"] == "specks"]
    assert found["groups"] == [[str(speck / "masks" / "0.png")]]
    assert "fix" not in told


def test_the_input_size_is_named_or_refused(cli: Run, speck: Path, tmp_path: Path) -> None:
    sheet = tmp_path / "s.png"
    ended = cli("data", "check", speck, "--sheet", sheet, "--input", "16x16", "--json", "-q")
    told = json.loads(ended.out)
    assert told["input"] == [16, 16]
    ended = cli("data", "check", speck, "--sheet", sheet, "--input", "16by16", "-q")
    assert ended.code == 2
    assert "'16by16' is not HEIGHTxWIDTH" in ended.err


def test_a_page_is_written_even_with_problems(cli: Run, speck: Path, tmp_path: Path) -> None:
    (speck / "images" / "1.png").write_bytes(b"")
    page = tmp_path / "page.html"
    ended = cli("data", "check", speck, "--sheet", tmp_path / "s.png", "--html", page, "-q")
    assert ended.code == 2
    text = page.read_text(encoding="utf-8")
    assert "images/1.png: empty file" in text
    assert text.count("<img") >= 2 * (5 + 1)  # five samples, and the one with the speck
    assert 'alt="Picture of 1"' not in text


def test_a_page_is_written_where_nothing_can_be_read(
    cli: Run, tiny_folder: Path, tmp_path: Path
) -> None:
    for path in (tiny_folder / "images").iterdir():
        path.write_bytes(b"")
    page = tmp_path / "page.html"
    ended = cli("data", "check", tiny_folder, "--sheet", tmp_path / "s.png", "--html", page, "-q")
    assert ended.code == 2
    assert "No sample could be drawn." in page.read_text(encoding="utf-8")


def test_a_cleaned_copy_ends_with_zero(cli: Run, speck: Path, tmp_path: Path) -> None:
    (speck / "images" / "1.png").write_bytes(b"")
    out, sheet = tmp_path / "out", tmp_path / "s.png"
    ended = cli("data", "check", speck, "--sheet", sheet, "--fix", out, "--fix-specks", "-q")
    assert ended.code == 0
    assert "1.png: empty file" in ended.out
    assert f"cleaned copy  {out}: " in ended.out
    assert f"left out, cannot be used: {speck / 'images' / '1.png'}" in ended.out
    assert "specks filled: 1" in ended.out
    again = cli("data", "check", out, "--sheet", sheet, "--json", "-q")
    assert (again.code, json.loads(again.out)["problems"]) == (0, [])
    assert "specks" not in [found["kind"] for found in json.loads(again.out)["findings"]]


def test_what_was_fixed_is_in_the_json(cli: Run, tiny_folder: Path, tmp_path: Path) -> None:
    ended = cli(
        "data", "check", tiny_folder, "--sheet", tmp_path / "s.png", "--fix", tmp_path / "out",
        "--json", "-q",
    )  # fmt: skip
    assert sum(json.loads(ended.out)["fix"]["samples"].values()) == 6


def test_wrong_places_are_refused_before_anything_is_read(
    cli: Run, tiny_folder: Path, tmp_path: Path
) -> None:
    sheet = tmp_path / "s.png"
    for place in (tiny_folder, tiny_folder / "out"):
        ended = cli("data", "check", tiny_folder, "--sheet", sheet, "--fix", place, "-q")
        assert ended.code == 2
        assert "lies in the data set" in ended.err
        assert ended.out == ""
    ended = cli("data", "check", tiny_folder, "--sheet", sheet, "--fix-specks", "-q")
    assert ended.code == 2
    assert "--fix" in ended.err
    assert not sheet.exists()
