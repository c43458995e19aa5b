"""The layouts that annotation tools write: what holds for all of them."""

import base64
import io
import json
import pickle
import random
import shutil
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from frugalseg.core.errors import DataError, FrugalsegError
from frugalseg.data.catalog import FORMATS, open_dataset
from frugalseg.data.check.report import check_dataset

WIDTH, HEIGHT = 12, 8
LEFT = [[0, 0], [6, 0], [6, 8], [0, 8]]
# The left half of 12 x 8 px, alpha 255, packed by hand as in shapes/brush.py: of each row 24
# values 255 and 24 values 0, in blocks of the third width (8 bits).
_ROW = f"110{23:08b}{255:08b}110{23:08b}{0:08b}"
_BITS = f"{WIDTH * HEIGHT * 4:032b}{7:05b}" + "0010001101111111" + _ROW * HEIGHT
LEFT_RLE = [int(_BITS[i : i + 8].ljust(8, "0"), 2) for i in range(0, len(_BITS), 8)]

Make = Callable[[Path, str, str], None]  # folder, name of the picture in train, and in val


def picture(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (WIDTH, HEIGHT), (90, 120, 150)).save(path)


def mask(path: Path, value: int = 1) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    values_HW = np.zeros((HEIGHT, WIDTH), np.uint8)
    values_HW[:, :6] = value
    Image.fromarray(values_HW).save(path)


def write(path: Path, values: object) -> None:
    path.write_text(json.dumps(values), encoding="utf-8")


def labelme(root: Path, train: str, val: str) -> None:
    stream = io.BytesIO()
    Image.fromarray(np.ones((HEIGHT, 6), np.uint8)).save(stream, format="PNG")
    png = base64.b64encode(stream.getvalue()).decode()
    shape: dict[str, Any] = {"label": "bag", "group_id": None, "flags": {}}
    polygon = shape | {"points": LEFT, "shape_type": "polygon"}
    whole = shape | {"points": [[0, 0], [5, 7]], "shape_type": "mask", "mask": png}
    for split, stem, drawn in (("train", train, polygon), ("val", val, whole)):
        picture(root / split / f"{stem}.png")
        written = {"version": "5.5.0", "flags": {}, "shapes": [drawn], "imagePath": f"{stem}.png"}
        size = {"imageData": None, "imageHeight": HEIGHT, "imageWidth": WIDTH}
        write(root / split / f"{stem}.json", written | size)


def task(number: int, address: str, kind: str, value: dict[str, Any]) -> dict[str, Any]:
    result = {"id": "x1", "type": kind, "value": value | {kind: ["bag"]}, "from_name": "tag"}
    size = {"original_width": WIDTH, "original_height": HEIGHT, "image_rotation": 0}
    annotation = {"id": 10 * number, "completed_by": 1, "result": [result | size]}
    done = {"was_cancelled": False, "updated_at": "2024-03-09T22:16:08.728378Z"}
    return {"id": number, "annotations": [annotation | done], "data": {"image": address}}


def label_studio(root: Path, train: str, val: str) -> None:
    brush = {"format": "rle", "rle": LEFT_RLE}
    outline = {"points": [[0, 0], [50, 0], [50, 100], [0, 100]], "closed": True}
    for stem in (train, val):
        picture(root / "images" / f"{stem}.png")
    tasks = [
        task(1, f"/data/upload/1/0a1b2c3d-{train}.png", "brushlabels", brush),
        task(2, f"/data/local-files/?d=images/{val}.png", "polygonlabels", outline),
    ]
    write(root / "project-1.json", tasks)


def label_studio_masks(root: Path, train: str, val: str) -> None:
    for number, stem in enumerate((train, val), start=1):
        picture(root / "images" / f"{stem}.png")
        mask(root / "tags" / f"task-{number}-annotation-{number}-by-1-tag-bag-0.png", 255)
    lines = ["id,image", f"1,/data/upload/1/{train}.png", f'2,"/data/upload/1/{val}.png"']
    (root / "tasks.csv").write_text("\n".join(lines), encoding="utf-8")


def roboflow(root: Path, train: str, val: str) -> None:
    for split, stem in (("train", train), ("valid", val)):
        picture(root / split / f"{stem}.png")
        mask(root / split / f"{stem}_mask.png")
        text = "Pixel Value, Class\n0, background\n1, bag\n"
        (root / split / "_classes.csv").write_text(text, encoding="utf-8")


def huggingface(root: Path, train: str, val: str) -> None:
    for split, stem in (("train", train), ("validation", val)):
        picture(root / "images" / split / f"{stem}.png")
        mask(root / "labels" / split / f"{stem}.png")
    write(root / "id2label.json", {"0": "background", "1": "bag"})


def fiftyone(root: Path, train: str, val: str) -> None:
    for stem in (train, val):
        picture(root / "data" / f"{stem}.png")
        mask(root / "labels" / f"{stem}.png")
    write(root / "id2label.json", {"0": "background", "1": "bag"})


def ultralytics(root: Path, train: str, val: str) -> None:
    for split, stem in (("train", train), ("val", val)):
        picture(root / "images" / split / f"{stem}.png")
        mask(root / "masks" / split / f"{stem}.png", 7)
    text = (
        "train: images/train\nval: images/val\nmasks_dir: masks\nnames: {0: background, 1: bag}\n"
    )
    mapping = "label_mapping:\n  -1: ignore_label\n  0: 0\n  7: 1\n"
    (root / "data.yaml").write_text(text + mapping, encoding="utf-8")


def resortit(root: Path, train: str, val: str) -> None:
    for split, stem in (("train", train), ("val", val)):
        picture(root / split / f"{stem}.png")
        mask(root / "labels" / split / f"{stem}.png")
    (root / "classes.txt").write_text("background\nbag\n", encoding="utf-8")


MAKERS: dict[str, Make] = {
    maker.__name__: maker
    for maker in (
        labelme, label_studio, label_studio_masks, roboflow, huggingface, fiftyone, ultralytics,
        resortit,
    )
}  # fmt: skip
FORMAT_OF = {"label_studio_masks": "label_studio", "fiftyone": "huggingface"}
OF_MASKS = [name for name in MAKERS if name not in {"labelme", "label_studio"}]
every = pytest.mark.parametrize("name", list(MAKERS))


def make(root: Path, name: str, train: str = "a", val: str = "b") -> Path:
    root.mkdir()
    MAKERS[name](root, train, val)
    return root


def files(root: Path, *suffixes: str) -> list[Path]:
    return sorted(path for path in root.rglob("*") if path.suffix in suffixes)


def mode_of(path: Path) -> str:
    with Image.open(path) as image:
        return image.mode


def load_all(name: str, root: Path) -> None:
    layout = FORMATS[FORMAT_OF.get(name, name)]
    if layout.detect(root):
        dataset = layout.read(root)
        for samples in dataset.splits.values():
            for sample in samples:
                dataset.load(sample)


def problems_of(root: Path) -> str:
    """All that is wrong with a data set, whenever it is told."""
    try:
        return "\n".join(check_dataset(open_dataset(root), workers=1).problems)
    except DataError as wrong:
        return str(wrong)


@every
def test_a_layout_is_detected_by_itself_and_by_no_other(tmp_path: Path, name: str) -> None:
    root = make(tmp_path / "set", name)
    detected = [known for known, layout in FORMATS.items() if layout.detect(root)]
    assert detected == [FORMAT_OF.get(name, name)]


@every
def test_pixels_and_classes_are_what_was_drawn(tmp_path: Path, name: str) -> None:
    dataset = pickle.loads(pickle.dumps(open_dataset(make(tmp_path / "set", name))))
    assert dataset.labels.names == ("background", "bag")
    assert dataset.labels.background == 0
    assert sorted(s.name for split in dataset.splits.values() for s in split) == ["a", "b"]
    for split in ("train", "val"):
        labels_HW = dataset.load(dataset.split(split)[0])[1]
        assert (labels_HW[:, :6] == 1).all()
        assert (labels_HW[:, 6:] == 0).all()


@every
def test_labels_have_the_size_they_were_drawn_at(tmp_path: Path, name: str) -> None:
    """A probe of another size must not fail: `load` is what compares the two."""
    dataset = open_dataset(make(tmp_path / "set", name))
    assert dataset.rasterise(dataset.split("train")[0], (256, 256)).shape == (HEIGHT, WIDTH)


@every
@pytest.mark.parametrize("train", ["Tüte № 1 空", "x" * 230, "a.rf.0123", "-a", "%41"])
def test_any_name_of_a_file_will_do(tmp_path: Path, name: str, train: str) -> None:
    assert problems_of(make(tmp_path / "set", name, train)) == ""


@every
def test_files_of_macos_are_passed_over(tmp_path: Path, name: str) -> None:
    root = make(tmp_path / "set", name)
    for path in files(root, ".png", ".json", ".csv", ".yaml", ".txt"):
        path.with_name(f"._{path.name}").write_bytes(b"\x00\x05\x16\x07junk")
    assert problems_of(root) == ""
    assert sum(map(len, open_dataset(root).splits.values())) == 2


@every
def test_an_absent_picture_is_named(tmp_path: Path, name: str) -> None:
    root = make(tmp_path / "set", name)
    next(root.rglob("a.png")).unlink()
    if (twin := root / "images" / "train" / "a.png").exists():
        twin.unlink()
    assert "a" in problems_of(root)
    assert problems_of(root) != ""


@every
@pytest.mark.parametrize("folder", [False, True])
def test_links_that_leave_the_folder_are_refused(tmp_path: Path, name: str, folder: bool) -> None:
    root = make(tmp_path / "set", name)
    inner = next(path for path in files(root, ".png") if path.name == "a.png")
    inner = inner.parent if folder else inner
    shutil.move(inner, tmp_path / "outside")
    inner.symlink_to(tmp_path / "outside")
    assert problems_of(root) != ""


@every
def test_links_within_the_folder_are_followed(tmp_path: Path, name: str) -> None:
    root = make(tmp_path / "set", name)
    (root / "store").mkdir()
    inner = next(path for path in files(root, ".png") if path.name == "a.png")
    shutil.move(inner, root / "store" / "kept.bin")
    inner.symlink_to(root / "store" / "kept.bin")
    assert problems_of(root) == ""


@pytest.mark.parametrize("name", OF_MASKS)
@pytest.mark.parametrize(
    ("mode", "message"),
    [("I;16", "16 bits"), ("LA", "transparency"), ("RGBA", "colours"), ("RGB", "colours")],
)
def test_deep_masks_and_masks_with_alpha_are_refused(
    tmp_path: Path, name: str, mode: str, message: str
) -> None:
    root = make(tmp_path / "set", name)
    for path in files(root, ".png"):
        if mode_of(path) == "L":
            Image.new(mode, (WIDTH, HEIGHT)).save(path)
    assert message in problems_of(root)


@pytest.mark.parametrize("name", OF_MASKS)
def test_masks_of_another_size_are_refused(tmp_path: Path, name: str) -> None:
    root = make(tmp_path / "set", name)
    for path in files(root, ".png"):
        if mode_of(path) == "L":
            Image.new("L", (WIDTH, HEIGHT + 1)).save(path)
    assert "a.png" in problems_of(root)


@pytest.mark.parametrize("name", [n for n in OF_MASKS if n != "label_studio_masks"])
def test_two_pictures_of_one_stem_are_refused(tmp_path: Path, name: str) -> None:
    root = make(tmp_path / "set", name)
    for path in [path for path in files(root, ".png") if path.name == "a.png"]:
        if mode_of(path) == "RGB":
            shutil.copy(path, path.with_suffix(".jpg"))
    assert "same name" in problems_of(root)


@every
def test_huge_sizes_are_refused_before_they_are_decoded(tmp_path: Path, name: str) -> None:
    root = make(tmp_path / "set", name)
    for path in files(root, ".png"):
        path.write_bytes(huge_png())
    assert "60,000 x 60,000" in problems_of(root)


def huge_png() -> bytes:
    head = struct.pack(">II5B", 60_000, 60_000, 8, 0, 0, 0, 0)

    def chunk(kind: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content))
            + kind
            + content
            + struct.pack(">I", zlib.crc32(kind + content))
        )

    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


@pytest.mark.parametrize("name", ["labelme", "roboflow", "huggingface", "ultralytics", "resortit"])
def test_a_split_without_files_is_told_when_it_is_asked_for(tmp_path: Path, name: str) -> None:
    root = make(tmp_path / "set", name)
    for path in files(root, ".png", ".json"):
        if "b" in path.stem.partition("_"):
            path.unlink()
    dataset = open_dataset(root)
    assert len(dataset.split("train")) == 1
    with pytest.raises(DataError, match="no split 'val' with images; there is: train"):
        dataset.split("val")


@pytest.mark.parametrize("name", ["labelme", "huggingface", "roboflow", "ultralytics", "resortit"])
def test_a_data_set_without_any_picture_is_refused(tmp_path: Path, name: str) -> None:
    root = make(tmp_path / "set", name)
    for path in files(root, ".png"):
        path.unlink()
    with pytest.raises(DataError):
        FORMATS[name].read(root)


ODD: list[Any] = [
    None, True, -1, 2**70, 1e308, "", "\ud800", "a\nb", "../../outside.png", "/etc/passwd", 0.5,
    "x" * 5000, [], {}, [[]], [None], {"a": [1]}, "\x00", "C:\\a.png", "s3://[bad/a.png",
]  # fmt: skip
TOKENS = [
    b"\x00", b'"', b"{", b"]", b",", b"\xff", b"\\ud800", b"NaN", b"1e999", b"-", b": ", b"\n",
    b"2020-99-99", b"&a [*a]", b"9" * 5000, b"[" * 3000, b"\xef\xbb\xbf", b"255",
]  # fmt: skip


def with_odd_bytes(content: bytes, rng: random.Random) -> bytes:
    for _ in range(rng.randint(1, 4)):
        start = rng.randrange(len(content) + 1)
        end = min(len(content), start + rng.choice([0, 0, 1, 1, 4, 40]))
        content = content[:start] + rng.choice([b"", rng.choice(TOKENS)]) + content[end:]
    return content


def with_odd_value(values: Any, rng: random.Random) -> Any:
    """Go down to some entry of JSON values, and exchange, drop or double it."""
    if not isinstance(values, dict | list) or not values or rng.random() < 0.1:
        return rng.choice(ODD)
    key = rng.choice(list(values) if isinstance(values, dict) else range(len(values)))
    change = rng.random()
    if change < 0.05:
        del values[key]
    elif change < 0.1 and isinstance(values, list):
        values.append(values[key])
    else:
        values[key] = with_odd_value(values[key], rng)
    return values


def spoil(path: Path, rng: random.Random) -> None:
    content = path.read_bytes()
    if path.suffix == ".json" and rng.random() < 0.6:
        path.write_text(json.dumps(with_odd_value(json.loads(content), rng)), encoding="utf-8")
    else:
        path.write_bytes(with_odd_bytes(content, rng))


@every
def test_spoilt_files_raise_nothing_but_our_own_errors(tmp_path: Path, name: str) -> None:
    root = make(tmp_path / "set", name)
    rng = random.Random(name)
    refused = 0
    for _ in range(40):
        path = rng.choice(files(root, ".json", ".csv", ".yaml", ".txt"))
        sound = path.read_bytes()
        spoil(path, rng)
        try:
            load_all(name, root)
        except FrugalsegError as wrong:
            refused += 1
            str(wrong).encode()  # it can be printed
        path.write_bytes(sound)
    assert refused > 10
