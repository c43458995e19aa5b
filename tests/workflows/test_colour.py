"""What colour buys: measured on pictures without it."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from frugalseg.core.inputs import InputSpec
from frugalseg.core.labels import LabelSpace
from frugalseg.cost.device import load_device
from frugalseg.data.catalog import open_dataset
from frugalseg.data.dataset import Dataset
from frugalseg.models.catalog import Architecture
from frugalseg.search.ladder import Choice, choose
from frugalseg.training.checkpoint import Checkpoint
from frugalseg.workflows import colour


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    """Two pictures that differ in colour and not in brightness: red is class 1, green class 0."""
    for split in ("train", "val"):
        for kind in ("images", "masks"):
            (tmp_path / kind / split).mkdir(parents=True)
        pixels_HWC = np.zeros((32, 32, 3), np.uint8)
        pixels_HWC[:, :16, 1], pixels_HWC[:, 16:, 0] = 100, 196
        mask_HW = (pixels_HWC[..., 0] > 0).astype(np.uint8)
        Image.fromarray(pixels_HWC).save(tmp_path / "images" / split / f"{split}.png")
        Image.fromarray(mask_HW).save(tmp_path / "masks" / split / f"{split}.png")
    return open_dataset(tmp_path)


def choice_of(channels: int, device: str = "mcu-1mb") -> Choice:
    spec = InputSpec(height=32, width=32, channels=channels)
    return choose(load_device(device), spec, 2)


def checkpoint_of(choice: Choice) -> Checkpoint:
    network = Architecture(name="frugalnet", settings=dict(choice.architecture.settings)).build()
    return Checkpoint(
        architecture=choice.architecture,
        input=choice.input,
        labels=LabelSpace.of(["green", "red"]),
        weights=network.state_dict(),
        recipe={},
        step=1,
        elapsed_s=1.0,
    )


def test_a_network_that_goes_by_colour_is_seen_to_lose_without_it(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        colour, "torch_predictor", lambda *_: lambda image: (image[..., 0] > image[..., 1]) * 1
    )
    choice = choice_of(3)
    found = colour.colour_of(dataset, checkpoint_of(choice), choice, load_device("mcu-1mb"))
    assert found is not None
    assert found.grey.iou == (0.5, 0.0)  # all is green now
    assert found.footprint is not None
    assert found.footprint.total_bytes < choice.footprint.total_bytes


def test_a_network_for_grey_pictures_has_no_colour_to_lose(dataset: Dataset) -> None:
    choice = choice_of(1)
    assert not colour.colour_of(dataset, checkpoint_of(choice), choice, load_device("mcu-1mb"))


def test_a_device_that_takes_no_grey_gives_no_footprint_for_it() -> None:
    choice = choice_of(3, "mcu-1mb")
    assert colour._grey_footprint(choice, load_device("mcu-1mb")) is not None
    assert colour._grey_footprint(choice, load_device("imx500")) is None
