"""An artifact that is there already, data of its classes, and an untrained checkpoint."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from frugalseg.core.inputs import InputSpec
from frugalseg.data.belt.scene import BELT, write_belt
from frugalseg.models.catalog import Architecture
from frugalseg.training.checkpoint import Checkpoint, save_checkpoint

SMALL = {"num_classes": BELT.num_classes, "channels": 3, "width": 0.25, "depth": 1}


@pytest.fixture(scope="session")
def belt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five scenes of 48x64."""
    folder = tmp_path_factory.mktemp("data") / "belt"
    write_belt(folder, train=3, val=2, size=(48, 64))
    return folder


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """A small frugalnet with the classes of the belt, as it is before training."""
    torch.manual_seed(0)
    architecture = Architecture(name="frugalnet", settings=SMALL)
    kept = Checkpoint(
        architecture=architecture, input=InputSpec(height=48, width=64), labels=BELT,
        weights=architecture.build().state_dict(), recipe={}, step=0, elapsed_s=0.0,
    )  # fmt: skip
    save_checkpoint(kept, tmp_path / "fresh.safetensors")
    return tmp_path / "fresh.safetensors"


@pytest.fixture
def sheet(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[..., Path]:
    """Writes a study, SHEET of the module with changes."""

    def write(**changes: Any) -> Path:
        path = tmp_path / "study.yaml"
        text = yaml.safe_dump(request.module.SHEET | changes, sort_keys=False)
        path.write_text(text, encoding="utf-8")
        return path

    return write
