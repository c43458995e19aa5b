import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from frugalseg.core.errors import DataError
from frugalseg.data.catalog import FORMATS
from frugalseg.data.check.report import check_dataset
from frugalseg.data.layouts import huggingface

NAMES = {"0": "background", "3": "bag", "7": "box"}


def put(
    root: Path, stem: str, *values: int, images: str = "images", labels: str = "labels"
) -> None:
    for folder in (root / images, root / labels):
        folder.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (12, 10)).save(root / images / f"{stem}.jpg")
    values_HW = np.resize(np.array(values or (0, 3), np.uint8), (10, 12))
    Image.fromarray(values_HW).save(root / labels / f"{stem}.png")
    if not (root / "id2label.json").exists():
        declare(root, NAMES)


def declare(root: Path, names: object, settings: str | None = None) -> None:
    (root / "id2label.json").write_text(json.dumps(names), encoding="utf-8")
    if settings is not None:
        (root / "labels.yaml").write_text(settings, encoding="utf-8")


def problem(root: Path) -> str:
    try:
        return "\n".join(check_dataset(huggingface.read(root), workers=1).problems)
    except DataError as wrong:
        return str(wrong)


@pytest.mark.parametrize(
    ("images", "labels"),
    [("images", "labels"), ("images", "annotations"), ("data", "labels"), ("data", "annotations")],
)
def test_folders_may_have_either_name(tmp_path: Path, images: str, labels: str) -> None:
    put(tmp_path, "a", images=images, labels=labels)
    put(tmp_path, "b", images=images, labels=labels)
    assert [n for n, layout in FORMATS.items() if layout.detect(tmp_path)] == ["huggingface"]
    assert {n: len(s) for n, s in huggingface.read(tmp_path).splits.items()} == {
        "train": 1,
        "val": 1,
    }


def test_splits_are_folders(tmp_path: Path) -> None:
    for split in ("train", "validation", "test"):
        put(tmp_path, "a", images=f"images/{split}", labels=f"labels/{split}")
    assert list(huggingface.read(tmp_path).splits) == ["train", "val", "test"]
    put(tmp_path, "b", images="images/val", labels="labels/val")
    assert "a second folder for 'val'" in problem(tmp_path)
    put(tmp_path, "c")
    assert "1 images lie beside the folders train, val, validation, test" in problem(tmp_path)


def test_ids_may_have_gaps_and_255_does_not_count(tmp_path: Path) -> None:
    put(tmp_path, "a", 0, 3, 7, 255)
    dataset = huggingface.read(tmp_path)
    assert dataset.labels.names == ("background", "bag", "box")
    assert dataset.load(dataset.split("train")[0])[1][0, :4].tolist() == [0, 1, 2, 255]


def test_an_id_without_a_name_is_refused(tmp_path: Path) -> None:
    put(tmp_path, "a", 0, 4)
    assert "undeclared mask values 4; declared are 0, 3, 7, 255" in problem(tmp_path)


class TestVoid:
    @pytest.mark.parametrize("name", ["unlabeled", "Unlabelled", "void", "IGNORE"])
    @pytest.mark.parametrize("number", ["0", "9"])
    def test_such_a_name_is_refused_with_the_choice(
        self, tmp_path: Path, name: str, number: str
    ) -> None:
        put(tmp_path, "a")
        declare(tmp_path, {"0": "ground", "3": "bag"} | {number: name})
        told = problem(tmp_path)
        assert f"id {number} is called {name!r}" in told
        assert f"'ignore: [{number}]' if such pixels do not count, or 'ignore: []'" in told

    def test_it_can_be_told_not_to_count(self, tmp_path: Path) -> None:
        put(tmp_path, "a")
        declare(tmp_path, {"0": "unlabeled", "3": "bag"}, "ignore: [0]\n")
        dataset = huggingface.read(tmp_path)
        assert dataset.labels.names == ("bag",)
        assert dataset.load(dataset.split("train")[0])[1][0, :2].tolist() == [255, 0]

    def test_it_can_be_told_to_be_a_class(self, tmp_path: Path) -> None:
        put(tmp_path, "a", 0, 3, 255)
        declare(tmp_path, {"0": "unlabeled", "3": "bag"}, "ignore: []\n")
        dataset = huggingface.read(tmp_path)
        assert dataset.labels.names == ("unlabeled", "bag")
        assert dataset.load(dataset.split("train")[0])[1][0, :3].tolist() == [0, 1, 255]

    def test_as_255_it_does_not_count(self, tmp_path: Path) -> None:
        put(tmp_path, "a", 0, 3, 255)
        declare(tmp_path, {"0": "ground", "3": "bag", "255": "unlabeled"})
        assert huggingface.read(tmp_path).labels.names == ("ground", "bag")

    def test_255_with_a_name_of_its_own_is_a_class(self, tmp_path: Path) -> None:
        put(tmp_path, "a", 0, 255)
        declare(tmp_path, {"0": "ground", "255": "bag"})
        dataset = huggingface.read(tmp_path)
        assert dataset.load(dataset.split("train")[0])[1][0, :2].tolist() == [0, 1]

    @pytest.mark.parametrize(
        "settings",
        ["ignore: 0\n", "ignore: [256]\n", "ignore: [true]\n", "ignore:\n", "ignore: ['0']\n"],
    )
    def test_the_choice_is_a_list_of_ids(self, tmp_path: Path, settings: str) -> None:
        put(tmp_path, "a")
        declare(tmp_path, NAMES, settings)
        assert "labels.yaml: ignore is a list of ids 0 to 255" in problem(tmp_path)

    def test_other_keys_are_refused(self, tmp_path: Path) -> None:
        put(tmp_path, "a")
        declare(tmp_path, NAMES, "ignored: [0]\n")
        assert "did you mean 'ignore'" in problem(tmp_path)

    @pytest.mark.parametrize("settings", ["ignore: 2020-99-99\n", "[", "a: &a [*a]\n- b"])
    def test_broken_settings_are_refused(self, tmp_path: Path, settings: str) -> None:
        put(tmp_path, "a")
        declare(tmp_path, NAMES, settings)
        assert "labels.yaml: not readable as YAML" in problem(tmp_path)

    def test_yaml_that_repeats_itself_does_not_fill_the_memory(self, tmp_path: Path) -> None:
        put(tmp_path, "a")
        lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
        lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 12)]
        declare(tmp_path, NAMES, "\n".join([*lines, "ignore: *a11"]))
        assert len(problem(tmp_path)) < 2000
        declare(tmp_path, NAMES, "\n".join([*lines, "ignore: *a11"]).replace("ignore", "ignor"))
        assert len(problem(tmp_path)) < 2000


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], "expected {"),
        (["background"], "expected {"),
        ({}, "1 to 255 classes, got 0"),
        ({"256": "a"}, "id '256': an id is a value of the masks, 0 to 255"),
        ({"-1": "a"}, "id '-1': an id is a value"),
        ({"00": "a"}, "id '00': an id is a value"),
        ({"٣": "a"}, "id '٣': an id is a value"),
        ({"9" * 5000: "a"}, "an id is a value"),
        ({"a": "0"}, "id 'a': an id is a value"),
        ({"0": 1}, "id '0': a label is one line of text, got 1"),
        ({"0": ""}, "id '0': a label is one line of text"),
        ({"0": None}, "id '0': a label is one line of text, got None"),
        ({"0": "a", "1": "a"}, "class names must differ"),
        ({str(i): f"c{i}" for i in range(256)}, "1 to 255 classes, got 256"),
    ],
)
def test_bad_names_are_refused(tmp_path: Path, names: object, message: str) -> None:
    put(tmp_path, "a")
    declare(tmp_path, names)
    assert "id2label.json" in problem(tmp_path)
    assert message in problem(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [('{"0": "a", "0": "b"}', "the key '0' is there twice"), ("{", "line 1 column 2")],
)
def test_broken_json_is_named(tmp_path: Path, text: str, message: str) -> None:
    put(tmp_path, "a")
    (tmp_path / "id2label.json").write_text(text, encoding="utf-8")
    assert "id2label.json: not readable as JSON" in problem(tmp_path)
    assert message in problem(tmp_path)


def test_masks_of_0_and_255_alone_are_refused(tmp_path: Path) -> None:
    put(tmp_path, "a", 0, 255)
    put(tmp_path, "b", 0)
    assert "masks hold only the values 0 and 255" in problem(tmp_path)
    put(tmp_path, "c", 0, 3)
    assert problem(tmp_path) == ""


@pytest.mark.parametrize(
    ("names", "settings"), [(NAMES | {"255": "ignore"}, None), (NAMES, "ignore: [255]\n")]
)
def test_masks_of_0_and_255_are_read_where_255_is_declared(
    tmp_path: Path, names: object, settings: str | None
) -> None:
    put(tmp_path, "a", 0, 255)
    declare(tmp_path, names, settings)
    assert problem(tmp_path) == ""


def test_masks_and_pictures_without_a_partner_are_named(tmp_path: Path) -> None:
    for stem in "abc":
        put(tmp_path, stem)
    (tmp_path / "images" / "a.jpg").unlink()
    (tmp_path / "labels" / "b.png").unlink()
    told = problem(tmp_path)
    assert "a.png: no image for this mask" in told
    assert "b.jpg: no mask" in told
