import math

import torch
from torch import Tensor

from frugalseg.losses.ohem import KEPT_AT_LEAST, PROBABILITY, ohem

IGNORE = 255


def of_probabilities(p_HW: Tensor) -> Tensor:
    """Two classes; the true one, 0, has these probabilities."""
    return torch.stack([p_HW.log(), (1 - p_HW).log()])[None]


def all_zero(p_HW: Tensor) -> Tensor:
    return torch.zeros(1, *p_HW.shape).long()


def test_only_pixels_below_the_threshold_count() -> None:
    p_HW = torch.full((8, 8), 0.95)
    p_HW[:3] = 0.2
    p_HW[3] = PROBABILITY + 0.01
    logits = of_probabilities(p_HW).requires_grad_()
    loss = ohem(logits, all_zero(p_HW), ignore=IGNORE)
    torch.testing.assert_close(loss.item(), -math.log(0.2), rtol=1e-5, atol=0)
    (grad,) = torch.autograd.grad(loss, logits)
    assert grad[:, :, :3].abs().min() > 0
    assert grad[:, :, 3:].abs().max() == 0


def test_where_all_is_easy_the_hardest_sixteenth_is_kept() -> None:
    p_HW = torch.linspace(0.9, 0.99, 64).reshape(8, 8)
    kept = int(64 * KEPT_AT_LEAST)
    loss = ohem(of_probabilities(p_HW), all_zero(p_HW), ignore=IGNORE)
    expected = -p_HW.flatten()[:kept].log().mean()
    torch.testing.assert_close(loss, expected, rtol=1e-5, atol=1e-6)


def test_the_sixteenth_is_of_the_labelled_pixels() -> None:
    p_HW = torch.linspace(0.9, 0.99, 64).reshape(8, 8)
    labels_NHW = all_zero(p_HW)
    labels_NHW[:, :4] = IGNORE  # the harder half
    loss = ohem(of_probabilities(p_HW), labels_NHW, ignore=IGNORE)
    expected = -p_HW[4:].flatten()[:2].log().mean()
    torch.testing.assert_close(loss, expected, rtol=1e-5, atol=1e-6)


def test_a_single_labelled_pixel_is_kept() -> None:
    p_HW = torch.full((4, 4), 0.99)
    labels_NHW = torch.full((1, 4, 4), IGNORE)
    labels_NHW[0, 2, 2] = 0
    loss = ohem(of_probabilities(p_HW), labels_NHW, ignore=IGNORE)
    torch.testing.assert_close(loss.item(), -math.log(0.99), rtol=1e-4, atol=0)


def test_class_weights_weigh_the_hard_pixels() -> None:
    p_HW = torch.tensor([[0.2, 0.5]])
    logits = of_probabilities(p_HW)
    labels_NHW = torch.tensor([[[0, 1]]])
    loss = ohem(logits, labels_NHW, ignore=IGNORE, weights_C=torch.tensor([1.0, 3.0]))
    expected = (-math.log(0.2) - 3 * math.log(0.5)) / 4
    torch.testing.assert_close(loss.item(), expected, rtol=1e-5, atol=0)
