"""Each thing that people get wrong: a clear error, exit 2, and nothing written."""

import shutil
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

Run = Callable[..., Any]
QUICK = ("--set", "length.steps=1", "--set", "validations=1", "--set", "batch_size=2")
SMALL = ("--set", "model.settings.width=0.25", "--set", "model.settings.depth=1")


def save(path: Path, pixels: Any, **how: Any) -> None:
    Image.fromarray(np.asarray(pixels)).save(path, **how)


def no_folder(root: Path) -> None:
    shutil.rmtree(root)


def empty(root: Path) -> None:
    shutil.rmtree(root)
    root.mkdir()


def no_images(root: Path) -> None:
    for path in [*root.glob("images/*"), *root.glob("masks/*")]:
        path.unlink()


def no_masks(root: Path) -> None:
    (root / "masks" / "0.png").unlink()
    (root / "masks" / "3.png").unlink()


def mask_of_another_size(root: Path) -> None:
    save(root / "masks" / "0.png", np.zeros((60, 90), np.uint8))


def undeclared_values(root: Path) -> None:
    save(root / "masks" / "0.png", np.full((64, 96), 7, np.uint8))


def stretched(root: Path) -> None:
    """Masks of 0 and 255 where labels.yaml declares two classes, 0 and 1."""
    for mask in root.glob("masks/*.png"):
        save(mask, np.where(np.eye(64, 96), 255, 0).astype(np.uint8))
    (root / "labels.yaml").write_text("names: [ground, bag]", encoding="utf-8")


def rgb_masks(root: Path) -> None:
    (root / "labels.yaml").write_text("names: [ground, box, disc]", encoding="utf-8")
    save(root / "masks" / "0.png", np.zeros((64, 96, 3), np.uint8))


def truncated(root: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8)
    (root / "images" / "0.png").unlink()
    path = root / "images" / "0.jpg"
    save(path, noise)
    path.write_bytes(path.read_bytes()[:-900])


def sixteen_bits(root: Path) -> None:
    save(root / "images" / "0.png", np.zeros((64, 96), np.uint16))


def cmyk(root: Path) -> None:
    (root / "images" / "0.png").unlink()
    Image.new("CMYK", (96, 64)).save(root / "images" / "0.jpg")


def one_by_60000(root: Path) -> None:
    save(root / "images" / "0.png", np.zeros((1, 60_000, 3), np.uint8))


def bomb(root: Path) -> None:
    """A header of 60000 x 60000 pixels before a few bytes."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        checksum = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    content = (
        chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(99))) + chunk(b"IEND", b"")
    )
    (root / "images" / "0.png").write_bytes(b"\x89PNG\r\n\x1a\n" + content)


CASES: list[tuple[Callable[[Path], None], list[str]]] = [
    (no_folder, ["no such folder", "'belt'"]),
    (empty, ["the folder is empty", "images/ and masks/"]),
    (no_images, ["no images in"]),
    (no_masks, ["2 problems", "0.png: no mask; expected", "3.png: no mask; expected"]),
    (mask_of_another_size, ["0.png: mask is 90 px wide and 60 high", "96 wide and 64 high"]),
    (undeclared_values, ["0.png: undeclared mask values 7; declared are 0-2, 255"]),
    (stretched, ["only the values 0 and 255", "values: {0: background, 255: object}"]),
    (rgb_masks, ["0.png: mask has colours (RGB)", "palette PNG"]),
    (truncated, ["0.jpg: damaged or truncated"]),
    (sixteen_bits, ["0.png: 16 bits per channel; convert it to 8 bits"]),
    (cmyk, ["0.jpg: colours are CMYK; convert it to RGB"]),
    (one_by_60000, ["0.png: 60,000 x 1 px has a side over"]),
    (bomb, ["0.png: 60,000 x 60,000 px is more than 64,000,000 pixels"]),
]


@pytest.mark.parametrize(("spoil", "messages"), CASES, ids=lambda c: getattr(c, "__name__", ""))
@pytest.mark.parametrize("command", ["train", "fit"])
def test_bad_data_is_told_and_nothing_is_written(
    cli: Run, tiny_folder: Path, tmp_path: Path,
    command: str, spoil: Callable[[Path], None], messages: list[str],
) -> None:  # fmt: skip
    spoil(tiny_folder)
    device = ("--device", "mcu-2mb") if command == "fit" else ()
    ended = cli(command, "--data", tiny_folder, "-o", tmp_path / "out", "-q", *device, *QUICK)
    assert ended.code == 2
    assert ended.err.startswith("error: ")
    assert [m for m in messages if m not in ended.err] == []
    assert ended.out == ""
    assert not (tmp_path / "out").exists()


def test_missing_masks_are_listed_to_twenty_then_counted(
    cli: Run, tiny_folder: Path, tmp_path: Path
) -> None:
    for number in range(30):
        shutil.copy(tiny_folder / "images" / "0.png", tiny_folder / "images" / f"n{number}.png")
    ended = cli("train", "--data", tiny_folder, "-o", tmp_path / "out", "-q")
    assert ended.code == 2
    assert ended.err.count("no mask; expected") == 20
    assert "... and 10 more" in ended.err


def test_a_photograph_turned_by_exif_simply_works(
    cli: Run, tiny_folder: Path, tmp_path: Path
) -> None:
    path = tiny_folder / "images" / "0.png"
    exif = Image.Exif()
    exif[0x0112] = 6
    with Image.open(path) as image:
        turned = image.transpose(Image.Transpose.ROTATE_90)
    turned.save(path, exif=exif)
    ended = cli("train", "--data", tiny_folder, "-o", tmp_path / "out", "-q", *QUICK, *SMALL)
    assert ended.code == 0, ended.err


def test_a_class_that_never_occurs_in_training_is_a_warning(
    cli: Run, tiny_folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    labels = yaml.safe_load((tiny_folder / "labels.yaml").read_text(encoding="utf-8"))
    labels["names"].append("unicorn")
    labels["colors"].append([1, 2, 3])
    (tiny_folder / "labels.yaml").write_text(yaml.safe_dump(labels), encoding="utf-8")
    ended = cli("train", "--data", tiny_folder, "-o", tmp_path / "out", "-q", *QUICK, *SMALL)
    assert ended.code == 0, ended.err
    assert "class 'unicorn' never occurs in train" in caplog.text
    assert "absent" in ended.out


@pytest.mark.parametrize(
    ("arguments", "messages"),
    [
        (("--set", "optimiser.lr=1"), ["unknown key 'optimiser'", "did you mean 'optimizer'"]),
        (("--set", "optimizer.lrr=1"), ["unknown key 'optimizer.lrr'", "did you mean 'lr'"]),
        (("--set", "optimizer.lr=-1"), ["optimizer.lr: Input should be greater than 0"]),
        (("--recipe", "defaults"), ["did you mean 'default'"]),
        (("--time", "soon"), ["time 'soon' is not a duration"]),
        (("--format", "folders"), ["did you mean 'folder'"]),
    ],
)
def test_a_wrong_recipe_is_told(
    cli: Run, tiny_folder: Path, tmp_path: Path, arguments: tuple[str, ...], messages: list[str]
) -> None:
    ended = cli("train", "--data", tiny_folder, "-o", tmp_path / "out", "-q", *arguments)
    assert ended.code == 2
    assert [m for m in messages if m not in ended.err] == []
    assert not (tmp_path / "out").exists()


def test_a_device_that_does_not_exist_is_told_with_the_list(
    cli: Run, tiny_folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    ended = cli("fit", "--data", tiny_folder, "--device", "mcu-2gb", "-o", out, "-q")
    assert ended.code == 2
    assert "no device 'mcu-2gb'; did you mean 'mcu-2mb'? Known: android, browser" in ended.err
    assert not out.exists()


@pytest.mark.parametrize(
    ("budget", "help"),
    [(10_000, "the device needs a larger budget"), (90_000, "It would fit at --size ")],
)
def test_a_budget_that_nothing_can_meet_ends_with_one_and_says_what_would_help(
    cli: Run, tiny_folder: Path, tmp_path: Path, budget: int, help: str
) -> None:
    device, out = tmp_path / "tiny.toml", tmp_path / "out"
    device.write_text(
        'title = "Tiny"\nruntime = "tflite-micro"\nmemory = "shared"\n'
        f"[budget]\ntotal_bytes = {budget}\n",
        encoding="utf-8",
    )
    ended = cli(
        "fit", "--data", tiny_folder, "--device", device, "--size", "64x96", "-o", out, "-q"
    )
    assert ended.code == 1
    assert "no frugalnet fits tiny at 64x96" in ended.err
    assert f"of {budget:,}" in ended.err
    assert help in ended.err
    assert not out.exists()
