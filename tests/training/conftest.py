from pathlib import Path
from typing import Any

import pytest

from frugalseg.core.inputs import InputSpec
from frugalseg.data.catalog import open_dataset
from frugalseg.data.dataset import Dataset
from frugalseg.training.recipe import Recipe


@pytest.fixture
def dataset(tiny_folder: Path) -> Dataset:
    return open_dataset(tiny_folder)


@pytest.fixture
def spec() -> InputSpec:
    return InputSpec(height=32, width=48)


@pytest.fixture
def small() -> Recipe:
    """A recipe for a second's training."""
    values: dict[str, Any] = {
        "model": {"settings": {"width": 0.25, "depth": 1}},
        "length": {"steps": 6},
        "batch_size": 2,
        "average": 0.5,
        "validations": 2,
    }
    return Recipe.model_validate(values)
