"""What is asked of the maker's tools before training, and what is made of their answer."""

from pathlib import Path
from typing import Any

import pytest

from frugalseg.core.inputs import InputSpec
from frugalseg.models.catalog import Architecture
from frugalseg.toolchain.imx500 import ConverterReport
from frugalseg.training.checkpoint import Checkpoint
from frugalseg.workflows import verify_imx500 as workflow
from frugalseg.workflows.verify_imx500 import measure

SPEC = InputSpec(height=64, width=96)


def test_noise_and_fresh_weights_of_the_right_shapes_are_measured(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[Any] = []

    def quantise(kept: Checkpoint, pictures: Any, path: Path, *, output: str) -> None:
        assert {picture.shape for picture in pictures} == {(64, 96, 3)}
        asked.append((kept.network().num_classes, kept.input, output))
        path.write_bytes(b"network")

    def convert(network: Path, _folder: Path) -> ConverterReport:
        assert network.read_bytes() == b"network"
        return ConverterReport(
            runtime_bytes=121_856, model_bytes=135_008, reserved_bytes=1_024,
            available_bytes=8_388_480, fits=True, tiled=False, version="3.19.2",
        )  # fmt: skip

    monkeypatch.setattr(workflow, "quantise", quantise)
    monkeypatch.setattr(workflow, "convert", convert)
    small = Architecture(name="frugalnet", settings={"num_classes": 5, "width": 0.25, "depth": 1})
    found = measure(small, SPEC, output="scores")
    assert asked == [(5, SPEC, "scores")]
    assert (found.ram_bytes, found.storage_bytes) == (121_856, 135_008)
    assert found.tool == "imx500-converter 3.19.2"
