"""Rewrites a trained network into what a file format can say, without changing its result."""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

from frugalseg.copying import copied
from frugalseg.core.inputs import InputSpec
from frugalseg.models.factors import Factors
from frugalseg.models.network import Network


class Deployed(nn.Module):
    """What a file holds: pixels (N, H, W, channels) in, native scores (N, h, w, classes) out.

    With `raw`, the input is uint8 pixels and the graph normalises them; without, it is already
    normalised, which is what an int8 tensor of scale 1/std means.
    """

    def __init__(self, network: Network, spec: InputSpec, *, raw: bool) -> None:
        super().__init__()
        self.network, self.raw = network, raw
        self.mean, self.std = spec.mean, spec.std

    def forward(self, x_NHWC: Tensor) -> Tensor:
        """Return scores, channels last."""
        if self.raw:
            x_NHWC = (x_NHWC.float() - self.mean) / self.std
        return self.network.native(x_NHWC.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)


def lower(network: Network) -> Network:
    """Return a copy in evaluation mode with batch norms folded and operators that files have."""
    lowered = copied(network).cpu().eval().requires_grad_(False)
    _fold_norms(lowered)
    _norms_alone(lowered)
    _widen_transposed(lowered)
    return lowered


def _fold_norms(module: nn.Module) -> None:
    """Fold each batch norm that directly follows a convolution in a Sequential into it."""
    for child in module.children():
        _fold_norms(child)
    if not isinstance(module, nn.Sequential):
        return
    for (name, layer), (after, norm) in pairwise(list(module.named_children())):
        if not isinstance(norm, nn.BatchNorm2d):
            continue
        if isinstance(layer, Factors) and isinstance(layer[-1], nn.Conv2d):
            layer[-1] = fuse_conv_bn_eval(layer[-1], norm)
        elif isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            transpose = isinstance(layer, nn.ConvTranspose2d)
            setattr(module, name, fuse_conv_bn_eval(layer, norm, transpose=transpose))
        else:
            continue
        setattr(module, after, nn.Identity())


def _norms_alone(module: nn.Module) -> None:
    """Write each batch norm that is left as a depthwise convolution of one pixel.

    A converter writes four operators for it, each with a scale of its own; the convolution has one
    scale per channel and takes in the activation after it.
    """
    for name, layer in module.named_children():
        if isinstance(layer, nn.BatchNorm2d):
            channels = layer.num_features
            point = nn.Conv2d(channels, channels, 1, groups=channels, bias=False)
            nn.init.ones_(point.weight)
            setattr(module, name, fuse_conv_bn_eval(point.eval(), layer))
        else:
            _norms_alone(layer)


def _widen_transposed(module: nn.Module) -> None:
    """Write a 3x3 stride-2 transposed convolution with output padding as a 4x4 one.

    The added last row and column are zero, so the result is the same; converters know the one
    without output padding only.
    """
    for name, layer in module.named_children():
        if isinstance(layer, nn.ConvTranspose2d) and layer.output_padding == (1, 1):
            wide = nn.ConvTranspose2d(
                layer.in_channels, layer.out_channels, 4, stride=2, padding=1,
                bias=layer.bias is not None,
            )  # fmt: skip
            wide.weight = nn.Parameter(F.pad(layer.weight, (0, 1, 0, 1)), requires_grad=False)
            wide.bias = layer.bias
            setattr(module, name, wide.eval())
        else:
            _widen_transposed(layer)


def example(spec: InputSpec, *, raw: bool, seed: int = 0) -> Tensor:
    """Return a picture of noise to trace with, (1, H, W, channels)."""
    noise = torch.Generator().manual_seed(seed)
    shape = (1, spec.height, spec.width, spec.channels)
    pixels = torch.randint(0, 256, shape, generator=noise, dtype=torch.uint8)
    return pixels if raw else (pixels.float() - spec.mean) / spec.std
