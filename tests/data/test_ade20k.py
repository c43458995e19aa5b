from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from frugalseg.core.errors import DataError
from frugalseg.data.catalog import open_dataset
from frugalseg.data.layouts import ade20k

HEAD = "Idx\tRatio\tTrain\tVal\tName\n"


def put(root: Path, name: str, values: list[int], folder: str = "training") -> None:
    for kind, suffix in (("images", "jpg"), ("annotations", "png")):
        path = root / kind / folder / f"{name}.{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.array([values], np.uint8)).save(path)


def test_150_classes_begin_at_1_and_0_is_ignored(tmp_path: Path) -> None:
    put(tmp_path, "ADE_train_00000001", [0, 1, 150])
    put(tmp_path, "ADE_val_00000001", [0, 13], "validation")
    dataset = open_dataset(tmp_path)
    assert dataset.format == "ade20k"
    names = dataset.labels.names
    assert len(set(names)) == 150
    assert (names[0], names[12], names[61], names[149]) == ("wall", "person", "bridge", "flag")
    assert all(name == name.strip() and "\n" not in name for name in names)
    assert dataset.load(dataset.split("train")[0])[1].tolist() == [[255, 0, 149]]
    assert dataset.load(dataset.split("val")[0])[1].tolist() == [[255, 12]]


def test_pictures_for_testing_are_not_read(tmp_path: Path) -> None:
    put(tmp_path, "a", [1])
    (tmp_path / "images" / "testing").mkdir()
    Image.new("RGB", (1, 1)).save(tmp_path / "images" / "testing" / "b.jpg")
    assert list(ade20k.read(tmp_path).splits) == ["train"]


def test_the_file_of_names_is_followed(tmp_path: Path) -> None:
    put(tmp_path, "a", [0, 1, 2])
    rows = "2 \t0.1\t1\t1\tbuilding, edifice\n1\t0.2\t1\t1\tbed \n"
    (tmp_path / "objectInfo150.txt").write_text(HEAD + rows, encoding="utf-8")
    assert ade20k.read(tmp_path).labels.names == ("bed", "building")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "names must be a list of class names"),
        ("wall\nsky\n", "expected the columns Idx and Name"),
        (f"{HEAD}one\t0\t0\t0\twall\n", "expected the columns Idx and Name"),
        (f"{HEAD}1\t0\n", "expected the columns Idx and Name"),
        (f"{HEAD}1\t0\t0\t0\twall\n3\t0\t0\t0\tsky\n", r"must be 1, 2, 3 \.\.\., got \[1, 3\]"),
        (f"{HEAD}1\t0\t0\t0\twall\n1\t0\t0\t0\tsky\n", r"must be 1, 2, 3 \.\.\., got \[1, 1\]"),
        (f"{HEAD}1\t0\t0\t0\ta\n2\t0\t0\t0\ta, b\n", "names must differ; there twice: a"),
        (f"{HEAD}1\t0\t0\t0\t, b\n", "put into quotes"),
        (HEAD + "".join(f"{i}\t0\t0\t0\tc{i}\n" for i in range(1, 257)), "1 to 255 classes"),
    ],
)
def test_a_bad_file_of_names_is_named(tmp_path: Path, text: str, message: str) -> None:
    put(tmp_path, "a", [0, 1])
    (tmp_path / "objectInfo150.txt").write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=rf"objectInfo150\.txt: .*{message}"):
        ade20k.read(tmp_path)


def test_labels_yaml_wins(tmp_path: Path) -> None:
    put(tmp_path, "a", [0, 1, 2])
    text = "names: [floor, wall]\nreduce_zero_label: true\n"
    (tmp_path / "labels.yaml").write_text(text, encoding="utf-8")
    dataset = ade20k.read(tmp_path)
    assert dataset.labels.names == ("floor", "wall")
    assert dataset.load(dataset.split("train")[0])[1].tolist() == [[255, 0, 1]]
