from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from frugalseg.core.errors import DataError
from frugalseg.data.catalog import FORMATS
from frugalseg.data.check.report import check_dataset
from frugalseg.data.layouts import ultralytics

NAMES = "names: {0: background, 1: bag, 2: box}\n"


def put(root: Path, stem: str, *values: int, images: str = "images/train", masks: str = "") -> None:
    masks = masks or images.replace("images", "masks")
    for folder in (root / images, root / masks):
        folder.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (12, 10)).save(root / images / f"{stem}.jpg")
    values_HW = np.resize(np.array(values or (0, 1), np.uint8), (10, 12))
    Image.fromarray(values_HW).save(root / masks / f"{stem}.png")


def declare(root: Path, text: str = "") -> None:
    (root / "data.yaml").write_text(NAMES + text, encoding="utf-8")


def first(root: Path) -> list[int]:
    dataset = ultralytics.read(root)
    values: list[int] = dataset.load(dataset.split("train")[0])[1][0, :4].tolist()
    return values


def detected(root: Path) -> list[str]:
    return [name for name, layout in FORMATS.items() if layout.detect(root)]


def problem(root: Path) -> str:
    try:
        return "\n".join(check_dataset(ultralytics.read(root), workers=1).problems)
    except DataError as wrong:
        return str(wrong)


class TestDetection:
    def test_masks_without_other_labels_will_do(self, tmp_path: Path) -> None:
        put(tmp_path, "a")
        declare(tmp_path)
        assert detected(tmp_path) == ["ultralytics"]

    def test_beside_labels_the_key_decides(self, tmp_path: Path) -> None:
        put(tmp_path, "a")
        (tmp_path / "labels").mkdir()
        declare(tmp_path, "masks_dir: masks\n")
        assert detected(tmp_path) == ["ultralytics"]
        declare(tmp_path)
        assert "ultralytics" not in detected(tmp_path)
        assert "yolo" in detected(tmp_path)

    def test_without_data_yaml_it_is_a_folder(self, tmp_path: Path) -> None:
        put(tmp_path, "a")
        assert detected(tmp_path) == ["folder"]

    @pytest.mark.parametrize("text", ["[", "a: 2020-99-99", "\x00", "x: " + "[" * 500])
    def test_a_broken_file_is_told_when_it_is_read(self, tmp_path: Path, text: str) -> None:
        put(tmp_path, "a")
        (tmp_path / "data.yaml").write_text(text, encoding="utf-8")
        assert detected(tmp_path) == ["ultralytics"]
        assert "data.yaml: not readable as YAML" in problem(tmp_path)
        (tmp_path / "labels").mkdir()
        assert "yolo" in detected(tmp_path)


def test_values_are_class_ids_and_255_does_not_count(tmp_path: Path) -> None:
    put(tmp_path, "a", 0, 1, 2, 255)
    put(tmp_path, "b", images="images/val")
    declare(tmp_path)
    dataset = ultralytics.read(tmp_path)
    assert dataset.labels.names == ("background", "bag", "box")
    assert dataset.labels.background == 0
    assert first(tmp_path) == [0, 1, 2, 255]
    assert [sample.name for sample in dataset.split("val")] == ["b"]


def test_a_mapping_tells_what_values_mean(tmp_path: Path) -> None:
    put(tmp_path, "a", 7, 8, 9, 255)
    mapping = "label_mapping: {-1: ignore_label, 7: 0, 8: 2, 9: ignore_label, 255: 1}\n"
    declare(tmp_path, mapping)
    assert first(tmp_path) == [0, 2, 255, 1]
    declare(tmp_path, mapping.replace(", 255: 1", ""))
    assert first(tmp_path) == [0, 2, 255, 255]
    declare(tmp_path, mapping.replace(" 8: 2,", ""))
    assert "undeclared mask values 8; declared are 7, 9, 255" in problem(tmp_path)


@pytest.mark.parametrize(
    ("text", "images", "masks"),
    [
        ("train: images/train\n", "images/train", "masks/train"),
        ("train: ../train/images\nmasks_dir: annots\n", "train/images", "train/annots"),
        ("train: [images/a]\nmasks_dir: a/b\n", "images/a", "a/b/a"),
        ("path: inner\ntrain: images\n", "inner/images", "inner/masks"),
        ("path: /datasets/x\ntrain: images/images/a\n", "images/images/a", "images/masks/a"),
    ],
)
def test_folders_are_found_as_users_write_them(
    tmp_path: Path, text: str, images: str, masks: str
) -> None:
    put(tmp_path, "a", 0, 1, 2, 1, images=images, masks=masks)
    declare(tmp_path, text)
    assert first(tmp_path) == [0, 1, 2, 1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("train: elsewhere\n", "train: 'elsewhere' is not a folder of"),
        ("train: ../outside/images\n", "is not a folder of"),
        ("train: /etc/images\n", "is not a folder of"),
        (f"train: {'x' * 999}\n", "is not a folder of"),
        ('train: "\\ud800"\n', "is not a folder of"),
        ("train: 3\n", "train: 3 is not a folder of"),
        ("train: {a: b}\n", "is not a folder of"),
        ("path: [a]\ntrain: images/train\n", "is not a folder of"),
        ("train: masks/train\n", "is not a folder of"),
        ("masks_dir: ../outside\n", "masks_dir: no folder '../outside' beside the images"),
        ("masks_dir: /etc\n", "masks_dir: no folder '/etc'"),
        ("masks_dir: 3\n", "masks_dir: no folder 3"),
        ("masks_dir:\n", "masks_dir: no folder None"),
        (f"masks_dir: {'x' * 999}\n", "masks_dir: no folder 'xxx"),
        ('masks_dir: "\\0"\n', "masks_dir: no folder '\\x00'"),
        ("label_mapping: 3\n", "label_mapping maps values to class ids, got 3"),
        ("label_mapping: {}\n", "label_mapping maps values to class ids, got {}"),
        ("label_mapping: {0: 3}\n", "label_mapping: 0: 3; it maps"),
        ("label_mapping: {0: bag}\n", "label_mapping: 0: 'bag'; it maps"),
        ("label_mapping: {256: 0}\n", "label_mapping: 256: 0; it maps"),
        ("label_mapping: {a: 0}\n", "label_mapping: 'a': 0; it maps"),
        ("label_mapping: {0: true}\n", "label_mapping: 0: True; it maps"),
        ("names: []\n", "names must be a list"),
        ("names: [a, [b]]\n", "names are text"),
        ("names: {0: a, 2: b}\n", "names must have the ids 0, 1, 2"),
        ("names: [a, a]\n", "class names must differ"),
        ("names: bag\n", "names must be a list"),
    ],
)
def test_wrong_data_yaml_says_what_is_wrong(tmp_path: Path, text: str, message: str) -> None:
    root = tmp_path / "set"
    put(root, "a")
    put(tmp_path / "outside", "b", images="images", masks="train")
    declare(root, text)
    assert message in problem(root)
    assert len(problem(root)) < 1000


def test_names_that_repeat_themselves_do_not_fill_the_memory(tmp_path: Path) -> None:
    put(tmp_path, "a")
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 12)]
    bomb = "\n".join(lines)
    for use in ("names: *a11", "train: *a11", "masks_dir: *a11", "label_mapping: {0: *a11}"):
        (tmp_path / "data.yaml").write_text(f"{bomb}\n{NAMES}{use}\n", encoding="utf-8")
        assert 0 < len(problem(tmp_path)) < 5000


def test_masks_of_0_and_255_alone_are_refused(tmp_path: Path) -> None:
    put(tmp_path, "a", 0, 255)
    declare(tmp_path)
    assert "masks hold only the values 0 and 255" in problem(tmp_path)
    declare(tmp_path, "label_mapping: {0: 0, 255: 1}\n")
    assert first(tmp_path) == [0, 1, 0, 1]
    declare(tmp_path, "label_mapping: {0: 0, 1: 1, 255: ignore_label}\n")
    assert first(tmp_path) == [0, 255, 0, 255]


def test_the_same_name_in_two_folders_of_a_split_is_refused(tmp_path: Path) -> None:
    put(tmp_path, "a", images="images/one")
    put(tmp_path, "a", images="images/two")
    declare(tmp_path, "train: [images/one, images/two]\n")
    assert "two/a.jpg: same name as" in problem(tmp_path)


def test_no_pictures_are_refused(tmp_path: Path) -> None:
    put(tmp_path, "a", images="images/elsewhere")
    declare(tmp_path)
    assert "no images (JPEG, PNG, BMP or WebP) where" in problem(tmp_path)
