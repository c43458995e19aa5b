"""Layers written as two or three smaller ones: what is left of them in a network of low rank.

With a layer of C_out filters of k x k over C_in channels, and ranks r (and s):

channel   k x k to r channels, then 1 x 1: a matrix (C_out, C_in k k) of rank r. Linear layers too
spatial   k x 1 to r channels, then 1 x k: a matrix (C_out k, C_in k) of rank r
tucker    1 x 1 to r channels, k x k to s, then 1 x 1 (Tucker-2: Kim et al. 2016, arXiv 1511.06530)

The scheme and the ranks of layers are data (`Architecture.ranks`, such as `["channel", 12]` by the
name of the layer), so that such a network is built again without the plan that made it. Only the
first of the smaller layers of a direction has its stride, dilation and padding, and only the last
one the bias: zeros that are padded stay zeros until then, so nothing else changes.
"""

from collections.abc import Mapping, Sequence
from math import prod
from types import MappingProxyType

import torch
from torch import Tensor, nn

from frugalseg.core.errors import ConfigError
from frugalseg.models.layers import SameConv

Rank = Sequence[str | int]  # a scheme and its ranks
Ranks = Mapping[str, Rank]  # by the name of the layer
Both = tuple[bool, bool]  # of a kernel's axes: rows, columns

WHOLE, ROWS, COLUMNS, POINT = (True, True), (True, False), (False, True), (False, False)
SCHEMES: Mapping[str, tuple[Both, ...]] = MappingProxyType(
    {"channel": (WHOLE, POINT), "spatial": (ROWS, COLUMNS), "tucker": (POINT, WHOLE, POINT)}
)
"""The smaller layers of each scheme: the axes along which each sees more than one pixel."""


class Factors(nn.Sequential):
    """A layer as smaller ones, one after the other, without anything between them."""


def factorise(network: nn.Module, ranks: Ranks) -> None:
    """Put smaller layers with fresh weights in the place of those that are named.

    Raises ConfigError for names that the network does not have, for layers that stay whole, and for
    ranks that their schemes do not have.
    """
    modules = dict(network.named_modules())
    for name, rank in ranks.items():
        if not name or name not in modules:
            raise ConfigError(f"no layer {name!r} to be factorised in this network")
        try:
            network.set_submodule(name, split(modules[name], rank))
        except ConfigError as wrong:
            raise ConfigError(f"{name} cannot be factorised as {list(rank)}: {wrong}") from wrong


def split(layer: nn.Module, rank: Rank) -> Factors:
    """Return a layer as smaller ones, with fresh weights; raises what `read_rank` does."""
    scheme, ranks = read_rank(layer, rank)
    weight = weight_of(layer)
    with torch.device(weight.device):
        if isinstance(layer, nn.Linear):
            parts = _linear(layer, ranks)
        else:
            parts = _convolutions(layer, SCHEMES[scheme], ranks)
    return Factors(*parts).to(weight.dtype).train(layer.training)


def read_rank(layer: nn.Module, rank: Rank) -> tuple[str, list[int]]:
    """Return scheme and ranks; raises ConfigError for layers that stay whole, and where it is none.

    >>> read_rank(nn.Linear(8, 4), ["channel", 2])
    ('channel', [2])
    """
    if reason := why_whole(layer):
        raise ConfigError(reason)
    scheme, *numbers = rank or [""]
    limits = most(layer, str(scheme))
    ranks = [n for n in numbers if type(n) is int]
    if not (len(ranks) == len(numbers) == len(limits)) or not all(
        1 <= n <= limit for n, limit in zip(ranks, limits, strict=True)
    ):
        raise ConfigError(f"{scheme} takes ranks from 1 to {' and '.join(map(str, limits))}")
    return str(scheme), ranks


def why_whole(layer: nn.Module) -> str:
    """Say why a layer cannot be written as smaller ones; nothing if it can."""
    if isinstance(layer, nn.ConvTranspose2d):
        return "transposed convolution"
    if type(layer) not in {nn.Conv2d, SameConv, nn.Linear}:
        return f"a {type(layer).__name__} is no convolution and no linear layer"
    if isinstance(layer, nn.Conv2d) and layer.groups > 1:
        return "grouped or depthwise convolution"
    if isinstance(layer, nn.Conv2d) and layer.padding_mode != "zeros":
        return f"pads with {layer.padding_mode}, not with zeros"
    return ""


def most(layer: nn.Module, scheme: str) -> tuple[int, ...]:
    """Return the full ranks of a layer in a scheme; raises ConfigError if it has none in that."""
    if scheme not in SCHEMES or (scheme != "channel" and isinstance(layer, nn.Linear)):
        raise ConfigError(f"there is no scheme {scheme!r} for it")
    weight = weight_of(layer)
    if scheme == "tucker":
        c_out, c_in, *kernel = weight.shape
        return min(c_in, c_out * prod(kernel)), min(c_out, c_in * prod(kernel))
    return (min(unfold(weight, scheme).shape),)


def unfold(weight: Tensor, scheme: str) -> Tensor:
    """Write the weights of a layer as the matrix whose rank a scheme lowers.

    >>> weight = torch.zeros(8, 4, 3, 5)
    >>> tuple(unfold(weight, "channel").shape), tuple(unfold(weight, "spatial").shape)
    ((8, 60), (40, 12))
    """
    return (
        weight.flatten(1)
        if scheme == "channel"
        else weight.permute(0, 3, 1, 2).reshape(weight.shape[0] * weight.shape[3], -1)
    )


def fold(matrix: Tensor, scheme: str, shape: Sequence[int]) -> Tensor:
    """Bring a matrix that `unfold` gave back to the shape of its weights."""
    if scheme == "channel":
        return matrix.reshape(*shape)
    c_out, c_in, rows, columns = shape
    return matrix.reshape(c_out, columns, c_in, rows).permute(0, 2, 3, 1)


def _linear(layer: nn.Linear, ranks: Sequence[int]) -> list[nn.Module]:
    return [
        nn.Linear(layer.in_features, ranks[0], bias=False),
        nn.Linear(ranks[0], layer.out_features, bias=layer.bias is not None),
    ]


def _convolutions(layer: nn.Module, parts: Sequence[Both], ranks: Sequence[int]) -> list[nn.Module]:
    assert isinstance(layer, nn.Conv2d)
    channels = [layer.in_channels, *ranks, layer.out_channels]
    last = len(parts) - 1
    return [
        _like(layer, channels[i], channels[i + 1], axes, bias=i == last and layer.bias is not None)
        for i, axes in enumerate(parts)
    ]


def _like(layer: nn.Conv2d, c_in: int, c_out: int, axes: Both, *, bias: bool) -> nn.Conv2d:
    """Build what does as the layer does along some axes, and sees one pixel along the others."""
    kernel, stride, dilation = (
        _along(axes, own, 1) for own in (layer.kernel_size, layer.stride, layer.dilation)
    )
    if isinstance(layer, SameConv):
        return SameConv(c_in, c_out, kernel, stride=stride, dilation=dilation, bias=bias)
    padding = layer.padding if isinstance(layer.padding, str) else _along(axes, layer.padding, 0)
    return nn.Conv2d(c_in, c_out, kernel, stride, padding, dilation, bias=bias)


def _along(axes: Both, own: Sequence[int], otherwise: int) -> tuple[int, int]:
    rows, columns = (n if axis else otherwise for n, axis in zip(own, axes, strict=True))
    return rows, columns


def weight_of(layer: nn.Module) -> Tensor:
    """Return the weights of a layer that `why_whole` has nothing against."""
    weight = layer.weight
    assert isinstance(weight, Tensor)
    return weight
