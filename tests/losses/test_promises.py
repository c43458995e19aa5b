"""More of what every loss promises: with each kind of weights, precision and layout."""

from collections.abc import Mapping

import pytest
import torch
from torch import Tensor

from frugalseg.losses.catalog import LOSSES

IGNORE = 255
WEIGHTS: Mapping[str, Tensor | None] = {
    "none": None,
    "some": torch.tensor([1.0, 3.0, 0.5, 2.0]),
    "far apart": torch.tensor([1e-4, 1e4, 1.0, 1.0]),
}
PER_PIXEL = {"cross_entropy", "focal", "ohem"}


def batch(dtype: torch.dtype = torch.float32, width: int = 5) -> tuple[Tensor, Tensor]:
    """Scores of four classes, of which the last is absent, and labels with a third ignored."""
    generator = torch.Generator().manual_seed(0)
    scores_NCHW = torch.randn(2, 4, 6, width, generator=generator, dtype=torch.float64)
    labels_NHW = torch.randint(3, (2, 6, width), generator=generator)
    labels_NHW[:, 2:4] = IGNORE
    return scores_NCHW.to(dtype), labels_NHW


def measured(name: str, scores: Tensor, labels: Tensor, weights: str) -> tuple[Tensor, Tensor]:
    """The loss, and its gradient."""
    scores = scores.detach().requires_grad_()
    loss = LOSSES[name](scores, labels, ignore=IGNORE, weights_C=WEIGHTS[weights])
    return loss.detach(), torch.autograd.grad(loss, scores)[0]


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("name", sorted(LOSSES))
class TestEveryLossWithEveryWeights:
    @pytest.mark.parametrize("scale", [-1e4, 0.0, 1e4])
    def test_scores_of_ignored_pixels_change_neither_loss_nor_gradient(
        self, name: str, weights: str, scale: float
    ) -> None:
        scores, labels = batch()
        loss, grad = measured(name, scores, labels, weights)
        other = scores.clone()
        other[:, :, 2:4] *= scale
        other_loss, other_grad = measured(name, other, labels, weights)
        assert torch.equal(loss, other_loss)
        assert torch.equal(grad, other_grad)
        assert grad[:, :, 2:4].abs().max() == 0
        assert grad[:, :, :2].abs().max() > 0

    def test_what_is_absent_or_hopeless_gives_finite_gradients(
        self, name: str, weights: str
    ) -> None:
        scores, labels = batch()
        for scale in (0.0, 1.0, 1e3):
            loss, grad = measured(name, scores * scale, labels, weights)
            assert loss.isfinite()
            assert grad.isfinite().all()

    def test_one_labelled_pixel_is_enough(self, name: str, weights: str) -> None:
        scores, labels = batch()
        labels[:] = IGNORE
        labels[1, 3, 2] = 2
        loss, grad = measured(name, scores, labels, weights)
        assert loss.isfinite()
        assert grad.isfinite().all()

    def test_all_ignored_is_zero_with_a_gradient_of_zero(self, name: str, weights: str) -> None:
        scores, labels = batch()
        loss, grad = measured(name, scores, torch.full_like(labels, IGNORE), weights)
        assert float(loss) == 0
        assert grad.abs().max() == 0

    def test_the_order_in_memory_does_not_matter(self, name: str, weights: str) -> None:
        scores, labels = batch()
        loss, grad = measured(name, scores, labels, weights)
        last = scores.to(memory_format=torch.channels_last)
        last_loss, last_grad = measured(name, last, labels, weights)
        torch.testing.assert_close(last_loss, loss)
        torch.testing.assert_close(last_grad, grad)

    def test_half_precision_is_finite_and_near(self, name: str, weights: str) -> None:
        scores, labels = batch()
        loss, _ = measured(name, scores, labels, weights)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            half, grad = measured(name, scores.to(torch.bfloat16), labels, weights)
        assert grad.isfinite().all()
        torch.testing.assert_close(half.float(), loss, rtol=0.05, atol=0.01)

    def test_gradients_are_those_of_the_loss(self, name: str, weights: str) -> None:
        scores, labels = batch(torch.float64)
        weights_C = WEIGHTS[weights]
        exact_C = None if weights_C is None else weights_C.double()

        def loss(x: Tensor) -> Tensor:
            return LOSSES[name](x, labels, ignore=IGNORE, weights_C=exact_C)

        assert torch.autograd.gradcheck(loss, (scores.requires_grad_(),))


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_weights_matter_to_losses_of_pixels_and_not_to_those_of_regions(name: str) -> None:
    scores, labels = batch()
    plain, _ = measured(name, scores, labels, "none")
    weighted, _ = measured(name, scores, labels, "some")
    assert (not torch.equal(plain, weighted)) == (name in PER_PIXEL)


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_more_pixels_than_half_precision_can_count(name: str) -> None:
    scores, labels = batch(width=200)
    loss, grad = measured(name, scores, labels, "none")
    half, half_grad = measured(name, scores.to(torch.bfloat16), labels, "none")
    torch.testing.assert_close(half.float(), loss, rtol=0.02, atol=0.01)
    assert (half_grad.float() - grad).norm() < 0.1 * grad.norm()
