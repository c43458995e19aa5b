from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from frugalseg.core.errors import DataError
from frugalseg.data.check.report import check_dataset
from frugalseg.data.dataset import Sample
from frugalseg.data.layouts import yolo

Mask = NDArray[np.bool_]

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
    assert (labels_HW[:, 20:] == 0).all()


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


def rasterise(root: Path, corners: list[tuple[float, float]], size: tuple[int, int]) -> Mask:
    """Draw one polygon, its corners in pixels; gives where it is."""
    height, width = size
    (root / "a.txt").write_text(
        " ".join(["0", *(f"{x / width} {y / height}" for x, y in corners)]), encoding="utf-8"
    )
    sample = Sample(name="a", image=root / "a.jpg", label=root / "a.txt")
    here_HW: Mask = yolo.rasterise_polygons(sample, size, num_classes=1) == 1
    return here_HW


class TestPixels:
    def test_a_square_covers_the_pixels_whose_centre_is_inside(self, tmp_path: Path) -> None:
        here_HW = rasterise(tmp_path, [(1, 1), (4, 1), (4, 4), (1, 4)], (10, 10))
        assert here_HW.sum() == 9
        assert here_HW[1:4, 1:4].all()

    def test_neighbours_share_no_pixel_and_leave_none_out(self, tmp_path: Path) -> None:
        """The line between them goes through centres of pixels."""
        above_HW = rasterise(tmp_path, [(0, 0), (8, 0), (8, 8)], (8, 8))
        below_HW = rasterise(tmp_path, [(0, 0), (8, 8), (0, 8)], (8, 8))
        assert (above_HW ^ below_HW).all()

    @pytest.mark.parametrize("seed", range(5))
    def test_centres_decide_for_any_polygon(self, tmp_path: Path, seed: int) -> None:
        corners = np.random.default_rng(seed).uniform((0, 0), (30, 20), (7, 2)).tolist()
        here_HW = rasterise(tmp_path, [(x, y) for x, y in corners], (20, 30))
        for row, column in np.ndindex(20, 30):
            crossed = sum(
                x1 + (row + 0.5 - y1) * (x2 - x1) / (y2 - y1) > column + 0.5
                for (x1, y1), (x2, y2) in pairwise([*corners, corners[0]])
                if (y1 > row + 0.5) != (y2 > row + 0.5)
            )
            assert here_HW[row, column] == crossed % 2

    def test_a_small_polygon_is_there_if_it_holds_a_centre(self, tmp_path: Path) -> None:
        around = [(6.4, 3.4), (6.6, 3.4), (6.6, 3.6), (6.4, 3.6)]
        assert np.argwhere(rasterise(tmp_path, around, (10, 10))).tolist() == [[3, 6]]
        beside = [(x + 0.3, y) for x, y in around]
        assert not rasterise(tmp_path, beside, (10, 10)).any()

    def test_a_hole_cut_in_by_a_double_edge_stays_a_hole(self, tmp_path: Path) -> None:
        ring = [(0, 0), (9, 0), (9, 9), (0, 9), (0, 0), (3, 3), (3, 6), (6, 6), (6, 3), (3, 3)]
        here_HW = rasterise(tmp_path, [(x, y) for x, y in ring], (9, 9))
        assert here_HW.sum() == 81 - 9
        assert not here_HW[3:6, 3:6].any()


@pytest.mark.parametrize("text", [None, "", "\n\n"])
def test_no_polygons_mean_background(tmp_path: Path, text: str | None) -> None:
    put(tmp_path, "a", text)
    put(tmp_path, "b", LEFT_HALF)
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
        (f"{'9' * 5000} 0 0 1 0 1 1", "9999'; known are 0 to 1"),
        ("0 0 0 1 0 1 x", "'x' is not a number"),
        ("0 0 0 1 0 1 nan", "coordinate nan is outside"),
        ("0 0 0 1 0 1 1.02", "coordinate 1.02 is outside"),
        ("0 0 0 640 0 640 480", "divide by the width and height"),
    ],
)
def test_bad_lines_are_named_by_file_and_number(tmp_path: Path, line: str, message: str) -> None:
    put(tmp_path, "a", f"{LEFT_HALF}\n{line}\n{line}\n")
    declare(tmp_path)
    first, second = check_dataset(yolo.read(tmp_path), workers=1).problems
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


def test_an_outline_without_end_is_refused_by_the_name_of_its_file(tmp_path: Path) -> None:
    zigzag = [(float(i % 20), 2000.0 * (i % 2)) for i in range(5000)]
    with pytest.raises(DataError, match=r"a\.txt: an outline that crosses 10,000,000 rows"):
        rasterise(tmp_path, zigzag, (2000, 20))


@pytest.mark.parametrize("name", ["val", "valid", "validation"])
def test_the_folder_of_the_validation_split_has_several_names(tmp_path: Path, name: str) -> None:
    put(tmp_path, "a", LEFT_HALF, f"images/{name}")
    declare(tmp_path)
    assert [sample.name for sample in yolo.read(tmp_path).split("val")] == ["a"]


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


def test_a_split_without_any_label_file_is_refused(tmp_path: Path) -> None:
    put(tmp_path, "a", LEFT_HALF)
    put(tmp_path, "b", None, "images/val")
    put(tmp_path, "c", None, "images/val")
    declare(tmp_path)
    with pytest.raises(DataError, match=r"labels/val: no \.txt for any of the 2 images of val"):
        yolo.read(tmp_path)


def test_labels_without_an_image_are_refused(tmp_path: Path) -> None:
    put(tmp_path, "a", LEFT_HALF)
    declare(tmp_path)
    (tmp_path / "images" / "train" / "a.jpg").rename(tmp_path / "images" / "train" / "b.jpg")
    with pytest.raises(DataError, match=r"a\.txt: no image for these labels"):
        yolo.read(tmp_path)


@pytest.mark.parametrize(
    "linked", ["images/train/a.jpg", "labels/train/a.txt", "images/train", "labels/train"]
)
def test_a_link_that_leaves_the_folder_is_refused(tmp_path: Path, linked: str) -> None:
    root = tmp_path / "set"
    put(root, "a", LEFT_HALF)
    put(root, "b", LEFT_HALF)
    declare(root)
    (root / linked).symlink_to((root / linked).rename(tmp_path / "outside"))
    with pytest.raises(DataError, match=f"{linked}: a link that leaves"):
        yolo.read(root)


def test_a_link_within_the_folder_is_followed(tmp_path: Path) -> None:
    put(tmp_path, "a", LEFT_HALF)
    declare(tmp_path)
    path = tmp_path / "labels" / "train" / "a.txt"
    path.symlink_to(path.rename(tmp_path / "kept.txt"))
    dataset = yolo.read(tmp_path)
    assert dataset.load(dataset.split("train")[0])[1].any()


def test_a_label_file_whose_ending_is_in_capitals_is_read(tmp_path: Path) -> None:
    put(tmp_path, "a", LEFT_HALF)
    put(tmp_path, "b", LEFT_HALF)
    declare(tmp_path)
    path = tmp_path / "labels" / "train" / "a.txt"
    path.rename(path.with_suffix(".TXT"))
    dataset = yolo.read(tmp_path)
    assert dataset.load(dataset.split("train")[0])[1].any()


def test_real_trash_bags_has_the_pixel_shares_of_its_readme(real_data: Path) -> None:
    dataset = yolo.read(real_data / "trash_bags")
    counts_C = np.zeros(3)
    for sample in dataset.split("val"):
        counts_C += np.bincount(dataset.rasterise(sample, (640, 640)).ravel(), minlength=3)
    # The readme's were drawn by a program that takes half a pixel more on each side.
    np.testing.assert_allclose(counts_C / counts_C.sum(), [0.718, 0.095, 0.187], atol=0.003)
