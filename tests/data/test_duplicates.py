import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

from frugalseg.core.errors import DataError
from frugalseg.data.check.duplicates import (
    NEAR_COARSE,
    NEAR_FINE,
    fingerprint,
    groups_of_like,
    like_groups,
)

Transpose = Image.Transpose


def scene(seed: int, size: tuple[int, int] = (96, 128)) -> Image.Image:
    """A picture with something at every scale, as photographs have."""
    rng = np.random.default_rng(seed)
    total_HWC = np.zeros((*size, 3))
    for cells, weight in ((4, 1.0), (8, 0.7), (16, 0.5), (32, 0.3)):
        noise = Image.fromarray(rng.integers(0, 256, (cells, cells, 3), np.uint8))
        total_HWC += weight * np.asarray(noise.resize(size[::-1], Image.Resampling.BICUBIC))
    return Image.fromarray((total_HWC / total_HWC.max() * 255).astype(np.uint8))


def jpeg(picture: Image.Image) -> Image.Image:
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=40)
    return Image.open(stream).convert("RGB")


COPIES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "compressed": jpeg,
    "smaller": lambda p: p.resize((80, 61)),
    "stretched": lambda p: p.resize((200, 90)),
    "darker": lambda p: ImageEnhance.Brightness(p).enhance(0.7),
    "contrast": lambda p: ImageEnhance.Contrast(p).enhance(1.2),
    "blurred": lambda p: p.filter(ImageFilter.GaussianBlur(1)),
    "mirrored": ImageOps.mirror,
    "upside down": ImageOps.flip,
    "turned half": lambda p: p.transpose(Transpose.ROTATE_180),
    "turned left": lambda p: p.transpose(Transpose.ROTATE_90),
    "turned right": lambda p: p.transpose(Transpose.ROTATE_270),
    "transposed": lambda p: p.transpose(Transpose.TRANSPOSE),
    "transversed": lambda p: p.transpose(Transpose.TRANSVERSE),
    "mirrored and compressed": lambda p: jpeg(ImageOps.mirror(p)),
}


def print_of(picture: Image.Image) -> bytes | None:
    return fingerprint(np.asarray(picture.convert("RGB")))


class TestFingerprint:
    @pytest.mark.parametrize("kind", sorted(COPIES))
    def test_a_copy_is_like_its_original_and_strangers_are_not(self, kind: str) -> None:
        originals = [scene(seed) for seed in range(5)]
        copies = [COPIES[kind](picture) for picture in originals]
        groups = like_groups([print_of(picture) for picture in [*originals, *copies]])
        assert groups == [[i, i + 5] for i in range(5)]

    def test_another_part_of_the_picture_is_another_picture(self) -> None:
        picture = scene(0)
        half = picture.crop((0, 0, 64, 96))
        assert len(like_groups([print_of(picture), print_of(half)])) == 2

    def test_pictures_of_one_tone_have_none_and_stay_alone(self) -> None:
        tones = [Image.new("RGB", (50, 40), tone) for tone in ("black", "white", "black")]
        assert [print_of(tone) for tone in tones] == [None] * 3
        assert like_groups([None, None, None]) == [[0], [1], [2]]

    @pytest.mark.parametrize("size", [(1, 1), (1, 300), (7, 5), (33, 31), (1000, 97)])
    def test_any_size_has_one(self, size: tuple[int, int]) -> None:
        noise_HWC = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
        found = fingerprint(noise_HWC)
        assert found is None or len(found) == 18


class TestGroups:
    def test_nothing_gives_no_groups(self) -> None:
        assert like_groups([]) == []

    def test_the_drawers_find_what_comparing_all_with_all_finds(self) -> None:
        rng = np.random.default_rng(1)
        rows = []
        for base_FF in rng.integers(0, 2, (60, 12, 12)).astype(np.bool_):
            for _ in range(4):
                changed_FF = base_FF.copy()
                places = rng.integers(0, 12, (rng.integers(0, 16), 2))
                changed_FF[places[:, 0], places[:, 1]] ^= True
                rows.append(laid(changed_FF, int(rng.integers(8))))
        got = like_groups([np.packbits(row).tobytes() for row in rows])
        assert sorted(map(sorted, got)) == sorted(all_with_all(np.stack(rows)))
        assert 60 < len(got) < 240  # there are both kinds

    def test_likeness_goes_from_one_to_the_next(self) -> None:
        signs = np.zeros((3, 12, 12), np.bool_)
        signs[1, 1, :7] = True
        signs[2, 1, :7] = signs[2, 2, :7] = True
        assert like_groups([np.packbits(s).tobytes() for s in signs]) == [[0, 1, 2]]
        assert like_groups([np.packbits(s).tobytes() for s in signs[::2]]) == [[0], [1]]

    def test_twenty_thousand_strangers_stay_alone(self) -> None:
        rows = np.random.default_rng(0).integers(0, 256, (20_000, 18), np.uint8)
        assert len(like_groups([row.tobytes() for row in rows])) == 20_000

    def test_a_film_of_a_still_scene_is_one_group(self) -> None:
        rng = np.random.default_rng(0)
        still = rng.random(144) < 0.5
        frames = still ^ (rng.random((4_000, 144)) < 0.02)
        groups = like_groups([row.tobytes() for row in np.packbits(frames, axis=1)])
        assert max(map(len, groups)) > 3_990

    def test_every_path_is_in_one_group_and_in_order(self, tmp_path: Path) -> None:
        paths = []
        for name, picture in {
            "c": scene(1), "a": scene(2), "b": jpeg(scene(1)), "d": Image.new("RGB", (9, 9)),
        }.items():  # fmt: skip
            paths.append(tmp_path / f"{name}.png")
            picture.save(paths[-1])
        groups = groups_of_like(paths, workers=2)
        assert [[path.stem for path in group] for group in groups] == [["c", "b"], ["a"], ["d"]]

    def test_all_unreadable_pictures_are_named(self, tmp_path: Path) -> None:
        paths = [tmp_path / f"{i}.png" for i in range(3)]
        scene(0).save(paths[1])
        paths[0].write_bytes(b"x")
        with pytest.raises(DataError) as caught:
            groups_of_like(paths)
        assert len(caught.value.problems) == 2
        assert "0.png" in caught.value.problems[0]
        assert "2.png: no such file" in caught.value.problems[1]

    def test_known_copies_of_real_photographs(self, real_data: Path) -> None:
        paths = sorted((real_data / "waste" / "images").glob("*/*.jpg"))
        groups = [
            {path.name.partition("_jpg")[0] for path in group}
            for group in groups_of_like(paths)
            if len(group) > 1
        ]
        assert {"cardboard_1154", "cardboard_2042"} in groups
        assert {"paper_1018", "paper_444"} in groups
        assert len(groups) == 3  # and one pair of train and val that looks the same


def laid(signs_FF: NDArray[np.bool_], way: int) -> NDArray[np.bool_]:
    """Turn the signs of a picture into those of it mirrored or turned."""
    odd_F = np.arange(12) % 2 == 1
    mirrored_FF = signs_FF ^ (odd_F & bool(way & 1)) ^ (odd_F & bool(way & 2))[:, None]
    laid_FF: NDArray[np.bool_] = mirrored_FF.T if way & 4 else mirrored_FF
    return laid_FF


def all_with_all(signs_NFF: NDArray[np.bool_]) -> list[list[int]]:
    group = list(range(len(signs_NFF)))
    for i, one_FF in enumerate(signs_NFF):
        for way in range(8):
            turned_FF = laid(one_FF, way)
            differ_NFF = signs_NFF ^ turned_FF
            coarse_N = differ_NFF[:, :8, :8].sum(axis=(1, 2))
            fine_N = differ_NFF[:, 8:, :8].sum(axis=(1, 2)) + differ_NFF[:, :8, 8:].sum(axis=(1, 2))
            for j in np.flatnonzero((coarse_N <= NEAR_COARSE) & (fine_N <= NEAR_FINE)):
                old, new = group[j], group[i]
                group = [new if g == old else g for g in group]
    return [[i for i, g in enumerate(group) if g == name] for name in dict.fromkeys(group)]
