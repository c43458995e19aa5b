import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from frugalseg.losses.surface import signed_distances, surface

IGNORE = 255


def slowly(labels_HW: NDArray[np.int64], label: int) -> NDArray[np.float64]:
    """Every pixel against every other one."""
    inside = [tuple(p) for p in np.argwhere(labels_HW == label)]
    outside = [tuple(p) for p in np.argwhere((labels_HW != label) & (labels_HW != IGNORE))]
    found = np.zeros(labels_HW.shape)
    for at in outside:
        found[at] = min(math.dist(at, other) for other in inside)
    for at in inside:
        found[at] = 1 - min(math.dist(at, other) for other in outside)
    return found


def test_distances_are_those_to_the_nearest_pixel() -> None:
    labels_HW = np.random.default_rng(0).choice([0, 1, 1, 1, 1, 1, 2, IGNORE], (9, 13))
    for label in (0, 1, 2):
        found = signed_distances(labels_HW, label, ignore=IGNORE)
        np.testing.assert_allclose(found, slowly(labels_HW, label), atol=1e-5)


def test_there_is_no_boundary_to_what_is_ignored() -> None:
    labels_HW = np.array([[1, 1, 1, IGNORE]])
    assert signed_distances(labels_HW, 1, ignore=IGNORE).tolist() == [[0, 0, 0, 0]]


def test_it_is_the_mean_of_distance_times_error() -> None:
    torch.manual_seed(0)
    logits, labels = torch.randn(2, 3, 6, 10), torch.randint(3, (2, 6, 10))
    labels[1, :, :4] = IGNORE
    p_NCHW = logits.softmax(1)
    total = 0.0
    for n in range(2):
        for c in range(3):
            distances = torch.from_numpy(slowly(labels[n].numpy(), c))
            known = labels[n] != IGNORE
            errors = p_NCHW[n, c] - (labels[n] == c).float()
            total += float((distances * errors * known).sum()) / 10
    expected = total / int((labels != IGNORE).sum()) / 3
    assert float(surface(logits, labels, ignore=IGNORE)) == pytest.approx(expected, rel=1e-4)


def test_it_means_the_same_at_any_size() -> None:
    labels = torch.zeros(1, 20, 20).long()
    labels[:, :, 10:] = 1
    large = labels.repeat_interleave(8, 1).repeat_interleave(8, 2)
    losses = [
        float(surface(torch.zeros(1, 2, *x.shape[1:]), x, ignore=IGNORE)) for x in (labels, large)
    ]
    assert losses[1] == pytest.approx(losses[0], rel=0.1)


def test_a_class_that_fills_one_picture_learns_from_the_other() -> None:
    labels = torch.zeros(2, 4, 4).long()
    labels[1, :, 2:] = 1
    logits = torch.zeros(2, 2, 4, 4).requires_grad_()
    (grad,) = torch.autograd.grad(surface(logits, labels, ignore=IGNORE), logits)
    assert grad[0].abs().max() == 0
    assert grad[1].abs().max() > 0
