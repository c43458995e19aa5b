"""Matrices of layers that are pressed towards ranks in training, so that cutting them loses little.

The modified stable rank of BSR (Eo, Kang, Rhee 2023, arXiv 2111.15179) is the sum of the singular
values beyond the rank over the sum of those up to it. Their sum over layers is added to the loss,
with a weight that rises; ours rises in proportion to the run. The gradient goes through the
singular values alone, by a decomposition of each matrix in each step. That costs little beside the
step of a small network; for others, `every` n steps press n times as hard.
"""

import torch
from torch import Tensor, nn

from frugalseg.core.errors import ConfigError
from frugalseg.models.factors import read_rank, unfold, weight_of
from frugalseg.training.smaller import LowRank

TINY = torch.finfo(torch.float32).tiny


class RankPressure:
    """What is added to the loss, for the layers of one network.

    Raises ConfigError for layers that it does not have, and for ranks that are none of a matrix.
    """

    def __init__(self, wish: LowRank, network: nn.Module) -> None:
        self.wish = wish
        self.matrices: list[tuple[Tensor, str, int]] = []
        layers = dict(network.named_modules())
        for name, rank in wish.ranks.items():
            if name not in layers:
                raise ConfigError(f"low_rank.ranks: the network has no layer {name!r}")
            try:
                scheme, ranks = read_rank(layers[name], rank)
            except ConfigError as wrong:
                raise ConfigError(f"low_rank.ranks: {name}: {wrong}") from wrong
            if len(ranks) != 1:
                raise ConfigError(f"low_rank.ranks: {name}: {scheme} is no rank of a matrix")
            self.matrices.append((weight_of(layers[name]), scheme, ranks[0]))

    def loss(self, step: int, progress: float) -> Tensor:
        """Return the pressure at a step, `progress` 0 to 1 into the run; 0 between pressings.

        Where weights are no numbers any more, it is none either.
        """
        if step % self.wish.every:
            return torch.zeros(())
        if not all(weight.isfinite().all() for weight, _, _ in self.matrices):
            return torch.tensor(torch.nan)
        pressed = [
            stable_rank(unfold(w.float(), scheme), rank) for w, scheme, rank in self.matrices
        ]
        return self.wish.weight * self.wish.every * progress * torch.stack(pressed).sum()


def stable_rank(matrix: Tensor, rank: int) -> Tensor:
    """Return what the singular values beyond a rank sum up to, over those up to it.

    >>> round(float(stable_rank(torch.diag(torch.tensor([4.0, 2.0, 1.5])), 2)), 3)
    0.25
    """
    values = torch.linalg.svdvals(matrix)
    pressed: Tensor = values[rank:].sum() / values[:rank].sum().clamp(min=TINY)
    return pressed
