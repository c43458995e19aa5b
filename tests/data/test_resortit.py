import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from frugalseg.core.errors import DataError
from frugalseg.data.catalog import FORMATS
from frugalseg.data.check.report import check_dataset
from frugalseg.data.layouts import resortit


def put(root: Path, stem: str, *values: int, split: str = "train", mask: str = "{}.png") -> Path:
    for folder in (root / split, root / "labels" / split):
        folder.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (12, 10)).save(root / split / f"{stem}.jpg")
    path = root / "labels" / split / mask.format(stem)
    stream = io.BytesIO()
    values_HW = np.resize(np.array(values or (0, 1), np.uint8), (10, 12))
    Image.fromarray(values_HW).save(stream, format="PNG")
    path.write_bytes(stream.getvalue())
    return path


def problem(root: Path) -> str:
    try:
        return "\n".join(check_dataset(resortit.read(root), workers=1).problems)
    except DataError as wrong:
        return str(wrong)


@pytest.mark.parametrize("mask", ["{}.png", "{}.jpg.png", "{}.jpg", "{}.bmp"])
def test_a_mask_is_named_like_its_photograph(tmp_path: Path, mask: str) -> None:
    put(tmp_path, "a", 0, 1, 2, 3, 4, mask=mask)
    put(tmp_path, "b", split="val", mask=mask)
    assert [n for n, layout in FORMATS.items() if layout.detect(tmp_path)] == ["resortit"]
    dataset = resortit.read(tmp_path)
    assert dataset.labels.names == ("background", "aluminium", "carton", "bottle", "nylon")
    assert dataset.labels.background == 0
    assert dataset.load(dataset.split("train")[0])[1][0, :5].tolist() == [0, 1, 2, 3, 4]
    assert problem(tmp_path) == ""


@pytest.mark.parametrize("value", [5, 255])
def test_other_values_are_refused(tmp_path: Path, value: int) -> None:
    put(tmp_path, "a", value)
    put(tmp_path, "b", split="val")
    assert f"undeclared mask values {value}; declared are 0-4" in problem(tmp_path)


def test_a_mask_that_is_a_jpeg_is_refused_whatever_its_name(tmp_path: Path) -> None:
    for stem, name in (("a", "{}.jpg"), ("b", "{}.png")):
        path = put(tmp_path, stem, mask=name)
        Image.new("L", (12, 10)).save(path, format="JPEG")
    put(tmp_path, "c", split="val")
    with pytest.raises(DataError, match=r"a\.jpg: a lossy format changes the values of a mask"):
        resortit.read(tmp_path)
    (tmp_path / "labels" / "train" / "a.jpg").unlink()
    (tmp_path / "train" / "a.jpg").unlink()
    assert "b.png: a lossy format changes the values of a mask" in problem(tmp_path)


def test_two_masks_of_one_photograph_are_refused(tmp_path: Path) -> None:
    put(tmp_path, "a")
    put(tmp_path, "a", mask="{}.jpg.png")
    put(tmp_path, "b", split="val")
    assert "a.jpg: several masks, a.png and a.jpg.png; keep one" in problem(tmp_path)


def test_beside_data_yaml_it_is_something_else(tmp_path: Path) -> None:
    put(tmp_path, "a")
    put(tmp_path, "b", split="val")
    (tmp_path / "data.yaml").write_text("names: [bag]\n", encoding="utf-8")
    assert not resortit.detect(tmp_path)


def test_files_without_a_partner_are_named(tmp_path: Path) -> None:
    for stem in "abc":
        put(tmp_path, stem)
    put(tmp_path, "d", split="val")
    (tmp_path / "train" / "a.jpg").unlink()
    (tmp_path / "labels" / "train" / "b.png").unlink()
    told = problem(tmp_path)
    assert "2 problems" in told
    assert "a.png: no image for this mask" in told
    assert "b.jpg: no mask; expected" in told


def test_a_test_split_is_read_where_it_is(tmp_path: Path) -> None:
    for split in ("train", "val", "test"):
        put(tmp_path, "a", split=split)
    assert list(resortit.read(tmp_path).splits) == ["train", "val", "test"]


def test_another_data_set_names_its_classes(tmp_path: Path) -> None:
    put(tmp_path, "a")
    put(tmp_path, "b", split="val")
    (tmp_path / "classes.txt").write_text("ground\nbag\n\n", encoding="utf-8")
    assert resortit.read(tmp_path).labels.names == ("ground", "bag")


@pytest.mark.parametrize("name", ["camvid", "waste", "trash_bags", "coco", "taco", "fixtures"])
def test_real_sets_of_other_layouts_are_none_of_an_annotation_tool_s(
    real_data: Path, name: str
) -> None:
    ours = ("labelme", "label_studio", "roboflow", "huggingface", "ultralytics", "resortit")
    assert [own for own in ours if FORMATS[own].detect(real_data / name)] == []
