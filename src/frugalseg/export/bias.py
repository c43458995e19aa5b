"""Bias correction: what rounded weights shift the mean of a map by is taken out of the bias.

Nagel, van Baalen, Blankevoort, Welling 2019 (arXiv 1906.04721, section 4.2): a convolution with
weights W, rounded to W', gives (W' - W) E[x] too much on average. We take the means E[x] of what
enters each convolution from calibration pictures and from the network in float, where the paper
derives them from batch norms or measures them layer by layer; edges of the picture, where padding
enters, count as the rest.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from frugalseg.export.seen import mean_seen
from frugalseg.models.network import Network


@torch.no_grad()
def correct(lowered: Network, feeds: Sequence[Any], rounded: Mapping[str, Tensor]) -> None:
    """Change the biases of a network without norms, in place; `feeds` are (1, H, W, channels).

    `rounded` has the weights that its convolutions are to have, by layer.
    """
    layers = {
        name: layer for name, layer in lowered.named_modules()
        if isinstance(layer, nn.Conv2d) and layer.bias is not None
    }  # fmt: skip
    means = mean_seen(lowered, layers, feeds, lambda _, x_NChw: x_NChw.mean((0, 2, 3)))
    for name, layer in layers.items():
        if name not in means:
            continue
        too_much, groups = rounded[name] - layer.weight, layer.groups
        by_group = too_much.sum((2, 3)).reshape(groups, -1, layer.in_channels // groups)
        shift = torch.einsum("goi,gi->go", by_group, means[name].view(groups, -1))
        assert layer.bias is not None
        layer.bias -= shift.flatten()
