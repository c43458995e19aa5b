from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from frugalseg.core.errors import DataError
from frugalseg.data.catalog import FORMATS
from frugalseg.data.check.report import check_dataset
from frugalseg.data.layouts import roboflow

CLASSES = "Pixel Value, Class\n0, background\n3, bag\n7, box\n"


def put(root: Path, stem: str, value: int = 3, split: str = "train") -> None:
    folder = root / split
    folder.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (12, 10)).save(folder / f"{stem}.jpg")
    Image.fromarray(np.full((10, 12), value, np.uint8)).save(folder / f"{stem}_mask.png")
    if not (folder / "_classes.csv").exists():
        declare(root, CLASSES, split)


def declare(root: Path, text: str, split: str = "train") -> None:
    (root / split / "_classes.csv").write_text(text, encoding="utf-8")


def problem(root: Path) -> str:
    try:
        return "\n".join(check_dataset(roboflow.read(root), workers=1).problems)
    except DataError as wrong:
        return str(wrong)


def test_values_are_numbered_in_their_order(tmp_path: Path) -> None:
    put(tmp_path, "a_jpg.rf.0123", 7)
    put(tmp_path, "b", 3, "valid")
    put(tmp_path, "c", 0, "test")
    dataset = roboflow.read(tmp_path)
    assert dataset.labels.names == ("background", "bag", "box")
    assert dataset.labels.background == 0
    found = {name: dataset.load(samples[0])[1][0, 0] for name, samples in dataset.splits.items()}
    assert found == {"train": 2, "val": 1, "test": 0}


@pytest.mark.parametrize(
    "text",
    [
        "Pixel Value,Class\r\n0,background\r\n3,bag\r\n7,box\r\n",
        '\ufeff"Pixel Value", "Class"\n\n7, box\n0, "background"\n3,bag\n',
    ],
)
def test_the_csv_may_be_written_otherwise(tmp_path: Path, text: str) -> None:
    put(tmp_path, "a")
    declare(tmp_path, text)
    assert roboflow.detect(tmp_path)
    assert roboflow.read(tmp_path).labels.names == ("background", "bag", "box")


def test_a_name_with_a_comma_is_quoted(tmp_path: Path) -> None:
    put(tmp_path, "a")
    declare(tmp_path, 'Pixel Value, Class\n3, "bag, red"\n')
    assert roboflow.read(tmp_path).labels.names == ("bag, red",)


def test_labels_of_whole_pictures_are_not_this_layout(tmp_path: Path) -> None:
    put(tmp_path, "a")
    declare(tmp_path, "filename, bag, box\na.jpg, 1, 0\n")
    assert [name for name, layout in FORMATS.items() if layout.detect(tmp_path)] == []


def test_a_value_without_a_class_is_refused(tmp_path: Path) -> None:
    put(tmp_path, "a", 255)
    assert "a_mask.png: undeclared mask values 255; declared are 0, 3, 7" in problem(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("256, bag", "line 2: expected a value 0 to 255 and a class, got '256, bag'"),
        ("-1, bag", "line 2: expected a value 0 to 255"),
        ("x, bag", "line 2: expected a value 0 to 255"),
        ("3", "line 2: expected a value 0 to 255"),
        ("3, bag, red", "line 2: expected a value 0 to 255"),
        ("3,", "line 2: a label is one line of text, got ''"),
        ("3, bag\n3, box", "line 3: the value 3 is there twice"),
        ("3, bag\n7, bag", "class names must differ"),
        ("", "1 to 255 classes, got 0"),
        ("3, " + "a" * 200_000, "not readable as CSV"),
        ("3, \x00", "line 2: a label is one line of text"),
    ],
)
def test_bad_lines_are_named(tmp_path: Path, text: str, message: str) -> None:
    put(tmp_path, "a")
    declare(tmp_path, f"Pixel Value, Class\n{text}")
    with pytest.raises(DataError, match=r"_classes\.csv") as caught:
        roboflow.read(tmp_path)
    assert message in str(caught.value)


def test_all_problems_are_told_together(tmp_path: Path) -> None:
    for split in ("train", "valid"):
        put(tmp_path, "a", split=split)
        put(tmp_path, "b", split=split)
    (tmp_path / "valid" / "_classes.csv").unlink()
    (tmp_path / "train" / "a.jpg").unlink()
    (tmp_path / "train" / "b_mask.png").rename(tmp_path / "train" / "b_mask.jpg")
    (tmp_path / "valid" / "a_mask.png").unlink()
    told = problem(tmp_path)
    assert "valid/_classes.csv: missing" in told
    assert "train/a_mask.png: no image for this mask" in told
    assert "train/b_mask.jpg: a lossy format" in told
    assert "valid/a.jpg: no mask a_mask.png" in told


def test_folders_of_other_classes_are_refused(tmp_path: Path) -> None:
    put(tmp_path, "a")
    put(tmp_path, "b", split="valid")
    declare(tmp_path, CLASSES.replace("bag", "bin"), "valid")
    assert "valid/_classes.csv: not the same classes as in" in problem(tmp_path)
