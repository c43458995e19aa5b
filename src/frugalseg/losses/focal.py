"""Focal loss: cross-entropy in which a pixel counts the less, the better it is known."""

import torch
from torch import Tensor
from torch.nn import functional as F

from frugalseg.losses.cross_entropy import pixel_weights

GAMMA = 2.0  # the best one in the paper
LEAST = 1e-6  # of what is missing to probability 1; its power has no slope at zero


def focal(
    logits_NCHW: Tensor,
    labels_NHW: Tensor,
    *,
    ignore: int,
    weights_C: Tensor | None = None,
    gamma: float = GAMMA,
) -> Tensor:
    """Return the mean of -alpha (1 - p)^gamma log p over labelled pixels; zero if all is ignored.

    Lin et al. 2017, arXiv 1708.02002, equation 5, pixel by pixel: p is the probability of the
    true class, and alpha the weight of that class. We depart twice. p is from a softmax over the
    classes, not from a sigmoid for each. The sum is divided by the alphas of the labelled pixels;
    the paper divides by the number of boxes that were matched, and pixels know no such thing.
    With gamma 0 it is the cross-entropy. With `weights_C` from the effective number it is the
    class-balanced focal loss of Cui et al. 2019.
    """
    exact = torch.promote_types(logits_NCHW.dtype, torch.float32)
    losses_NHW = F.cross_entropy(
        logits_NCHW.to(exact), labels_NHW, ignore_index=ignore, reduction="none"
    )
    missing_NHW = -torch.expm1(-losses_NHW)  # 1 - p
    alphas_NHW = pixel_weights(labels_NHW, ignore=ignore, weights_C=weights_C)
    focused_NHW = missing_NHW.clamp(min=LEAST) ** gamma * losses_NHW
    return (alphas_NHW * focused_NHW).sum() / alphas_NHW.sum().clamp(min=1e-6)
