"""A network for Sony's IMX500, quantised by the maker's quantiser: pixels in, ids or scores out.

The sensor feeds pixel - 128 as int8. With a mean of 128 and a power of two as the standard
deviation that is the normalised picture itself, as in int8 LiteRT files (ADR 0005, 0011).
"""

import math
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from frugalseg.core.errors import ConfigError, RefusedError
from frugalseg.core.inputs import InputSpec
from frugalseg.export.imx500_quantise import CHECKPOINT, NETWORK, PICTURES, PROBLEM
from frugalseg.runtime.manifest import Output
from frugalseg.toolchain.environment import installed, run
from frugalseg.training.checkpoint import Checkpoint, save_checkpoint

Method = Literal["ptq", "gptq"]

WORKER = Path(__file__).with_name("imx500_quantise.py")
TIMEOUT_S = 4 * 3600.0
CENTRE = 128.0


def quantise(
    kept: Checkpoint,
    pictures: Sequence[NDArray[np.uint8]],
    path: Path,
    *,
    method: Method = "ptq",
    output: Output = "ids",
    timeout_s: float = TIMEOUT_S,
) -> None:
    """Write a checkpoint as quantised .onnx, calibrated with pictures at its input size.

    "gptq" trains the rounding of the weights too, which takes some ten times as long. Raises
    ConfigError for an input that the sensor cannot deliver, ToolchainError where the toolchain is
    missing, RefusedError where its quantiser does not take the network.
    """
    check_input(kept.input)
    toolchain = installed("imx500")
    with tempfile.TemporaryDirectory(prefix="frugalseg-") as name:
        folder = Path(name)
        save_checkpoint(replace(kept, state={}), folder / CHECKPOINT)
        np.save(folder / PICTURES, np.stack(pictures))
        run(toolchain, WORKER, [name, method, output], timeout_s=timeout_s, needs_package=True)
        if (folder / PROBLEM).is_file():
            why = (folder / PROBLEM).read_text(encoding="utf-8").strip()
            raise RefusedError(
                f"the quantiser for the IMX500 does not take {kept.architecture.name}; in most"
                f" cases it lacks an operator of it. It said: {why}"
            )
        shutil.move(folder / NETWORK, path)


def check_input(spec: InputSpec) -> None:
    """Refuse what the sensor cannot feed without rounding a pixel, and pictures in grey.

    >>> check_input(InputSpec(height=64, width=64, std=100.0))
    Traceback (most recent call last):
    ...
    frugalseg.core.errors.ConfigError: the IMX500 feeds pixel - 128 ...
    """
    exact = spec.mean == CENTRE and math.log2(spec.std).is_integer()
    if not exact or spec.channels == 1:
        raise ConfigError(
            "the IMX500 feeds pixel - 128 in three channels: expected a mean of 128, a power of"
            f" two as standard deviation (64) and 3 channels, got a mean of {spec.mean:g}, a"
            f" standard deviation of {spec.std:g} and {spec.channels} channels; train with the"
            " default normalisation, in colour"
        )
