"""In which precision a run computes, and what has to be left out of bfloat16."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from frugalseg.training.recipe import Recipe


def precision_of(recipe: Recipe) -> Any:
    """Return what Fabric is to be told; "auto" is fp32 on a CPU."""
    if recipe.precision != "auto":
        return recipe.precision
    if recipe.quantize.name != "none":  # a step of int8 is finer than one of bf16
        return "32-true"
    if not torch.cuda.is_available():
        return "32-true"
    return "bf16-mixed" if torch.cuda.is_bf16_supported() else "16-mixed"


def spare_dilated(network: nn.Module) -> None:
    """Let dilated depthwise convolutions compute in fp32 under autocast. Changes the network.

    On CPUs with AMX, PyTorch 2.13's gradient of their weights in bfloat16 is memory that was never
    written, where maps are channels_last: losses become NaN, or the process ends.
    """
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d) and _is_dilated_depthwise(layer):
            layer.forward = partial(_in_fp32, layer.forward)  # type: ignore[method-assign]


def _is_dilated_depthwise(layer: nn.Conv2d) -> bool:
    return layer.groups == layer.in_channels > 1 and max(layer.dilation) > 1


def _in_fp32(forward: Callable[[Tensor], Tensor], x_NChw: Tensor) -> Tensor:
    with torch.autocast(x_NChw.device.type, enabled=False):
        return forward(x_NChw.float())
