from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from frugalseg.core.errors import DataError
from frugalseg.data.catalog import open_dataset
from frugalseg.data.dataset import Dataset
from frugalseg.data.layouts import cvat

HEAD = "# label:color_rgb:parts:actions\n"
CAR, DOG, BLACK = (61, 245, 61), (250, 50, 83), (0, 0, 0)
SOUND = f"{HEAD}background:0,0,0::\ncar:61,245,61::\ndog:250,50,83::\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    put(tmp_path, "a")
    put(tmp_path, "b")
    declare(tmp_path, SOUND)
    enlist(tmp_path, default="a\nb\n")
    return tmp_path


def put(root: Path, name: str, colors: tuple[tuple[int, int, int], ...] = (BLACK, CAR)) -> None:
    for folder in ("JPEGImages", "SegmentationClass", "SegmentationObject"):
        (root / folder).mkdir(exist_ok=True)
        suffix = "jpg" if folder == "JPEGImages" else "png"
        Image.fromarray(np.array([colors], np.uint8)).save(root / folder / f"{name}.{suffix}")


def declare(root: Path, text: str) -> None:
    (root / "labelmap.txt").write_text(text, encoding="utf-8")


def enlist(root: Path, **lists: str) -> None:
    for name, text in lists.items():
        path = root / "ImageSets" / "Segmentation" / f"{name}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def names(dataset: Dataset) -> dict[str, list[str]]:
    return {split: [s.name for s in samples] for split, samples in dataset.splits.items()}


class TestLabelmap:
    def test_colours_and_classes_are_those_of_the_file(self, root: Path) -> None:
        dataset = open_dataset(root)
        assert dataset.format == "cvat"
        assert dataset.labels.names == ("background", "car", "dog")
        assert dataset.labels.colors == (BLACK, CAR, DOG)
        assert dataset.labels.background == 0
        assert dataset.load(dataset.split("train")[0])[1].tolist() == [[0, 1]]

    def test_the_same_colour_may_be_another_class_in_the_next_export(self, root: Path) -> None:
        declare(root, f"{HEAD}background:0,0,0::\ndog:61,245,61::\ncar:250,50,83::\n")
        dataset = cvat.read(root)
        class_id = dataset.load(dataset.split("train")[0])[1][0, 1]
        assert dataset.labels.names[class_id] == "dog"

    def test_palette_masks_are_read_by_their_colours(self, root: Path) -> None:
        mask = Image.fromarray(np.array([[0, 7]], np.uint8))
        mask.putpalette([*BLACK] * 7 + [*DOG])
        for name in ("a", "b"):
            mask.save(root / "SegmentationClass" / f"{name}.png")
        dataset = cvat.read(root)
        assert dataset.load(dataset.split("train")[0])[1].tolist() == [[0, 2]]

    def test_a_class_called_void_is_ignored(self, root: Path) -> None:
        declare(root, SOUND.replace("car", "Ignored"))
        dataset = cvat.read(root)
        assert dataset.labels.names == ("background", "dog")
        assert dataset.load(dataset.split("train")[0])[1].tolist() == [[0, 255]]

    @pytest.mark.parametrize(
        ("rows", "background"),
        [
            ("Background:1,1,1::\nbackground:0,0,0::\n", 1),  # as in a real export
            ("a:1,1,1::\nBackground:0,0,0::\n", 1),
            ("a:1,1,1::\nb:0,0,0::\n", None),
        ],
    )
    def test_the_background_is_the_class_of_that_name(
        self, root: Path, rows: str, background: int | None
    ) -> None:
        declare(root, HEAD + rows)
        assert cvat.read(root).labels.background == background

    def test_names_may_hold_colons_and_the_file_parts_and_actions(self, root: Path) -> None:
        text = "\ufeffroad: wet:0,0,0::\r\nperson:1,2,3:head,hand:jumping,running\r\nk:4,5,6\r\n"
        declare(root, text)
        assert cvat.read(root).labels.names == ("road: wet", "person", "k")

    @pytest.mark.parametrize(
        ("row", "message"),
        [
            ("sky", r"labelmap\.txt line 5: expected name:red,green,blue"),
            ("sky:::", "line 5: expected name:red,green,blue"),
            ("sky:1,2::", "line 5: expected name:red,green,blue"),
            ("sky:-1,2,3::", "line 5: expected name:red,green,blue"),
            ("sky:1,2,3.5::", "line 5: expected name:red,green,blue"),
            ("sky:1,2,256::", r"labelmap\.txt: .* 0 to 255"),
            ("void:1,2,256::", r"0 to 255, got \(1, 2, 256\) for void"),
            ("sky:61,245,61::", r"car and sky have the same colour \(61, 245, 61\)"),
            ("car:1,2,3::", "class names must differ; there twice: car"),
        ],
    )
    def test_bad_rows_are_named(self, root: Path, row: str, message: str) -> None:
        declare(root, f"{SOUND}{row}\n")
        with pytest.raises(DataError, match=message):
            cvat.read(root)

    @pytest.mark.parametrize("text", ["", HEAD, f"{HEAD}void:0,0,0::\n"])
    def test_a_file_without_classes_is_refused(self, root: Path, text: str) -> None:
        declare(root, text)
        with pytest.raises(DataError, match=r"labelmap\.txt: "):
            cvat.read(root)


class TestLists:
    def test_the_default_list_is_divided(self, root: Path) -> None:
        splits = names(cvat.read(root))
        assert sorted([*splits["train"], *splits["val"]]) == ["a", "b"]
        assert all(splits.values())

    def test_subsets_of_any_name_are_divided_together(self, root: Path) -> None:
        enlist(root, default="a\n", monday="b\n")
        assert sum(len(split) for split in names(cvat.read(root)).values()) == 2

    def test_a_list_beside_those_of_the_splits_is_refused(self, root: Path) -> None:
        enlist(root, Train="a\n")
        with pytest.raises(DataError, match=r"default\.txt: neither train, val nor test"):
            cvat.read(root)

    def test_two_lists_for_one_split_are_refused(self, root: Path) -> None:
        enlist(root, val="a\n", Validation="b\n")
        with pytest.raises(DataError, match="a second list for 'val'"):
            cvat.read(root)

    def test_listed_pictures_without_annotations_need_a_word(self, root: Path) -> None:
        (root / "SegmentationClass" / "b.png").unlink()
        with pytest.raises(DataError, match=r"line 2: b has no mask(.|\n)*remove the list"):
            cvat.read(root)
        (root / "ImageSets" / "Segmentation" / "default.txt").unlink()
        assert [name for split in names(cvat.read(root)).values() for name in split] == ["a"]


def test_an_export_without_pictures_says_where_to_put_them(root: Path) -> None:
    for path in (root / "JPEGImages").iterdir():
        path.unlink()
    (root / "JPEGImages").rmdir()
    with pytest.raises(DataError, match="export once more with 'Save images'"):
        open_dataset(root)
