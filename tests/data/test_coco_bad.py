"""What is wrong with a file of COCO's is told by our own errors, whatever it is."""

import json
import os
import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from frugalseg.core.errors import DataError, FrugalsegError, MissingExtraError
from frugalseg.data.check.report import check_dataset
from frugalseg.data.coco import draft, instances
from frugalseg.data.coco.regions import read_region
from frugalseg.data.shapes.runs import decode_counts

coding = pytest.importorskip("pycocotools.mask")

SQUARE = [1, 1, 5, 1, 5, 5, 1, 5]
MUTATIONS = int(os.environ.get("FRUGALSEG_MUTATIONS", "300"))

Change = Callable[[dict[str, Any]], object]


def sound() -> dict[str, Any]:
    """Give a small annotation file: polygons, both forms of run lengths, a crowd."""
    runs = coding.encode(np.asfortranarray(np.eye(12, 10, dtype=np.uint8)))
    segmentations = [
        [SQUARE, [6, 6, 9, 6, 9, 9]],
        {"size": [12, 10], "counts": [10, 20, 90]},
        {"size": [12, 10], "counts": runs["counts"].decode()},
    ]
    return {
        "info": {"description": "Tüten"},
        "images": [
            {"id": i, "file_name": f"{i}.png", "height": 12, "width": 10} for i in range(3)
        ],
        "annotations": [
            {"id": 10 + i, "image_id": i % 3, "category_id": 1 + i % 2, "iscrowd": int(i == 1),
             "segmentation": segmentation, "area": 16.0, "bbox": [1, 1, 4, 4]}
            for i, segmentation in enumerate(segmentations)
        ],
        "categories": [{"id": 1, "name": "bag"}, {"id": 2, "name": "box", "supercategory": "x"}],
    }  # fmt: skip


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder with three pictures of 12x10, and no annotations yet."""
    (tmp_path / "train2017").mkdir()
    (tmp_path / "annotations").mkdir()
    for number in range(3):
        Image.new("RGB", (10, 12)).save(tmp_path / "train2017" / f"{number}.png")
    return tmp_path


def put(root: Path, values: Any) -> Path:
    path = root / "annotations" / "instances_train2017.json"
    path.write_text(values if isinstance(values, str) else json.dumps(values), encoding="utf-8")
    return path


def problems(root: Path) -> list[str]:
    """Open and draw all; gives what is told, without the name of the file."""
    try:
        found = check_dataset(instances.read(root), workers=1).problems
    except DataError as wrong:
        found = wrong.problems or (str(wrong),)
    path = root / "annotations" / "instances_train2017.json"
    return [problem.replace(str(path), "FILE").replace(str(root), "ROOT") for problem in found]


def test_what_is_sound_has_no_problems(root: Path) -> None:
    put(root, sound())
    assert problems(root) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "byte 0: expected {, but the file ends"),
        ("[]", "byte 0: expected {, but '['"),
        ('{"images": [{"id": 1}, ', "byte 23: Expecting value"),
        ('{"images": [{"id": 1} {}', "byte 22: expected , or ], but '{'"),
        ('{"images": [], "images": []}', "'images' is there twice"),
        ('{"images": {}}', "'images' is not a list"),
        ('{"images": []}', "no 'annotations' and no 'categories' in it"),
        ('{"images": [], "annotations": [], "categories": []} x', "byte 52: more after the end"),
        ('{"images": [{"height": NaN}]}', "NaN is not a number"),
        ('{"images": [' + "[" * 100_000, "byte 12: nested too deeply"),
        ('{"images": [' + "9" * 10_000, "a number of thousands of digits"),
        ("{1: 2}", "byte 1: expected a key in quotes"),
        (json.dumps(dict.fromkeys(map(str, range(101)))), "more than 100 keys"),
    ],
)
def test_json_that_is_broken_is_told_by_its_place(root: Path, text: str, message: str) -> None:
    put(root, text)
    (problem,) = problems(root)
    assert problem.startswith("FILE: not an annotation file of COCO (")
    assert message in problem


def test_text_that_is_not_utf_8_is_refused(root: Path) -> None:
    path = put(root, sound())
    path.write_bytes(path.read_bytes().replace(b"bag", b"b\xe4g"))
    assert "utf-8" in problems(root)[0]


def test_one_endless_entry_does_not_fill_the_memory(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("frugalseg.data.coco.entries.MAX_ENTRY_BYTES", 1 << 20)
    put(root, '{"images": [{"id": "' + "x" * (4 << 20))
    assert "byte 19: Unterminated string" in problems(root)[0]
    assert "or an entry of more than 1,048,576 bytes" in problems(root)[0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda v: v["images"].append(7), "FILE images[3]: expected an object, got 7"),
        (lambda v: v["images"][1].pop("height"), "FILE images[1]: no 'height'"),
        (lambda v: v["images"][1].update(width="10"), "'width' is a whole number, got '10'"),
        (lambda v: v["images"][1].update(width=True), "'width' is a whole number, got True"),
        (lambda v: v["images"][1].update(height=10**9, width=10**9), "1000000000 x 1000000000 px"),
        (lambda v: v["images"][1].update(height=16_000, width=16_000), "64,000,000 pixels at most"),
        (lambda v: v["images"][1].update(height=0), "10 x 0 px"),
        (lambda v: v["images"][1].update(id=10**30), "'id' is a whole number, got 1000"),
        (lambda v: v["images"][1].update(id=0), "FILE images: id 0 is there 2 times"),
        (lambda v: v["images"][1].update(file_name="0.png"), "file_name '0.png' is there 2 times"),
        (lambda v: v["images"][1].update(file_name="0.jpg"), "and suffix '0' is there 2 times"),
        (lambda v: v["images"][1].update(file_name=""), "'file_name' is the path of a file"),
        (lambda v: v["images"][1].update(file_name=None), "got None"),
        (lambda v: v["images"][1].update(file_name="a\0.png"), "got 'a\\x00.png'"),
        (lambda v: v["images"][1].update(file_name="\ud800.png"), "got '\\ud800.png'"),
        (lambda v: v["images"][1].update(file_name="../train2017/1.png"), "leaves the folder"),
        (lambda v: v["images"][1].update(file_name="/etc/passwd"), "'/etc/passwd' leaves"),
        (lambda v: v["images"][1].update(file_name="."), "leaves the folder"),
        (lambda v: v["images"][1].update(file_name="9.png"), "no file ROOT/train2017/9.png"),
        (lambda v: v["images"][1].update(file_name="x" * 9_000), "no file ROOT/train2017/xxxx"),
        (lambda v: v["images"][1].update(file_name="ä/" * 900 + "1.png"), "no file ROOT/train"),
        (lambda v: v["images"].clear(), "FILE: the list 'images' is empty"),
        (lambda v: v["annotations"].clear(), "FILE: the list 'annotations' is empty"),
        (lambda v: v["annotations"][0].pop("image_id"), "FILE annotations[0]: no 'image_id'"),
        (lambda v: v["annotations"][0].pop("category_id"), "annotations[0]: no 'category_id'"),
        (
            lambda v: v["annotations"][0].update(image_id=5),
            "FILE annotations[0]: image_id 5 is not in 'images' (1 such)",
        ),
        (
            lambda v: v["annotations"][2].update(category_id=5),
            "FILE annotations[2]: category_id 5 is not in 'categories' (1 such)",
        ),
        (lambda v: v["categories"].pop(), "category_id 2 is not in 'categories'"),
        (lambda v: v["categories"][0].pop("name"), "categories[0]: 'name' is one line of text"),
        (lambda v: v["categories"][0].update(name="a\nb"), "'name' is one line of text, got"),
        (lambda v: v["categories"][0].update(id=2), "a second category with the id 2"),
        (lambda v: v["categories"][0].update(name="box"), "two are called 'box'"),
        (
            lambda v: v["categories"].extend({"id": i, "name": f"{i}"} for i in range(9, 300)),
            "294 classes; 255 at most",
        ),
    ],
)
def test_entries_that_are_wrong_are_told_when_it_is_opened(
    root: Path, change: Change, message: str
) -> None:
    values = sound()
    change(values)
    put(root, values)
    with pytest.raises(DataError):
        instances.read(root)
    found = problems(root)
    assert any(message in problem for problem in found), found


POLYGON = "annotation id 10 of 0.png: a polygon "


@pytest.mark.parametrize(
    ("segmentation", "message"),
    [
        ([], "no polygon; a box alone does not say"),
        (None, "no 'segmentation' with polygons or run lengths"),
        ("abc", "no 'segmentation' with polygons"),
        ([SQUARE[:4]], POLYGON + "of 4 numbers"),
        ([SQUARE[:7]], POLYGON + "of 7 numbers"),
        ([SQUARE, []], POLYGON + "of 0 numbers"),
        (SQUARE, POLYGON + "is a list of numbers"),
        ([[[1, 2], [3, 4], [5, 6]]], POLYGON + "is a list of numbers"),
        ([[1, 2, 3, 4, 5, "6"]], POLYGON + "is a list of numbers"),
        ([["x" * 1_000_000, *[1] * 100_001]], POLYGON + "is a list of numbers"),
        ([[1, 2, 3, 4, 5, True]], POLYGON + "is a list of numbers"),
        ([[1, 2, 3, 4, 5, None]], POLYGON + "is a list of numbers"),
        ([[1, 2, 3, 4, 5.5, 10**400]], POLYGON + "is a list of numbers"),
        ([[1, 2, 3, 4, 5, 10**19]], POLYGON + "that leaves the picture of 10 x 12 px by more"),
        ([[1, 2, 3, 4, 5, 1e300]], POLYGON + "that leaves the picture of 10 x 12 px by more"),
        ([[20, 1, 25, 1, 25, 5]], POLYGON + "outside the picture of 10 x 12 px (x 20 to 25"),
        ([[1, -9, 5, -9, 5, -2]], POLYGON + "outside the picture"),
        ([[1, 1, 21, 1, 5, 5]], "by more than its own size (x 1 to 21, y 1 to 5); was the"),
        ([[0, 0, 10, 12] * 90_000], "outlines of 2,160,000 px; 2,000,000 at most"),
        ({}, "run lengths of size None, the picture's is [12, 10]"),
        ({"size": [10, 12], "counts": [120]}, "of size [10, 12], the picture's is [12, 10]"),
        ({"size": [10**9, 10**9], "counts": [1]}, "of size [1000000000, 1000000000]"),
        ({"size": [12, 10], "counts": [100, 19]}, "do not add up to the picture's 120 pixels"),
        ({"size": [12, 10], "counts": [130, -10]}, "do not add up"),
        ({"size": [12, 10], "counts": [2**62] * 4 + [120]}, "do not add up"),
        ({"size": [12, 10], "counts": [10**30, -(10**30), 120]}, "do not add up"),
        ({"size": [12, 10], "counts": [10**400]}, "is a list of whole numbers or a string"),
        ({"size": [12, 10], "counts": []}, "do not add up"),
        ({"size": [12, 10], "counts": [60.0, 60]}, "is a list of whole numbers or a string"),
        ({"size": [12, 10], "counts": None}, "is a list of whole numbers or a string"),
        ({"size": [12, 10], "counts": ""}, "compressed run lengths are damaged"),
        ({"size": [12, 10], "counts": "o"}, "compressed run lengths are damaged"),
        ({"size": [12, 10], "counts": "oooooooooooooooo0"}, "compressed run lengths are damaged"),
        ({"size": [12, 10], "counts": "ä"}, "compressed run lengths are damaged"),
        ({"size": [12, 10], "counts": "\ud800"}, "compressed run lengths are damaged"),
        ({"size": [12, 10], "counts": "0"}, "do not add up"),
    ],
)
def test_regions_that_are_none_are_told_when_they_are_drawn(
    root: Path, segmentation: Any, message: str
) -> None:
    values = sound()
    values["annotations"][0]["segmentation"] = segmentation
    put(root, values)
    instances.read(root)
    (problem,) = problems(root)
    assert problem.startswith("FILE: annotation id 10 of 0.png: ")
    assert message in problem


def test_nan_and_infinity_in_a_polygon_are_refused(root: Path) -> None:
    values = sound()
    values["annotations"][0]["segmentation"] = [[1, 1, 5, 1, 5, 12345]]
    text = json.dumps(values)
    put(root, text.replace("12345", "1e999"))
    assert "with points that are no numbers" in problems(root)[0]
    put(root, text.replace("12345", "NaN"))
    assert "NaN is not a number" in problems(root)[0]


def test_iscrowd_is_zero_or_one(root: Path) -> None:
    values = sound()
    values["annotations"][0]["iscrowd"] = "no"
    put(root, values)
    assert "'iscrowd' is 0 or 1, got 'no'" in problems(root)[0]


def test_all_problems_are_listed_together(root: Path) -> None:
    values = sound()
    values["images"][0]["file_name"] = "../0.png"
    values["images"][2].pop("width")
    values["categories"].append({"id": 9})
    put(root, values)
    assert len(problems(root)) == 3
    values = sound()
    for annotation in values["annotations"]:
        annotation["image_id"] = 1
        annotation["segmentation"] = [[1, 2]]
    put(root, values)
    assert len(problems(root)) == 3


def test_a_file_that_is_wrong_throughout_is_not_read_to_its_end(root: Path) -> None:
    put(root, {**sound(), "annotations": [[]] * 100_000})
    found = problems(root)
    assert len(found) == draft.MAX_PROBLEMS + 1


def test_images_of_another_size_than_told_are_refused(root: Path) -> None:
    put(root, sound())
    Image.new("RGB", (12, 10)).save(root / "train2017" / "0.png")
    (problem,) = problems(root)
    assert "10 px wide and 12 high, 0.png is 12 wide and 10 high" in problem


def test_a_folder_without_any_of_the_images_is_told_once(root: Path) -> None:
    put(root, sound())
    for path in (root / "train2017").iterdir():
        path.rename(path.with_suffix(".jpeg"))
    (problem,) = problems(root)
    assert problem.startswith("FILE: none of its 3 files is in ROOT/train2017, ")


def test_what_is_no_file_is_refused(root: Path) -> None:
    (root / "annotations" / "instances_train2017.json").mkdir()
    assert problems(root) == ["FILE: not a file"]
    (root / "annotations" / "instances_train2017.json").rmdir()
    os.mkfifo(root / "annotations" / "instances_train2017.json")
    assert problems(root) == ["FILE: not a file"]


class TestLinks:
    def test_an_image_that_is_a_link_out_of_its_folder_is_refused(self, root: Path) -> None:
        put(root, sound())
        outside = root / "outside.png"
        (root / "train2017" / "1.png").replace(outside)
        (root / "train2017" / "1.png").symlink_to(outside)
        assert problems(root) == ["FILE: ROOT/train2017/1.png is a link that leaves ROOT/train2017"]

    def test_a_folder_of_images_that_is_a_link_out_is_refused(self, root: Path) -> None:
        values = sound()
        values["images"][1]["file_name"] = "sub/1.png"
        put(root, values)
        outside = root / "outside"
        outside.mkdir()
        (root / "train2017" / "1.png").replace(outside / "1.png")
        (root / "train2017" / "sub").symlink_to(outside)
        assert "sub/1.png is a link that leaves" in problems(root)[0]

    def test_a_link_within_the_folder_may_stay(self, root: Path) -> None:
        put(root, sound())
        (root / "train2017" / "1.png").unlink()
        (root / "train2017" / "1.png").symlink_to("0.png")
        assert problems(root) == []

    def test_the_folder_itself_may_lie_elsewhere(self, root: Path) -> None:
        put(root, sound())
        (root / "train2017").rename(root.parent / f"{root.name}-elsewhere")
        (root / "train2017").symlink_to(root.parent / f"{root.name}-elsewhere")
        assert problems(root) == []

    @pytest.mark.parametrize("what", ["annotations", "annotations/instances_train2017.json"])
    def test_annotations_may_not_lie_elsewhere(self, root: Path, what: str) -> None:
        put(root, sound())
        (root / what).symlink_to((root / what).rename(root.parent / f"{root.name}-elsewhere"))
        assert problems(root) == ["FILE: lies outside ROOT; put the file itself there"]

    def test_links_in_a_circle_and_into_nothing_are_absent_files(self, root: Path) -> None:
        put(root, sound())
        for number, target in ((0, "0.png"), (1, "nothing")):
            (root / "train2017" / f"{number}.png").unlink()
            (root / "train2017" / f"{number}.png").symlink_to(target)
        assert problems(root) == [f"FILE: no file ROOT/train2017/{i}.png" for i in range(2)]


def test_without_pycocotools_the_extra_is_named(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(root, sound())
    for name in ("pycocotools", "pycocotools.mask"):
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "path", [])
    with pytest.raises(MissingExtraError, match=r"frugalseg\[coco\]"):
        instances.read(root)


@pytest.mark.parametrize("seed", range(4))
def test_compressed_run_lengths_are_those_of_pycocotools(seed: int) -> None:
    rng = np.random.default_rng(seed)
    for size in ((1, 1), (3, 5), (40, 30), (700, 500)):
        here_HW = (rng.random(size) < rng.choice([0, 0.01, 0.5, 1])).astype(np.uint8)
        text = coding.encode(np.asfortranarray(here_HW))["counts"].decode()
        runs = decode_counts(text)
        assert runs.sum() == here_HW.size
        found_P = np.repeat(np.arange(len(runs)) % 2, runs)
        assert (here_HW == found_P.reshape(size[::-1]).T).all()
        assert (read_region({"size": list(size), "counts": text}, size) == runs).all()


def test_mutated_files_raise_no_errors_but_ours(root: Path) -> None:
    """Set FRUGALSEG_MUTATIONS=10000 for more of them."""
    read = 0
    for seed in range(MUTATIONS):
        rng = random.Random(seed)
        path = put(root, sound())
        path.write_bytes(mutated(rng))
        try:
            dataset = instances.read(root)
            for sample in dataset.split("train"):
                dataset.rasterise(sample, (12, 10))
            read += 1
        except FrugalsegError:
            pass
        except Exception as wrong:
            raise AssertionError(f"seed {seed}: {path.read_bytes()[:400]!r}") from wrong
    assert 0.02 * MUTATIONS < read < 0.7 * MUTATIONS  # the mutations neither break all nor nothing


STRANGE: tuple[Any, ...] = (
    None, True, -1, 0, 1, 2**31, 2**63, -(2**63) - 1, 10**30, 0.5, 1e300, float("inf"),
    float("nan"), "", "0", "\0", "\ud800", "../0.png", "/", "x" * 5_000, [], {}, [[]], [[[]]],
    [SQUARE], [[1e9, 1e9, 2e9, 2e9, 1e9, 2e9]], [[float("nan")] * 6], {"size": [12, 10]},
    {"size": [12, 10], "counts": "oooo"}, {"size": [12, 10], "counts": [2**40, 1]},
    {"counts": "", "size": None}, {"size": [2**31, 2**31], "counts": [2**62]},
)  # fmt: skip


def mutated(rng: random.Random) -> bytes:
    """Change a sound file in one to three places: its structure, or its bytes."""
    values = sound()
    changes = rng.randint(1, 3)
    if rng.random() < 0.6:
        for _ in range(changes):
            _change_structure(values, rng)
        return json.dumps(values, ensure_ascii=rng.random() < 0.5).encode("utf-8", "surrogatepass")
    content = bytearray(json.dumps(values).encode())
    for _ in range(changes):
        at = rng.randrange(len(content))
        kind = rng.randrange(5)
        if kind == 0:
            content[at] = rng.randrange(256)
        elif kind == 1:
            del content[at : at + rng.randint(1, 30)]
        elif kind == 2:
            content[at:at] = content[at : at + rng.randint(1, 200)]
        elif kind == 3:
            content[at:at] = rng.choice([b"9", b"-", b"e99", b"[", b"{", b'"', b"]", b"\\u0000"])
        else:
            content = content[: max(at, 1)]
    return bytes(content)


def _change_structure(values: Any, rng: random.Random) -> None:
    """Walk down to some place, and put something strange there."""
    while True:
        keys = list(values) if isinstance(values, dict) else list(range(len(values)))
        if not keys:
            return
        key = rng.choice(keys)
        inner = values[key]
        if not isinstance(inner, list | dict) or not inner or rng.random() < 0.15:
            break
        values = inner
    kind = rng.randrange(4)
    if kind == 0:
        del values[key]
    elif kind == 1 and isinstance(values, list):
        values.append(inner)
    elif kind == 2:
        values[key] = inner + rng.randint(-3, 3) if isinstance(inner, int) else str(inner)
    else:
        values[key] = rng.choice(STRANGE)
