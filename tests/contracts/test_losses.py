"""What every loss of the catalog promises. To be listed is to be tested."""

import pytest
import torch
from torch import Tensor

from frugalseg.losses.catalog import LOSSES

IGNORE = 255


def logits(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0)).requires_grad_()


def labels(*shape: int, classes: int) -> Tensor:
    return torch.randint(classes, shape, generator=torch.Generator().manual_seed(1))


def gradient(of: Tensor, by: Tensor) -> Tensor:
    return torch.autograd.grad(of, by)[0]


@pytest.mark.parametrize("name", sorted(LOSSES))
class TestEveryLoss:
    def test_it_is_one_finite_number_and_not_negative(self, name: str) -> None:
        loss = LOSSES[name](
            logits(2, 4, 5, 7), labels(2, 5, 7, classes=4), ignore=IGNORE, weights_C=None
        )
        assert loss.shape == ()
        assert 0 < loss.item() < 10

    def test_ignored_pixels_have_no_gradient(self, name: str) -> None:
        scores, truth = logits(2, 4, 5, 7), labels(2, 5, 7, classes=4)
        truth[:, 1:3] = IGNORE
        grad = gradient(LOSSES[name](scores, truth, ignore=IGNORE, weights_C=None), scores)
        assert grad[:, :, 1:3].abs().max() == 0
        assert grad.abs().max() > 0

    def test_scores_at_ignored_pixels_do_not_matter(self, name: str) -> None:
        scores, truth = logits(2, 4, 5, 7).detach(), labels(2, 5, 7, classes=4)
        truth[0] = IGNORE
        weights_C = torch.tensor([1.0, 3.0, 0.5, 2.0])
        before = LOSSES[name](scores, truth, ignore=IGNORE, weights_C=weights_C)
        scores[0] = 50 * scores[0]
        after = LOSSES[name](scores, truth, ignore=IGNORE, weights_C=weights_C)
        torch.testing.assert_close(after, before)

    @pytest.mark.parametrize("weighted", [False, True])
    def test_a_batch_without_labels_gives_zero_and_not_nan(self, name: str, weighted: bool) -> None:
        scores = logits(2, 4, 5, 7)
        loss = LOSSES[name](
            scores,
            torch.full((2, 5, 7), IGNORE),
            ignore=IGNORE,
            weights_C=torch.ones(4) if weighted else None,
        )
        assert loss.item() == 0
        assert gradient(loss, scores).abs().max() == 0

    def test_a_class_that_is_absent_is_no_problem(self, name: str) -> None:
        scores, truth = logits(1, 4, 5, 7), labels(1, 5, 7, classes=2)
        loss = LOSSES[name](
            scores, truth, ignore=IGNORE, weights_C=torch.tensor([1.0, 2.0, 9.0, 9.0])
        )
        assert gradient(loss, scores).isfinite().all()

    def test_equal_weights_are_no_weights(self, name: str) -> None:
        scores, truth = logits(2, 3, 5, 7), labels(2, 5, 7, classes=3)
        plain = LOSSES[name](scores, truth, ignore=IGNORE, weights_C=None)
        weighted = LOSSES[name](scores, truth, ignore=IGNORE, weights_C=torch.full((3,), 7.0))
        torch.testing.assert_close(weighted, plain)

    def test_one_class_has_nothing_to_learn(self, name: str) -> None:
        loss = LOSSES[name](
            logits(1, 1, 4, 4), torch.zeros(1, 4, 4).long(), ignore=IGNORE, weights_C=None
        )
        assert loss.item() == 0

    def test_better_scores_cost_less(self, name: str) -> None:
        truth = labels(1, 6, 6, classes=3)
        right = torch.nn.functional.one_hot(truth, 3).permute(0, 3, 1, 2).float()
        costs = [
            LOSSES[name](right * sure, truth, ignore=IGNORE, weights_C=None).item()
            for sure in (-2, 0, 1, 5)
        ]
        assert costs == sorted(costs, reverse=True)
        assert len(set(costs)) == 4
