from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from frugalseg.core.errors import DataError
from frugalseg.data.catalog import open_dataset
from frugalseg.data.dataset import Dataset
from frugalseg.data.layouts import folder, mmseg

SHIFTED = np.array([[0, 1, 2]], np.uint8)


def put(root: Path, name: str, mask: NDArray[np.uint8] = SHIFTED) -> None:
    """Write a picture and a mask; `name` begins with the split, "train/a"."""
    for kind, suffix in (("img_dir", "jpg"), ("ann_dir", "png")):
        path = root / kind / f"{name}.{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(mask).save(path)


def declare(root: Path, text: str, name: str = "labels.yaml") -> None:
    (root / name).write_text(text, encoding="utf-8")


def loaded(dataset: Dataset) -> list[int]:
    row: list[int] = dataset.load(dataset.split("train")[0])[1][0].tolist()
    return row


class TestReduceZeroLabel:
    @pytest.mark.parametrize(
        ("name", "text"), [("classes.txt", "road\nsky\n"), ("labels.yaml", "names: [road, sky]\n")]
    )
    def test_one_value_more_than_names_is_refused(
        self, tmp_path: Path, name: str, text: str
    ) -> None:
        put(tmp_path, "train/a", np.array([[0, 1]], np.uint8))
        put(tmp_path, "val/b", np.array([[2, 255]], np.uint8))
        declare(tmp_path, text, name)
        with pytest.raises(DataError, match=r"values 0 to 2, but 2 .*'reduce_zero_label: true'"):
            open_dataset(tmp_path)

    def test_true_ignores_0_and_255_and_begins_at_1(self, tmp_path: Path) -> None:
        put(tmp_path, "train/a", np.array([[0, 1, 2, 255]], np.uint8))
        declare(tmp_path, "names: [road, sky]\nreduce_zero_label: true\n")
        assert loaded(open_dataset(tmp_path)) == [255, 0, 1, 255]

    def test_true_finds_the_names_in_classes_txt(self, tmp_path: Path) -> None:
        put(tmp_path, "train/a")
        declare(tmp_path, "road\nsky\n", "classes.txt")
        declare(tmp_path, "reduce_zero_label: true\n")
        dataset = open_dataset(tmp_path)
        assert dataset.labels.names == ("road", "sky")
        assert loaded(dataset) == [255, 0, 1]

    def test_false_begins_at_0_and_the_value_too_many_is_undeclared(self, tmp_path: Path) -> None:
        put(tmp_path, "train/a")
        declare(tmp_path, "names: [road, sky]\nreduce_zero_label: false\n")
        dataset = open_dataset(tmp_path)
        with pytest.raises(DataError, match="undeclared mask values 2; declared are 0-1, 255"):
            loaded(dataset)

    def test_false_with_a_name_for_each_value_is_sound(self, tmp_path: Path) -> None:
        put(tmp_path, "train/a")
        declare(tmp_path, "names: [other, road, sky]\nreduce_zero_label: false\n")
        assert loaded(open_dataset(tmp_path)) == [0, 1, 2]

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("names: [a]\nreduce_zero_label: 1\n", "is true or false, got 1"),
            ("names: [a]\nreduce_zero_label:\n", "is true or false, got None"),
            ("values: {1: a}\nreduce_zero_label: true\n", "leave reduce_zero_label out"),
            ("names: [a]\nreduce_zero: true\n", "did you mean 'reduce_zero_label'"),
        ],
    )
    def test_what_makes_no_sense_is_refused(self, tmp_path: Path, text: str, message: str) -> None:
        put(tmp_path, "train/a")
        declare(tmp_path, text)
        with pytest.raises(DataError, match=rf"labels\.yaml: .*{message}"):
            open_dataset(tmp_path)

    def test_the_layout_folder_knows_it_too(self, tmp_path: Path) -> None:
        put(tmp_path, "a")
        (tmp_path / "img_dir").rename(tmp_path / "images")
        (tmp_path / "ann_dir").rename(tmp_path / "masks")
        declare(tmp_path, "names: [road, sky]\nreduce_zero_label: true\nignore: [7]\n")
        dataset = folder.read(tmp_path)
        assert dataset.labels.from_disk == {0: 255, 1: 0, 2: 1, 7: 255}
        assert loaded(dataset) == [255, 0, 1]


def test_without_names_the_values_found_are_the_classes(tmp_path: Path) -> None:
    put(tmp_path, "train/a")
    assert mmseg.read(tmp_path).labels.names == ("class_0", "class_1", "class_2")


def test_masks_of_0_and_255_alone_are_refused(tmp_path: Path) -> None:
    put(tmp_path, "train/a", np.array([[0, 255]], np.uint8))
    declare(tmp_path, "names: [background, object]\n")
    with pytest.raises(DataError, match=r"values: \{0: background, 255: object\}"):
        mmseg.read(tmp_path)


def test_masks_in_colours_are_read_if_these_are_declared(tmp_path: Path) -> None:
    put(tmp_path, "train/a", np.array([[(0, 0, 0), (200, 0, 0)]], np.uint8))
    declare(tmp_path, "names: [floor, bag]\ncolors: [[0, 0, 0], [200, 0, 0]]\n")
    assert loaded(mmseg.read(tmp_path)) == [0, 1]


def test_folders_within_the_splits_are_read(tmp_path: Path) -> None:
    put(tmp_path, "train/monday/a")
    assert [s.name for s in mmseg.read(tmp_path).split("train")] == ["monday/a"]


def test_a_test_split_without_masks_is_left_out(tmp_path: Path) -> None:
    put(tmp_path, "train/a")
    put(tmp_path, "test/b")
    assert list(mmseg.read(tmp_path).splits) == ["train", "test"]
    (tmp_path / "ann_dir" / "test" / "b.png").unlink()
    assert list(mmseg.read(tmp_path).splits) == ["train"]


def test_a_val_split_without_masks_is_refused(tmp_path: Path) -> None:
    put(tmp_path, "train/a")
    put(tmp_path, "val/b")
    (tmp_path / "ann_dir" / "val" / "b.png").unlink()
    with pytest.raises(DataError, match=r"b\.jpg: no mask; expected ann_dir/val/b\.png"):
        mmseg.read(tmp_path)


def test_two_folders_for_one_split_are_refused(tmp_path: Path) -> None:
    put(tmp_path, "val/a")
    put(tmp_path, "validation/b")
    with pytest.raises(DataError, match="validation: a second folder for 'val'"):
        mmseg.read(tmp_path)
