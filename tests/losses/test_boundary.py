import math

import pytest
import torch

from frugalseg.losses.boundary import boundary, edges, near_boundary

# Two classes side by side, and a column that is ignored at the right.
LABELS_NHW = torch.tensor([[[0, 0, 0, 0, 1, 1, 1, 1, 1, 255]] * 6])


@pytest.mark.parametrize(("reach", "expected"), [(1, {3, 4}), (2, {2, 3, 4, 5})])
def test_edges_lie_on_both_sides_of_a_change_and_not_along_what_is_ignored(
    reach: int, expected: set[int]
) -> None:
    found_N1HW = edges(LABELS_NHW, ignore=255, reach=reach)
    assert found_N1HW.shape == (1, 1, 6, 10)
    assert {int(x) for x in found_N1HW[0, 0].nonzero()[:, 1]} == expected


def test_edges_and_the_rest_count_alike() -> None:
    labels_NHW = torch.zeros(1, 20, 20, dtype=torch.long)
    labels_NHW[:, :, 10:] = 1
    share = 4 / 20  # of the pixels are within two of the edge
    found = boundary(torch.zeros(1, 1, 20, 20), labels_NHW, ignore=255)
    assert float(found) == pytest.approx(2 * share * (1 - share) * math.log(2))


def test_it_falls_as_edges_are_found() -> None:
    right = edges(LABELS_NHW, ignore=255) * 2 - 1
    losses = [float(boundary(k * right, LABELS_NHW, ignore=255)) for k in (-1, 0, 1, 5)]
    assert losses == sorted(losses, reverse=True)


def test_ignored_pixels_do_not_count() -> None:
    logits = torch.zeros(1, 1, 6, 10)
    expected = float(boundary(logits, LABELS_NHW, ignore=255))
    logits[..., 9] = 50
    assert float(boundary(logits, LABELS_NHW, ignore=255)) == expected
    nothing = torch.full_like(LABELS_NHW, 255)
    assert float(boundary(logits, nothing, ignore=255)) == 0


def test_labels_near_a_boundary_are_those_where_its_head_is_sure() -> None:
    logits = torch.full((1, 1, 6, 10), 1.3)  # sigmoid 0.79
    logits[..., 4] = 1.4  # 0.80
    found_NHW = near_boundary(logits, LABELS_NHW, ignore=255)
    assert (found_NHW[..., 4] == 1).all()
    assert (found_NHW != 255).sum() == 6
