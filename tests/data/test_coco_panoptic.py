import json
import pickle
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from frugalseg.core.errors import DataError, FrugalsegError
from frugalseg.data.catalog import FORMATS, open_dataset
from frugalseg.data.check.report import check_dataset
from frugalseg.data.coco import cache, panoptic
from frugalseg.data.dataset import Dataset

WALL, PERSON, CROWD = 7, 300, 256 * 256 * 3 + 256 * 2 + 1


def ids(number: int) -> NDArray[np.int64]:
    ids_HW = np.full((8, 10), WALL)
    ids_HW[2:6, 2 + number : 6] = PERSON
    ids_HW[7] = CROWD
    ids_HW[0] = 0
    return ids_HW


def sound(count: int = 2) -> dict[str, Any]:
    segments = [
        {"id": WALL, "category_id": 199, "iscrowd": 0, "area": 1},
        {"id": PERSON, "category_id": 1, "iscrowd": 0},
        {"id": CROWD, "category_id": 1, "iscrowd": 1},
    ]
    return {
        "images": [
            {"id": 5 - i, "file_name": f"{i}.jpg", "height": 8, "width": 10} for i in range(count)
        ],
        "annotations": [
            {"image_id": 5 - i, "file_name": f"{i}.png", "segments_info": segments}
            for i in reversed(range(count))
        ],
        "categories": [
            {"id": 199, "name": "wall", "isthing": 0},
            {"id": 1, "name": "person", "isthing": 1},
        ],
    }


def put(root: Path, values: Any, split: str = "train2017", top: str = "annotations/") -> None:
    masks = root / f"{top}panoptic_{split}"
    masks.mkdir(parents=True, exist_ok=True)
    (root / split).mkdir(exist_ok=True)
    for number in range(2):
        Image.new("RGB", (10, 8)).save(root / split / f"{number}.jpg")
        ids_HW = ids(number)
        colors = np.stack([ids_HW % 256, ids_HW // 256 % 256, ids_HW // 65536], axis=-1)
        Image.fromarray(colors.astype(np.uint8)).save(masks / f"{number}.png")
    masks.with_suffix(".json").write_text(json.dumps(values), encoding="utf-8")


def drawn(dataset: Dataset, number: int = 0) -> NDArray[np.uint8]:
    return dataset.load(dataset.split("train")[number])[1]


def problems(root: Path) -> list[str]:
    try:
        found = check_dataset(panoptic.read(root), workers=1).problems
    except DataError as wrong:
        found = wrong.problems or (str(wrong),)
    return [problem.replace(str(root), "ROOT") for problem in found]


@pytest.mark.parametrize("top", ["annotations/", ""])
def test_segments_become_the_classes_of_their_categories(tmp_path: Path, top: str) -> None:
    put(tmp_path, sound(), top=top)
    dataset = open_dataset(tmp_path)
    assert dataset.format == "coco-panoptic"
    assert dataset.labels.names == ("person", "wall")
    assert dataset.labels.background is None
    for number in range(2):
        ids_HW, labels_HW = ids(number), drawn(dataset, number)
        assert (labels_HW[ids_HW == WALL] == 1).all()
        assert (labels_HW[ids_HW == PERSON] == 0).all()
        assert (labels_HW[(ids_HW == CROWD) | (ids_HW == 0)] == 255).all()


def test_what_is_kept_draws_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, sound())
    first = drawn(panoptic.read(tmp_path), 1)
    monkeypatch.setattr(cache, "KEPT_FROM_BYTES", 0)
    monkeypatch.setattr(cache, "_SAMPLE_BYTES", 16)
    for _ in range(2):
        cache._index.cache_clear()
        dataset = panoptic.read(tmp_path, cache=tmp_path / "cache")
        assert (drawn(pickle.loads(pickle.dumps(dataset)), 1) == first).all()
    cache._index.cache_clear()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda v: v["annotations"].pop(), "no annotation for the image with the id 5"),
        (
            lambda v: v["annotations"].append(v["annotations"][0]),
            "annotations: image_id 4 is there 2 times",
        ),
        (
            lambda v: v["annotations"][0].update(file_name="0.png"),
            "annotations: file_name '0.png' is there 2 times",
        ),
        (
            lambda v: v["annotations"][0].update(file_name="9.png"),
            "panoptic_train2017.json: no file ROOT/annotations/panoptic_train2017/9.png",
        ),
        (lambda v: v["annotations"][0].update(file_name="../../a.png"), "leaves the folder"),
        (lambda v: v["annotations"][0].pop("file_name"), "'file_name' is the path of a file"),
        (lambda v: v["annotations"][0].pop("segments_info"), "'segments_info' is a list, got None"),
        (lambda v: v["annotations"][0].update(segments_info=[1]), "expected an object, got 1"),
        (
            lambda v: v["annotations"][0]["segments_info"][0].update(category_id=2),
            "category_id 2 is not in 'categories' (2 such)",
        ),
        (lambda v: v["categories"][0].update(name="person"), "two are called 'person'"),
        (
            lambda v: v["annotations"][0]["segments_info"][0].update(id="a"),
            "0.jpg: segments_info[0]: 'id' is 1 to 16,777,215, got 'a'",
        ),
        (
            lambda v: v["annotations"][0]["segments_info"][0].update(id=1 << 24),
            "'id' is 1 to 16,777,215, got 16777216",
        ),
        (
            lambda v: v["annotations"][0]["segments_info"][0].update(id=PERSON),
            "segments_info[1]: a second segment with the id 300",
        ),
        (
            lambda v: v["annotations"][0]["segments_info"].pop(),
            "panoptic_train2017/0.png: 1 segments that are not in",
        ),
        (
            lambda v: v["annotations"][0]["segments_info"].append({"id": 9, "category_id": 1}),
            "segment 9 is in the JSON, but not in ROOT/annotations/panoptic_train2017/0.png",
        ),
        (
            lambda v: v["annotations"][0]["segments_info"][0].update(iscrowd=2),
            "'iscrowd' is 0 or 1, got 2",
        ),
    ],
)
def test_what_is_wrong_is_told(
    tmp_path: Path, change: Callable[[dict[str, Any]], object], message: str
) -> None:
    values = sound()
    change(values)
    put(tmp_path, values)
    found = problems(tmp_path)
    assert any(message in problem for problem in found), found


def test_a_png_of_another_size_is_refused(tmp_path: Path) -> None:
    put(tmp_path, sound())
    Image.new("RGB", (8, 10)).save(tmp_path / "train2017" / "0.jpg")
    assert "0.png: mask is 10 px wide and 8 high" in problems(tmp_path)[0]


def test_a_json_without_its_folder_is_another_layout(tmp_path: Path) -> None:
    put(tmp_path, sound())
    shutil.rmtree(tmp_path / "annotations" / "panoptic_train2017")
    assert not panoptic.detect(tmp_path)
    with pytest.raises(DataError, match="with a folder of the same name beside it"):
        panoptic.read(tmp_path)


def test_mutated_files_raise_no_errors_but_ours(tmp_path: Path) -> None:
    put(tmp_path, sound())
    path = tmp_path / "annotations" / "panoptic_train2017.json"
    content, read = path.read_bytes(), 0
    for seed in range(200):
        rng = random.Random(seed)
        at = rng.randrange(len(content))
        cut = content[at + rng.choice([0, 1, 5]) :]
        put_in = rng.choice([b"", b"1", b"-", b'"', b"[", b"null", content[at : at + 40]])
        path.write_bytes(content[:at] + put_in + cut)
        try:
            dataset = panoptic.read(tmp_path)
            for sample in dataset.split("train"):
                dataset.rasterise(sample, (8, 10))
            read += 1
        except FrugalsegError:
            pass
    assert 5 < read < 150


class TestRealSamples:
    def test_pixels_are_those_of_the_readme_and_of_the_json(self, real_data: Path) -> None:
        root = real_data / "fixtures" / "panoptic"
        assert [n for n, f in FORMATS.items() if f.detect(root)] == ["coco-panoptic"]
        dataset = open_dataset(root)
        assert dataset.labels.num_classes == 133
        assert {name: len(split) for name, split in dataset.splits.items()} == {
            "train": 1,
            "val": 1,
        }
        told = json.loads((root / "panoptic_examples.json").read_text(encoding="utf-8"))
        train_ids = {c: i for i, c in enumerate(sorted(c["id"] for c in told["categories"]))}
        void = {"000000142238": 2_712, "000000439180": 7_189}
        for sample in (s for split in dataset.splits.values() for s in split):
            _, labels_HW = dataset.load(sample)
            expected = np.zeros(256, np.int64)
            (annotation,) = (a for a in told["annotations"] if a["image_id"] == int(sample.name))
            for segment in annotation["segments_info"]:
                train_id = 255 if segment["iscrowd"] else train_ids[segment["category_id"]]
                expected[train_id] += segment["area"]
            expected[255] += void[sample.name]
            assert np.bincount(labels_HW.ravel(), minlength=256).tolist() == expected.tolist()

    def test_the_check_finds_nothing_wrong(self, real_data: Path) -> None:
        assert check_dataset(open_dataset(real_data / "fixtures" / "panoptic")).ok
