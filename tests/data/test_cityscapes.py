from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from frugalseg.core.errors import DataError
from frugalseg.data.catalog import open_dataset
from frugalseg.data.dataset import Dataset
from frugalseg.data.layouts import cityscapes

ALL_IDS = list(range(34))
# The column trainId of helpers/labels.py in cityscapesScripts, for the ids 0 to 33.
TRAIN_IDS = [
    255, 255, 255, 255, 255, 255, 255, 0, 1, 255, 255, 2, 3, 4, 255, 255, 255, 5, 255, 6, 7, 8, 9,
    10, 11, 12, 13, 14, 15, 255, 255, 16, 17, 18,
]  # fmt: skip


def put(root: Path, name: str, values: list[int], kind: str = "labelIds") -> Path:
    """Write a picture and a mask; `name` begins with split and city, "train/ulm/a"."""
    image = root / "leftImg8bit" / f"{name}_leftImg8bit.png"
    mask = root / "gtFine" / f"{name}_gtFine_{kind}.png"
    for path in (image, mask):
        path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (len(values), 1)).save(image)
    Image.fromarray(np.array([values], np.uint8)).save(mask)
    return mask


def loaded(dataset: Dataset, split: str = "train") -> list[int]:
    row: list[int] = dataset.load(dataset.split(split)[0])[1][0].tolist()
    return row


def test_every_id_has_the_train_id_of_the_official_table(tmp_path: Path) -> None:
    put(tmp_path, "train/ulm/a", ALL_IDS)
    dataset = open_dataset(tmp_path)
    assert loaded(dataset) == TRAIN_IDS
    assert dataset.labels.num_classes == 19
    assert dataset.labels.names[13] == "car"
    assert dataset.labels.colors[13] == (0, 0, 142)


def test_pictures_are_found_in_all_cities_beside_the_other_files(tmp_path: Path) -> None:
    for name in ("train/ulm/a", "train/bonn/a", "val/lindau/b"):
        mask = put(tmp_path, name, [7])
        for other in ("color.png", "instanceIds.png", "polygons.json"):
            mask.with_name(mask.name.replace("labelIds.png", other)).write_bytes(b"x")
    (tmp_path / "gtCoarse" / "train_extra").mkdir(parents=True)
    splits = cityscapes.read(tmp_path).splits
    assert {split: [s.name for s in samples] for split, samples in splits.items()} == {
        "train": ["bonn/a", "ulm/a"],
        "val": ["lindau/b"],
    }


class TestTrainIds:
    def test_they_are_taken_if_every_picture_has_them(self, tmp_path: Path) -> None:
        for name in ("train/ulm/a", "val/lindau/b"):
            put(tmp_path, name, [7, 0])
            put(tmp_path, name, [18, 255], "labelTrainIds")
        assert loaded(cityscapes.read(tmp_path)) == [18, 255]

    def test_otherwise_the_ids_are_taken_for_all(self, tmp_path: Path) -> None:
        for name in ("train/ulm/a", "val/lindau/b"):
            put(tmp_path, name, [8, 0])
        put(tmp_path, "train/ulm/a", [0, 0], "labelTrainIds")
        dataset = cityscapes.read(tmp_path)
        assert loaded(dataset) == loaded(dataset, "val") == [1, 255]

    def test_if_neither_is_complete_the_ids_are_asked_for(self, tmp_path: Path) -> None:
        put(tmp_path, "train/ulm/a", [0], "labelTrainIds")
        put(tmp_path, "train/ulm/b", [0])
        with pytest.raises(
            DataError, match=r"no mask; expected gtFine/train/ulm/a_gtFine_labelIds\.png"
        ):
            cityscapes.read(tmp_path)

    def test_19_for_void_is_refused(self, tmp_path: Path) -> None:
        put(tmp_path, "train/ulm/a", [0, 19], "labelTrainIds")
        dataset = cityscapes.read(tmp_path)
        with pytest.raises(DataError, match=r"labelTrainIds\.png: undeclared mask values 19"):
            loaded(dataset)


class TestTheTestSplit:
    def test_without_masks_it_is_left_out(self, tmp_path: Path) -> None:
        put(tmp_path, "train/ulm/a", [7])
        put(tmp_path, "test/berlin/b", [7]).unlink()
        assert list(cityscapes.read(tmp_path).splits) == ["train"]

    def test_with_masks_of_bonnet_and_border_alone_it_is_left_out(self, tmp_path: Path) -> None:
        put(tmp_path, "train/ulm/a", [7])
        for number in range(20):
            put(tmp_path, f"test/berlin/{number:02d}", [0, 1, 2, 3])
        assert list(cityscapes.read(tmp_path).splits) == ["train"]

    def test_with_labels_it_is_read(self, tmp_path: Path) -> None:
        put(tmp_path, "train/ulm/a", [7])
        put(tmp_path, "test/berlin/b", [0, 1])
        put(tmp_path, "test/berlin/c", [0, 33])
        assert len(cityscapes.read(tmp_path).split("test")) == 2

    def test_a_damaged_mask_in_it_is_left_to_be_named_when_it_is_loaded(
        self, tmp_path: Path
    ) -> None:
        put(tmp_path, "train/ulm/a", [7])
        put(tmp_path, "test/berlin/b", [7]).write_bytes(b"")
        assert len(cityscapes.read(tmp_path).split("test")) == 1


def test_labels_yaml_may_name_other_classes(tmp_path: Path) -> None:
    put(tmp_path, "train/ulm/a", [0, 1, 200])
    text = "values: {0: field, 1: track}\nignore: [200]\n"
    (tmp_path / "labels.yaml").write_text(text, encoding="utf-8")
    dataset = cityscapes.read(tmp_path)
    assert dataset.labels.names == ("field", "track")
    assert loaded(dataset) == [0, 1, 255]


def test_pictures_of_other_names_are_not_taken(tmp_path: Path) -> None:
    put(tmp_path, "train/ulm/a", [7])
    path = tmp_path / "leftImg8bit" / "train" / "ulm" / "a_leftImg8bit.png"
    path.rename(path.with_name("a.png"))
    with pytest.raises(
        DataError, match=r"no images of the form leftImg8bit/train/CITY/\*_leftImg8bit\.png"
    ):
        cityscapes.read(tmp_path)
