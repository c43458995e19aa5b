from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from frugalseg.core.errors import DataError
from frugalseg.data.catalog import open_dataset
from frugalseg.data.check.report import check_dataset
from frugalseg.data.coco import stuff

TREE, PERSON, STREET_SIGN = 168, 0, 11  # a value is an id less one


def put(
    root: Path,
    masks: str = "stuffthingmaps_trainval2017",
    images: str = ".",
    split: str = "train2017",
    value: int = TREE,
) -> None:
    for folder in (root / masks / split, root / images / split):
        folder.mkdir(parents=True)
    values_HW = np.full((6, 8), value, np.uint8)
    values_HW[0], values_HW[1] = 255, PERSON
    Image.fromarray(values_HW).save(root / masks / split / "000000000001.png")
    Image.new("RGB", (8, 6)).save(root / images / split / "000000000001.jpg")


@pytest.mark.parametrize(
    "masks",
    [
        "stuffthingmaps_trainval2017",
        "stuffthingmaps",
        "annotations/stuffthingmaps_trainval2017",
        "annotations",
    ],
)
@pytest.mark.parametrize("images", [".", "images"])
def test_values_are_ids_less_one(tmp_path: Path, masks: str, images: str) -> None:
    put(tmp_path, masks, images)
    put(tmp_path, masks, images, split="val2017")
    dataset = open_dataset(tmp_path)
    assert dataset.format == "coco-stuff"
    assert {name: len(split) for name, split in dataset.splits.items()} == {"train": 1, "val": 1}
    _, labels_HW = dataset.load(dataset.split("val")[0])
    names = dataset.labels.names
    assert (labels_HW[0] == 255).all()
    assert {names[i] for i in np.unique(labels_HW[1])} == {"person"}
    assert {names[i] for i in np.unique(labels_HW[2:])} == {"tree"}


def test_names_are_those_of_the_official_list() -> None:
    """Spot checks against labels.txt: ids, at both ends of the gaps too."""
    labels = stuff.stuff_labels()
    assert labels.num_classes == 171
    official = {
        1: "person", 11: "fire hydrant", 13: "stop sign", 25: "giraffe", 27: "backpack",
        28: "umbrella", 31: "handbag", 44: "bottle", 46: "wine glass", 65: "bed",
        67: "dining table", 70: "toilet", 72: "tv", 82: "refrigerator", 84: "book",
        90: "toothbrush", 92: "banner", 106: "clouds", 119: "flower", 149: "road",
        157: "sky-other", 169: "tree", 177: "wall-wood", 182: "wood",
    }  # fmt: skip
    for number, name in official.items():
        assert labels.names[labels.from_disk[number - 1]] == name
    unused = {12, 26, 29, 30, 45, 66, 68, 69, 71, 83, 91}
    assert {number - 1 for number in unused} == set(range(182)) - labels.from_disk.keys()
    assert labels.from_disk[255] == 255


def test_a_value_that_was_never_labelled_is_refused(tmp_path: Path) -> None:
    put(tmp_path, value=STREET_SIGN)
    (problem,) = check_dataset(open_dataset(tmp_path)).problems
    assert "undeclared mask values 11" in problem


def test_masks_and_images_without_partner_are_listed(tmp_path: Path) -> None:
    put(tmp_path)
    (tmp_path / "train2017" / "000000000001.jpg").rename(tmp_path / "train2017" / "2.jpg")
    with pytest.raises(DataError) as caught:
        open_dataset(tmp_path)
    assert len(caught.value.problems) == 2


def test_two_folders_for_one_split_are_refused(tmp_path: Path) -> None:
    put(tmp_path)
    (tmp_path / "stuffthingmaps" / "train2014").mkdir(parents=True)
    with pytest.raises(DataError, match="a second folder for 'train'"):
        open_dataset(tmp_path)


def test_folders_without_images_are_refused(tmp_path: Path) -> None:
    (tmp_path / "stuffthingmaps" / "train2017").mkdir(parents=True)
    with pytest.raises(DataError, match="no images beside the masks"):
        open_dataset(tmp_path)


@pytest.mark.parametrize("folder", ["train2017", "stuffthingmaps_trainval2017/train2017"])
def test_a_link_that_leaves_the_folder_is_refused(tmp_path: Path, folder: str) -> None:
    root = tmp_path / "set"
    put(root)
    path = next((root / folder).iterdir())
    path.symlink_to(path.rename(tmp_path / "outside"))
    with pytest.raises(DataError, match=f"{path.name}: a link that leaves"):
        open_dataset(root)


def test_the_folder_of_the_pictures_may_be_a_link(tmp_path: Path) -> None:
    root = tmp_path / "set"
    put(root)
    (root / "train2017").symlink_to((root / "train2017").rename(tmp_path / "pictures"))
    assert len(open_dataset(root).split("train")) == 1
