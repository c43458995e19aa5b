"""ONNX in fp32: raw uint8 NHWC pixels in, class scores out, everything in one file."""

from pathlib import Path

import torch

from frugalseg.core.errors import require
from frugalseg.core.inputs import InputSpec
from frugalseg.export.calibration import Pictures
from frugalseg.export.litert import quiet
from frugalseg.export.lowering import Deployed, example, lower
from frugalseg.export.quantisation import Quantisation
from frugalseg.models.network import Network


def export_onnx(
    network: Network,
    spec: InputSpec,
    path: Path,
    *,
    pictures: Pictures,
    how: Quantisation | None = None,
    shared: Path | None = None,
) -> None:
    """Write the network as fp32 .onnx: nothing is calibrated or rounded."""
    require("onnxscript", extra="export")
    module = Deployed(lower(network), spec, raw=True).eval()
    with quiet():
        program = torch.onnx.export(
            module, (example(spec, raw=True),), dynamo=True,
            input_names=["pixels"], output_names=["scores"],
        )  # fmt: skip
    assert program is not None
    program.save(str(path), external_data=False)
