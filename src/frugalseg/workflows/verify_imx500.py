"""What Sony's converter says that a network needs on the IMX500, before anything is trained."""

import tempfile
from pathlib import Path

import numpy as np
import torch

from frugalseg.core.inputs import InputSpec
from frugalseg.core.labels import LabelSpace
from frugalseg.export.imx500 import quantise
from frugalseg.models.catalog import Architecture
from frugalseg.runtime.manifest import Output
from frugalseg.toolchain.imx500 import CONVERTER, ConverterReport, convert
from frugalseg.toolchain.measured import Measured
from frugalseg.training.checkpoint import Checkpoint

PICTURES = 2


def measure(architecture: Architecture, spec: InputSpec, *, output: Output = "ids") -> Measured:
    """Quantise the network with random weights and pictures of noise, and convert it in full.

    Memory follows from the shapes alone. Takes minutes. Raises ConfigError for an input that the
    sensor cannot deliver, ToolchainError where the toolchain is missing or refuses an operator.
    """
    torch.manual_seed(0)
    network = architecture.build()
    fresh = Checkpoint(
        architecture=architecture, input=spec, weights=network.state_dict(),
        labels=LabelSpace.of([f"class {i}" for i in range(network.num_classes)]),
        recipe={}, step=0, elapsed_s=0.0,
    )  # fmt: skip
    shape = (PICTURES, *spec.size, spec.channels)
    noise_NHWC = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    with tempfile.TemporaryDirectory(prefix="frugalseg-") as name:
        file = Path(name) / "network.onnx"
        quantise(fresh, list(noise_NHWC), file, output=output)
        report = convert(file, Path(name) / "converted")
    return as_measured(report)


def as_measured(report: ConverterReport) -> Measured:
    """Return the converter's figures as those of any tool."""
    return Measured(
        storage_bytes=report.model_bytes,
        ram_bytes=report.runtime_bytes,
        tool=f"{CONVERTER} {report.version}",
        accepted=report.fits,
        in_tiles=report.tiled and report.fits,
    )
