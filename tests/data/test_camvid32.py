from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from frugalseg.core.errors import DataError
from frugalseg.data.catalog import open_dataset
from frugalseg.data.dataset import Dataset
from frugalseg.data.layouts import camvid32

CAR, ROAD, VOID = (64, 0, 128), (128, 64, 128), (0, 0, 0)
RELEASE = ("701_StillsRaw_full", "LabeledApproved_full")
KAGGLE = ("train", "train_labels")
CSV = "name,r,g,b\nRoad,128,64,128\nCar,64,0,128\nVoid,0,0,0\n"


def put(
    root: Path,
    name: str,
    folders: tuple[str, str] = RELEASE,
    colors: tuple[tuple[int, int, int], ...] = (CAR, ROAD, VOID),
    ending: str = "_L",
) -> Path:
    mask = root / folders[1] / f"{name}{ending}.png"
    for path in (root / folders[0] / f"{name}.png", mask):
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.array([colors, colors], np.uint8)).save(path)
    return mask


def declare(root: Path, text: str, name: str = "class_dict.csv") -> None:
    (root / name).write_text(text, encoding="utf-8")


def loaded(dataset: Dataset, split: str = "train") -> list[int]:
    row: list[int] = dataset.load(dataset.split(split)[0])[1][0].tolist()
    return row


class TestClasses:
    def test_without_a_file_they_are_those_of_the_release(self, tmp_path: Path) -> None:
        put(tmp_path, "0001TP_006690")
        dataset = open_dataset(tmp_path)
        assert dataset.format == "camvid32"
        assert dataset.labels.num_classes == 31
        assert dataset.labels.names[5] == "Car"
        assert loaded(dataset) == [5, 17, 255]

    def test_label_colors_of_the_release_are_followed(self, tmp_path: Path) -> None:
        put(tmp_path, "0001TP_006690")
        declare(
            tmp_path, "64 0 128\t\tCar\r\n0 0 0\tVoid\r\n128 64 128\tRoad\r\n", "label_colors.txt"
        )
        dataset = open_dataset(tmp_path)
        assert dataset.labels.names == ("Car", "Road")
        assert loaded(dataset) == [0, 1, 255]

    def test_class_dict_of_kaggle_is_followed(self, tmp_path: Path) -> None:
        put(tmp_path, "a", KAGGLE)
        declare(tmp_path, CSV.replace("name,r,g,b", " Name, R, G, B"))
        dataset = open_dataset(tmp_path)
        assert dataset.labels.colors == (ROAD, CAR)
        assert loaded(dataset) == [1, 0, 255]

    def test_labels_yaml_wins(self, tmp_path: Path) -> None:
        put(tmp_path, "0001TP_006690")
        text = "names: [way, other]\ncolors: [[128, 64, 128], [0, 0, 0]]\nignore: [[64, 0, 128]]\n"
        declare(tmp_path, text, "labels.yaml")
        assert loaded(open_dataset(tmp_path)) == [255, 0, 1]

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("", "expected the columns name,r,g,b"),
            ("name,r,g\nRoad,1,2\n", "expected the columns name,r,g,b"),
            ("name,r,g,b\nRoad,1,2\n", "expected the columns name,r,g,b"),
            ("name,r,g,b\nRoad,1,2,x\n", "expected the columns name,r,g,b"),
            ("name,r,g,b\nRoad,1,2,300\n", "0 to 255"),
            ("name,r,g,b\nRoad,1,2,3\nCar,1,2,3\n", "Road and Car have the same colour"),
            ("name,r,g,b\nRoad,1,2,3\nRoad,1,2,4\n", "class names must differ"),
            ("name,r,g,b\nVoid,0,0,0\n", "1 to 255 classes, got 0"),
            ("name,r,g,b\n" + "x" * 200_000 + ",1,2,3\n", "field larger than field limit"),
        ],
    )
    def test_a_bad_class_dict_is_named(self, tmp_path: Path, text: str, message: str) -> None:
        put(tmp_path, "a", KAGGLE)
        declare(tmp_path, text)
        with pytest.raises(DataError, match=rf"class_dict\.csv: .*{message}"):
            open_dataset(tmp_path)

    def test_bad_lines_of_label_colors_are_named(self, tmp_path: Path) -> None:
        put(tmp_path, "a")
        declare(tmp_path, "64 0 128 Car\n1 2 Sky\n\nx y z Road\n", "label_colors.txt")
        with pytest.raises(DataError, match=r"line 2: expected(.|\n)*line 4: expected"):
            open_dataset(tmp_path)


class TestSplits:
    def test_the_frames_are_divided_as_segnet_did(self, tmp_path: Path, real_data: Path) -> None:
        lists = {
            split: [
                Path(line.split()[0]).stem
                for line in (real_data / "camvid" / f"{split}.txt").read_text().splitlines()
            ]
            for split in ("train", "val")
        }
        mask = put(tmp_path, "0001TP_008550").read_bytes()
        for name in (*lists["train"], *lists["val"], "Seq05VD_f00000"):
            for folder, ending in zip(RELEASE, ("", "_L"), strict=True):
                (tmp_path / folder / f"{name}{ending}.png").write_bytes(mask)
        splits = camvid32.read(tmp_path).splits
        assert {split: [s.name for s in splits[split]] for split in lists} == {
            split: sorted(names) for split, names in lists.items()
        }
        assert [s.name for s in splits["test"]] == ["0001TP_008550", "Seq05VD_f00000"]

    def test_pictures_of_other_names_are_divided_by_their_hash(self, tmp_path: Path) -> None:
        for name in ("0001TP_006690", "holiday"):
            put(tmp_path, name)
        assert [len(split) for split in camvid32.read(tmp_path).splits.values()] == [1, 1]

    def test_the_folders_of_kaggle_are_the_splits(self, tmp_path: Path) -> None:
        declare(tmp_path, CSV)
        for split in ("train", "val", "test"):
            put(tmp_path, split[0], (split, f"{split}_labels"))
        splits = open_dataset(tmp_path).splits
        assert {name: [s.name for s in split] for name, split in splits.items()} == {
            "train": ["t"],
            "val": ["v"],
            "test": ["t"],
        }

    def test_a_test_split_without_masks_is_empty(self, tmp_path: Path) -> None:
        declare(tmp_path, CSV)
        put(tmp_path, "a", KAGGLE)
        put(tmp_path, "b", ("test", "test_labels")).unlink()
        assert camvid32.read(tmp_path).splits["test"] == ()


class TestMasks:
    def test_they_may_be_named_like_their_pictures(self, tmp_path: Path) -> None:
        declare(tmp_path, CSV)
        put(tmp_path, "a_L", KAGGLE, ending="")
        put(tmp_path, "b", KAGGLE)
        assert [s.name for s in camvid32.read(tmp_path).split("train")] == ["a_L", "b"]

    def test_two_for_one_picture_are_refused(self, tmp_path: Path) -> None:
        declare(tmp_path, CSV)
        for ending in ("", "_L"):
            put(tmp_path, "a", KAGGLE, ending=ending)
        with pytest.raises(DataError, match=r"a_L\.png: a second mask for a"):
            camvid32.read(tmp_path)


class TestTheFlawedMask:
    NAME = "Seq05VD_f02610"

    def test_up_to_175_pixels_are_ignored(self, tmp_path: Path) -> None:
        put(tmp_path, self.NAME, colors=((26, 26, 26),) * 86 + ((64, 0, 127), CAR))
        assert loaded(camvid32.read(tmp_path), "test") == [255] * 87 + [5]

    def test_more_than_these_are_refused(self, tmp_path: Path) -> None:
        put(tmp_path, self.NAME, colors=((26, 26, 26),) * 88)
        dataset = camvid32.read(tmp_path)
        with pytest.raises(DataError, match=r"1 undeclared mask colours: \[26, 26, 26\]"):
            loaded(dataset, "test")

    def test_no_other_mask_is_spared(self, tmp_path: Path) -> None:
        put(tmp_path, "Seq05VD_f02640", colors=((26, 26, 26), CAR))
        dataset = camvid32.read(tmp_path)
        with pytest.raises(DataError, match=r"1 undeclared mask colours"):
            loaded(dataset, "test")
