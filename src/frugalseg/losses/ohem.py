"""Online hard example mining: learn from the pixels that are still wrong."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from frugalseg.losses.cross_entropy import pixel_weights

PROBABILITY = 0.7
KEPT_AT_LEAST = 1 / 16


def ohem(
    logits_NCHW: Tensor, labels_NHW: Tensor, *, ignore: int, weights_C: Tensor | None = None
) -> Tensor:
    """Return the mean cross-entropy of hard pixels; zero if all is ignored.

    Hard is a pixel whose true class has probability below 0.7; where these are fewer than 1/16
    of the labelled pixels, the hardest 1/16 are taken (bootstrapping after Wu, Shen, van den
    Hengel 2016, arXiv 1604.04339, with the threshold that BiSeNet's authors use).
    """
    losses = F.cross_entropy(logits_NCHW, labels_NHW, ignore_index=ignore, reduction="none")
    weights = pixel_weights(labels_NHW, ignore=ignore, weights_C=weights_C)
    labelled = labels_NHW != ignore
    hard = losses[labelled].detach()
    if hard.numel() == 0:
        return logits_NCHW.sum() * 0.0
    threshold = torch.tensor(-math.log(PROBABILITY), device=hard.device)
    kept = max(1, int(hard.numel() * KEPT_AT_LEAST))
    threshold = torch.minimum(threshold, hard.topk(kept).values[-1])
    chosen = weights * (losses.detach() >= threshold)
    return (losses * chosen).sum() / chosen.sum().clamp(min=1e-6)
