"""What layers are given while a network sees calibration pictures."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from frugalseg.models.network import Network

Layer = TypeVar("Layer", bound=nn.Module)


def mean_seen(
    lowered: Network,
    layers: Mapping[str, Layer],
    feeds: Sequence[Any],
    of: Callable[[Layer, Tensor], Tensor],
) -> dict[str, Tensor]:
    """Return the mean over feeds of a figure `of` each layer and the map that it is given.

    `feeds` are (1, H, W, channels). A layer that no feed reaches is left out.
    """
    sums, hooks = dict[str, Tensor](), []

    def look(name: str, x_NChw: Tensor) -> None:
        figure = of(layers[name], x_NChw) / len(feeds)
        sums[name] = sums.get(name, torch.zeros(())) + figure

    for name, layer in layers.items():
        see = lambda _layer, given, name=name: look(name, given[0])  # noqa: E731
        hooks.append(layer.register_forward_pre_hook(see))
    for feed in feeds:
        lowered.native(torch.from_numpy(feed).permute(0, 3, 1, 2))
    for hook in hooks:
        hook.remove()
    return sums
