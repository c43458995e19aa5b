import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from frugalseg.core.errors import ConfigError, DataError
from frugalseg.data.check.report import check_dataset
from frugalseg.data.layouts import folder

LABELS_HW = np.array([[0, 1, 2], [2, 1, 255]], np.uint8)


def put(root: Path, stem: str, mask: NDArray[np.uint8] = LABELS_HW, split: str = "") -> None:
    for kind, pixels in (("images", np.zeros((*mask.shape[:2], 3), np.uint8)), ("masks", mask)):
        path = root / kind / split / f"{stem}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)


def declare(root: Path, text: str) -> None:
    (root / "labels.yaml").write_text(text, encoding="utf-8")


class TestSplits:
    def test_split_folders_are_taken(self, tmp_path: Path) -> None:
        put(tmp_path, "a", split="train")
        put(tmp_path, "b", split="valid")
        dataset = folder.read(tmp_path)
        assert {k: [s.name for s in v] for k, v in dataset.splits.items()} == {
            "train": ["a"],
            "val": ["b"],
        }

    def test_without_folders_about_a_fifth_goes_to_val(self, tmp_path: Path) -> None:
        for number in range(100):
            put(tmp_path, f"{number:03d}")
        splits = folder.read(tmp_path).splits
        assert 10 <= len(splits["val"]) <= 30
        assert len(splits["train"]) + len(splits["val"]) == 100

    def test_no_image_changes_sides_when_others_are_added(self, tmp_path: Path) -> None:
        for number in range(20):
            put(tmp_path, f"{number}")
        before = {s.name for s in folder.read(tmp_path).splits["val"]}
        for number in range(20, 40):
            put(tmp_path, f"{number}")
        after = {s.name for s in folder.read(tmp_path).splits["val"]}
        assert before == after & {str(number) for number in range(20)}

    def test_two_images_give_one_to_each_side(self, tmp_path: Path) -> None:
        put(tmp_path, "a")
        put(tmp_path, "b")
        assert [len(s) for s in folder.read(tmp_path).splits.values()] == [1, 1]

    def test_loose_images_beside_split_folders_are_refused(self, tmp_path: Path) -> None:
        put(tmp_path, "a", split="train")
        put(tmp_path, "b")
        with pytest.raises(DataError, match="beside the folders train"):
            folder.read(tmp_path)

    def test_absent_split_is_named(self, tmp_path: Path) -> None:
        put(tmp_path, "a", split="train")
        with pytest.raises(DataError, match=r"no split 'val'.*there is: train"):
            folder.read(tmp_path).split("val")


class TestMatching:
    @pytest.mark.parametrize("suffix", ["jpg", "JPG", "jpeg", "bmp", "webp", "PNG"])
    def test_images_of_every_kind_are_matched(self, tmp_path: Path, suffix: str) -> None:
        put(tmp_path, "a")
        (tmp_path / "images" / "a.png").unlink()
        Image.new("RGB", (3, 2)).save(tmp_path / "images" / f"a.{suffix}")
        dataset = folder.read(tmp_path)
        image_HWC, labels_HW = dataset.load(dataset.split("train")[0])
        assert image_HWC.shape == (2, 3, 3)
        np.testing.assert_array_equal(labels_HW, LABELS_HW)

    def test_all_lonely_files_are_reported_together(self, tmp_path: Path) -> None:
        for stem in ("a", "b", "c", "d"):
            put(tmp_path, stem)
        (tmp_path / "masks" / "a.png").unlink()
        (tmp_path / "masks" / "b.png").unlink()
        (tmp_path / "images" / "c.png").unlink()
        with pytest.raises(DataError) as caught:
            folder.read(tmp_path)
        assert len(caught.value.problems) == 3
        assert "a.png: no mask" in str(caught.value)
        assert "c.png: no image" in str(caught.value)

    def test_more_than_twenty_missing_masks_end_in_a_count(self, tmp_path: Path) -> None:
        for number in range(25):
            put(tmp_path, str(number))
        shutil.rmtree(tmp_path / "masks")
        (tmp_path / "masks").mkdir()
        with pytest.raises(DataError, match=r"\.\.\. and 5 more") as caught:
            folder.read(tmp_path)
        assert len(caught.value.problems) == 25

    def test_two_images_of_one_stem_are_refused(self, tmp_path: Path) -> None:
        put(tmp_path, "a")
        Image.new("RGB", (3, 2)).save(tmp_path / "images" / "a.jpg")
        with pytest.raises(DataError, match=r"same name as a\.jpg"):
            folder.read(tmp_path)

    def test_a_name_that_is_not_in_utf_8_is_refused(self, tmp_path: Path) -> None:
        put(tmp_path, "a")
        path = tmp_path / "images" / "a.png"
        path.rename(path.with_name(os.fsdecode(b"b\xff.png")))
        with pytest.raises(DataError, match=r"images: the name of b\?\.png is not in UTF-8"):
            folder.read(tmp_path)

    def test_lossy_masks_are_refused(self, tmp_path: Path) -> None:
        put(tmp_path, "a")
        (tmp_path / "masks" / "a.png").unlink()
        Image.fromarray(LABELS_HW).save(tmp_path / "masks" / "a.jpg")
        with pytest.raises(DataError, match=r"a\.jpg: a lossy format"):
            folder.read(tmp_path)

    def test_hidden_files_are_passed_over(self, tmp_path: Path) -> None:
        put(tmp_path, "a")
        (tmp_path / "images" / "._a.png").write_bytes(b"x")
        assert len(folder.read(tmp_path).split("train")) == 1

    def test_empty_folders_are_refused(self, tmp_path: Path) -> None:
        (tmp_path / "images").mkdir()
        (tmp_path / "masks").mkdir()
        with pytest.raises(DataError, match="no images in"):
            folder.read(tmp_path)


class TestClasses:
    def test_values_found_are_the_classes_where_nothing_is_declared(self, tmp_path: Path) -> None:
        put(tmp_path, "a")
        labels = folder.read(tmp_path).labels
        assert labels.names == ("class_0", "class_1", "class_2")
        assert labels.from_disk == {0: 0, 1: 1, 2: 2, 255: 255}

    def test_gaps_between_the_values_found_are_refused(self, tmp_path: Path) -> None:
        put(tmp_path, "a", np.array([[0, 1, 38]], np.uint8))
        with pytest.raises(DataError, match=r"\[0, 1, 38\].*without gaps.*labels.yaml"):
            folder.read(tmp_path)

    def test_classes_txt_names_them(self, tmp_path: Path) -> None:
        put(tmp_path, "a")
        (tmp_path / "classes.txt").write_text("Background\nbag\n\nbox\n", encoding="utf-8")
        labels = folder.read(tmp_path).labels
        assert (labels.names, labels.background) == (("Background", "bag", "box"), 0)

    def test_labels_yaml_names_colours_and_ignores(self, tmp_path: Path) -> None:
        put(tmp_path, "a", np.array([[0, 1, 9]], np.uint8))
        declare(
            tmp_path,
            "names: {1: bag, 0: floor}\n"
            "colors: {bag: [1, 2, 3], floor: [4, 5, 6]}\n"
            "ignore: [9]\nbackground: floor\n",
        )
        dataset = folder.read(tmp_path)
        assert dataset.labels.names == ("floor", "bag")
        assert dataset.labels.colors == ((4, 5, 6), (1, 2, 3))
        assert dataset.labels.background == 0
        assert dataset.load(dataset.split("train")[0])[1].tolist() == [[0, 1, 255]]

    def test_values_alone_declare_everything(self, tmp_path: Path) -> None:
        put(tmp_path, "a", np.array([[0, 255]], np.uint8))
        declare(tmp_path, "values: {0: background, 255: object}\n")
        dataset = folder.read(tmp_path)
        assert dataset.labels.names == ("background", "object")
        assert dataset.labels.background == 0
        assert dataset.load(dataset.split("train")[0])[1].tolist() == [[0, 1]]

    @pytest.mark.parametrize(
        "declared", ["", "names: [background, object]\n", "names: [a, b]\nignore: [255]\n"]
    )
    def test_masks_of_0_and_255_are_refused_with_what_to_write(
        self, tmp_path: Path, declared: str
    ) -> None:
        put(tmp_path, "a", np.array([[0, 255]], np.uint8))
        put(tmp_path, "b", np.array([[0, 0]], np.uint8))
        if declared:
            declare(tmp_path, declared)
        with pytest.raises(DataError, match=r"values: \{0: background, 255: object\}"):
            folder.read(tmp_path)

    def test_0_and_255_with_a_class_1_somewhere_is_a_sound_set(self, tmp_path: Path) -> None:
        put(tmp_path, "a", np.array([[0, 255]], np.uint8))
        put(tmp_path, "b", np.array([[0, 1]], np.uint8))
        declare(tmp_path, "names: [background, object]\n")
        assert folder.read(tmp_path).labels.num_classes == 2

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("names: [a, b]\ncolours: []\n", "did you mean 'colors'"),
            ("names: [a, no]\n", "put into quotes"),
            ("names: [a, a]\n", "must differ"),
            ("names: {1: a, 2: b}\n", "ids 0, 1, 2"),
            ("names: []\n", "must be a list"),
            ("- a\n- b\n", "key: value"),
            (f"names: [{'a' * 201}]", r"labels\.yaml: 'a+\.\.\.a+' has over 200 letters"),
            ("names: " + "[" * 100_000, r"labels\.yaml: not readable as YAML \(line 1: nested too"),
            ("names: [a\n", r"labels\.yaml: not readable as YAML \(line 2, column 1: expected"),
            ("names: [a, b]\nvalues: {0: a, 7: c}\n", "not in names"),
            ("names: [a, b]\nvalues: {0: a, 256: b}\n", "0 to 255"),
            ("names: [a, b]\nvalues: {0: a, true: b}\n", "0 to 255"),
            ("names: [a, b]\nignore: [1]\n", "both a class and ignored"),
            ("names: [a, b]\nignore: [void]\n", "ignore is a list"),
            ("names: [a, b]\nbackground: c\n", "not one of"),
            ("names: [a, b]\ncolors: [[0, 0, 0]]\n", "for each of the 2 classes"),
            ("names: [a, b]\ncolors: [[0, 0, 0], [0, 0, 300]]\n", "each 0 to 255"),
            ("names: [a, b]\ncolors: [[0, 0, 0], [0, 0, 0]]\n", "same colour"),
        ],
    )
    def test_wrong_declarations_say_what_is_wrong(
        self, tmp_path: Path, text: str, message: str
    ) -> None:
        put(tmp_path, "a")
        declare(tmp_path, text)
        with pytest.raises((DataError, ConfigError), match=message):
            folder.read(tmp_path)

    def test_undeclared_values_name_the_file_and_the_values(self, tmp_path: Path) -> None:
        put(tmp_path, "a", np.array([[0, 1, 7, 9]], np.uint8))
        declare(tmp_path, "names: [a, b]\n")
        [problem] = check_dataset(folder.read(tmp_path), workers=1).problems
        assert problem.endswith("a.png: undeclared mask values 7, 9; declared are 0-1, 255")


class TestColours:
    RGB = np.array([[[0, 0, 0], [200, 0, 0], [9, 9, 9]]], np.uint8)
    DECLARED = "names: [floor, bag]\ncolors: [[0, 0, 0], [200, 0, 0]]\n"

    def test_declared_colours_become_classes(self, tmp_path: Path) -> None:
        put(tmp_path, "a", self.RGB)
        declare(tmp_path, self.DECLARED + "ignore: [[9, 9, 9]]\n")
        dataset = folder.read(tmp_path)
        assert dataset.load(dataset.split("train")[0])[1].tolist() == [[0, 1, 255]]

    def test_undeclared_colours_are_refused(self, tmp_path: Path) -> None:
        put(tmp_path, "a", self.RGB)
        declare(tmp_path, self.DECLARED)
        [problem] = check_dataset(folder.read(tmp_path), workers=1).problems
        assert "1 undeclared mask colours: [9, 9, 9]" in problem

    @pytest.mark.parametrize("declared", ["", "names: [floor, bag]\n"])
    def test_colours_without_a_palette_are_refused(self, tmp_path: Path, declared: str) -> None:
        put(tmp_path, "a", self.RGB)
        if declared:
            declare(tmp_path, declared)
        with pytest.raises(DataError, match=r"mask has colours.*colour for each class"):
            folder.read(tmp_path)


def test_links_that_leave_and_pipes_are_refused(tiny_folder: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret.png"
    secret.write_bytes((tiny_folder / "images" / "0.png").read_bytes())
    (tiny_folder / "images" / "7.png").symlink_to(secret)
    (tiny_folder / "masks" / "7.png").symlink_to(tiny_folder / "masks" / "0.png")
    os.mkfifo(tiny_folder / "images" / "8.png")
    with pytest.raises(DataError) as raised:
        folder.read(tiny_folder)
    told = "\n".join(raised.value.problems)
    assert "7.png: a link that leaves the data set" in told
    assert "8.png: not a file" in told
    assert "masks/7.png: a link" not in told


@pytest.mark.parametrize("kind", ["images", "masks"])
def test_a_folder_that_is_a_link_to_another_place_is_refused(
    tiny_folder: Path, tmp_path: Path, kind: str
) -> None:
    path = tiny_folder / kind
    path.symlink_to(path.rename(tmp_path / "elsewhere"))
    with pytest.raises(DataError, match=f"{kind}: a link that leaves"):
        folder.read(tiny_folder)


def test_a_picture_of_a_kind_that_is_not_read_is_named(tmp_path: Path) -> None:
    put(tmp_path, "a")
    put(tmp_path, "b")
    picture = tmp_path / "images" / "b.png"
    Image.open(picture).save(picture.with_suffix(".tif"))
    picture.unlink()
    with pytest.raises(DataError, match=r"b\.tif is of a kind that is not read: convert it"):
        folder.read(tmp_path)
