"""What is handed to the maker's quantiser, and what is made of its answer."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from frugalseg.core.errors import ConfigError, ToolchainError
from frugalseg.core.inputs import InputSpec
from frugalseg.core.labels import LabelSpace
from frugalseg.export import imx500
from frugalseg.export.imx500 import check_input, quantise
from frugalseg.export.imx500_quantise import fix_input
from frugalseg.models.catalog import Architecture
from frugalseg.training.checkpoint import Checkpoint, load_checkpoint

SPEC = InputSpec(height=64, width=96)
PICTURES = list(np.random.default_rng(0).integers(0, 256, (2, 64, 96, 3), np.uint8))


@pytest.fixture
def kept() -> Checkpoint:
    settings = {"num_classes": 2, "width": 0.25, "depth": 1}
    architecture = Architecture(name="frugalnet", settings=settings)
    return Checkpoint(
        architecture=architecture, input=SPEC, labels=LabelSpace.of(["road", "car"]),
        weights=architecture.build().state_dict(), recipe={}, step=0, elapsed_s=0.0,
        state={"moments": torch.zeros(9)},
    )  # fmt: skip


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the worker was asked; it writes a network."""
    words: list[str] = []

    def run(_tool: Any, script: Path, given: Sequence[str], **settings: Any) -> str:
        assert script.is_file()
        assert settings["needs_package"]
        folder = Path(given[0])
        assert load_checkpoint(folder / "network.safetensors").state == {}
        np.testing.assert_array_equal(np.load(folder / "pictures.npy"), np.stack(PICTURES))
        (folder / "network.onnx").write_bytes(b"network")
        words.extend(given[1:])
        return ""

    monkeypatch.setattr(imx500, "installed", lambda _name: None)
    monkeypatch.setattr(imx500, "run", run)
    return words


def test_the_quantised_network_comes_back(
    kept: Checkpoint, asked: list[str], tmp_path: Path
) -> None:
    quantise(kept, PICTURES, tmp_path / "n.onnx", method="gptq", output="scores")
    assert asked == ["gptq", "scores"]
    assert (tmp_path / "n.onnx").read_bytes() == b"network"


def test_why_a_network_is_not_taken_is_told(
    kept: Checkpoint, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def run(_tool: Any, _script: Path, given: Sequence[str], **_settings: Any) -> str:
        (Path(given[0]) / "problem.txt").write_text("NotImplementedError: not for 'Bool'\n")
        return ""

    monkeypatch.setattr(imx500, "installed", lambda _name: None)
    monkeypatch.setattr(imx500, "run", run)
    with pytest.raises(ToolchainError, match=r"does not take frugalnet.*not for 'Bool'$"):
        quantise(kept, PICTURES, tmp_path / "n.onnx")
    assert not (tmp_path / "n.onnx").exists()


@pytest.mark.parametrize(
    "changes", [{"mean": 127.0}, {"std": 50.0}, {"channels": 1}, {"mean": 0.0, "std": 255.0}]
)
def test_an_input_that_the_sensor_cannot_deliver_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="pixel - 128"):
        check_input(InputSpec(height=64, width=64, **changes))


class Quantiser:
    """Stands for one of the maker's."""

    def __init__(self, **values: Any) -> None:
        self.values = values


class Holder:
    """Where the quantised network keeps that of its input."""

    activation_holder_quantizer: Any = Quantiser(num_bits=8, threshold=[1.0], signed=False)


class Quantised:
    """A network that was calibrated with dark pictures."""

    image_activation_holder_quantizer = Holder()


def test_the_input_holds_pixel_minus_128_whatever_was_calibrated() -> None:
    fix_input(Quantised(), SPEC)
    found = Quantised.image_activation_holder_quantizer.activation_holder_quantizer
    assert found.values == {"num_bits": 8, "threshold": [2.0], "signed": True}
