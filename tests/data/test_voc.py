from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from frugalseg.core.errors import DataError
from frugalseg.data.catalog import open_dataset
from frugalseg.data.dataset import Dataset
from frugalseg.data.layouts import voc
from frugalseg.data.layouts.voc import voc_color

VOC_PALETTE = [part for value in range(256) for part in voc_color(value)]
LISTS = Path("ImageSets") / "Segmentation"


def put(top: Path, name: str, values: list[int], palette: list[int] | None = VOC_PALETTE) -> None:
    mask = Image.fromarray(np.array([values], np.uint8))
    if palette:
        mask.putpalette(palette)
    save(top, name, mask)


def save(top: Path, name: str, mask: Image.Image) -> None:
    for folder in ("JPEGImages", "SegmentationClass"):
        (top / folder).mkdir(parents=True, exist_ok=True)
    Image.new("RGB", mask.size).save(top / "JPEGImages" / f"{name}.jpg")
    mask.save(top / "SegmentationClass" / f"{name}.png")


def enlist(top: Path, **lists: str) -> None:
    for name, text in lists.items():
        path = top / LISTS / f"{name}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def loaded(dataset: Dataset, split: str = "train") -> list[int]:
    row: list[int] = dataset.load(dataset.split(split)[0])[1][0].tolist()
    return row


def names(dataset: Dataset) -> dict[str, list[str]]:
    return {split: [s.name for s in samples] for split, samples in dataset.splits.items()}


class TestFolder:
    @pytest.mark.parametrize("above", [".", "VOC2012", "VOCdevkit/VOC2012", "VOC2007"])
    def test_it_may_lie_below_the_one_that_is_named(self, tmp_path: Path, above: str) -> None:
        put(tmp_path / above, "a", [0, 15, 255])
        enlist(tmp_path / above, train="a")
        dataset = open_dataset(tmp_path)
        assert dataset.format == "voc"
        assert loaded(dataset) == [0, 15, 255]

    def test_two_years_need_a_word_from_the_user(self, tmp_path: Path) -> None:
        put(tmp_path / "VOC2007", "a", [0, 1])
        put(tmp_path / "VOC2012", "a", [0, 1])
        with pytest.raises(DataError, match=r"2 data sets in it; name one: .*2007, .*2012"):
            open_dataset(tmp_path)
        assert open_dataset(tmp_path / "VOC2007").format == "voc"


class TestLists:
    def test_train_and_val_win_over_trainval(self, tmp_path: Path) -> None:
        for name in "abc":
            put(tmp_path, name, [0, 1])
        enlist(tmp_path, train="a", val="b", trainval="a\nb\nc", train_aug="a\nc")
        assert names(voc.read(tmp_path)) == {"train": ["a"], "val": ["b"]}

    def test_trainval_alone_is_divided(self, tmp_path: Path) -> None:
        for name in "abc":
            put(tmp_path, name, [0, 1])
        enlist(tmp_path, trainval="a\nb")
        splits = names(voc.read(tmp_path))
        assert sorted([*splits["train"], *splits["val"]]) == ["a", "b"]
        assert all(splits.values())

    def test_a_test_list_without_any_mask_is_left_out(self, tmp_path: Path) -> None:
        put(tmp_path, "a", [0, 1])
        enlist(tmp_path, train="a", test="2008_000001\n2008_000004")
        assert names(voc.read(tmp_path)) == {"train": ["a"]}

    def test_a_test_list_with_masks_is_read(self, tmp_path: Path) -> None:
        put(tmp_path, "a", [0, 1])
        put(tmp_path, "b", [0, 1])
        enlist(tmp_path, train="a", test="b")
        assert names(voc.read(tmp_path)) == {"train": ["a"], "test": ["b"]}
        enlist(tmp_path, test="b\nc")
        with pytest.raises(DataError, match=r"test\.txt line 2: c is no picture"):
            voc.read(tmp_path)


class TestClasses:
    def test_the_classes_and_colours_are_those_of_voc(self, tmp_path: Path) -> None:
        put(tmp_path, "a", [0, 20, 255])
        labels = voc.read(tmp_path).labels
        assert labels.num_classes == 21
        assert (labels.names[0], labels.names[15], labels.names[20]) == (
            "background",
            "person",
            "tvmonitor",
        )
        assert labels.background == 0
        # From the colour map in VOC's development kit.
        assert labels.colors[:4] == ((0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0))
        assert labels.colors[20] == (0, 64, 128)

    def test_masks_drawn_in_the_colours_of_voc_are_read(self, tmp_path: Path) -> None:
        save(tmp_path, "a", Image.fromarray(
            np.array([[(0, 0, 0), (192, 128, 128), (224, 224, 192)]], np.uint8)
        ))  # fmt: skip
        assert loaded(voc.read(tmp_path)) == [0, 15, 255]

    def test_colours_that_are_not_of_voc_are_refused(self, tmp_path: Path) -> None:
        save(tmp_path, "a", Image.new("RGB", (1, 1), (1, 2, 3)))
        dataset = voc.read(tmp_path)
        with pytest.raises(DataError, match=r"undeclared mask colours: \[1, 2, 3\]"):
            loaded(dataset)

    def test_values_that_a_tool_has_renumbered_are_refused(self, tmp_path: Path) -> None:
        # A tool that makes files smaller keeps only the colours that occur: 1 is now "person".
        put(tmp_path, "a", [0, 1, 2], [0, 0, 0, 192, 128, 128, 224, 224, 192])
        with pytest.raises(DataError, match=r"a\.png: value 1 has the colour \(192, 128, 128\)"):
            voc.read(tmp_path)

    def test_a_palette_of_other_classes_needs_their_names(self, tmp_path: Path) -> None:
        put(tmp_path, "a", [0, 1, 255], [0, 0, 0, 7, 8, 9] + [50] * 762)
        with pytest.raises(DataError, match=r"not VOC's palette; .*labels\.yaml"):
            voc.read(tmp_path)
        (tmp_path / "labels.yaml").write_text("names: [floor, bag]\n", encoding="utf-8")
        dataset = voc.read(tmp_path)
        assert dataset.labels.names == ("floor", "bag")
        assert loaded(dataset) == [0, 1, 255]

    def test_grey_masks_of_values_are_read(self, tmp_path: Path) -> None:
        put(tmp_path, "a", [0, 7, 255], palette=None)
        assert loaded(voc.read(tmp_path)) == [0, 7, 255]

    def test_masks_of_one_bit_are_read(self, tmp_path: Path) -> None:
        save(tmp_path, "a", Image.fromarray(np.array([[False, True]])))
        assert loaded(voc.read(tmp_path)) == [0, 1]

    def test_class_names_of_labelme_are_followed(self, tmp_path: Path) -> None:
        put(tmp_path, "a", [0, 1, 255])
        (tmp_path / "class_names.txt").write_text("_background_\nbag\n", encoding="utf-8")
        labels = voc.read(tmp_path).labels
        assert (labels.names, labels.background) == (("_background_", "bag"), 0)

    def test_masks_of_0_and_255_alone_are_refused(self, tmp_path: Path) -> None:
        put(tmp_path, "a", [0, 255], palette=None)
        with pytest.raises(DataError, match=r"values: \{0: background, 255: object\}"):
            voc.read(tmp_path)

    def test_values_beyond_the_classes_are_refused(self, tmp_path: Path) -> None:
        put(tmp_path, "a", [0, 1, 21])
        dataset = voc.read(tmp_path)
        with pytest.raises(DataError, match=r"undeclared mask values 21; declared are 0-20, 255"):
            loaded(dataset)
