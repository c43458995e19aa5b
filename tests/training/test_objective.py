import math
from typing import Any

import pytest
import torch
from torch import Tensor

from frugalseg.core.errors import ConfigError
from frugalseg.core.labels import IGNORE
from frugalseg.losses.boundary import boundary
from frugalseg.losses.catalog import LOSSES
from frugalseg.losses.cross_entropy import cross_entropy
from frugalseg.losses.focal import focal
from frugalseg.losses.tversky import tversky
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

    def test_losses_are_added_with_their_weights_for_all_scores(self) -> None:
        labels_NHW, main_NCHW, other_NCHW = random_labels(), *torch.randn(2, 2, 3, 8, 12)
        plus = {"dice": 0.5, "lovasz": 2.0}
        found = objective(plus=plus, auxiliary=0.3)(
            Outputs(main_NCHW, (other_NCHW,)), labels_NHW, 0
        )
        weights = {"cross_entropy": 1.0, **plus}
        expected = sum(
            share * weight * LOSSES[name](scores, labels_NHW, ignore=IGNORE, weights_C=None)
            for share, scores in ((1.0, main_NCHW), (0.3, other_NCHW))
            for name, weight in weights.items()
        )
        torch.testing.assert_close(found, expected)

    def test_settings_of_losses_reach_them(self) -> None:
        labels_NHW, scores_NCHW = random_labels(), torch.randn(2, 3, 8, 12)
        terms = {"name": "focal", "focal_gamma": 4.0, "plus": {"tversky": 1}, "tversky_beta": 0.2}
        found = objective(**terms)(Outputs(scores_NCHW), labels_NHW, 0)
        expected = focal(scores_NCHW, labels_NHW, ignore=IGNORE, gamma=4.0)
        expected = expected + tversky(scores_NCHW, labels_NHW, ignore=IGNORE, beta=0.2)
        torch.testing.assert_close(found, expected)

    @pytest.mark.parametrize("name", sorted(LOSSES))
    def test_every_loss_can_be_the_loss_or_added(self, name: str) -> None:
        labels_NHW, scores_NCHW = random_labels(), torch.randn(2, 3, 8, 12)
        other = "focal" if name == "cross_entropy" else "cross_entropy"
        for terms in ({"name": name}, {"name": other, "plus": {name: 0.5}}):
            assert objective(**terms)(Outputs(scores_NCHW), labels_NHW, 0).isfinite()

    def test_a_loss_that_is_not_known(self) -> None:
        with pytest.raises(ConfigError, match="no loss 'dise'; did you mean 'dice'"):
            objective(plus={"dise": 1.0})
        with pytest.raises(ConfigError, match="no loss 'ohme'; did you mean 'ohem'"):
            objective(name="ohme")


class TestClassWeights:
    PIXELS_C = torch.tensor([900, 90, 10])
    SHARE_C = torch.tensor([0.9, 0.09, 0.01])
    # Of 20 pictures of 50 pixels, the classes are in 20, 10 and 2; their pixels fill 18, 1.8, 0.2.
    IN_C, PICTURES = torch.tensor([20, 10, 2]), 20

    def test_none(self) -> None:
        recipe = Recipe.model_validate({"loss": {"class_weights": "none"}})
        assert class_weights(recipe, self.PIXELS_C, self.IN_C, self.PICTURES) is None

    @pytest.mark.parametrize(
        ("loss", "expected_C"),
        [
            ({"class_weights": "enet"}, 1 / (1.02 + SHARE_C).log()),
            ({"class_weights": "frequency", "frequency_power": 0.5}, SHARE_C**-0.5),
            ({"class_weights": "frequency", "frequency_power": 0}, torch.ones(3)),
            # Of the pixels of pictures that hold the class: 900/1000, 90/500, 10/100.
            ({"class_weights": "median_frequency"}, 0.18 / torch.tensor([0.9, 0.18, 0.1])),
            (
                {"class_weights": "effective_number", "effective_beta": 0.9},
                (0.1 / (1 - 0.9 ** torch.tensor([18, 1.8, 0.2]).double())).float(),
            ),
            ({"class_weights": "effective_number", "effective_beta": 0}, torch.ones(3)),
        ],
    )
    def test_each_is_its_formula_with_mean_1_over_pixels(
        self, loss: dict[str, Any], expected_C: Tensor
    ) -> None:
        recipe = Recipe.model_validate({"loss": loss})
        found_C = class_weights(recipe, self.PIXELS_C, self.IN_C, self.PICTURES)
        assert found_C is not None
        torch.testing.assert_close(found_C / found_C[0], expected_C / expected_C[0])
        assert float((found_C * self.SHARE_C).sum()) == pytest.approx(1)

    @pytest.mark.parametrize("kind", ["enet", "frequency", "median_frequency", "effective_number"])
    def test_a_class_without_pixels_weighs_no_more_than_the_rarest(self, kind: str) -> None:
        recipe = Recipe.model_validate({"loss": {"class_weights": kind}})
        pixels_C, in_C = torch.tensor([900, 0, 90, 10]), torch.tensor([20, 0, 10, 2])
        with_C = class_weights(recipe, pixels_C, in_C, self.PICTURES)
        without_C = class_weights(recipe, self.PIXELS_C, self.IN_C, self.PICTURES)
        assert with_C is not None
        assert without_C is not None
        assert with_C[1] == with_C[3]
        torch.testing.assert_close(with_C[[0, 2, 3]], without_C)

    def test_pictures_of_another_size_have_the_same_effective_number(self) -> None:
        recipe = Recipe.model_validate({"loss": {"class_weights": "effective_number"}})
        found = [
            class_weights(recipe, scale * self.PIXELS_C, self.IN_C, self.PICTURES)
            for scale in (1, 10_000)
        ]
        torch.testing.assert_close(found[0], found[1])
        assert found[1] is not None
        # As pixels are so many, an n of pixels would give equal weights.
        assert found[1][2] / found[1][0] > 10

    def test_median_frequencies_are_those_that_segnet_used_for_camvid(self) -> None:
        # Pixels in thousands and pictures of `data check` for the 367 training pictures.
        pixels_C = torch.tensor([175, 242, 10.1, 330, 47, 101, 12, 12, 61, 6.6, 2.9])
        in_C = torch.tensor([366, 365, 366, 367, 349, 319, 351, 173, 360, 317, 201])
        recipe = Recipe.model_validate({"loss": {"class_weights": "median_frequency"}})
        found_C = class_weights(recipe, pixels_C, in_C, 367)
        # SegNet-Tutorial, Models/segnet_train.prototxt. Their weight of signs is not their share.
        theirs_C = torch.tensor(
            [0.2595, 0.1826, 4.564, 0.1417, 0.9051, 0.3826, 9.6446, 1.8418, 0.6823, 6.2478, 7.3614]
        )
        assert found_C is not None
        ratio_C = (found_C / found_C[3]) / (theirs_C / theirs_C[3])
        others = torch.arange(11) != 6
        assert ((ratio_C[others] > 0.85) & (ratio_C[others] < 1.2)).all(), ratio_C

    def test_no_pixel_at_all(self) -> None:
        with pytest.raises(ConfigError, match="no labelled pixel"):
            class_weights(Recipe(), torch.zeros(3), torch.zeros(3), 0)
