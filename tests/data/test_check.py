import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from frugalseg.core.errors import ConfigError, DataError
from frugalseg.core.progress import Progress
from frugalseg.data.catalog import open_dataset
from frugalseg.data.check.classes import rarity
from frugalseg.data.check.report import check_dataset
from frugalseg.data.check.sheet import draw_sheet
from frugalseg.data.check.splits import ClassShare
from frugalseg.data.dataset import Dataset
from frugalseg.imaging.read import read_image, read_mask


def save_cut_off_jpeg(path: Path) -> None:
    stream = io.BytesIO()
    noise_HWC = np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8)
    Image.fromarray(noise_HWC).save(stream, "JPEG")
    path.write_bytes(stream.getvalue()[:1500])


def save_deep_png(path: Path) -> None:
    Image.fromarray(np.full((64, 96), 1000, np.uint16)).save(path, "PNG")


def save_cmyk_jpeg(path: Path) -> None:
    Image.new("CMYK", (96, 64)).save(path, "JPEG")


def save_thin_png(path: Path) -> None:
    Image.new("RGB", (1, 60_000)).save(path, "PNG")


def save_bomb(path: Path) -> None:
    Image.new("1", (15_000, 15_000)).save(path, "PNG")


def save_text(path: Path) -> None:
    path.write_text("not a picture", encoding="utf-8")


BAD_PICTURES: dict[str, tuple[Callable[[Path], None], str]] = {
    "truncated": (save_cut_off_jpeg, "damaged or truncated"),
    "16 bit": (save_deep_png, "16 bits"),
    "cmyk": (save_cmyk_jpeg, "CMYK"),
    "1x60000": (save_thin_png, "side over"),
    "bomb": (save_bomb, "more than 64,000,000 pixels"),
    "text": (save_text, "not a JPEG, PNG, BMP or WebP picture"),
}


class TestProblems:
    @pytest.mark.parametrize("kind", sorted(BAD_PICTURES))
    def test_bad_picture_is_found_and_the_rest_is_still_counted(
        self, tiny_folder: Path, kind: str
    ) -> None:
        save, message = BAD_PICTURES[kind]
        save(tiny_folder / "images" / "3.png")
        report = check_dataset(open_dataset(tiny_folder), workers=2)
        [problem] = report.problems
        assert "3.png" in problem
        assert message in problem
        assert not report.ok
        assert sum(split.images for split in report.splits) == 5

    def test_all_problems_come_at_once(self, tiny_folder: Path) -> None:
        save_text(tiny_folder / "images" / "1.png")
        save_cmyk_jpeg(tiny_folder / "images" / "2.png")
        Image.new("L", (96, 60)).save(tiny_folder / "masks" / "3.png")
        Image.new("L", (96, 64), 7).save(tiny_folder / "masks" / "4.png")
        problems = "\n".join(sorted(check_dataset(open_dataset(tiny_folder)).problems))
        assert problems.count("\n") == 3
        assert "mask is 96 px wide and 60 high, 3.png is 96 wide and 64 high" in problems
        assert "undeclared mask values 7" in problems

    def test_rotated_photograph_takes_the_mask_as_it_is_displayed(self, tiny_folder: Path) -> None:
        exif = Image.Exif()
        exif[0x0112] = 6
        lying = Image.new("RGB", (64, 96))  # 64 wide and 96 high until it is turned
        lying.save(tiny_folder / "images" / "0.png", exif=exif)
        assert check_dataset(open_dataset(tiny_folder)).ok

    def test_mask_of_the_unrotated_photograph_gets_a_hint(self, tiny_folder: Path) -> None:
        exif = Image.Exif()
        exif[0x0112] = 6
        Image.new("RGB", (96, 64)).save(tiny_folder / "images" / "0.png", exif=exif)
        [problem] = check_dataset(open_dataset(tiny_folder)).problems
        assert "EXIF rotation" in problem

    def test_sound_set_has_none(self, tiny_folder: Path) -> None:
        assert check_dataset(open_dataset(tiny_folder)).ok


class TestReport:
    def test_shares_sum_to_one_with_what_is_ignored(self, tiny_folder: Path) -> None:
        for split in check_dataset(open_dataset(tiny_folder)).splits:
            shares = [c.pixel_share for c in split.classes]
            assert sum(shares) + split.ignore_share == pytest.approx(1)
            assert split.ignore_share == pytest.approx(2 / 64)
            assert split.sizes == {"64x96": split.images}
            assert [c.images for c in split.classes] == [split.images] * 3

    def test_report_is_plain_json(self, tiny_folder: Path) -> None:
        values = check_dataset(open_dataset(tiny_folder)).to_dict()
        assert json.loads(json.dumps(values, allow_nan=False)) == values

    def test_progress_reaches_its_total(self, tiny_folder: Path) -> None:
        calls: list[tuple[float, float]] = []

        def note(stage: str, done: float, total: float, note: str = "") -> None:
            calls.append((done, total))

        watch: Progress = note
        check_dataset(open_dataset(tiny_folder), progress=watch)
        assert calls == [(i, 6) for i in range(1, 7)]


class TestPart:
    """Only some of the pictures are looked at."""

    def test_so_many_are_spread_over_each_split(self, tiny_folder: Path) -> None:
        dataset = open_dataset(tiny_folder)
        seen: list[str] = []
        report = check_dataset(
            dataset, most=2, progress=lambda _stage, _done, _total, note="": seen.append(note)
        )
        wanted = [
            s.name
            for split in dataset.splits.values()
            for s in split[:: {1: 1, 2: 1, 3: 2, 4: 2, 5: 3, 6: 3}[len(split)]]
        ]
        assert seen == wanted
        assert report.unseen == 6 - len(seen) > 0

    def test_nothing_is_said_that_only_all_of_them_can_say(self, tiny_folder: Path) -> None:
        for number in range(6):  # the same picture six times
            Image.new("RGB", (96, 64)).save(tiny_folder / "images" / f"{number}.png")
        dataset = open_dataset(tiny_folder)
        assert check_dataset(dataset, most=6).findings
        assert check_dataset(dataset, most=2).findings == ()

    def test_a_bad_one_among_them_is_a_problem(self, tiny_folder: Path) -> None:
        dataset = open_dataset(tiny_folder)
        save_text(dataset.split("train")[0].image)
        assert not check_dataset(dataset, most=2).ok


class TestWarnings:
    def warnings(self, root: Path) -> str:
        return "\n".join(check_dataset(open_dataset(root)).warnings)

    def mask_without_class_2(self, root: Path, samples: Dataset, split: str) -> None:
        for sample in samples.split(split):
            mask = read_mask(sample.label)
            Image.fromarray(np.where(mask == 2, 1, mask).astype(np.uint8)).save(sample.label)

    def test_class_only_in_val(self, tiny_folder: Path) -> None:
        self.mask_without_class_2(tiny_folder, open_dataset(tiny_folder), "train")
        assert "class 'disc' never occurs in train, only in val" in self.warnings(tiny_folder)

    def test_class_only_in_train(self, tiny_folder: Path) -> None:
        self.mask_without_class_2(tiny_folder, open_dataset(tiny_folder), "val")
        assert "class 'disc' never occurs in val" in self.warnings(tiny_folder)

    def test_class_nowhere(self, tiny_folder: Path) -> None:
        for split in ("train", "val"):
            self.mask_without_class_2(tiny_folder, open_dataset(tiny_folder), split)
        assert "'disc' never occurs in train, nor in val" in self.warnings(tiny_folder)

    def test_rare_class(self, tiny_folder: Path) -> None:
        dataset = open_dataset(tiny_folder)
        self.mask_without_class_2(tiny_folder, dataset, "train")
        label = dataset.split("train")[0].label
        mask = read_mask(label)
        mask[30, 30] = 2
        Image.fromarray(mask).save(label)
        warnings = self.warnings(tiny_folder)
        count = len(dataset.split("train"))
        assert "class 'disc' is rare in train: 0.00% of the pixels" in warnings
        assert (
            f"class 'disc' is in 1 of the {count} images of train: few to learn it from" in warnings
        )

    def test_common_class_of_a_small_set_is_not_called_rare(self, tiny_folder: Path) -> None:
        dataset = open_dataset(tiny_folder)
        few = replace(dataset, splits=dict(dataset.splits) | {"train": dataset.split("train")[:3]})
        assert check_dataset(few).splits[0].classes[0].pixel_share > 0.5
        warnings = "\n".join(check_dataset(few).warnings)
        assert "rare" not in warnings
        assert "few to learn it" not in warnings

    @pytest.mark.parametrize(
        ("pixel_share", "images", "of", "told"),
        [
            (0.06, 4, 39, ""),
            (0.06, 4, 40, "class 'a' is in 4 of the 40 images of train: few to learn it from"),
            (0.04, 4, 4, "class 'a' is in 4 of the 4 images of train: few to learn it from"),
            (0.04, 5, 1000, ""),
            (0.0004, 5, 10, "class 'a' is rare in train: 0.04% of the pixels"),
        ],
    )
    def test_small_share_and_few_images_are_told_apart(
        self, pixel_share: float, images: int, of: int, told: str
    ) -> None:
        share = ClassShare(
            name="a",
            pixels=1,
            pixel_share=pixel_share,
            images=images,
            image_share=images / of,
        )
        assert "\n".join(found.text for found in rarity(share, of)) == told

    def test_same_picture_in_train_and_val(self, tiny_folder: Path) -> None:
        dataset = open_dataset(tiny_folder)
        stolen = dataset.split("train")[0].image.read_bytes()
        dataset.split("val")[0].image.write_bytes(stolen)
        assert "the same picture is in train and in val" in self.warnings(tiny_folder)

    def test_different_sizes_blank_masks_and_odd_files(self, tiny_folder: Path) -> None:
        Image.new("RGB", (48, 48)).save(tiny_folder / "images" / "0.png")
        Image.new("L", (48, 48), 255).save(tiny_folder / "masks" / "0.png")
        (tiny_folder / "images" / "notes.txt").write_text("x", encoding="utf-8")
        warnings = self.warnings(tiny_folder)
        assert "2 different sizes" in warnings
        assert "no labelled pixel, all ignored" in warnings
        assert "passed over" in warnings
        assert "notes.txt" in warnings


class TestSheet:
    def test_sheet_is_a_picture_and_the_same_for_a_seed(
        self, tiny_folder: Path, tmp_path: Path
    ) -> None:
        dataset = open_dataset(tiny_folder)
        first = draw_sheet(dataset, tmp_path / "a.png", count=4, seed=1)
        second = draw_sheet(dataset, tmp_path / "b.png", count=4, seed=1)
        assert first.read_bytes() == second.read_bytes()
        assert read_image(first).shape[1] > 600

    def test_rare_class_is_on_the_sheet(
        self, tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from frugalseg.data.check import sheet

        dataset = open_dataset(tiny_folder)
        every = [s for split in dataset.splits.values() for s in split]
        for sample in every[:-1]:
            mask = read_mask(sample.label)
            Image.fromarray(np.where(mask == 2, 1, mask).astype(np.uint8)).save(sample.label)
        for seed in range(5):
            chosen = sheet.choose(dataset, 1, seed)
            assert [sample for _, sample in chosen] == every[-1:]

    def test_bad_samples_are_passed_over(self, tiny_folder: Path, tmp_path: Path) -> None:
        save_text(tiny_folder / "images" / "0.png")
        assert draw_sheet(open_dataset(tiny_folder), tmp_path / "a.png").is_file()

    def test_names_of_several_lines_are_drawn(self, tiny_folder: Path, tmp_path: Path) -> None:
        for kind in ("images", "masks"):
            (tiny_folder / kind / "0.png").rename(tiny_folder / kind / "0\n1.png")
        dataset = open_dataset(tiny_folder.rename(tmp_path / f"two\nlines{'x' * 200}"))
        assert draw_sheet(dataset, tmp_path / "a.png").is_file()

    def test_nothing_to_draw_leaves_no_file(self, tiny_folder: Path, tmp_path: Path) -> None:
        dataset = open_dataset(tiny_folder)
        for path in (tiny_folder / "images").iterdir():
            save_text(path)
        with pytest.raises(DataError, match="no sample that can be drawn"):
            draw_sheet(dataset, tmp_path / "out" / "a.png")
        assert not (tmp_path / "out").exists()

    def test_count_must_be_positive(self, tiny_folder: Path, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="count"):
            draw_sheet(open_dataset(tiny_folder), tmp_path / "a.png", count=0)
