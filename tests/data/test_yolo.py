from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from frugalseg.core.errors import DataError
from frugalseg.data import yolo
from frugalseg.data.check import check_dataset, validate

LEFT_HALF = "0 0 0 0.5 0 0.5 1 0 1"
TOP_HALF = "1 0 0 1 0 1 0.5 0 0.5"


def put(root: Path, stem: str, text: str | None, images: str = "images/train") -> None:
    folder = root / images
    folder.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (40, 20)).save(folder / f"{stem}.jpg")
    labels = root / images.replace("images", "labels")
    labels.mkdir(parents=True, exist_ok=True)
    if text is not None:
        (labels / f"{stem}.txt").write_text(text, encoding="utf-8")


def declare(root: Path, text: str = "names: [bag, box]\n") -> None:
    (root / "data.yaml").write_text(text, encoding="utf-8")


def test_background_comes_first_and_ids_move_up(tmp_path: Path) -> None:
    put(tmp_path, "a", LEFT_HALF)
    declare(tmp_path)
    dataset = yolo.read(tmp_path)
    assert dataset.labels.names == ("background", "bag", "box")
    assert dataset.labels.background == 0
    labels_HW = dataset.load(dataset.split("train")[0])[1]
    assert labels_HW.shape == (20, 40)
    assert (labels_HW[:, :20] == 1).all()
    assert (labels_HW[:, 21:] == 0).all()


def test_later_polygons_lie_on_top(tmp_path: Path) -> None:
    put(tmp_path, "a", f"{LEFT_HALF}\n{TOP_HALF}\n")
    declare(tmp_path)
    dataset = yolo.read(tmp_path)
    labels_HW = dataset.load(dataset.split("train")[0])[1]
    assert labels_HW[2, 2] == 2
    assert labels_HW[17, 2] == 1


def test_polygon_over_everything_covers_everything(tmp_path: Path) -> None:
    put(tmp_path, "a", "0 0 0 1.005 0 1 1 -0.005 1")
    declare(tmp_path)
    dataset = yolo.read(tmp_path)
    assert (dataset.load(dataset.split("train")[0])[1] == 1).all()


@pytest.mark.parametrize("text", [None, "", "\n\n"])
def test_no_polygons_mean_background(tmp_path: Path, text: str | None) -> None:
    put(tmp_path, "a", text)
    declare(tmp_path)
    dataset = yolo.read(tmp_path)
    assert not dataset.load(dataset.split("train")[0])[1].any()
    warned = any("no label file" in warning for warning in check_dataset(dataset).warnings)
    assert warned == (text is None)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("0 0.5 0.5 0.2 0.2", "a box, not a polygon"),
        ("0 0 0 1 1", "a box, not a polygon"),
        ("0 0 0 1 1 1", "6 numbers"),
        ("0 0 0 1 0 1 1 0", "8 numbers"),
        ("2 0 0 1 0 1 1", "class id '2'; known are 0 to 1"),
        ("-1 0 0 1 0 1 1", "class id '-1'"),
        ("bag 0 0 1 0 1 1", "class id 'bag'"),
        ("0 0 0 1 0 1 x", "'x' is not a number"),
        ("0 0 0 1 0 1 nan", "coordinate nan is outside"),
        ("0 0 0 1 0 1 1.02", "coordinate 1.02 is outside"),
        ("0 0 0 640 0 640 480", "divide by the width and height"),
    ],
)
def test_bad_lines_are_named_by_file_and_number(tmp_path: Path, line: str, message: str) -> None:
    put(tmp_path, "a", f"{LEFT_HALF}\n{line}\n{line}\n")
    declare(tmp_path)
    first, second = validate(yolo.read(tmp_path), workers=1)
    assert "a.txt line 2: " in first
    assert "a.txt line 3: " in second
    assert message in first


@pytest.mark.parametrize(
    ("text", "images"),
    [
        ("names: {0: bag, 1: box}\ntrain: images/train\n", "images/train"),
        ("names: [bag, box]\nnc: 2\ntrain: train/images\n", "train/images"),
        ("names: [bag, box]\ntrain: ../train/images\n", "train/images"),
        ("names: [bag, box]\npath: inner\ntrain: images/a\n", "inner/images/a"),
        ("names: [bag, box]\npath: ../datasets/x\ntrain: images/a\n", "images/a"),
        ("names: [bag, box]\ntrain: [images/a]\n", "images/a"),
    ],
)
def test_folders_are_found_as_users_write_them(tmp_path: Path, text: str, images: str) -> None:
    put(tmp_path, "a", LEFT_HALF, images)
    declare(tmp_path, text)
    dataset = yolo.read(tmp_path)
    assert dataset.load(dataset.split("train")[0])[1].any()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("names: [bag, box]\ntrain: elsewhere\n", "elsewhere is not a folder of"),
        ("names: [bag, box]\ntrain: ../outside/images\n", "is not a folder of"),
        ("names: [bag, box]\nnc: 3\n", "nc is 3 but there are 2 names"),
        ("names: [background, box]\n", "which is added by itself"),
        ("train: images/train\n", "names must be a list"),
    ],
)
def test_wrong_data_yaml_says_what_is_wrong(tmp_path: Path, text: str, message: str) -> None:
    root = tmp_path / "set"
    put(root, "a", LEFT_HALF)
    put(tmp_path / "outside", "b", LEFT_HALF, "images")
    declare(root, text)
    with pytest.raises(DataError, match=message):
        yolo.read(root)


def test_labels_without_an_image_are_refused(tmp_path: Path) -> None:
    put(tmp_path, "a", LEFT_HALF)
    declare(tmp_path)
    (tmp_path / "images" / "train" / "a.jpg").rename(tmp_path / "images" / "train" / "b.jpg")
    with pytest.raises(DataError, match=r"a\.txt: no image for these labels"):
        yolo.read(tmp_path)


def test_real_trash_bags_has_the_pixel_shares_of_its_readme(real_data: Path) -> None:
    dataset = yolo.read(real_data / "trash_bags")
    counts_C = np.zeros(3)
    for sample in dataset.split("val"):
        counts_C += np.bincount(dataset.rasterise(sample.label, (640, 640)).ravel(), minlength=3)
    # The readme gives three digits, and polygons by another program.
    np.testing.assert_allclose(counts_C / counts_C.sum(), [0.718, 0.095, 0.187], atol=0.0015)
