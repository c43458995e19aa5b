"""What a run minimises: the losses of the scores, and shares of those of heads for training."""

from functools import partial
from typing import Any

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
        self.losses = chosen_losses(terms)
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
        parts = [
            weight * loss(logits, labels_NHW, ignore=IGNORE, weights_C=self.weights_C)
            for loss, weight in self.losses
        ]
        return torch.stack(parts).sum()


def chosen_losses(terms: LossTerms) -> list[tuple[Loss, float]]:
    """Return each loss of the scores, with its settings in it, and its weight.

    Raises ConfigError for a name that is not in the catalog.
    """
    settings: dict[str, dict[str, Any]] = {
        "focal": {"gamma": terms.focal_gamma},
        "tversky": {"beta": terms.tversky_beta},
    }
    weights = {terms.name: 1.0, **terms.plus}
    for name in weights:
        if name not in LOSSES:
            raise unknown("loss", name, LOSSES)
    return [(partial(LOSSES[n], **settings.get(n, {})), weight) for n, weight in weights.items()]


def class_weights(
    recipe: Recipe,
    pixels_C: Tensor,
    pictures_C: Tensor,
    pictures: int,
) -> Tensor | None:
    """Return the weight of each class in the training split; mean 1 over pixels.

    `pixels_C` are the labelled pixels of each class, `pictures_C` the pictures that it is in, and
    `pictures` are all. With p, the share of a class of the pixels:

    frequency         p^-power
    enet              1 / ln(1.02 + p) (Paszke et al. 2016, arXiv 1606.02147, section 5.2)
    median_frequency  median(f) / f, f being the share of a class of the pixels of those pictures
                      that it is in (Eigen, Fergus 2015, arXiv 1411.4734), as if all pictures had
                      equally many
    effective_number  (1 - beta) / (1 - beta^n) (Cui et al. 2019, arXiv 1901.05555, section 4).
                      There n counts pictures. Pixels are so many that any usual beta gives equal
                      weights, and neighbours show the same thing: our n is the number of pictures
                      that the pixels of a class would fill

    A class without pixels gets the largest weight of the others: it meets no pixel, or so few that
    none was among the pictures that were looked at.
    """
    if recipe.loss.class_weights == "none":
        return None
    if pixels_C.sum() == 0:
        raise ConfigError("no labelled pixel in the training split")
    share_C = pixels_C.double() / pixels_C.sum()
    weights_C = _rarity(recipe.loss, share_C, pictures_C, pictures)
    present = pixels_C > 0
    weights_C[~present] = weights_C[present].max()
    return (weights_C / (weights_C * share_C).sum()).float()


def _rarity(terms: LossTerms, share_C: Tensor, pictures_C: Tensor, pictures: int) -> Tensor:
    """Return the weights before they are brought to a mean of 1; any number where p is 0."""
    if terms.class_weights == "enet":
        return 1 / torch.log(1.02 + share_C)
    share_C = share_C.clamp(min=1e-9)
    if terms.class_weights == "frequency":
        return share_C**-terms.frequency_power
    if terms.class_weights == "effective_number":
        filled_C = share_C * pictures
        return 1 / (1 - terms.effective_beta**filled_C)
    return pictures_C.clamp(min=1) / (share_C * pictures)
