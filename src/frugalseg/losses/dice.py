"""Dice loss: the overlap of regions, both kinds of mistake alike."""

from torch import Tensor

from frugalseg.losses.tversky import tversky


def dice(
    logits_NCHW: Tensor, labels_NHW: Tensor, *, ignore: int, weights_C: Tensor | None = None
) -> Tensor:
    """Return the mean over classes of 1 - 2 sum(p g) / (sum(p) + sum(g)).

    Milletari, Navab, Ahmadi 2016, arXiv 1606.04797, section 3, where the sums below the line are
    of squares; without squares, as most do today, it is the Tversky loss with beta 0.5. Sums are
    over the batch, classes without a pixel in it are left out, and `weights_C` has no effect.
    """
    return tversky(logits_NCHW, labels_NHW, ignore=ignore, weights_C=weights_C, beta=0.5)
