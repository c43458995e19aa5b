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
    means = _means(lowered, layers, feeds)
    for name, layer in layers.items():
        if name not in means:
            continue
        too_much, groups = rounded[name] - layer.weight, layer.groups
        by_group = too_much.sum((2, 3)).reshape(groups, -1, layer.in_channels // groups)
        shift = torch.einsum("goi,gi->go", by_group, means[name].view(groups, -1))
        assert layer.bias is not None
        layer.bias -= shift.flatten()


def _means(
    lowered: Network, layers: Mapping[str, nn.Conv2d], feeds: Sequence[Any]
) -> dict[str, Tensor]:
    """Return the mean of each channel that enters each layer."""
    sums, hooks = dict[str, Tensor](), []

    def look(name: str, x_NChw: Tensor) -> None:
        sums[name] = sums.get(name, torch.zeros(())) + x_NChw.mean((0, 2, 3)) / len(feeds)

    for name, layer in layers.items():
        see = lambda _layer, given, name=name: look(name, given[0])  # noqa: E731
        hooks.append(layer.register_forward_pre_hook(see))
    for feed in feeds:
        lowered.native(torch.from_numpy(feed).permute(0, 3, 1, 2))
    for hook in hooks:
        hook.remove()
    return sums
