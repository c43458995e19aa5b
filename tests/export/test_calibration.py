from pathlib import Path
from typing import Any

import numpy as np
import pytest

from frugalseg.core.errors import DataError
from frugalseg.core.inputs import InputSpec
from frugalseg.data.catalog import open_dataset
from frugalseg.export.calibration import (
    calibration_pictures,
    calibration_samples,
    check_pictures,
)

RARE = "4"  # the one training picture with a disc


@pytest.mark.parametrize("count", [1, 2, 3, 6, 100])
def test_the_count_is_kept_to_and_no_picture_comes_twice(data: Path, count: int) -> None:
    names = [s.name for s in calibration_samples(open_dataset(data), count)]
    assert len(names) == len(set(names)) == min(count, 6)


@pytest.mark.parametrize("seed", range(5))
def test_a_rare_class_is_among_them(data: Path, seed: int) -> None:
    assert RARE in {s.name for s in calibration_samples(open_dataset(data), 1, seed=seed)}


def test_the_choice_depends_on_the_seed_alone(data: Path) -> None:
    dataset = open_dataset(data)
    first, again, other = (
        [s.name for s in calibration_samples(dataset, 4, seed=seed)] for seed in (0, 0, 3)
    )
    assert first == again
    assert {RARE} <= {*first} & {*other}


def test_only_training_pictures_are_taken(data: Path) -> None:
    dataset = open_dataset(data)
    chosen = {s.image for s in calibration_samples(dataset, 100)}
    assert chosen == {s.image for s in dataset.split("train")}


@pytest.mark.parametrize("channels", [1, 3])
def test_pictures_have_the_size_of_the_input(data: Path, channels: int) -> None:
    spec = InputSpec(height=20, width=30, channels=channels)
    pictures = calibration_pictures(open_dataset(data), spec, 2)
    assert [p.shape for p in pictures] == [(20, 30, channels)] * 2
    assert {p.dtype for p in pictures} == {np.dtype(np.uint8)}


class TestCheck:
    """Pictures for calibration are compared with those that the network will be shown."""

    @staticmethod
    def photos(count: int, *, dark: int = 0) -> list[Any]:
        noise = np.random.default_rng(0)
        y_HW, x_HW = np.mgrid[:40, :60]
        shapes = [80 + 60 * (x_HW > noise.integers(5, 50)) + y_HW - dark for _ in range(count)]
        return [np.stack([shape] * 3, -1).clip(0, 255).astype(np.uint8) for shape in shapes]

    def test_photographs_are_taken(self, caplog: pytest.LogCaptureFixture) -> None:
        check_pictures(self.photos(8), self.photos(4))
        assert not caplog.records

    def test_one_colour_or_noise_alone_is_refused(self, caplog: pytest.LogCaptureFixture) -> None:
        noise = np.random.default_rng(0)
        with pytest.raises(DataError, match="of one colour"):
            check_pictures([np.full((40, 60, 3), 7, np.uint8)] * 9, self.photos(2))
        random = [noise.integers(0, 256, (40, 60, 3), np.uint8) for _ in range(9)]
        with pytest.raises(DataError, match="noise"):
            check_pictures(random, self.photos(2))
        check_pictures(random, random)  # what the network is shown is noise too
        assert "validation are noise" in caplog.messages[-1]

    def test_some_of_that_kind_few_or_of_another_brightness_are_warned_of(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        blank = np.zeros((40, 60, 3), np.uint8)
        check_pictures([*self.photos(8), blank], self.photos(2))
        check_pictures(self.photos(7), self.photos(2))
        check_pictures(self.photos(8, dark=80), self.photos(2))
        told = [record.message for record in caplog.records]
        assert len(told) == 3
        assert "1 of 9 pictures for calibration are of one colour" in told[0]
        assert "7 pictures" in told[1]
        assert "brightness" in told[2]
