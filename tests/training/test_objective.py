import math
from typing import Any

import pytest
import torch
from torch import Tensor

from frugalseg.core.errors import ConfigError
from frugalseg.core.labels import IGNORE
from frugalseg.losses.boundary import boundary
from frugalseg.losses.cross_entropy import cross_entropy
from frugalseg.models.network import Outputs
from frugalseg.training.objective import Objective, class_weights
from frugalseg.training.recipe import LossTerms, Recipe

CPU = torch.device("cpu")
EVEN_NCHW = torch.zeros(2, 3, 8, 12)


def objective(**terms: Any) -> Objective:
    return Objective(LossTerms(**({"stride": 1} | terms)), None, CPU)


def random_labels() -> Tensor:
    return torch.randint(3, (2, 8, 12), generator=torch.Generator().manual_seed(0))


class TestObjective:
    def test_auxiliary_scores_count_for_their_share_each_at_its_own_size(self) -> None:
        labels_NHW, main_NCHW = random_labels(), torch.randn(2, 3, 8, 12)
        outputs = Outputs(main_NCHW, (torch.zeros(2, 3, 2, 3), torch.zeros(2, 3, 4, 6)))
        found = objective(auxiliary=0.25)(outputs, labels_NHW, 0)
        expected = cross_entropy(main_NCHW, labels_NHW, ignore=IGNORE) + 0.5 * math.log(3)
        torch.testing.assert_close(found, expected)

    def test_a_stride_looks_at_every_pixel_of_the_diagonal_in_turn(self) -> None:
        labels_NHW = torch.full((1, 8, 8), IGNORE)
        labels_NHW[:, 1::2, 1::2] = 1
        scores = Outputs(torch.zeros(1, 3, 4, 4))
        losses = [float(objective(stride=2)(scores, labels_NHW, step)) for step in range(4)]
        assert losses == pytest.approx([0, math.log(3)] * 2)

    def test_labels_can_be_shrunk_to_the_scores_without_mixing_classes(self) -> None:
        labels_NHW = torch.tensor([[[0, 0, 2, 2], [0, 0, 2, 2], [IGNORE] * 4, [IGNORE] * 4]])
        small_NChw = torch.randn(1, 3, 2, 2)
        expected = cross_entropy(
            small_NChw, torch.tensor([[[0, 2], [IGNORE, IGNORE]]]), ignore=IGNORE
        )
        found = objective(shrink_labels=True)(Outputs(small_NChw), labels_NHW, 0)
        torch.testing.assert_close(found, expected)

    def test_a_boundary_head_adds_its_loss(self) -> None:
        labels_NHW, edges_N1HW = random_labels(), torch.randn(2, 1, 8, 12)
        found = objective(boundary=20)(Outputs(EVEN_NCHW, (), edges_N1HW), labels_NHW, 0)
        expected = math.log(3) + 20 * boundary(edges_N1HW, labels_NHW, ignore=IGNORE)
        torch.testing.assert_close(found, expected)

    def test_edges_are_as_wide_in_the_picture_whatever_the_stride(self) -> None:
        labels_NHW = torch.zeros(1, 16, 16, dtype=torch.long)
        labels_NHW[..., 8:] = 1
        outputs = Outputs(torch.zeros(1, 3, 8, 8), (), torch.zeros(1, 1, 8, 8))
        # Of the loss at each pixel, edges and the rest weigh 2 p (1 - p): p is their share.
        losses = [float(objective(stride=s)(outputs, labels_NHW, 0)) for s in (1, 2)]
        assert losses == pytest.approx([math.log(3) + 2 * 0.25 * 0.75 * math.log(2)] * 2)

    def test_scores_count_once_more_where_the_boundary_head_is_sure(self) -> None:
        labels_NHW, scores_NCHW = random_labels(), torch.randn(2, 3, 8, 12)
        edges_N1HW = torch.full((2, 1, 8, 12), -9.0)
        edges_N1HW[..., :6] = 9.0
        outputs = Outputs(scores_NCHW, (), edges_N1HW)
        found = objective(boundary=0, near_boundary=2)(outputs, labels_NHW, 0)
        left = cross_entropy(scores_NCHW[..., :6], labels_NHW[..., :6], ignore=IGNORE)
        expected = cross_entropy(scores_NCHW, labels_NHW, ignore=IGNORE) + 2 * left
        torch.testing.assert_close(found, expected)

    def test_a_loss_that_is_not_known(self) -> None:
        with pytest.raises(ConfigError, match="no loss 'ohme'; did you mean 'ohem'"):
            objective(name="ohme")


class TestClassWeights:
    PIXELS_C = torch.tensor([900, 90, 10])
    SHARE_C = torch.tensor([0.9, 0.09, 0.01])

    def test_none(self) -> None:
        recipe = Recipe.model_validate({"loss": {"class_weights": "none"}})
        assert class_weights(recipe, self.PIXELS_C) is None

    @pytest.mark.parametrize(
        ("loss", "expected_C"),
        [
            ({"class_weights": "enet"}, 1 / (1.02 + SHARE_C).log()),
            ({"class_weights": "frequency", "frequency_power": 0.5}, SHARE_C**-0.5),
            ({"class_weights": "frequency", "frequency_power": 0}, torch.ones(3)),
        ],
    )
    def test_each_is_its_formula_with_mean_1_over_pixels(
        self, loss: dict[str, Any], expected_C: Tensor
    ) -> None:
        found_C = class_weights(Recipe.model_validate({"loss": loss}), self.PIXELS_C)
        assert found_C is not None
        torch.testing.assert_close(found_C / found_C[0], expected_C / expected_C[0])
        assert float((found_C * self.SHARE_C).sum()) == pytest.approx(1)

    @pytest.mark.parametrize("kind", ["enet", "frequency"])
    def test_a_class_without_pixels_weighs_no_more_than_the_rarest(self, kind: str) -> None:
        recipe = Recipe.model_validate({"loss": {"class_weights": kind}})
        with_C = class_weights(recipe, torch.tensor([900, 0, 90, 10]))
        without_C = class_weights(recipe, self.PIXELS_C)
        assert with_C is not None
        assert without_C is not None
        assert with_C[1] == with_C[3]
        torch.testing.assert_close(with_C[[0, 2, 3]], without_C)

    def test_no_pixel_at_all(self) -> None:
        with pytest.raises(ConfigError, match="no labelled pixel"):
            class_weights(Recipe(), torch.zeros(3))
