import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from frugalseg.core.errors import ConfigError, DataError
from frugalseg.data.catalog import open_dataset
from frugalseg.data.check.mend import write_picture
from frugalseg.data.check.report import check_dataset
from frugalseg.data.dataset import Sample
from frugalseg.imaging.read import read_image
from frugalseg.workflows import fix_data as module
from frugalseg.workflows.fix_data import FixResult, fix_data


@pytest.fixture
def split_folder(tiny_folder: Path) -> Path:
    """The tiny data set with its six pictures in train (0 to 3) and val (4 and 5)."""
    for kind in ("images", "masks"):
        for number in range(6):
            split = "train" if number < 4 else "val"
            (tiny_folder / kind / split).mkdir(exist_ok=True)
            (tiny_folder / kind / f"{number}.png").rename(
                tiny_folder / kind / split / f"{number}.png"
            )
    return tiny_folder


def contents(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def fixed(root: Path, out: Path, *, specks: bool = False) -> FixResult:
    """Fix, and see that the original is as before and that the copy has no problem."""
    before = contents(root)
    result = fix_data(root, out, specks=specks)
    assert contents(root) == before
    assert check_dataset(open_dataset(out)).ok
    assert [path.name for path in out.parent.iterdir() if path.name.startswith(".")] == []
    return result


def test_a_sound_set_is_copied_as_it_is(split_folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = fixed(split_folder, out)
    assert dict(result.samples) == {"train": 4, "val": 2}
    assert (dict(result.dropped), result.straightened, result.recoloured) == ({}, 0, 0)
    old, new = open_dataset(split_folder), open_dataset(out)
    assert new.format == "folder"
    assert new.labels.to_dict() == old.labels.to_dict()
    for split in ("train", "val"):
        for one, other in zip(old.splits[split], new.splits[split], strict=True):
            assert one.image.read_bytes() == other.image.read_bytes()
            assert (old.load(one)[1] == new.load(other)[1]).all()


def test_what_cannot_be_used_is_left_out(split_folder: Path, tmp_path: Path) -> None:
    images, masks = split_folder / "images" / "train", split_folder / "masks" / "train"
    (images / "0.png").write_bytes(b"no picture")
    Image.new("L", (96, 64), 9).save(masks / "1.png")
    Image.new("L", (96, 64), 255).save(masks / "2.png")
    result = fixed(split_folder, tmp_path / "out")
    dropped = {why: sorted(p.name for p in paths) for why, paths in result.dropped.items()}
    assert dropped == {"cannot be used": ["0.png", "1.png"], "no labelled pixel": ["2.png"]}
    assert dict(result.samples) == {"train": 1, "val": 2}


def test_a_picture_of_val_is_dropped_from_train(split_folder: Path, tmp_path: Path) -> None:
    images = split_folder / "images"
    shutil.copy(images / "val" / "5.png", images / "train" / "1.png")
    shutil.copy(images / "train" / "2.png", images / "train" / "3.png")
    result = fixed(split_folder, tmp_path / "out")
    assert dict(result.dropped) == {"in val too": [images / "train" / "1.png"]}
    assert sorted(p.name for p in (tmp_path / "out" / "images").rglob("*.png")) == [
        "0.png", "2.png", "3.png", "4.png", "5.png",
    ]  # fmt: skip
    assert "copies" in [found.kind for found in result.left]
    assert not any("across" in found.kind and "near" not in found.kind for found in result.left)


def test_of_three_splits_the_last_keeps_it(split_folder: Path, tmp_path: Path) -> None:
    for kind in ("images", "masks"):
        (split_folder / kind / "test").mkdir()
        for split, number in (("train", 0), ("val", 4)):
            shutil.copy(
                split_folder / kind / "val" / "5.png",
                split_folder / kind / split / f"{number}.png",
            )
        shutil.copy(split_folder / kind / "val" / "5.png", split_folder / kind / "test" / "9.png")
    result = fixed(split_folder, tmp_path / "out")
    assert dict(result.samples) == {"train": 3, "test": 1}
    assert [p.name for p in result.dropped["in test too"]] == ["0.png", "4.png", "5.png"]


@pytest.mark.parametrize("orientation", range(2, 9))
def test_pictures_are_written_upright(split_folder: Path, tmp_path: Path, orientation: int) -> None:
    path = split_folder / "images" / "train" / "0.png"
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.open(path).save(path, exif=exif)
    if orientation > 4:
        mask = split_folder / "masks" / "train" / "0.png"
        Image.open(mask).transpose(Image.Transpose.ROTATE_90).save(mask)
    upright_HWC = read_image(path)
    result = fixed(split_folder, tmp_path / "out")
    assert (result.straightened, result.recoloured) == (1, 0)
    copy = tmp_path / "out" / "images" / "train" / "0.png"
    assert (np.asarray(Image.open(copy)) == upright_HWC).all()
    assert Image.open(copy).getexif().get(0x0112, 1) == 1


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA"])
def test_other_kinds_are_written_as_rgb(split_folder: Path, tmp_path: Path, mode: str) -> None:
    path = split_folder / "images" / "train" / "0.png"
    Image.open(path).convert(mode).save(path)
    before_HWC = read_image(path)
    result = fixed(split_folder, tmp_path / "out")
    assert result.recoloured == 1
    with Image.open(tmp_path / "out" / "images" / "train" / "0.png") as picture:
        assert picture.mode == "RGB"
        assert (np.asarray(picture) == before_HWC).all()


def test_specks_are_filled_only_if_asked(split_folder: Path, tmp_path: Path) -> None:
    mask = split_folder / "masks" / "train" / "0.png"
    labels_HW = np.array(Image.open(mask))
    labels_HW[60, 5] = 2
    Image.fromarray(labels_HW).save(mask)
    assert fixed(split_folder, tmp_path / "a").specks == 0
    assert fixed(split_folder, tmp_path / "b", specks=True).specks == 1
    read = [np.asarray(Image.open(tmp_path / name / "masks" / "train" / "0.png")) for name in "ab"]
    assert np.argwhere(read[0] != read[1]).tolist() == [[60, 5]]
    assert read[1][60, 5] == 0


def test_polygons_become_masks(tmp_path: Path) -> None:
    root = tmp_path / "yolo"
    for split in ("train", "val"):
        for kind in ("images", "labels"):
            (root / kind / split).mkdir(parents=True)
        noise_HWC = np.random.default_rng(len(split)).integers(0, 256, (20, 30, 3), np.uint8)
        Image.fromarray(noise_HWC).save(root / "images" / split / "a.jpg")
        (root / "labels" / split / "a.txt").write_text("0 0 0 0.5 0 0.5 0.5 0 0.5\n", "utf-8")
    (root / "data.yaml").write_text("names: [bag]\n", encoding="utf-8")
    fixed(root, tmp_path / "out")
    written = yaml.safe_load((tmp_path / "out" / "labels.yaml").read_text("utf-8"))
    assert written["names"] == ["background", "bag"]
    old, new = open_dataset(root), open_dataset(tmp_path / "out")
    assert (old.load(old.split("val")[0])[1] == new.load(new.split("val")[0])[1]).all()


class TestPlace:
    def test_in_the_data_set_or_full_is_refused(self, split_folder: Path, tmp_path: Path) -> None:
        before = contents(split_folder)
        (tmp_path / "full").mkdir()
        (tmp_path / "full" / "mine.txt").write_text("x", encoding="utf-8")
        (tmp_path / "link").symlink_to(split_folder)
        for place in (
            split_folder, split_folder / "out", tmp_path / "link" / "out", tmp_path / "link",
            split_folder / "images" / ".." / "out", tmp_path / "full", tmp_path,
        ):  # fmt: skip
            with pytest.raises(ConfigError, match=r"lies in the data set|not empty"):
                fix_data(split_folder, place)
        assert contents(split_folder) == before
        assert (tmp_path / "full" / "mine.txt").read_text("utf-8") == "x"

    def test_a_file_is_refused(self, split_folder: Path, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("x", encoding="utf-8")
        with pytest.raises(ConfigError, match="is a file"):
            fix_data(split_folder, tmp_path / "file")

    def test_an_empty_folder_will_do(self, split_folder: Path, tmp_path: Path) -> None:
        (tmp_path / "out").mkdir()
        assert sum(fixed(split_folder, tmp_path / "out").samples.values()) == 6


class TestNothingIsHalfWritten:
    @pytest.mark.parametrize("wrong", [KeyboardInterrupt, OSError("no space left on device")])
    def test_when_it_is_stopped(
        self,
        split_folder: Path,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        wrong: BaseException,
    ) -> None:

        def stop_at_the_third(*arguments: Any) -> object:
            if len(list(tmp_path.glob(".draft-*/images/*/*"))) > 1:
                raise wrong
            return write_picture(*arguments)

        monkeypatch.setattr(module, "write_picture", stop_at_the_third)
        before = sorted(tmp_path.iterdir())
        with pytest.raises(type(wrong) if isinstance(wrong, OSError) else KeyboardInterrupt):
            fix_data(split_folder, tmp_path / "out")
        assert sorted(tmp_path.iterdir()) == before

    def test_when_nothing_can_be_used(self, split_folder: Path, tmp_path: Path) -> None:
        for path in (split_folder / "images").glob("*/*"):
            path.write_bytes(b"")
        with pytest.raises(DataError, match="no sample can be used"):
            fix_data(split_folder, tmp_path / "out")
        assert not (tmp_path / "out").exists()


def test_names_are_plain_and_differ(split_folder: Path) -> None:
    dataset = open_dataset(split_folder)
    sample = dataset.split("train")[0]
    names = ["a/b", "a__b", ".hidden", "x" * 300, "y" + "x" * 300, "..", "é" * 150]
    samples = [Sample(name=n, image=sample.image, label=sample.label) for n in names]
    dataset.splits["train"] = tuple(samples)  # type: ignore[index]
    made = [job.name for job in module._jobs(dataset, set()) if job.split == "train"]
    assert made[:3] == ["a__b", "a__b-2", "hidden"]
    assert len(set(made)) == len(names)
    assert all(len(name.encode()) < 220 and name[0] != "." for name in made)


def test_result_is_plain(split_folder: Path, tmp_path: Path) -> None:
    (split_folder / "images" / "train" / "0.png").write_bytes(b"")
    told = fixed(split_folder, tmp_path / "out").to_dict()
    assert told["samples"] == {"train": 3, "val": 2}
    assert told["dropped"]["cannot be used"] == [str(split_folder / "images" / "train" / "0.png")]
