import base64
import io
import json
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from frugalseg.core.errors import DataError
from frugalseg.data.check.report import check_dataset
from frugalseg.data.layouts import labelme

SQUARE = [[2, 2], [6, 2], [6, 6], [2, 6]]


def shape(
    points: object, kind: object = "polygon", label: object = "bag", **more: object
) -> dict[str, Any]:
    return {"label": label, "points": points, "shape_type": kind, "group_id": None} | more


def put(root: Path, stem: str, shapes: object, **more: object) -> Path:
    """Write a picture of 12x10 px and its JSON file, as labelme 5 writes it."""
    root.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (12, 10)).save(root / f"{stem}.jpg")
    written = {
        "version": "5.5.0",
        "flags": {},
        "shapes": shapes,
        "imagePath": f"{stem}.jpg",
        "imageData": None,
        "imageHeight": 10,
        "imageWidth": 12,
    }
    path = root / f"{stem}.json"
    path.write_text(json.dumps(written | more), encoding="utf-8")
    return path


def drawn(root: Path, *shapes: dict[str, Any]) -> NDArray[np.uint8]:
    put(root, "a", list(shapes))
    dataset = labelme.read(root)
    return dataset.load(next(s for split in dataset.splits.values() for s in split))[1]


def problem(root: Path) -> str:
    try:
        return "\n".join(check_dataset(labelme.read(root), workers=1).problems)
    except DataError as wrong:
        return str(wrong)


def png(values_HW: NDArray[Any], mode: str | None = None) -> str:
    stream = io.BytesIO()
    Image.fromarray(values_HW, mode).save(stream, format="PNG")
    return base64.b64encode(stream.getvalue()).decode()


class TestPixels:
    def test_a_polygon_covers_the_pixels_whose_centre_is_inside(self, tmp_path: Path) -> None:
        labels_HW = drawn(tmp_path, shape(SQUARE))
        assert labels_HW.sum() == 16
        assert (labels_HW[2:6, 2:6] == 1).all()

    @pytest.mark.parametrize(
        ("points", "kind"),
        [
            ([[6, 6], [2, 2]], "rectangle"),
            ([[2, 6], [6, 2]], "rectangle"),
            (SQUARE, "rectangle"),
            (SQUARE, "oriented_rectangle"),
            (SQUARE, None),
        ],
    )
    def test_a_rectangle_is_the_polygon_of_its_corners(
        self, tmp_path: Path, points: object, kind: object
    ) -> None:
        labels_HW = drawn(tmp_path, shape(points, kind))
        assert labels_HW.sum() == 16
        assert (labels_HW[2:6, 2:6] == 1).all()

    def test_a_circle_is_what_lies_within_its_radius(self, tmp_path: Path) -> None:
        labels_HW = drawn(tmp_path, shape([[5, 4], [5, 7]], "circle"))
        y_HW, x_HW = np.mgrid[:10, :12] + 0.5
        np.testing.assert_array_equal(labels_HW, (x_HW - 5) ** 2 + (y_HW - 4) ** 2 <= 9)

    def test_a_circle_is_cut_off_by_the_border(self, tmp_path: Path) -> None:
        assert drawn(tmp_path, shape([[0, 0], [12, 10]], "circle")).sum() == 120

    @pytest.mark.parametrize("mode", ["L", "1"])
    def test_a_mask_fills_its_box_both_corners_included(self, tmp_path: Path, mode: str) -> None:
        mask_HW = np.array([[1, 0, 1], [0, 1, 1]], np.uint8)
        text = png(mask_HW.astype(np.bool_) if mode == "1" else mask_HW)
        labels_HW = drawn(tmp_path, shape([[4, 3], [6, 4]], "mask", mask=text))
        np.testing.assert_array_equal(labels_HW[3:5, 4:7], mask_HW)
        assert labels_HW.sum() == 4

    def test_a_thin_mask_is_no_mistake(self, tmp_path: Path) -> None:
        Image.new("RGB", (400, 4)).save(tmp_path / "a.png")
        text = png(np.ones((1, 390), np.uint8))
        shapes = [shape([[0, 0], [389, 0]], "mask", mask=text)]
        put(tmp_path, "a", shapes, imagePath="a.png", imageHeight=4, imageWidth=400)
        dataset = labelme.read(tmp_path)
        assert dataset.load(dataset.split("train")[0])[1].sum() == 390

    def test_later_shapes_lie_on_top(self, tmp_path: Path) -> None:
        labels_HW = drawn(tmp_path, shape(SQUARE, label="b"), shape(SQUARE, label="a"))
        assert labels_HW[3, 3] == 1
        labels_HW = drawn(tmp_path, shape(SQUARE, label="a"), shape(SQUARE, label="b"))
        assert labels_HW[3, 3] == 2

    def test_ignored_and_background_shapes(self, tmp_path: Path) -> None:
        hole = [[3, 3], [5, 3], [5, 5], [3, 5]]
        labels_HW = drawn(
            tmp_path,
            shape(SQUARE, label="__ignore__"),
            shape([[8, 2], [10, 2], [10, 4], [8, 4]]),
            shape(hole, label="_background_"),
        )
        assert (labels_HW == 255).sum() == 12
        assert (labels_HW[3:5, 3:5] == 0).all()
        assert labels_HW[2, 8] == 1


def test_labels_found_are_sorted_behind_the_background(tmp_path: Path) -> None:
    put(tmp_path, "a", [shape(SQUARE, label="zinc"), shape(SQUARE, label="Background")])
    put(tmp_path, "b", [shape(SQUARE, label="bag"), shape(SQUARE, label="__ignore__")])
    put(tmp_path, "c", [])
    assert labelme.read(tmp_path).labels.names == ("background", "bag", "zinc")


def test_labels_txt_gives_names_and_order(tmp_path: Path) -> None:
    text = "__ignore__\n_background_\nzinc\nbag\n\n"
    (tmp_path / "labels.txt").write_text(text, encoding="utf-8")
    put(tmp_path, "a", [shape(SQUARE)])
    assert labelme.read(tmp_path).labels.names == ("background", "zinc", "bag")
    put(tmp_path, "b", [shape(SQUARE, label="box")])
    assert "b.json: label 'box' is not in labels.txt" in problem(tmp_path)


def test_splits_are_folders_and_none_means_division(tmp_path: Path) -> None:
    for stem in "abc":
        put(tmp_path / "one", stem, [shape(SQUARE)])
    assert {n: len(s) for n, s in labelme.read(tmp_path / "one").splits.items() if s} == {
        "train": 2,
        "val": 1,
    }
    put(tmp_path / "two" / "train", "a", [shape(SQUARE)])
    put(tmp_path / "two" / "valid", "b", [shape(SQUARE)])
    assert [s.name for s in labelme.read(tmp_path / "two").split("val")] == ["b"]
    put(tmp_path / "two", "c", [shape(SQUARE)])
    assert "1 pictures lie beside the split folders" in problem(tmp_path / "two")
    put(tmp_path / "two" / "val", "d", [])
    assert "a second folder for 'val'" in problem(tmp_path / "two")


@pytest.mark.parametrize("name", ["../pictures/a.jpg", "..\\pictures\\a.jpg"])
def test_the_picture_may_lie_in_another_folder_of_the_data_set(tmp_path: Path, name: str) -> None:
    root = tmp_path / "set"
    put(root / "train", "a", [shape(SQUARE)], imagePath=name)
    put(root / "train", "b", [shape(SQUARE)])
    (root / "pictures").mkdir()
    (root / "train" / "a.jpg").rename(root / "pictures" / "a.jpg")
    assert problem(root) == ""
    assert labelme.read(root).split("train")[0].image.name == "a.jpg"


@pytest.mark.parametrize(
    "name",
    [
        "../../a.jpg",
        "/etc/hostname",
        "C:\\Users\\me\\a.jpg",
        "b.jpg",
        "",
        ".",
        "a.jpg\x00",
        "x" * 999,
    ],
)
def test_a_picture_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    Image.new("RGB", (12, 10)).save(tmp_path / "a.jpg")
    put(tmp_path / "set" / "train", "a", [shape(SQUARE)], imagePath=name)
    assert "is no file in the folder of the data set" in problem(tmp_path / "set")


def test_two_files_for_one_picture_are_refused(tmp_path: Path) -> None:
    put(tmp_path, "a", [shape(SQUARE)])
    put(tmp_path, "b", [shape(SQUARE)], imagePath="a.jpg")
    assert "b.json: a.jpg has labels in a.json too" in problem(tmp_path)


def test_a_picture_without_a_file_is_passed_over_and_told(tmp_path: Path) -> None:
    put(tmp_path, "a", [shape(SQUARE)])
    put(tmp_path, "b", [shape(SQUARE)])
    (tmp_path / "b.json").unlink()
    report = check_dataset(labelme.read(tmp_path), workers=1)
    assert any("passed over" in warning and "b.jpg" in warning for warning in report.warnings)


def test_a_file_that_is_a_link_to_elsewhere_is_refused(tmp_path: Path) -> None:
    path = put(tmp_path / "set", "a", [shape(SQUARE)])
    path.rename(tmp_path / "a.json")
    path.symlink_to(tmp_path / "a.json")
    assert "a.json: a link that leaves the folder" in problem(tmp_path / "set")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (shape([[0, 0], [1, 1]]), "polygon of 2 points"),
        (shape([]), "polygon of 0 points"),
        (shape([[0, 0], [1, 1], [2]]), "points are a list of [x, y]"),
        (shape([[0, 0], [1, 1], [2, "3"]]), "points are a list of [x, y]"),
        (shape([[0, 0], [1, 1], [2, True]]), "points are a list of [x, y]"),
        (shape([[0, 0], [1, 1], [2, 1e300]]), "points are a list of [x, y]"),
        (shape([[0, 0], [1, 1], [2, 10**400]]), "points are a list of [x, y]"),
        (shape("SQUARE"), "points are a list of [x, y]"),
        (shape(None), "points are a list of [x, y]"),
        (shape([[0, 0], [9, 0], [9, 11]]), "point 9, 11 is outside the picture of 12 x 10 px"),
        (shape([[-1, 0], [9, 0], [9, 9]]), "point -1, 0 is outside"),
        (shape([[0, 0], [9, 9]], "line"), "'line', which has no area"),
        (shape([[0, 0], [9, 9]], "linestrip"), "'linestrip', which has no area"),
        (shape([[0, 0]], "point"), "'point', which has no area"),
        (shape(SQUARE, ["polygon"]), "['polygon'], which has no area"),
        (shape([[0, 0]], "circle"), "circle of 1 points"),
        (shape([[4, 4], [4, 12]], "circle"), "point 4, 12 is outside the picture"),
        (shape([[4, 4], [14, 4]], "rectangle"), "point 14, 4 is outside the picture"),
        (shape([*SQUARE[:3]], "rectangle"), "rectangle of 3 points"),
        (shape(SQUARE, label=""), "a label is one line of text, got ''"),
        (shape(SQUARE, label=7), "a label is one line of text, got 7"),
        (shape(SQUARE, label="a\nb"), "a label is one line of text"),
        (shape(SQUARE, label="\ud800"), "a label is one line of text"),
        ({"points": SQUARE}, "expected label, points and shape_type"),
        ("bag", "expected label, points and shape_type"),
        (shape([[4, 3], [6, 4]], "mask"), "a mask without a PNG"),
        (shape([[4, 3], [6, 4]], "mask", mask="%%%"), "not base64"),
        (shape([[4, 3], [6, 4]], "mask", mask="é"), "not base64"),
        (shape([[4, 3], [6, 4]], "mask", mask="AAAA"), "not a PNG"),
        (shape([[4, 3], [12, 4]], "mask", mask="AAAA"), "is not within 12 x 10 px"),
        (shape([[6, 4], [4, 3]], "mask", mask="AAAA"), "is not within 12 x 10 px"),
    ],
)
def test_bad_shapes_are_named_by_file_and_number(
    tmp_path: Path, wrong: object, message: str
) -> None:
    put(tmp_path, "a", [shape(SQUARE), wrong, wrong])
    assert f"{tmp_path / 'a.json'} shape 2: " in problem(tmp_path)
    assert f"{tmp_path / 'a.json'} shape 3: " in problem(tmp_path)
    assert message in problem(tmp_path)


def test_points_a_little_outside_are_cut_off(tmp_path: Path) -> None:
    around = [[-0.1, -0.1], [12.1, -0.1], [12.1, 10.1], [-0.1, 10.1]]
    assert drawn(tmp_path, shape(around)).sum() == 120


@pytest.mark.parametrize(
    ("values_HW", "message"),
    [
        (np.ones((3, 3), np.uint8), "the mask has 3 x 3 px (L); its box has 3 x 2"),
        (np.ones((2, 3), np.uint16), "it must be grey, of 8 bits or fewer"),
        (np.ones((2, 3, 4), np.uint8), "(RGBA)"),
        (np.ones((2, 3, 2), np.uint8), "(LA)"),
    ],
)
def test_masks_of_another_kind_are_refused(
    tmp_path: Path, values_HW: NDArray[Any], message: str
) -> None:
    put(tmp_path, "a", [shape([[4, 3], [6, 4]], "mask", mask=png(values_HW))])
    assert message in problem(tmp_path)


def test_a_mask_that_says_to_be_huge_is_not_decoded(tmp_path: Path) -> None:
    def chunk(kind: bytes, content: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + check

    head = struct.pack(">II5B", 2**31 - 1, 2**31 - 1, 8, 0, 0, 0, 0)
    content = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", b"")
    text = base64.b64encode(content).decode()
    put(tmp_path, "a", [shape([[4, 3], [6, 4]], "mask", mask=text)])
    assert "the mask has 2147483647 x 2147483647 px" in problem(tmp_path)


def test_a_truncated_mask_is_damaged(tmp_path: Path) -> None:
    noise_HW = np.random.default_rng(0).integers(0, 2, (10, 12)).astype(np.uint8) * 255
    text = png(noise_HW)[:80]
    put(tmp_path, "a", [shape([[0, 0], [11, 9]], "mask", mask=text)])
    assert "the mask is damaged" in problem(tmp_path)


def test_another_size_than_the_picture_is_refused(tmp_path: Path) -> None:
    put(tmp_path, "a", [shape(SQUARE)], imageHeight=12, imageWidth=10)
    assert "a.json: mask is 10 px wide and 12 high, a.jpg is 12 wide and 10 high" in problem(
        tmp_path
    )


@pytest.mark.parametrize(
    ("height", "width"), [(10, None), (None, 12), ([10], [12]), (10.0, 12.0), (0, 12), (-1, -1)]
)
def test_a_size_is_two_numbers(tmp_path: Path, height: object, width: object) -> None:
    put(tmp_path, "a", [shape(SQUARE)], imageHeight=height, imageWidth=width)
    assert "imageHeight and imageWidth: a size is two numbers of pixels" in problem(tmp_path)


@pytest.mark.parametrize(("height", "width"), [(10**9, 10**9), (1, 16_385), (16_000, 16_000)])
def test_a_size_beyond_all_pictures_is_refused(tmp_path: Path, height: int, width: int) -> None:
    put(tmp_path, "a", [shape(SQUARE)], imageHeight=height, imageWidth=width)
    assert "is larger than any picture that is read" in problem(tmp_path)


def test_a_file_without_a_size_takes_the_picture_s(tmp_path: Path) -> None:
    put(tmp_path, "a", [shape(SQUARE)], imageHeight=None, imageWidth=None)
    assert problem(tmp_path) == ""


def test_an_outline_without_end_is_refused_before_it_is_filled(tmp_path: Path) -> None:
    Image.new("RGB", (20, 2000)).save(tmp_path / "a.png")
    zigzag = [[i % 20, 2000 * (i % 2)] for i in range(5000)]
    put(tmp_path, "a", [shape(zigzag)], imagePath="a.png", imageHeight=2000, imageWidth=20)
    assert "an outline that crosses 10,000,000 rows" in problem(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not readable as JSON"),
        ("", "not readable as JSON"),
        ('{"shapes": [NaN]}', "NaN is not a number"),
        ('{"shapes": [], "shapes": []}', "the key 'shapes' is there twice"),
        ("[" * 100_000, "not readable as JSON"),
        ('{"shapes": {}}', "no list of 'shapes'"),
        ("[]", "no list of 'shapes'"),
        ('{"shapes": []}', "imagePath must name the picture, got None"),
        ('{"shapes": [], "imagePath": 3}', "imagePath must name the picture, got 3"),
        ('{"a": ' + "9" * 5000 + "}", "not readable as JSON"),
    ],
)
def test_broken_files_are_all_named(tmp_path: Path, text: str, message: str) -> None:
    put(tmp_path, "ok", [shape(SQUARE)])
    for stem in "ab":
        put(tmp_path, stem, []).write_text(text, encoding="utf-8")
    told = problem(tmp_path)
    assert "2 problems in this data set" in told
    assert f"{tmp_path / 'a.json'}: " in told
    assert f"{tmp_path / 'b.json'}: " in told
    assert message in told


def test_json_in_another_encoding_is_refused(tmp_path: Path) -> None:
    put(tmp_path, "a", []).write_bytes('{"shapes": ["é"]}'.encode("latin-1"))
    assert "a.json: not readable as JSON" in problem(tmp_path)


def test_json_of_other_tools_beside_a_picture_is_not_this_layout(tmp_path: Path) -> None:
    path = put(tmp_path, "a", [])
    path.write_text('{"exif": {}}', encoding="utf-8")
    assert not labelme.detect(tmp_path)


def test_more_classes_than_a_byte_holds_are_refused(tmp_path: Path) -> None:
    put(tmp_path, "a", [shape(SQUARE, label=f"class {i}") for i in range(255)])
    assert "1 to 255 classes, got 256" in problem(tmp_path)
