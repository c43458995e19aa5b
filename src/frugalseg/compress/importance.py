"""How much each channel of a group matters: one number a channel, for all groups together.

magnitude   the L1 norm of its filters (Li et al. 2017, arXiv 1608.08710, section 3), each layer
            divided by its mean so that layers can be compared
bn_scale    the absolute scale of its norms (network slimming: Liu et al. 2017, arXiv 1708.06519,
            section 3)
fpgm        how far its filter is from the others of its layer, summed (He et al. 2019, arXiv
            1811.00250, equation 4), divided by the mean as above
taylor      how much the loss would change without it, to first order: the square of the sum of
            weight times gradient over its filters, mean over batches (Molchanov et al. 2019, arXiv
            1906.10771, equations 8 and 9)

Where several layers make a group's channels, their mean counts; for taylor their sum. Of a layer
whose channels are those of several groups, each group has its part.
"""

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from frugalseg.compress.groups import Groups
from frugalseg.core.errors import ConfigError
from frugalseg.models.network import Network

Importance = dict[str, NDArray[np.float64]]  # by group, (channels,)
Losses = Callable[[Network], Iterable[Tensor]]  # the loss of a few batches, one by one
TINY = float(np.finfo(np.float64).tiny)


def magnitude(network: Network, groups: Groups, _losses: Losses) -> Importance:
    """Return the L1 norms of filters."""
    return _of_filters(network, groups, lambda filters_CN: filters_CN.abs().sum(dim=1))


def fpgm(network: Network, groups: Groups, _losses: Losses) -> Importance:
    """Return how far each filter is from all others of its layer."""
    return _of_filters(
        network, groups, lambda filters_CN: torch.cdist(filters_CN, filters_CN).sum(dim=1)
    )


def bn_scale(network: Network, groups: Groups, _losses: Losses) -> Importance:
    """Return the scales of norms; groups without a norm are left out."""
    found: dict[str, list[NDArray[np.float64]]] = {}
    for op, layer in groups.layers():
        module = network.get_submodule(layer)
        if isinstance(module, nn.BatchNorm2d):
            scales_C = _numbers(module.weight.abs())
            for name, part in groups.parts_of(op.writes[0]):
                found.setdefault(name, []).append(scales_C[part])
    return {name: np.mean(scales, axis=0) for name, scales in found.items()}


def taylor(network: Network, groups: Groups, losses: Losses) -> Importance:
    """Return the squared change of the loss to first order, mean over batches."""
    sums: Importance = {}
    count = 0
    for loss in losses(network):
        network.zero_grad(set_to_none=True)
        loss.backward()
        count += 1
        for parts, filters_CN, slopes_CN in _filters(network, groups):
            squares_C = _numbers((filters_CN * slopes_CN).sum(dim=1)) ** 2
            for name, part in parts:
                sums[name] = sums.get(name, 0.0) + squares_C[part]
    network.zero_grad(set_to_none=True)
    return {name: total / max(1, count) for name, total in sums.items()}


IMPORTANCES: Mapping[str, Callable[[Network, Groups, Losses], Importance]] = MappingProxyType(
    {"magnitude": magnitude, "bn_scale": bn_scale, "fpgm": fpgm, "taylor": taylor}
)


def check_importance(name: str, importance: Importance) -> None:
    """Raise ConfigError for scores that are no numbers."""
    for group, scores_C in importance.items():
        if not np.isfinite(scores_C).all():
            raise ConfigError(
                f"the importance {name} of {group} is no number: is the network sound?"
            )


def best_of(scores_C: NDArray[np.float64], number: int) -> NDArray[np.int64]:
    """Return the places of so many channels that matter most, in order."""
    return np.sort(np.argsort(-scores_C, kind="stable")[:number])


def _of_filters(
    network: Network, groups: Groups, measure: Callable[[Tensor], Tensor]
) -> Importance:
    found: dict[str, list[NDArray[np.float64]]] = {}
    for parts, filters_CN, _ in _filters(network, groups):
        numbers_C = _numbers(measure(filters_CN))
        numbers_C /= max(float(numbers_C.mean()), TINY)
        for name, part in parts:
            found.setdefault(name, []).append(numbers_C[part])
    return {name: np.mean(layers, axis=0) for name, layers in found.items()}


def _filters(
    network: Network, groups: Groups
) -> Iterable[tuple[list[tuple[str, slice]], Tensor, Tensor]]:
    """Yield groups with their parts of a layer, its filters and their gradients (zero without any).

    Both are (channels, weights of each).
    """
    for op, layer in groups.layers():
        module, parts = network.get_submodule(layer), list(groups.parts_of(op.writes[0]))
        if not parts or not isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            continue
        axis = 1 if isinstance(module, nn.ConvTranspose2d) else 0
        weights, slopes = module.weight, module.weight.grad
        slopes = torch.zeros_like(weights) if slopes is None else slopes
        yield parts, _rows(weights, axis), _rows(slopes, axis)


def _rows(weights: Tensor, axis: int) -> Tensor:
    """Return one row for each channel along an axis."""
    return weights.detach().movedim(axis, 0).flatten(1)


def _numbers(values: Tensor) -> NDArray[np.float64]:
    numbers: NDArray[np.float64] = values.detach().double().cpu().numpy()
    return numbers
