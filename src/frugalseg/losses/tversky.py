"""Tversky loss: the overlap of regions, with a say in which mistakes are worse."""

from torch import Tensor

from frugalseg.losses.membership import mean_present, memberships

BETA = 0.7  # the best one in the paper


def tversky(
    logits_NCHW: Tensor,
    labels_NHW: Tensor,
    *,
    ignore: int,
    weights_C: Tensor | None = None,
    beta: float = BETA,
) -> Tensor:
    """Return the mean over classes of 1 - TP / (TP + (1 - beta) FP + beta FN).

    Salehi, Erdogmus, Gholipour 2017, arXiv 1706.05721, equation 3 with alpha + beta = 1: beta
    above 0.5 makes it worse to miss a pixel than to claim one too many. TP, FP and FN are sums of
    probabilities over the whole batch. We depart where there are several classes: their losses
    are averaged, and those without a pixel in the batch are left out. `weights_C` has no effect:
    each class counts alike whatever its size.
    """
    del weights_C
    predicted_NCHW, truth_NCHW = memberships(logits_NCHW, labels_NHW, ignore=ignore)
    pixels = (0, 2, 3)
    true_C = (predicted_NCHW * truth_NCHW).sum(dim=pixels)
    claimed_C, wanted_C = predicted_NCHW.sum(dim=pixels), truth_NCHW.sum(dim=pixels)
    # TP + (1 - beta) (claimed - TP) + beta (wanted - TP)
    whole_C = (1 - beta) * claimed_C + beta * wanted_C
    return mean_present(1 - true_C / whole_C.clamp(min=1e-6), truth_NCHW)
