"""Cross-entropy over the pixels that have a label."""

from torch import Tensor
from torch.nn import functional as F


def cross_entropy(
    logits_NCHW: Tensor, labels_NHW: Tensor, *, ignore: int, weights_C: Tensor | None = None
) -> Tensor:
    """Return the mean cross-entropy, weighted by class; zero, not NaN, if all is ignored."""
    total = F.cross_entropy(
        logits_NCHW, labels_NHW, weight=weights_C, ignore_index=ignore, reduction="sum"
    )
    return total / pixel_weights(labels_NHW, ignore=ignore, weights_C=weights_C).sum().clamp(
        min=1e-6
    )


def pixel_weights(labels_NHW: Tensor, *, ignore: int, weights_C: Tensor | None) -> Tensor:
    """Return the weight of each pixel, (N, H, W): that of its class, zero if ignored."""
    valid = labels_NHW != ignore
    if weights_C is None:
        return valid.float()
    return weights_C[labels_NHW.masked_fill(~valid, 0)] * valid
