from pathlib import Path

import numpy as np
import pytest

from frugalseg.core.inputs import InputSpec
from frugalseg.data.catalog import open_dataset
from frugalseg.export.calibration import calibration_pictures, calibration_samples

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
