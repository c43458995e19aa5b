import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from frugalseg.core.errors import DataError
from frugalseg.data.catalog import FORMATS
from frugalseg.data.check.report import check_dataset
from frugalseg.data.layouts import label_studio
from frugalseg.data.shapes.brush import decode_brush

WIDTHS = (3, 4, 8, 16)  # bits for the length of a block, as Label Studio chooses them
CONVERTER = "00000018391bfc6011ffdb008ffc"
TRIANGLE = [[0, 0], [100, 0], [0, 100]]


def packed(values: list[int], *, bits: int = 8, literal: int = 0) -> list[int]:
    """Pack values as Label Studio does: a block of equal ones, or `literal` ones as they are."""
    text = f"{len(values):032b}{bits - 1:05b}" + "".join(f"{width - 1:04b}" for width in WIDTHS)
    at = 0
    while at < len(values):
        count = 1
        while at + count < len(values) and values[at + count] == values[at] and count < 65536:
            count += 1
        repeated = literal == 0 or count > literal
        count = count if repeated else min(literal, len(values) - at)
        width = next(i for i, width in enumerate(WIDTHS) if count <= 1 << width)
        text += f"{repeated:01b}{width:02b}{count - 1:0{WIDTHS[width]}b}"
        text += "".join(f"{v:08b}" for v in values[at : at + (1 if repeated else count)])
        at += count
    return [int(text[i : i + 8].ljust(8, "0"), 2) for i in range(0, len(text), 8)]


def rle_of(mask_HW: NDArray[Any], **how: int) -> list[int]:
    return packed(np.repeat(mask_HW.ravel().astype(int), 4).tolist(), **how)


LEFT_HW = np.zeros((10, 12), np.uint8)
LEFT_HW[:, :6] = 255


def region(kind: str, value: object, label: object = "bag", **more: object) -> dict[str, Any]:
    named = {kind: [label]} | value if isinstance(value, dict) else value
    size = {"original_width": 12, "original_height": 10, "image_rotation": 0}
    return {"id": "r", "from_name": "tag", "type": kind, "value": named} | size | more


def brush(label: object = "bag", mask_HW: NDArray[Any] = LEFT_HW, **more: object) -> dict[str, Any]:
    return region("brushlabels", {"format": "rle", "rle": rle_of(mask_HW)}, label, **more)


def polygon(points: object, label: object = "bag", **more: object) -> dict[str, Any]:
    return region("polygonlabels", {"points": points, "closed": True}, label, **more)


def annotation(*results: object, number: object = 1, **more: object) -> dict[str, Any]:
    done = {"was_cancelled": False, "created_at": "2024-03-09T22:16:08.728353Z"}
    return {"id": number, "completed_by": 1, "result": list(results)} | done | more


def task(number: int, image: object, *annotations: object) -> dict[str, Any]:
    data = {"image": image, "group": "one"}
    return {"id": number, "annotations": list(annotations), "data": data, "predictions": []}


def export(root: Path, tasks: object, *names: str, name: str = "export.json") -> None:
    for picture in names or ("a.jpg",):
        path = root / "images" / picture
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (12, 10)).save(path)
    (root / name).write_text(json.dumps(tasks), encoding="utf-8")


def drawn(root: Path, *results: object) -> NDArray[np.uint8]:
    export(root, [task(1, "a.jpg", annotation(*results))])
    return loaded(root)["a"]


def loaded(root: Path) -> dict[str, NDArray[np.uint8]]:
    dataset = label_studio.read(root)
    samples = [sample for split in dataset.splits.values() for sample in split]
    return {sample.name: dataset.load(sample)[1] for sample in samples}


def problem(root: Path) -> str:
    try:
        return "\n".join(check_dataset(label_studio.read(root), workers=1).problems)
    except DataError as wrong:
        return str(wrong)


class TestBrush:
    @pytest.mark.parametrize("literal", [0, 1, 3, 40])
    @pytest.mark.parametrize("seed", range(4))
    def test_pixels_whose_alpha_is_not_0_are_covered(self, literal: int, seed: int) -> None:
        rng = np.random.default_rng(seed)
        values_HWC = rng.integers(0, 3, (7, 9, 4)) * 100
        rle = packed(values_HWC.ravel().tolist(), literal=literal)
        np.testing.assert_array_equal(decode_brush(bytes(rle), (7, 9)), values_HWC[..., 3] > 0)

    def test_runs_longer_than_a_block_go_on_in_the_next(self) -> None:
        mask_HW = np.zeros((200, 300), np.uint8)
        mask_HW[50:] = 1
        np.testing.assert_array_equal(decode_brush(bytes(rle_of(mask_HW)), (200, 300)), mask_HW)

    def test_the_packing_of_label_studio_converter_is_read(self) -> None:
        """What its encode_rle gave for a picture of 3 x 2 px of which two are covered."""
        rle = bytes.fromhex(CONVERTER)
        assert decode_brush(rle, (2, 3)).tolist() == [[False, True, False], [False, False, True]]

    @pytest.mark.parametrize(
        ("rle", "message"),
        [
            (b"", "it ends early"),
            (bytes(rle_of(LEFT_HW))[:-4], "it ends early"),
            (bytes(rle_of(LEFT_HW[:, 1:])), "expected 12 x 10 x 4 of 8 bits"),
            (bytes(packed([1] * 480, bits=16)), "480 values of 16 bits"),
            (b"\xff" * 40, "4,294,967,295 values of 32 bits"),
        ],
    )
    def test_damaged_ones_are_refused(self, rle: bytes, message: str) -> None:
        with pytest.raises(ValueError, match=message):
            decode_brush(rle, (10, 12))

    def test_a_block_past_the_last_pixel_is_refused(self) -> None:
        text = f"{480:032b}{7:05b}" + "1111" * 4 + "100" + "1" * 16 + "1" * 8
        rle = bytes(int(text[i : i + 8].ljust(8, "0"), 2) for i in range(0, len(text), 8))
        with pytest.raises(ValueError, match="past its last pixel"):
            decode_brush(rle, (10, 12))

    def test_spoilt_ones_raise_nothing_else(self) -> None:
        rng = random.Random(0)
        sound = bytes(rle_of(LEFT_HW, literal=2))
        refused = 0
        for _ in range(300):
            rle = bytearray(sound)
            for _ in range(rng.randint(1, 5)):
                rle[rng.randrange(len(rle))] = rng.randrange(256)
            try:
                decode_brush(bytes(rle[: rng.randint(1, len(rle))]), (10, 12))
            except ValueError:
                refused += 1
        assert refused > 100


class TestPixels:
    def test_brush_and_polygon_in_one_export(self, tmp_path: Path) -> None:
        labels_HW = drawn(tmp_path, brush("b"), polygon(TRIANGLE, "a"))
        assert labels_HW[0, 0] == 1
        assert labels_HW[9, 5] == 2
        assert labels_HW[9, 11] == 0

    def test_points_are_percent_of_width_and_of_height(self, tmp_path: Path) -> None:
        labels_HW = drawn(tmp_path, polygon([[50, 0], [100, 0], [100, 50], [50, 50]]))
        assert (labels_HW[:5, 6:] == 1).all()
        assert labels_HW.sum() == 30

    def test_later_regions_lie_on_top(self, tmp_path: Path) -> None:
        labels_HW = drawn(tmp_path, polygon(TRIANGLE, "a"), brush("b"))
        assert labels_HW[0, 0] == 2

    def test_what_is_about_no_pixels_is_passed_over(self, tmp_path: Path) -> None:
        choice = {"type": "choices", "value": {"choices": ["dirty"]}}
        relation = {"type": "relation", "from_id": "a", "to_id": "b"}
        labels_HW = drawn(tmp_path, choice, brush(), relation)
        assert (labels_HW == (LEFT_HW > 0)).all()

    def test_background_is_drawn_as_class_0(self, tmp_path: Path) -> None:
        labels_HW = drawn(tmp_path, brush(), polygon(TRIANGLE, "Background"))
        assert labels_HW[0, 0] == 0
        assert labels_HW[9, 5] == 1


class TestAnnotations:
    def test_the_newest_that_was_not_cancelled_counts(self, tmp_path: Path) -> None:
        old = annotation(polygon(TRIANGLE), updated_at="2024-01-02T00:00:00.5Z", number=9)
        new = annotation(brush(), updated_at="2024-01-03T00:00:00.1Z", number=8)
        dropped = annotation(updated_at="2025-01-01T00:00:00Z", was_cancelled=True)
        export(tmp_path, [task(1, "a.jpg", new, old, dropped)])
        assert (loaded(tmp_path)["a"] == (LEFT_HW > 0)).all()

    def test_without_times_the_highest_number_is_the_newest(self, tmp_path: Path) -> None:
        first = annotation(polygon(TRIANGLE), number=9, created_at=None)
        export(tmp_path, [task(1, "a.jpg", annotation(brush(), number=10, created_at=None), first)])
        assert (loaded(tmp_path)["a"] == (LEFT_HW > 0)).all()

    def test_tasks_without_one_are_passed_over_and_empty_ones_are_background(
        self, tmp_path: Path
    ) -> None:
        tasks = [
            task(1, "a.jpg", annotation(brush())),
            task(2, "b.jpg"),
            task(3, "c.jpg", annotation(brush(), was_cancelled=True)),
            task(4, "d.jpg", annotation()),
        ]
        export(tmp_path, tasks, "a.jpg", "d.jpg")
        assert sorted(loaded(tmp_path)) == ["a", "d"]
        assert not loaded(tmp_path)["d"].any()

    def test_an_export_of_nothing_is_refused(self, tmp_path: Path) -> None:
        export(tmp_path, [task(1, "a.jpg", annotation(was_cancelled=True))])
        assert "no task with an annotation" in problem(tmp_path)


class TestPictures:
    @pytest.mark.parametrize(
        "address",
        [
            "a b.jpg",
            "/data/upload/1/a b.jpg",
            "/data/upload/1/0a1b2c3d-a b.jpg",
            "/data/local-files/?d=folder/a%20b.jpg",
            "/data/local-files/?d=folder\\a b.jpg",
            "https://somewhere.org/x/a%20b.jpg?token=1#2",
            "s3://bucket/folder/a b.jpg",
        ],
    )
    def test_a_name_is_found_in_any_address(self, tmp_path: Path, address: str) -> None:
        export(tmp_path, [task(1, address, annotation(brush()))], "a b.jpg")
        assert list(loaded(tmp_path)) == ["a b"]

    def test_the_name_as_it_is_comes_first(self, tmp_path: Path) -> None:
        address = "/data/upload/1/0a1b2c3d-a.jpg"
        export(tmp_path, [task(1, address, annotation(brush()))], "a.jpg", "0a1b2c3d-a.jpg")
        assert list(loaded(tmp_path)) == ["0a1b2c3d-a"]

    def test_digits_within_a_name_belong_to_it(self, tmp_path: Path) -> None:
        export(tmp_path, [task(1, "img-0a1b2c3d-a.jpg", annotation(brush()))], "img-a.jpg")
        assert "no picture of the name" in problem(tmp_path)

    def test_folders_tell_pictures_of_one_name_apart(self, tmp_path: Path) -> None:
        address = "/data/local-files/?d=all/north/a.jpg"
        export(tmp_path, [task(1, address, annotation())], "north/a.jpg", "south/a.jpg")
        dataset = label_studio.read(tmp_path)
        assert [s.image.parent.name for s in dataset.split("train")] == ["north"]

    @pytest.mark.parametrize("address", ["a.jpg", "/data/upload/1/0a1b2c3d-a.jpg"])
    def test_an_ambiguous_name_is_refused(self, tmp_path: Path, address: str) -> None:
        export(tmp_path, [task(7, address, annotation())], "north/a.jpg", "south/a.jpg")
        assert "export.json task 7: 2 pictures are called 'a.jpg'" in problem(tmp_path)

    def test_two_tasks_of_one_picture_are_refused(self, tmp_path: Path) -> None:
        names = ["/data/upload/1/0a1b2c3d-a.jpg", "/data/upload/1/11112222-a.jpg"]
        export(tmp_path, [task(i, name, annotation()) for i, name in enumerate(names, 1)])
        assert "task 2: a.jpg has the name of another task's picture" in problem(tmp_path)

    @pytest.mark.parametrize(
        "address",
        [
            "b.jpg",
            "",
            "../../outside.jpg",
            "/etc/hostname",
            "http://[::1/a.jpg",
            "x" * 9999,
            "\x00",
        ],
    )
    def test_an_absent_picture_is_named_by_task(self, tmp_path: Path, address: str) -> None:
        Image.new("RGB", (12, 10)).save(tmp_path / "outside.jpg")
        export(tmp_path / "set", [task(7, address, annotation(brush()))])
        assert "export.json task 7: " in problem(tmp_path / "set")

    def test_data_may_call_its_picture_otherwise(self, tmp_path: Path) -> None:
        one = task(1, None, annotation(brush()))
        export(tmp_path, [one | {"data": {"photo": "x/a.jpg", "site": "north"}}])
        assert list(loaded(tmp_path)) == ["a"]
        export(tmp_path, [one | {"data": {"photo": "x/a.jpg", "mirror": "y/b.jpg"}}])
        assert "2 of its texts name a picture" in problem(tmp_path)
        export(tmp_path, [one | {"data": ["a.jpg"]}])
        assert "0 of its texts name a picture" in problem(tmp_path)

    def test_pictures_may_lie_beside_the_export(self, tmp_path: Path) -> None:
        export(tmp_path, [task(1, "a.jpg", annotation(brush()))])
        (tmp_path / "images" / "a.jpg").rename(tmp_path / "a.jpg")
        (tmp_path / "images").rmdir()
        assert list(loaded(tmp_path)) == ["a"]


BRUSH = {"format": "rle", "rle": rle_of(LEFT_HW)}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (region("rectanglelabels", {"x": 1}), "only brush labels and polygon labels"),
        (region("ellipselabels", {"x": 1}), "only brush labels and polygon labels"),
        (region("brushlabels", None), "only brush labels and polygon labels"),
        ({"type": ["brushlabels"]}, "only brush labels and polygon labels"),
        ("bag", "expected an object with a type"),
        (None, "expected an object with a type"),
        (region("brushlabels", BRUSH | {"brushlabels": ["a", "b"]}), "must name one label"),
        (region("brushlabels", BRUSH | {"brushlabels": []}), "must name one label"),
        (region("brushlabels", BRUSH | {"brushlabels": "bag"}), "must name one label"),
        (brush(label=3), "a label is one line of text, got 3"),
        (brush(image_rotation=90), "drawn on a turned picture"),
        (brush(original_width=10**12, original_height=10**12), "is larger than any picture"),
        (brush(original_height=None), "a size is two numbers of pixels, got (None, 12)"),
        (brush(original_height=[10]), "a size is two numbers of pixels"),
        (region("brushlabels", {"format": "png", "rle": [1]}), "has the format 'rle'"),
        (region("brushlabels", {"format": "rle", "rle": []}), "has the format 'rle'"),
        (region("brushlabels", {"format": "rle", "rle": 10**9}), "has the format 'rle'"),
        (region("brushlabels", {"format": "rle", "rle": [256]}), "the numbers 0 to 255"),
        (region("brushlabels", {"format": "rle", "rle": [0.5]}), "the numbers 0 to 255"),
        (region("brushlabels", {"format": "rle", "rle": ["a"]}), "the numbers 0 to 255"),
        (polygon([[0, 0], [1, 1]]), "2 points; a polygon has at least three"),
        (polygon([]), "0 points; a polygon has at least three"),
        (polygon([[0, 0], [1, 1], [2]]), "points are a list of [x, y]"),
        (polygon(None), "points are a list of [x, y]"),
    ],
)
def test_bad_regions_are_named_by_task_and_number(
    tmp_path: Path, wrong: object, message: str
) -> None:
    export(tmp_path, [task(7, "a.jpg", annotation(brush(), wrong, wrong))])
    told = problem(tmp_path)
    assert "export.json task 7 region 2: " in told
    assert "export.json task 7 region 3: " in told
    assert message in told


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (polygon([[0, 0], [100, 0], [100, 102]]), "is outside the picture of 12 x 10 px"),
        (brush(original_width=13), "drawn on a picture of (height, width) (10, 13)"),
        (region("brushlabels", {"format": "rle", "rle": [1, 2]}), "it ends early"),
        (brush(mask_HW=LEFT_HW[:, :-1]), "expected 12 x 10 x 4 of 8 bits"),
    ],
)
def test_what_does_not_fit_the_picture_is_named_when_it_is_drawn(
    tmp_path: Path, wrong: object, message: str
) -> None:
    export(tmp_path, [task(7, "a.jpg", annotation(brush(), wrong))])
    assert "export.json: a.jpg region 2 (bag): " in problem(tmp_path)
    assert message in problem(tmp_path)


@pytest.mark.parametrize(
    ("tasks", "message"),
    [
        (
            [{"file_upload": "a", "annotations": None, "data": {"image": "a.jpg"}}],
            "annotations are a list",
        ),
        (
            [{"file_upload": "a", "annotations": [3], "data": {"image": "a.jpg"}}],
            "annotations are a list",
        ),
        ([task(1, "a.jpg", annotation(result=None))], "result is a list of regions, got None"),
        ([task(1, "a.jpg", annotation(result={"a": 1}))], "result is a list of regions"),
        ([task(1, "a.jpg", annotation()), 3], "expected a list of tasks"),
    ],
)
def test_bad_tasks_are_refused(tmp_path: Path, tasks: object, message: str) -> None:
    export(tmp_path, tasks)
    assert message in problem(tmp_path)


def test_another_size_than_the_picture_is_refused(tmp_path: Path) -> None:
    mask_HW = np.ones((10, 13), np.uint8)
    wrong = brush(mask_HW=mask_HW, original_width=13)
    export(tmp_path, [task(7, "a.jpg", annotation(wrong))])
    assert "mask is 13 px wide and 10 high, a.jpg is 12 wide and 10 high" in problem(tmp_path)


def test_classes_txt_gives_names_and_order(tmp_path: Path) -> None:
    (tmp_path / "classes.txt").write_text("zinc\nbag\n", encoding="utf-8")
    export(tmp_path, [task(1, "a.jpg", annotation(brush()))])
    assert label_studio.read(tmp_path).labels.names == ("background", "zinc", "bag")
    export(tmp_path, [task(1, "a.jpg", annotation(brush("box")))])
    assert "labels ['box'] are not in it" in problem(tmp_path)


def test_two_exports_are_refused(tmp_path: Path) -> None:
    tasks = [task(1, "a.jpg", annotation(brush()))]
    export(tmp_path, tasks)
    export(tmp_path, tasks, name="later.json")
    assert "several exports, export.json, later.json; keep one" in problem(tmp_path)


def test_a_list_of_something_else_is_not_this_layout(tmp_path: Path) -> None:
    export(tmp_path, [{"id": 1, "annotations": [], "file": "a.jpg"}])
    assert not label_studio.detect(tmp_path)
    export(tmp_path, {"annotations": [{"result": 1}]})
    assert not label_studio.detect(tmp_path)


def test_broken_json_is_named(tmp_path: Path) -> None:
    export(tmp_path, [task(1, "a.jpg", annotation(brush()))])
    path = tmp_path / "export.json"
    path.write_text(path.read_text(encoding="utf-8")[:-2], encoding="utf-8")
    assert "export.json: not readable as JSON" in problem(tmp_path)


def tag(root: Path, name: str, mask_HW: NDArray[np.uint8] = LEFT_HW) -> None:
    (root / "tags").mkdir(parents=True, exist_ok=True)
    Image.fromarray(mask_HW).save(root / "tags" / f"{name}.png")


class TestMasks:
    """The export "Brush labels to PNG", with a mapping from tasks to pictures."""

    def put(self, root: Path, *names: str, rows: str = "1,a.jpg") -> None:
        export(root, [])
        (root / "export.json").unlink()
        (root / "tasks.csv").write_text(f"id,image\n{rows}\n", encoding="utf-8")
        for name in names:
            tag(root, name)

    def test_pixels_of_two_classes_do_not_count(self, tmp_path: Path) -> None:
        self.put(tmp_path, "task-1-annotation-2-by-3-tag-bag-0")
        top_HW = np.zeros((10, 12), np.uint8)
        top_HW[:5] = 255
        tag(tmp_path, "task-1-annotation-2-by-3-tag-box-0", top_HW)
        tag(tmp_path, "task-1-annotation-2-by-3-tag-box-1", top_HW)
        labels_HW = loaded(tmp_path)["a"]
        assert (labels_HW[:5, :6] == 255).all()
        assert (labels_HW[5:, :6] == 1).all()
        assert (labels_HW[:5, 6:] == 2).all()
        assert (labels_HW[5:, 6:] == 0).all()

    def test_the_highest_annotation_counts(self, tmp_path: Path) -> None:
        names = ("task-1-annotation-2-by-3-tag-bag-0", "task-1-annotation-10-by-3-tag-box-0")
        self.put(tmp_path, *names)
        assert label_studio.read(tmp_path).labels.names == ("background", "box")

    def test_an_export_as_json_min_knows_the_pictures(self, tmp_path: Path) -> None:
        self.put(tmp_path, "task-5-annotation-2-by-me@x.org-tag-bag-0")
        (tmp_path / "tasks.csv").unlink()
        layers = [{"format": "rle", "rle": rle_of(LEFT_HW), "brushlabels": ["bag"]}]
        export(tmp_path, [{"image": "/data/upload/1/a.jpg", "id": 5, "tag": layers}])
        assert [n for n, layout in FORMATS.items() if layout.detect(tmp_path)] == ["label_studio"]
        assert (loaded(tmp_path)["a"] == (LEFT_HW > 0)).all()
        (tmp_path / "tags" / "task-5-annotation-2-by-me@x.org-tag-bag-0.png").unlink()
        assert "no task with an annotation or a mask; export as JSON" in problem(tmp_path)

    def test_beside_annotations_they_are_passed_over(self, tmp_path: Path) -> None:
        tag(tmp_path, "task-1-annotation-2-by-3-tag-box-0")
        export(tmp_path, [task(1, "a.jpg", annotation(brush()))])
        assert label_studio.read(tmp_path).labels.names == ("background", "bag")

    @pytest.mark.parametrize(
        ("names", "declared", "labels"),
        [
            (["tag-red-bag"], "", ["red-bag"]),
            (["tag-red-bag", "my-tag-bag"], "red-bag\nbag", ["red-bag", "bag"]),
            (["my-tag-bag"], "bag\nbox", ["bag", "box"]),
        ],
    )
    def test_labels_are_told_from_names(
        self, tmp_path: Path, names: list[str], declared: str, labels: list[str]
    ) -> None:
        self.put(tmp_path, *(f"task-1-annotation-2-by-3-{name}-0" for name in names))
        if declared:
            (tmp_path / "classes.txt").write_text(declared, encoding="utf-8")
        assert label_studio.read(tmp_path).labels.names == ("background", *labels)

    @pytest.mark.parametrize(
        ("names", "declared"),
        [
            (["tag-bag", "tag2-bag"], ""),
            (["tag-bag"], "box"),
            (["tag-bag-box"], "bag\nbox"),
            (["my-tag-red-bag"], "red-bag\nbag"),
        ],
    )
    def test_uncertain_labels_are_refused(
        self, tmp_path: Path, names: list[str], declared: str
    ) -> None:
        self.put(tmp_path, *(f"task-1-annotation-2-by-3-{name}-0" for name in names))
        if declared:
            (tmp_path / "classes.txt").write_text(declared, encoding="utf-8")
        assert "is not certain; write the labels into classes.txt" in problem(tmp_path)

    def test_masks_of_unknown_tasks_are_named(self, tmp_path: Path) -> None:
        names = ("task-1-annotation-2-by-3-tag-bag-0", "task-8-annotation-2-by-3-tag-bag-0")
        self.put(tmp_path, *names)
        assert "tasks.csv: no task 8, which masks belong to" in problem(tmp_path)

    def test_a_mask_that_is_a_link_to_elsewhere_is_refused(self, tmp_path: Path) -> None:
        name = "task-1-annotation-2-by-3-tag-bag-0"
        self.put(tmp_path / "set", name)
        path = tmp_path / "set" / "tags" / f"{name}.png"
        path.rename(tmp_path / "mask.png")
        path.symlink_to(tmp_path / "mask.png")
        assert f"{name}.png: a link that leaves the folder" in problem(tmp_path / "set")

    def test_a_broken_mapping_is_refused(self, tmp_path: Path) -> None:
        self.put(tmp_path, "task-1-annotation-2-by-3-tag-bag-0", rows="1," + "a" * 200_000)
        assert "tasks.csv: not readable as CSV" in problem(tmp_path)
