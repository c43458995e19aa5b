"""Each finding, in a data set in which it must appear and in one in which it must not."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from frugalseg.core.labels import LabelSpace
from frugalseg.data.catalog import open_dataset
from frugalseg.data.check.findings import Finding
from frugalseg.data.check.report import DataReport, check_dataset
from frugalseg.data.dataset import Dataset

COUNT = 12


@pytest.fixture
def noisy(tmp_path: Path) -> Path:
    """A sound data set of twelve pictures that do not look alike, in which nothing is found."""
    root = tmp_path / "noisy"
    for number in range(COUNT):
        split = "train" if number < 8 else "val"
        for kind in ("images", "masks"):
            (root / kind / split).mkdir(parents=True, exist_ok=True)
        cells = np.random.default_rng(number).integers(0, 256, (16, 24, 3), np.uint8)
        picture = Image.fromarray(cells).resize((96, 64), Image.Resampling.BICUBIC)
        picture.save(root / "images" / split / f"{number}.png")
        labels_HW = np.zeros((64, 96), np.uint8)
        labels_HW[8:40, 6:40] = 1
        labels_HW[50:62, 60:90] = 2
        labels_HW[:2] = 255
        Image.fromarray(labels_HW).save(root / "masks" / split / f"{number}.png")
    text = "names: [ground, box, disc]\nbackground: 0\n"
    (root / "labels.yaml").write_text(text, encoding="utf-8")
    return root


def report_of(root: Path, size: tuple[int, int] | None = None) -> DataReport:
    return check_dataset(open_dataset(root), input=size, workers=2)


def found(root: Path, kind: str, size: tuple[int, int] | None = None) -> Finding:
    [one] = [finding for finding in report_of(root, size).findings if finding.kind == kind]
    assert one.todo
    return one


def kinds(root: Path) -> list[str]:
    return [finding.kind for finding in report_of(root).findings]


def names(finding: Finding) -> list[list[str]]:
    return [[f"{path.parent.name}/{path.stem}" for path in group] for group in finding.groups]


def image(root: Path, number: int) -> Path:
    [path] = (root / "images").glob(f"*/{number}.png")
    return path


def change(root: Path, number: int, edit: Callable[[NDArray[np.uint8]], None]) -> None:
    [path] = (root / "masks").glob(f"*/{number}.png")
    labels_HW = np.array(Image.open(path))
    edit(labels_HW)
    Image.fromarray(labels_HW).save(path)


def put(place: Any, value: int) -> Callable[[NDArray[np.uint8]], None]:
    def edit(labels_HW: NDArray[np.uint8]) -> None:
        labels_HW[place] = value

    return edit


def test_nothing_is_found_in_a_sound_set(noisy: Path) -> None:
    assert report_of(noisy).findings == ()


class TestCopies:
    def test_the_same_file_in_two_splits(self, noisy: Path) -> None:
        image(noisy, 9).write_bytes(image(noisy, 2).read_bytes())
        one = found(noisy, "copies-across-splits")
        assert one.severity == "warning"
        assert one.what == "the same picture is in train and in val"
        assert names(one) == [["train/2", "val/9"]]
        assert kinds(noisy) == ["copies-across-splits"]

    def test_the_same_file_twice_in_a_split(self, noisy: Path) -> None:
        for number in (3, 5):
            image(noisy, number).write_bytes(image(noisy, 2).read_bytes())
        one = found(noisy, "copies")
        assert (one.severity, names(one)) == ("note", [["train/2", "train/3", "train/5"]])

    def test_nearly_the_same_in_two_splits(self, noisy: Path) -> None:
        Image.open(image(noisy, 2)).transpose(Image.Transpose.FLIP_LEFT_RIGHT).point(
            lambda value: value * 0.9
        ).save(image(noisy, 10))
        one = found(noisy, "near-copies-across-splits")
        assert (one.severity, names(one)) == ("warning", [["train/2", "val/10"]])

    def test_nearly_the_same_in_one_split(self, noisy: Path) -> None:
        Image.open(image(noisy, 2)).point(lambda value: value * 0.9).save(image(noisy, 4))
        one = found(noisy, "near-copies")
        assert (one.severity, names(one)) == ("note", [["train/2", "train/4"]])


class TestPictures:
    def test_turned_by_their_header(self, noisy: Path) -> None:
        exif = Image.Exif()
        exif[0x0112] = 3
        Image.open(image(noisy, 1)).save(image(noisy, 1), exif=exif)
        one = found(noisy, "turned")
        assert (one.severity, names(one)) == ("note", [["train/1"]])

    @pytest.mark.parametrize(
        ("mode", "told"),
        [
            ("L", ["picture-grey"]),
            ("P", ["picture-palette"]),
            ("RGBA", ["picture-alpha"]),
            ("LA", ["picture-grey", "picture-alpha"]),
        ],
    )
    def test_of_another_kind_than_the_others(self, noisy: Path, mode: str, told: list[str]) -> None:
        Image.open(image(noisy, 1)).convert(mode).save(image(noisy, 1))
        assert kinds(noisy) == told
        assert names(found(noisy, told[0])) == [["train/1"]]

    def test_all_grey(self, noisy: Path) -> None:
        for number in range(COUNT):
            Image.open(image(noisy, number)).convert("L").save(image(noisy, number))
        assert kinds(noisy) == ["all-grey"]

    def test_of_another_shape(self, noisy: Path) -> None:
        turned = Image.open(image(noisy, 1)).transpose(Image.Transpose.ROTATE_90)
        turned.save(image(noisy, 1))
        mask = noisy / "masks" / "train" / "1.png"
        Image.open(mask).transpose(Image.Transpose.ROTATE_90).save(mask)
        assert kinds(noisy) == ["sizes", "stretched"]
        assert names(found(noisy, "stretched")) == [["train/1"]]
        assert "64x96" in found(noisy, "stretched").what


class TestMasks:
    def test_one_object_all_over(self, noisy: Path) -> None:
        change(noisy, 3, put(slice(None), 1))
        one = found(noisy, "one-class")
        assert (one.severity, names(one)) == ("warning", [["train/3"]])

    def test_one_object_and_void(self, noisy: Path) -> None:
        change(noisy, 3, put(slice(2, None), 1))
        assert kinds(noisy) == []

    def test_background_alone(self, noisy: Path) -> None:
        change(noisy, 3, put(slice(None), 0))
        one = found(noisy, "only-background")
        assert (one.severity, names(one)) == ("note", [["train/3"]])
        assert "one-class" not in kinds(noisy)

    def test_all_ignored(self, noisy: Path) -> None:
        change(noisy, 3, put(slice(None), 255))
        assert names(found(noisy, "all-ignored")) == [["train/3"]]
        assert kinds(noisy) == ["all-ignored"]

    def test_void_is_missing_where_it_is_usual(self, noisy: Path) -> None:
        change(noisy, 3, put(slice(0, 2), 0))
        one = found(noisy, "void-missing")
        assert (one.severity, names(one)) == ("note", [["train/3"]])

    def test_void_is_not_missed_where_it_is_unusual(self, noisy: Path) -> None:
        for number in range(2):
            change(noisy, number, put(slice(0, 2), 0))
        assert kinds(noisy) == []

    def test_declared_void_occurs_nowhere(self, noisy: Path) -> None:
        with (noisy / "labels.yaml").open("a", encoding="utf-8") as stream:
            stream.write("ignore: [9]\n")
        for number in range(COUNT):
            change(noisy, number, put(slice(0, 2), 0))
        assert "value 9" in found(noisy, "void-missing").what
        change(noisy, 0, put(slice(0, 2), 9))
        assert kinds(noisy) == []

    def test_specks_with_most_first(self, noisy: Path) -> None:
        change(noisy, 3, put((20, 60), 2))
        change(noisy, 9, put((20, slice(60, 62)), 2))
        change(noisy, 9, put((30, 60), 1))
        change(noisy, 5, put((20, slice(60, 63)), 2))  # three pixels are no speck
        change(noisy, 6, put((20, 60), 255))  # nor are ignored ones
        one = found(noisy, "specks")
        assert one.severity == "note"
        assert one.what.startswith("3 regions of one or two pixels")
        assert names(one) == [["val/9"], ["train/3"]]


class TestUndeclaredValues:
    def outline(self, width: int, values: list[int]) -> Callable[[NDArray[np.uint8]], None]:
        def edit(labels_HW: NDArray[np.uint8]) -> None:
            box = labels_HW[10:40, 10:60]
            inner = box[width:-width, width:-width].copy()
            box[:] = np.resize(np.array(values, np.uint8), box.shape)
            box[width:-width, width:-width] = inner

        return edit

    def test_of_outlines_are_taken_for_void(self, noisy: Path) -> None:
        change(noisy, 3, self.outline(3, [7]))
        one = found(noisy, "unusable")
        assert "undeclared mask values 7" in one.what
        assert names(one) == [["train/3"]]
        assert "'ignore: [7]'" in one.todo

    def test_many_of_outlines_are_mixtures(self, noisy: Path) -> None:
        change(noisy, 3, self.outline(2, [40, 90, 130, 170]))
        assert "nearest neighbour" in found(noisy, "unusable").todo

    def test_of_whole_areas_are_neither(self, noisy: Path) -> None:
        change(noisy, 3, put((slice(10, 30), slice(10, 30)), 7))
        todo = found(noisy, "unusable").todo
        assert "ignore" not in todo
        assert "--fix" in todo


class TestSmallObjects:
    """Discs of known sizes in pictures of 64x96; by 32x48, a side of 8 px becomes one of 4."""

    def squares(self, root: Path, sides: list[int]) -> None:
        for number, side in zip(range(COUNT), sides, strict=False):
            change(root, number, put(slice(2, None), 0))
            change(root, number, put((slice(10, 10 + side), slice(20, 20 + side)), 2))
            change(root, number, put((slice(40, 60), slice(50, 80)), 1))

    def test_lost_ones_are_counted_and_the_least_input_is_named(self, noisy: Path) -> None:
        self.squares(noisy, [5, 5, 6, *[20] * 9])
        one = found(noisy, "lost-at-input-size", (32, 48))
        assert one.severity == "warning"
        assert "under 4 px in an input of 32x48: 25 % of 'disc' (3 of 12)" in one.what
        assert "box" not in one.what
        # 5 of 64 px are 4 px from a height of 51.2 on, which is 56 in steps of 8; so 80 for 48.
        assert one.todo == "choose at least 56x80"
        assert names(one) == [["train/0"], ["train/1"], ["train/2"]]

    def test_the_input_named_is_enough_and_a_smaller_one_is_not(self, noisy: Path) -> None:
        self.squares(noisy, [5, 5, 6, *[20] * 9])
        lost = "lost-at-input-size"
        assert lost not in [f.kind for f in report_of(noisy, (56, 80)).findings]
        assert lost in [f.kind for f in report_of(noisy, (48, 72)).findings]

    def test_exactly_four_pixels_are_seen(self, noisy: Path) -> None:
        self.squares(noisy, [8] * 12)
        assert not [f for f in report_of(noisy, (32, 48)).findings if "px" in f.what]
        assert "100 % of 'disc'" in found(noisy, "lost-at-input-size", (31, 48)).what

    def test_specks_are_no_objects(self, noisy: Path) -> None:
        self.squares(noisy, [20] * 12)
        change(noisy, 3, put((4, slice(60, 62)), 2))
        assert [f.kind for f in report_of(noisy, (32, 48)).findings] == ["specks"]

    def test_background_is_no_object(self, noisy: Path) -> None:
        self.squares(noisy, [20] * 12)
        for number in range(COUNT):
            change(noisy, number, put((slice(45, 48), slice(55, 58)), 0))
        assert report_of(noisy, (32, 48)).findings == ()

    def test_one_in_twenty_may_be_lost_but_no_more(self, noisy: Path) -> None:
        self.squares(noisy, [20] * 12)

        def lost(small: int, large: int) -> bool:
            def edit(labels_HW: NDArray[np.uint8]) -> None:
                labels_HW[2:] = 0
                for i in range(small):
                    labels_HW[4 : 4 + 5, 4 + 8 * i : 9 + 8 * i] = 2
                for i in range(large):
                    labels_HW[20 + 10 * (i // 9) :, 4 + 10 * (i % 9) :][:8, :8] = 2

            change(noisy, 0, edit)
            return "disc" in " ".join(f.what for f in report_of(noisy, (32, 48)).findings)

        assert not lost(1, 9)  # one of 21
        assert lost(1, 8)  # one of 20

    def test_what_is_too_small_in_the_pictures_is_told_apart(self, noisy: Path) -> None:
        self.squares(noisy, [3] * 12)
        one = found(noisy, "small-regions")
        assert (one.severity, kinds(noisy)) == ("note", ["small-regions"])
        assert "100 % of 'disc'" in one.what

    def test_the_size_that_training_takes_is_the_default(self, noisy: Path) -> None:
        assert report_of(noisy).input == (64, 96)
        dataset = open_dataset(noisy)
        assert check_dataset(large(dataset)).input == (480, 640)


def large(dataset: Dataset) -> Dataset:
    """Make the pictures of a data set 960x1280."""
    for samples in dataset.splits.values():
        for sample in samples:
            for path in (sample.image, sample.label):
                Image.open(path).resize((1280, 960), Image.Resampling.NEAREST).save(path)
    return replace(dataset, labels=LabelSpace.of(["ground", "box", "disc"], background=0))


def test_the_default_size_is_that_of_training(noisy: Path) -> None:
    pytest.importorskip("torch")
    from frugalseg.training.recipe import load_recipe
    from frugalseg.workflows.train import input_of

    large(open_dataset(noisy))
    report = report_of(noisy)
    assert input_of(load_recipe("default"), report).size == report.input


def test_regions_are_summed_up_by_class(noisy: Path) -> None:
    change(noisy, 0, put((60, 2), 1))
    train = report_of(noisy).split("train")
    ground, box, disc = train.classes
    assert (ground.regions, box.regions, disc.regions) == (8, 9, 8)
    assert (box.median_region_px, box.small_region_px) == (32 * 34, 1)
    assert box.regions_by_size == (1, *[0] * 9, 8)
    assert (disc.median_region_px, disc.small_region_px) == (360, 360)


def test_json_has_every_finding_with_all_its_files(noisy: Path) -> None:
    for number in range(8):
        change(noisy, number, put(slice(None), 0))
    [told] = [f for f in report_of(noisy).to_dict()["findings"] if f["kind"] == "only-background"]
    assert told["severity"] == "note"
    assert len(told["groups"]) == 8
    assert "and 3 more" in found(noisy, "only-background").text
