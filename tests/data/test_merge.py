"""Several classes seen as one."""

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from frugalseg.core.errors import ConfigError
from frugalseg.data.dataset import Dataset
from frugalseg.data.folder import read
from frugalseg.data.merge import merged


@pytest.fixture
def dataset(tiny_folder: Path) -> Dataset:
    """Classes ground, box and disc; the first rows are ignored."""
    return read(tiny_folder)


def test_a_group_takes_the_place_and_colour_of_its_first_class(dataset: Dataset) -> None:
    binary = merged(dataset, {"thing": ["box", "disc"]})
    assert binary.labels.names == ("ground", "thing")
    assert binary.labels.colors == dataset.labels.colors[:2]
    assert binary.labels.background == 0
    assert binary.labels.from_disk == {0: 0, 1: 1, 2: 1, 255: 255}
    assert merged(dataset, {"still": ["ground", "box"]}).labels.names == ("still", "disc")


def test_labels_are_merged_and_ignored_pixels_stay_ignored(dataset: Dataset) -> None:
    sample = next(sample for samples in dataset.splits.values() for sample in samples)
    _, before_HW = dataset.load(sample)
    # As it is sent to the processes that load pictures.
    _, after_HW = pickle.loads(pickle.dumps(merged(dataset, {"thing": ["disc", "box"]}))).load(
        sample
    )
    assert np.array_equal(after_HW, np.where(before_HW == 2, 1, before_HW))
    assert {0, 1, 255} <= set(np.unique(after_HW))


def test_what_cannot_be_merged_is_refused(dataset: Dataset) -> None:
    with pytest.raises(ConfigError, match="'boxes'; did you mean 'box'"):
        merged(dataset, {"thing": ["boxes"]})
    with pytest.raises(ConfigError, match="'box' is in two groups"):
        merged(dataset, {"a": ["box", "disc"], "b": ["box"]})
    with pytest.raises(ConfigError, match="'box' is in two groups"):  # also by its own name
        merged(dataset, {"box": ["box", "disc"], "other": ["box"]})
    with pytest.raises(ConfigError, match="the group 'none' has no classes"):
        merged(dataset, {"thing": ["box", "disc"], "none": []})
    with pytest.raises(ConfigError, match="another class is ground"):
        merged(dataset, {"ground": ["box", "disc"]})


def test_data_without_a_background_stays_without(dataset: Dataset) -> None:
    bare = replace(dataset, labels=replace(dataset.labels, background=None))
    assert merged(bare, {"thing": ["box", "disc"]}).labels.background is None
