"""What a run minimises: the loss of the scores, and shares of those of heads for training."""

import torch
from torch import Tensor
from torch.nn import functional as F

from frugalseg.core.errors import ConfigError, unknown
from frugalseg.core.labels import IGNORE
from frugalseg.losses.boundary import REACH, boundary, near_boundary
from frugalseg.losses.catalog import LOSSES, Loss
from frugalseg.models.layers import resize
from frugalseg.models.network import Outputs
from frugalseg.training.recipe import LossTerms, Recipe


class Objective:
    """The sum that `LossTerms` describes, of a network's outputs and train ids."""

    def __init__(self, terms: LossTerms, weights_C: Tensor | None, device: torch.device) -> None:
        if terms.name not in LOSSES:
            raise unknown("loss", terms.name, LOSSES)
        self.loss: Loss = LOSSES[terms.name]
        self.terms = terms
        self.weights_C = None if weights_C is None else weights_C.to(device)

    def __call__(self, outputs: Outputs, labels_NHW: Tensor, step: int) -> Tensor:
        """Return the loss, a scalar; `step` chooses which pixels a stride leaves in."""
        # Every other pixel, but not always the same ones: else labels sit half a pixel off.
        stride = self.terms.stride
        first = step % stride
        labels_Nhw = labels_NHW[:, first::stride, first::stride]
        total = self._one(outputs.scores, labels_Nhw)
        for logits in outputs.auxiliary:
            total = total + self.terms.auxiliary * self._one(logits, labels_Nhw)
        if outputs.boundary is None:
            return total
        edges_N1hw = resize(outputs.boundary.float(), labels_Nhw.shape[-2:])
        total = total + self.terms.boundary * boundary(
            edges_N1hw, labels_Nhw, ignore=IGNORE, reach=max(1, REACH // stride)
        )
        if self.terms.near_boundary:
            near_NHW = near_boundary(edges_N1hw, labels_Nhw, ignore=IGNORE)
            total = total + self.terms.near_boundary * self._one(outputs.scores, near_NHW)
        return total

    def _one(self, logits_NChw: Tensor, labels_NHW: Tensor) -> Tensor:
        logits = logits_NChw.float()
        if self.terms.shrink_labels:
            size = list(logits.shape[-2:])
            # The pixel nearest to the centre of each cell, not that in its corner.
            small = F.interpolate(labels_NHW[:, None].float(), size=size, mode="nearest-exact")
            labels_NHW = small[:, 0].long()
        else:
            logits = resize(logits, labels_NHW.shape[-2:])
        return self.loss(logits, labels_NHW, ignore=IGNORE, weights_C=self.weights_C)


def class_weights(recipe: Recipe, pixels_C: Tensor) -> Tensor | None:
    """Return the weight of each class from its pixels in the training split; mean 1 over pixels.

    "frequency": p^-power. "enet": 1 / ln(1.02 + p) (Paszke et al. 2016, section 5.2).
    A class without pixels gets the largest weight of the others: it meets no pixel anyway.
    """
    if recipe.loss.class_weights == "none":
        return None
    if pixels_C.sum() == 0:
        raise ConfigError("no labelled pixel in the training split")
    share_C = pixels_C.double() / pixels_C.sum()
    if recipe.loss.class_weights == "enet":
        weights_C = 1 / torch.log(1.02 + share_C)
    else:
        weights_C = share_C.clamp(min=1e-9) ** -recipe.loss.frequency_power
    present = pixels_C > 0
    weights_C[~present] = weights_C[present].max()
    return (weights_C / (weights_C * share_C).sum()).float()
