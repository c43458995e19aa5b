import pytest
import torch
from torch import Tensor

from frugalseg.losses.dice import dice
from frugalseg.losses.tversky import tversky

IGNORE = 255
P_HW = torch.tensor([[0.9, 0.6, 0.3, 0.2]])  # of class 1
LABELS_NHW = torch.tensor([[[1, 0, 1, IGNORE]]])


def of_probabilities(p_HW: Tensor) -> Tensor:
    return torch.stack([(1 - p_HW).log(), p_HW.log()])[None]


def test_dice_by_hand() -> None:
    # Class 1: p 0.9 + 0.6 + 0.3 = 1.8, two pixels, overlap 1.2. Class 0: p 1.2, one pixel, 0.4.
    expected = 1 - (2 * 1.2 / (1.8 + 2) + 2 * 0.4 / (1.2 + 1)) / 2
    found = dice(of_probabilities(P_HW), LABELS_NHW, ignore=IGNORE)
    assert float(found) == pytest.approx(expected, rel=1e-5)


def test_tversky_by_hand() -> None:
    # Class 1: TP 1.2, FP 0.6, FN 0.8. Class 0: TP 0.4, FP 0.8, FN 0.6.
    one = 1.2 / (1.2 + 0.3 * 0.6 + 0.7 * 0.8)
    zero = 0.4 / (0.4 + 0.3 * 0.8 + 0.7 * 0.6)
    found = tversky(of_probabilities(P_HW), LABELS_NHW, ignore=IGNORE)
    assert float(found) == pytest.approx(1 - (one + zero) / 2, rel=1e-5)


@pytest.mark.parametrize("beta", [0.0, 1.0])
def test_the_extremes_are_precision_and_recall(beta: float) -> None:
    ratios = (1.2 / 2, 0.4 / 1) if beta else (1.2 / 1.8, 0.4 / 1.2)
    found = tversky(of_probabilities(P_HW), LABELS_NHW, ignore=IGNORE, beta=beta)
    assert float(found) == pytest.approx(1 - sum(ratios) / 2, rel=1e-5)


def test_a_class_that_is_absent_is_left_out_of_the_mean() -> None:
    without = torch.randn(1, 2, 4, 4, generator=torch.Generator().manual_seed(0))
    with_third = torch.cat([without, torch.full((1, 1, 4, 4), -50.0)], dim=1)
    labels = torch.arange(16).reshape(1, 4, 4) % 2
    torch.testing.assert_close(
        dice(with_third, labels, ignore=IGNORE), dice(without, labels, ignore=IGNORE)
    )


def test_sums_are_over_the_batch_and_not_picture_by_picture() -> None:
    logits = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    labels = torch.randint(3, (2, 4, 4), generator=torch.Generator().manual_seed(1))
    side_by_side = dice(
        torch.cat(list(logits), dim=2)[None], torch.cat(list(labels), dim=1)[None], ignore=IGNORE
    )
    torch.testing.assert_close(dice(logits, labels, ignore=IGNORE), side_by_side)
