"""Quantises a checkpoint for the IMX500. Runs in the environment of the toolchain, on its own.

    python imx500_quantise.py FOLDER METHOD OUTPUT

FOLDER holds network.safetensors, a checkpoint, and pictures.npy, uint8 (N, H, W, C) at the input
size; METHOD is ptq or gptq, OUTPUT ids or scores. The maker's quantiser writes network.onnx there.
Where it does not take the network, problem.txt says why.
"""

import functools
import importlib.machinery
import sys
import traceback
import types
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from torch import Tensor, nn

from frugalseg.core.inputs import InputSpec
from frugalseg.export.imx500_static import IMAGE, static_graph
from frugalseg.training.checkpoint import load_checkpoint

CHECKPOINT, PICTURES = "network.safetensors", "pictures.npy"
NETWORK, PROBLEM = "network.onnx", "problem.txt"
EPOCHS = 5
BITS = 8
# The quantiser imports these names of torchvision; nothing here uses them.
TORCHVISION: dict[str, dict[str, object]] = {
    "torchvision": {"__version__": "0.18.0"},
    "torchvision.transforms": {
        name: type(name, (), {}) for name in ("Normalize", "RandomCrop", "RandomHorizontalFlip",
                                              "CenterCrop")
    },
    "torchvision.transforms.transforms": {"_setup_size": None},
}  # fmt: skip


def main(words: list[str]) -> None:
    """Quantise, or say why that cannot be."""
    name, method, output = words
    folder = Path(name)
    stand_in_for_torchvision()
    mct = import_module("model_compression_toolkit")
    try:
        quantise(mct, folder, method, output)
    except Exception as wrong:  # the quantiser has no errors of its own
        traceback.print_exc()
        (folder / PROBLEM).write_text(f"{type(wrong).__name__}: {wrong}", encoding="utf-8")


def quantise(mct: Any, folder: Path, method: str, output: str) -> None:
    """Quantise and write the file."""
    kept = load_checkpoint(folder / CHECKPOINT)
    pictures_NHWC = np.load(folder / PICTURES, mmap_mode="r", allow_pickle=False)

    def images() -> Iterator[list[Tensor]]:
        for picture_HWC in pictures_NHWC:
            pixels_CHW = torch.from_numpy(picture_HWC.transpose(2, 0, 1).astype(np.float32))
            yield [((pixels_CHW - kept.input.mean) / kept.input.std)[None]]

    torch.manual_seed(0)
    network = static_graph(kept.network(), kept.input, output)
    quantised = {"ptq": _ptq, "gptq": _gptq}[method](mct, network, images)
    fix_input(quantised, kept.input)
    # The exporter that newer versions of torch prefer loses the quantisers.
    export = functools.partial(torch.onnx.export, dynamo=False)
    with mock.patch("torch.onnx.export", export):
        mct.exporter.pytorch_export_model(
            quantised, save_model_path=str(folder / NETWORK), repr_dataset=images
        )


def _ptq(mct: Any, network: nn.Module, images: Any) -> Any:
    quantised, _ = mct.ptq.pytorch_post_training_quantization(
        network, images, target_platform_capabilities=_target(mct)
    )
    return quantised


def _gptq(mct: Any, network: nn.Module, images: Any) -> Any:
    # Weighting by Hessians costs some hundred backward passes over the pictures.
    settings = mct.gptq.get_pytorch_gptq_config(
        n_epochs=EPOCHS, use_hessian_based_weights=False, use_hessian_sample_attention=False
    )
    quantised, _ = mct.gptq.pytorch_gradient_post_training_quantization(
        network, images, gptq_config=settings, target_platform_capabilities=_target(mct)
    )
    return quantised


def _target(mct: Any) -> Any:
    return mct.get_target_platform_capabilities("pytorch", "imx500")


def fix_input(quantised: Any, spec: InputSpec) -> None:
    """Let the input hold exactly pixel - 128, as the sensor delivers it.

    Otherwise dark pictures for calibration would halve the range, and clip bright ones.
    """
    holder = getattr(quantised, f"{IMAGE}_activation_holder_quantizer")
    kind = type(holder.activation_holder_quantizer)
    threshold = input_threshold(spec)
    holder.activation_holder_quantizer = kind(num_bits=BITS, threshold=[threshold], signed=True)


def input_threshold(spec: InputSpec) -> float:
    """Return the value that -128 stands for, less its sign.

    >>> input_threshold(InputSpec(height=64, width=64))
    2.0
    """
    return spec.mean / spec.std


def stand_in_for_torchvision() -> None:
    """Make the imports of the quantiser succeed."""
    for name, contents in TORCHVISION.items():
        module = types.ModuleType(name)
        module.__spec__ = importlib.machinery.ModuleSpec(name, None, is_package=True)
        module.__path__ = []
        module.__dict__.update(contents)
        sys.modules[name] = module


if __name__ == "__main__":
    main(sys.argv[1:])
