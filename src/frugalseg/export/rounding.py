"""Rounding of weights: to the nearest step, or so that errors make up for each other.

GPTQ (Frantar, Ashkboos, Hoefler, Alistarh 2023, arXiv 2210.17323; after Hassibi, Stork 1993): the
weights of a filter are rounded one after the other, and what each is off by is taken up by those
that are left, by the inverse Hessian of the squared error of the layer's results. We depart from
it in three things. Inputs are those of the float network, in one pass. The largest weight of a
filter is always rounded to the last step, so that whoever quantises the weights again finds the
same steps. And how large a step is, is chosen: the largest of SHRINKS of what would hold all
weights that costs the least, each weight's error counted by the power of its input.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from frugalseg.export.seen import mean_seen
from frugalseg.models.layers import SameConv
from frugalseg.models.network import Network
from frugalseg.training.quantise import BITS, LEAST_SCALE, round_weight

NEAREST, GPTQ = "nearest", "gptq"
DAMP = 0.01  # of the mean of the diagonal, added to it (the paper, step 3)
SHRINKS = (1.0, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.65, 0.6)
PLACES = 512  # of each picture, where the input of a layer is looked at


@torch.no_grad()
def nearest(lowered: Network, _feeds: Sequence[Any], bits: Mapping[str, int]) -> dict[str, Tensor]:
    """Return the weights of all convolutions, each rounded to its nearest step."""
    return {
        name: round_weight(layer.weight, 0, bits.get(name, BITS))
        for name, layer in _layers(lowered)
    }


@torch.no_grad()
def gptq(lowered: Network, feeds: Sequence[Any], bits: Mapping[str, int]) -> dict[str, Tensor]:
    """Return the weights of all convolutions, rounded so that errors make up for each other.

    `feeds` are (1, H, W, channels). A convolution that no feed reaches is rounded to the nearest.
    """
    found, layers = nearest(lowered, feeds, bits), dict(_layers(lowered))
    for name, hessian_GKK in mean_seen(lowered, layers, feeds, _moment).items():
        weight_OIHW = layers[name].weight
        weight_GOK = weight_OIHW.reshape(len(hessian_GKK), -1, hessian_GKK.shape[-1])
        rounded_GOK = _rounded(weight_GOK, hessian_GKK, bits.get(name, BITS))
        found[name] = rounded_GOK.reshape(weight_OIHW.shape)
    return found


def replace_weights(lowered: Network, rounded: Mapping[str, Tensor]) -> None:
    """Put rounded weights into a network, in place."""
    for name, layer in _layers(lowered):
        layer.weight.data = rounded[name]


def _layers(lowered: Network) -> Iterator[tuple[str, nn.Conv2d]]:
    for name, layer in lowered.named_modules():
        if isinstance(layer, nn.Conv2d):
            yield name, layer


def _moment(layer: nn.Conv2d, x_NChw: Tensor) -> Tensor:
    """Return the second moments of what the filters of a layer see, (groups, K, K)."""
    seen_NGKL = _patches(layer, x_NChw)
    moment_GKK: Tensor = torch.einsum("ngkl,ngjl->gkj", seen_NGKL, seen_NGKL)
    return moment_GKK / seen_NGKL.shape[-1]


def _patches(layer: nn.Conv2d, x_NChw: Tensor) -> Tensor:
    """Return what the filters of a layer see at some places, (N, groups, K, places)."""
    padding = layer.padding
    if isinstance(layer, SameConv):
        x_NChw, padding = layer.padded(x_NChw)
    assert not isinstance(padding, str)
    patches_NKL = F.unfold(x_NChw, layer.kernel_size, layer.dilation, padding, layer.stride)
    few_NKL = patches_NKL[..., :: -(-patches_NKL.shape[-1] // PLACES)]
    return few_NKL.reshape(len(few_NKL), layer.groups, -1, few_NKL.shape[-1])


def _rounded(weight_GOK: Tensor, hessian_GKK: Tensor, bits: int) -> Tensor:
    most = 2 ** (bits - 1) - 1
    power_GK = hessian_GKK.diagonal(dim1=1, dim2=2)
    scale_GO1 = _steps(weight_GOK, power_GK, most)
    largest_GO = weight_GOK.abs().argmax(-1)
    left_GOK, rounded_GOK = weight_GOK.clone(), torch.empty_like(weight_GOK)
    upper_GKK = _inverse_root(hessian_GKK, power_GK)
    for k in range(weight_GOK.shape[-1]):
        steps_GO = (left_GOK[..., k] / scale_GO1[..., 0]).round().clamp(-most, most)
        last_GO = weight_GOK[..., k].sign() * most
        steps_GO = torch.where(largest_GO == k, last_GO, steps_GO)
        rounded_GOK[..., k] = steps_GO * scale_GO1[..., 0]
        off_GO = (left_GOK[..., k] - rounded_GOK[..., k]) / upper_GKK[:, k, k, None]
        left_GOK[..., k:] -= off_GO[..., None] * upper_GKK[:, None, k, k:]
    return rounded_GOK


def _inverse_root(hessian_GKK: Tensor, power_GK: Tensor) -> Tensor:
    """Return U with U^T U the inverse of the damped Hessian; its rows say who takes up what."""
    damp_G1 = DAMP * power_GK.mean(1, keepdim=True).clamp_min(LEAST_SCALE)
    damped = hessian_GKK.double() + torch.diag_embed(damp_G1.expand_as(power_GK).double())
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(damped))
    upper_GKK: Tensor = torch.linalg.cholesky(inverse, upper=True)
    return upper_GKK.to(hessian_GKK.dtype)


def _steps(weight_GOK: Tensor, power_GK: Tensor, most: int) -> Tensor:
    """Return the step of each filter, (G, O, 1), by which the least is lost to the nearest."""
    whole_GO1 = (weight_GOK.abs().amax(-1, keepdim=True) / most).clamp_min(LEAST_SCALE)
    costs, steps = [], [whole_GO1 * shrink for shrink in SHRINKS]
    for step_GO1 in steps:
        rounded_GOK = (weight_GOK / step_GO1).round().clamp(-most, most) * step_GO1
        costs.append(((rounded_GOK - weight_GOK).square() * power_GK[:, None]).sum(-1))
    best_1GO1 = torch.stack(costs).argmin(0, keepdim=True)[..., None]
    return torch.stack(steps).gather(0, best_1GO1).squeeze(0)


ROUNDINGS: Mapping[
    str, Callable[[Network, Sequence[Any], Mapping[str, int]], dict[str, Tensor]]
] = MappingProxyType({NEAREST: nearest, GPTQ: gptq})
