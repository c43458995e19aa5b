import math

import pytest
import torch

from frugalseg.losses.cross_entropy import cross_entropy
from frugalseg.losses.focal import focal

IGNORE = 255


def two_pixels() -> tuple[torch.Tensor, torch.Tensor]:
    """The true classes, 0 and 1, have probabilities 0.9 and 0.2."""
    logits = torch.tensor([[0.9, 0.8], [0.1, 0.2]]).log()[None, :, None]
    return logits, torch.tensor([[[0, 1]]])


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0, 5.0])
def test_it_is_the_formula(gamma: float) -> None:
    one, two = -(0.1**gamma) * math.log(0.9), -(0.8**gamma) * math.log(0.2)
    found = focal(*two_pixels(), ignore=IGNORE, gamma=gamma)
    assert float(found) == pytest.approx((one + two) / 2, rel=1e-5)
    weights_C = torch.tensor([0.25, 3.0])
    found = focal(*two_pixels(), ignore=IGNORE, weights_C=weights_C, gamma=gamma)
    assert float(found) == pytest.approx((0.25 * one + 3 * two) / 3.25, rel=1e-5)


def test_the_factor_is_that_of_each_pixel_and_not_of_their_mean() -> None:
    # As if of one pixel with the mean loss: what a known wrong implementation gives.
    mean = -(math.log(0.9) + math.log(0.2)) / 2
    wrong = (1 - math.exp(-mean)) ** 2 * mean
    assert abs(float(focal(*two_pixels(), ignore=IGNORE)) - wrong) > 0.1


def test_gamma_zero_is_cross_entropy() -> None:
    torch.manual_seed(0)
    logits, labels = torch.randn(2, 3, 5, 7), torch.randint(3, (2, 5, 7))
    labels[:, 2] = IGNORE
    weights_C = torch.tensor([1.0, 0.5, 4.0])
    found = focal(logits, labels, ignore=IGNORE, weights_C=weights_C, gamma=0)
    expected = cross_entropy(logits, labels, ignore=IGNORE, weights_C=weights_C)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_the_gradient_is_finite_where_a_pixel_is_known_for_sure(gamma: float) -> None:
    logits = torch.tensor([[[[200.0, -200.0]], [[-200.0, 200.0]]]]).requires_grad_()
    for labels in (torch.tensor([[[0, 1]]]), torch.tensor([[[1, 0]]])):
        loss = focal(logits, labels, ignore=IGNORE, gamma=gamma)
        (grad,) = torch.autograd.grad(loss, logits)
        assert grad.isfinite().all()
