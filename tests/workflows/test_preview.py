from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from frugalseg.core.errors import ConfigError, DataError
from frugalseg.data.catalog import open_dataset
from frugalseg.data.check.sheet import draw_sheet
from frugalseg.data.dataset import Dataset
from frugalseg.training.batches import training_batches
from frugalseg.training.recipe import load_recipe
from frugalseg.workflows import preview
from frugalseg.workflows.preview import preview_data
from frugalseg.workflows.train import checked, input_of

SETTINGS = ["augment.crop=32x48", "augment.cutout=1", "sampling.name=class_balanced", "seed=3"]


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """What the sheet was asked to draw: names, pictures and labels."""
    seen: list[tuple[Any, ...]] = []

    def listen(dataset: Dataset, path: Path, *, count: int) -> Path:
        seen.extend((s.name, *dataset.load(s)) for s in dataset.splits["augmented"])
        return draw_sheet(dataset, path, count=count)

    monkeypatch.setattr(preview, "draw_sheet", listen)
    return seen


def test_it_shows_the_first_pictures_of_that_training(
    tiny_folder: Path, tmp_path: Path, drawn: list[tuple[Any, ...]]
) -> None:
    out = tmp_path / "deep" / "preview.png"
    assert preview_data(tiny_folder, out, set=SETTINGS, count=10) == out
    dataset, recipe = open_dataset(tiny_folder), load_recipe("default", SETTINGS)
    batches = training_batches(dataset, recipe, input_of(recipe, checked(dataset)))
    trained = [pair for batch in islice(batches, 2) for pair in zip(*batch, strict=True)]
    assert len(drawn) == 10
    for (_, image_HWC, labels_HW), (image_CHW, truth_HW) in zip(drawn, trained, strict=False):
        np.testing.assert_array_equal(image_HWC, image_CHW.permute(1, 2, 0).numpy())
        np.testing.assert_array_equal(labels_HW, truth_HW.numpy())
    names = {sample.name for sample in dataset.splits["train"]}
    assert {name.split(", ")[1] for name, _, _ in drawn} <= names
    with Image.open(out) as page:
        assert page.width > 1000


def test_it_repeats_itself(tiny_folder: Path, tmp_path: Path) -> None:
    for name in ("one.png", "two.png"):
        preview_data(tiny_folder, tmp_path / name, set=SETTINGS, count=3)
    preview_data(tiny_folder, tmp_path / "other.png", set=[*SETTINGS, "seed=4"], count=3)
    one, two, other = ((tmp_path / f"{n}.png").read_bytes() for n in ("one", "two", "other"))
    assert one == two != other


def test_a_grey_network_sees_grey(
    tiny_folder: Path, tmp_path: Path, drawn: list[tuple[Any, ...]]
) -> None:
    preview_data(
        tiny_folder, tmp_path / "p.png", set=["model.settings.channels=1", "augment.rain=1"]
    )
    for _, image_HWC, _ in drawn:
        assert (image_HWC == image_HWC[..., :1]).all()


@pytest.mark.parametrize("count", [0, 401])
def test_a_count_that_cannot_be_drawn(count: int, tiny_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"count must be 1 to 400, got {count}"):
        preview_data(tiny_folder, tmp_path / "p.png", count=count)


def test_data_that_cannot_be_trained_on_is_refused(tiny_folder: Path, tmp_path: Path) -> None:
    (tiny_folder / "images" / "0.png").write_bytes(b"nothing")
    with pytest.raises(DataError, match=r"0\.png"):
        preview_data(tiny_folder, tmp_path / "p.png")
    assert not (tmp_path / "p.png").exists()


def test_a_folder_is_no_picture_to_write(tiny_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is a folder; name the file to write"):
        preview_data(tiny_folder, tmp_path)
