"""Scales of norms that are pressed towards zero in training, so that channels can go afterwards.

bn    each scale alike, by its absolute value (network slimming: Liu et al. 2017, arXiv 1708.06519,
      equation 1)
cap   the less, the more a channel has to do with the others: context-aware pruning (He, Wu, Liang,
      Lam, WACV 2021). There is no code of its authors; this is our reading of the paper's text and
      figures. The affinity of two channels of a layer is the product of their features, after norm
      and ReLU, over all positions; a softmax over the others turns it into the attention that each
      pays to these; what a channel gets of it is its weight in context, and its scale is
      pressed by what it lacks to the largest one. The pressure has a mean of 1 in each layer, as
      that of `bn`, so that one weight means the same for both.

Either is followed by pruning by `bn_scale`, with one threshold for all layers.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from frugalseg.training.smaller import Sparsity

MOST_SIDE = 32  # of maps that affinities are taken over: larger ones are averaged first
LEAST_SUM = 1e-6


class Pressure:
    """What is added to the loss, for the norms of one network."""

    def __init__(self, wish: Sparsity, network: nn.Module) -> None:
        self.wish = wish
        self.norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d) and m.affine]
        self.by_context: dict[nn.Module, Tensor] = {}
        if wish.name == "cap":
            for norm in self.norms:
                norm.register_forward_hook(self._look)

    def loss(self) -> Tensor:
        """Return the pressure on all scales that were used in this step."""
        parts = []
        for norm in self.norms:
            scales_C = norm.weight.abs()
            if self.wish.name == "cap":
                if norm not in self.by_context:
                    continue
                scales_C = scales_C * self.by_context[norm]
            parts.append(scales_C.sum())
        return self.wish.weight * torch.stack(parts).sum()

    @torch.no_grad()
    def _look(self, norm: nn.Module, _inputs: object, made_NChw: Tensor) -> None:
        if norm.training:
            with torch.autocast(made_NChw.device.type, enabled=False):
                self.by_context[norm] = pressure(made_NChw)


def pressure(features_NChw: Tensor) -> Tensor:
    """Return how hard each scale is pressed for what its channel lacks in context, (C,), mean 1.

    >>> like = torch.ones(2, 2, 4, 4)
    >>> pressure(torch.cat([like, like, 0 * like[:, :1]], dim=1)).round(decimals=2).tolist()
    [0.0, 0.0, 0.0, 0.0, 5.0]
    """
    x_NChw = features_NChw.float().relu()
    if max(x_NChw.shape[-2:]) > MOST_SIDE:
        height, width = (min(MOST_SIDE, side) for side in x_NChw.shape[-2:])
        x_NChw = F.adaptive_avg_pool2d(x_NChw, (height, width))
    flat_NCP = x_NChw.flatten(2)
    affinity_NCC = flat_NCP @ flat_NCP.transpose(1, 2) / flat_NCP.shape[2]
    own = torch.eye(affinity_NCC.shape[1], dtype=torch.bool, device=affinity_NCC.device)
    if len(own) == 1:
        return torch.ones(1, device=own.device)
    context_C = affinity_NCC.masked_fill(own, -torch.inf).softmax(dim=2).mean(dim=(0, 1))
    lacks_C = context_C.max() - context_C
    if lacks_C.sum() < LEAST_SUM:  # all alike
        return torch.ones_like(lacks_C)
    pressed_C: Tensor = lacks_C / lacks_C.mean()
    return pressed_C
