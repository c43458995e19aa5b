"""How far each pixel belongs to each class, as predicted and in truth: what regions are made of."""

import torch
from torch import Tensor


def memberships(logits_NCHW: Tensor, labels_NHW: Tensor, *, ignore: int) -> tuple[Tensor, Tensor]:
    """Return the softmax of the scores and the truth as 0 and 1, both (N, C, H, W).

    Ignored pixels belong to no class in either, and no gradient reaches their scores.

    >>> labels = torch.tensor([[[1, 255]]])
    >>> predicted, truth = memberships(torch.zeros(1, 2, 1, 2), labels, ignore=255)
    >>> predicted.flatten().tolist(), truth.flatten().tolist()
    ([0.5, 0.0, 0.5, 0.0], [0.0, 0.0, 1.0, 0.0])
    """
    ignored_N1HW = (labels_NHW == ignore)[:, None]
    exact = torch.promote_types(logits_NCHW.dtype, torch.float32)
    predicted_NCHW = logits_NCHW.to(exact).softmax(dim=1).masked_fill(ignored_N1HW, 0)
    index_N1HW = labels_NHW[:, None].masked_fill(ignored_N1HW, 0)
    truth_NCHW = torch.zeros_like(predicted_NCHW).scatter(1, index_N1HW, 1)
    return predicted_NCHW, truth_NCHW.masked_fill(ignored_N1HW, 0)


def mean_present(losses_C: Tensor, truth_NCHW: Tensor) -> Tensor:
    """Return the mean over the classes that have pixels in the batch; zero if none has."""
    present_C = truth_NCHW.amax(dim=(0, 2, 3)) > 0
    total = torch.where(present_C, losses_C, torch.zeros_like(losses_C)).sum()
    return total / present_C.sum().clamp(min=1)
