from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from frugalseg.core.errors import DataError
from frugalseg.data.layouts import camvid


def put(root: Path, stem: str, split: str = "train") -> None:
    labels_HW = np.array([[0, 10, 11]], np.uint8)
    for name, pixels in ((split, np.zeros((1, 3, 3), np.uint8)), (f"{split}annot", labels_HW)):
        (root / name).mkdir(exist_ok=True)
        Image.fromarray(pixels).save(root / name / f"{stem}.png")


def test_standard_classes_ignore_void(tmp_path: Path) -> None:
    put(tmp_path, "a")
    dataset = camvid.read(tmp_path)
    assert dataset.labels.num_classes == 11
    assert dataset.labels.names[10] == "Bicyclist"
    assert dataset.load(dataset.split("train")[0])[1].tolist() == [[0, 10, 255]]


def test_classes_csv_is_followed_wherever_void_stands(tmp_path: Path) -> None:
    put(tmp_path, "a")
    rows = ["id,name,r,g,b", "11,Road,1,2,3", "0,Void,0,0,0", "10,Car,4,5,6"]
    (tmp_path / "classes.csv").write_text("\n".join(rows), encoding="utf-8")
    dataset = camvid.read(tmp_path)
    assert dataset.labels.names == ("Car", "Road")
    assert dataset.labels.colors == ((4, 5, 6), (1, 2, 3))
    assert dataset.load(dataset.split("train")[0])[1].tolist() == [[255, 0, 1]]


def test_broken_classes_csv_says_which_columns_it_needs(tmp_path: Path) -> None:
    put(tmp_path, "a")
    (tmp_path / "classes.csv").write_text("id;name\n0;Sky\n", encoding="utf-8")
    with pytest.raises(DataError, match="id,name,r,g,b"):
        camvid.read(tmp_path)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("0,Car,4,5,6", "ids must differ; there twice: 0"),
        ("300,Car,4,5,6", r"mask values are 0 to 255, got \[300\]"),
        ("-1,Car,4,5,6", r"mask values are 0 to 255, got \[-1\]"),
        ("1,Car,4,5,256", r"0 to 255, got \[\(4, 5, 256\)\]"),
        ("1,Sky,4,5,6", "class names must differ"),
    ],
)
def test_classes_csv_that_contradicts_itself_is_named(
    tmp_path: Path, row: str, message: str
) -> None:
    put(tmp_path, "a")
    (tmp_path / "classes.csv").write_text(f"id,name,r,g,b\n0,Sky,1,2,3\n{row}\n", encoding="utf-8")
    with pytest.raises(DataError, match=rf"classes\.csv: .*{message}"):
        camvid.read(tmp_path)


def test_list_chooses_and_orders_with_paths_of_another_machine(tmp_path: Path) -> None:
    for stem in ("a", "b", "c"):
        put(tmp_path, stem)
    lines = [f"/SegNet/CamVid/train/{s}.png /SegNet/CamVid/trainannot/{s}.png" for s in "ca"]
    (tmp_path / "train.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    assert [s.name for s in camvid.read(tmp_path).split("train")] == ["c", "a"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("train/x.png trainannot/x.png", "no such file: .*x.png"),
        ("train/a.png", "expected an image and a mask"),
        ("../secret.png trainannot/a.png", r"\.\./secret\.png' leaves the folder"),
        ("train/a.png train/..", r"train/\.\.' leaves the folder"),
        ("/x.png trainannot/a.png", "/x.png': expected a folder and a name"),
        ("train/a.png x.png", "x.png': expected a folder and a name"),
    ],
)
def test_bad_lines_are_named(tmp_path: Path, line: str, message: str) -> None:
    put(tmp_path, "a")
    (tmp_path / "train.txt").write_text(line, encoding="utf-8")
    with pytest.raises(DataError, match=f"train.txt line 1: (.|\n)*{message}"):
        camvid.read(tmp_path)


def test_a_picture_that_is_listed_twice_is_named(tmp_path: Path) -> None:
    put(tmp_path, "a")
    (tmp_path / "train.txt").write_text("train/a.png trainannot/a.png\n" * 2, encoding="utf-8")
    with pytest.raises(DataError, match=r"train\.txt line 2: train/a\.png is there twice"):
        camvid.read(tmp_path)


@pytest.mark.parametrize("linked", ["train/a.png", "trainannot/a.png", "train", "trainannot"])
@pytest.mark.parametrize("listed", [True, False])
def test_a_link_that_leaves_the_folder_is_refused(
    tmp_path: Path, linked: str, *, listed: bool
) -> None:
    root = tmp_path / "set"
    root.mkdir()
    put(root, "a")
    if listed:
        (root / "train.txt").write_text("train/a.png trainannot/a.png", encoding="utf-8")
    (root / linked).symlink_to((root / linked).rename(tmp_path / "outside"))
    with pytest.raises(DataError, match=f"{linked}.*: a link that leaves"):
        camvid.read(root)


def test_a_list_that_is_a_link_to_another_place_is_refused(tmp_path: Path) -> None:
    root = tmp_path / "set"
    root.mkdir()
    put(root, "a")
    (tmp_path / "secret.txt").write_text("train/a.png trainannot/a.png", encoding="utf-8")
    (root / "train.txt").symlink_to(tmp_path / "secret.txt")
    with pytest.raises(DataError, match=r"train\.txt: a link that leaves"):
        camvid.read(root)


def test_two_dots_within_a_name_are_a_name(tmp_path: Path) -> None:
    put(tmp_path, "a..b")
    (tmp_path / "train.txt").write_text("train/a..b.png trainannot/a..b.png", encoding="utf-8")
    assert [s.name for s in camvid.read(tmp_path).split("train")] == ["a..b"]


def test_missing_masks_are_listed(tmp_path: Path) -> None:
    put(tmp_path, "a")
    put(tmp_path, "b", "val")
    (tmp_path / "valannot" / "b.png").unlink()
    with pytest.raises(DataError, match=r"b\.png: no mask"):
        camvid.read(tmp_path)


def test_real_camvid_has_its_counts_and_opens_without_decoding(
    real_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("frugalseg.data.masks.read_mask", None)
    dataset = camvid.read(real_data / "camvid")
    assert {name: len(s) for name, s in dataset.splits.items()} == {"train": 367, "val": 101}
    assert dataset.labels.from_disk[11] == 255


def test_a_listed_name_that_no_file_can_have_is_named(tmp_path: Path) -> None:
    put(tmp_path, "a")
    (tmp_path / "train.txt").write_text(f"train/a.png trainannot/{'9' * 5000}.png\n", "utf-8")
    with pytest.raises(DataError, match=r"train\.txt line 1: .*a name of more than 255 bytes"):
        camvid.read(tmp_path)
