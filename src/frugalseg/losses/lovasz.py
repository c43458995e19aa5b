"""Lovász-softmax: a convex stand-in for 1 - IoU."""

import torch
from torch import Tensor

from frugalseg.losses.membership import memberships


def lovasz(
    logits_NCHW: Tensor, labels_NHW: Tensor, *, ignore: int, weights_C: Tensor | None = None
) -> Tensor:
    """Return the mean over classes of the Lovász extension of the Jaccard loss of their errors.

    Berman, Triki, Blaschko 2018, arXiv 1705.08790, section 3. The IoU is that of the whole batch,
    and classes without a pixel in it are left out ("present" in the paper's code). `weights_C`
    has no effect. It sorts all pixels once for each class that is there.
    """
    del weights_C
    predicted_NCHW, truth_NCHW = memberships(logits_NCHW, labels_NHW, ignore=ignore)
    present_C = truth_NCHW.amax(dim=(0, 2, 3)) > 0
    if not present_C.any():
        return predicted_NCHW.sum() * 0.0
    truth_KP = truth_NCHW.transpose(0, 1).flatten(start_dim=1)[present_C]
    predicted_KP = predicted_NCHW.transpose(0, 1).flatten(start_dim=1)[present_C]
    # An ignored pixel has error 0: it comes last and adds nothing.
    errors_KP, order_KP = (truth_KP - predicted_KP).abs().sort(dim=1, descending=True)
    slopes_KP = jaccard_slopes(truth_KP.gather(1, order_KP))
    return (errors_KP * slopes_KP).sum(dim=1).mean()


def jaccard_slopes(truth_KP: Tensor) -> Tensor:
    """Return by how much 1 - IoU grows as each pixel in turn is wrong too (algorithm 1).

    Of two pixels of a class and one that is not, wrong in turn: 1/2, then 2/3, then 3/3.

    >>> (6 * jaccard_slopes(torch.tensor([[1.0, 0.0, 1.0]]))).round().tolist()
    [[3.0, 1.0, 2.0]]
    """
    wanted_K1 = truth_KP.sum(dim=1, keepdim=True)
    left_KP = wanted_K1 - truth_KP.cumsum(dim=1)
    union_KP = wanted_K1 + (1 - truth_KP).cumsum(dim=1)
    losses_KP = 1 - left_KP / union_KP
    return torch.cat([losses_KP[:, :1], losses_KP.diff(dim=1)], dim=1)
