import math
from collections import Counter
from dataclasses import replace
from itertools import islice
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from frugalseg.core.errors import DataError
from frugalseg.core.inputs import InputSpec
from frugalseg.data.dataset import Dataset, Sample
from frugalseg.training.batches import Pictures, Stream, Turn, training_batches
from frugalseg.training.recipe import Recipe, Sampling
from frugalseg.training.sampling import (
    count_pixels,
    crop_corner,
    drawn,
    needs_counts,
    rarity,
    turns,
)

# Ten pictures: class 0 is in all of them, class 1 in four, class 2 in one; one has no label.
PIXELS_NC = np.array([[90, 0, 0]] * 5 + [[50, 40, 0]] * 3 + [[80, 5, 5], [0, 0, 0]])


def recipe(**sampling: Any) -> Recipe:
    return Recipe.model_validate({"sampling": sampling, "batch_size": 2})


def stream(wish: Recipe, first_step: int = 0) -> Stream:
    turns_N = None if wish.sampling.name == "each" else turns(wish.sampling, PIXELS_NC)
    return Stream(len(PIXELS_NC), wish, first_step, turns_N)


def shown(wish: Recipe, epochs: int) -> list[Turn]:
    return list(islice(stream(wish), epochs * len(PIXELS_NC)))


class TestTurns:
    @pytest.mark.parametrize("threshold", [1.0, 0.5, 0.3])
    def test_repeat_factor_is_the_formula(self, threshold: float) -> None:
        found_N = turns(Sampling(name="repeat_factor", threshold=threshold), PIXELS_NC)
        of_class = [max(1.0, math.sqrt(threshold / f)) for f in (0.9, 0.4, 0.1)]
        wanted = [of_class[0]] * 5 + [max(of_class[:2])] * 3 + [max(of_class), 1.0]
        np.testing.assert_allclose(found_N, np.array(wanted) * 10 / sum(wanted))

    def test_class_balanced_shows_each_class_alike(self) -> None:
        found_N = turns(Sampling(name="class_balanced"), PIXELS_NC)
        # The chance of the class times that of the picture among those that hold it.
        chance = [1 / 9 / 3] * 5 + [(1 / 9 + 1 / 4) / 3] * 3 + [(1 / 9 + 1 / 4 + 1) / 3, 0]
        np.testing.assert_allclose(found_N, np.array(chance) * 10)

    @pytest.mark.parametrize("name", ["each", "repeat_factor", "class_balanced"])
    def test_together_they_are_as_many_as_there_are_pictures(self, name: Any) -> None:
        assert turns(Sampling(name=name), PIXELS_NC).sum() == pytest.approx(10)

    def test_pictures_without_any_label_cannot_be_balanced(self) -> None:
        nothing_NC = np.zeros((4, 3), np.int64)
        with pytest.raises(DataError, match="no training picture has a labelled pixel"):
            turns(Sampling(name="class_balanced"), nothing_NC)
        assert turns(Sampling(name="repeat_factor"), nothing_NC).tolist() == [1, 1, 1, 1]

    def test_each_epoch_rounds_up_or_down_and_the_mean_is_right(self) -> None:
        turns_N = turns(Sampling(name="class_balanced"), PIXELS_NC)
        counts_EN = np.array(
            [
                np.bincount(drawn(turns_N, np.random.default_rng(epoch)), minlength=10)
                for epoch in range(400)
            ]
        )
        assert (counts_EN.sum(axis=1) == 10).all()
        assert (counts_EN >= np.floor(turns_N)).all()
        assert (counts_EN <= np.ceil(turns_N)).all()
        # One picture in one epoch is off by at most 1: of 400, the mean by 0.1 is four sigma.
        np.testing.assert_allclose(counts_EN.mean(axis=0), turns_N, atol=0.1)


class TestStream:
    @pytest.mark.parametrize("name", ["each", "repeat_factor", "class_balanced"])
    @pytest.mark.parametrize("step", [1, 4, 13])
    def test_it_may_start_at_any_step(self, name: str, step: int) -> None:
        wish = recipe(name=name)
        through = shown(wish, epochs=5)
        later = list(islice(stream(wish, step), 12))
        assert later == through[2 * step : 2 * step + 12]

    def test_no_showing_is_that_of_another_time(self) -> None:
        made = shown(recipe(name="class_balanced"), epochs=20)
        assert len(set(made)) == len(made)
        assert max(turn.repeat for turn in made) >= 3

    def test_rare_classes_are_shown_more_often(self) -> None:
        counts = Counter(turn.picture for turn in shown(recipe(name="repeat_factor"), epochs=40))
        assert counts[8] > 1.5 * counts[5] > 1.5 * counts[0]

    def test_by_default_each_is_shown_once(self) -> None:
        made = shown(Recipe(), epochs=3)
        assert Counter(turn.picture for turn in made) == dict.fromkeys(range(10), 3)
        assert {turn.repeat for turn in made} == {0}


class TestRarity:
    def test_it_is_the_share_to_a_power(self) -> None:
        likely_C = rarity(PIXELS_NC, 0.5, background=None)
        wanted_C = PIXELS_NC.sum(axis=0) ** -0.5
        np.testing.assert_allclose(likely_C, wanted_C / wanted_C.sum())
        assert rarity(PIXELS_NC, 0.0, background=0).tolist() == [0, 0.5, 0.5]

    def test_nothing_is_rare_where_nothing_is_labelled(self) -> None:
        assert rarity(np.zeros((4, 3), np.int64), 0.5, background=None).tolist() == [0, 0, 0]


class TestCropCorner:
    def test_the_crop_holds_the_class_wherever_it_is(self) -> None:
        numbers = np.random.default_rng(0)
        for _ in range(300):
            labels_HW = np.zeros((30, 40), np.uint8)
            y, x = numbers.integers(30), numbers.integers(40)
            labels_HW[y, x] = 1
            top, left = crop_corner(labels_HW, (8, 11), np.array([0.0, 1.0]), numbers)
            assert (labels_HW[top : top + 8, left : left + 11] == 1).sum() == 1
            assert labels_HW[top : top + 8, left : left + 11].shape == (8, 11)

    def test_the_pixel_may_be_anywhere_in_the_crop(self) -> None:
        labels_HW = np.zeros((30, 40), np.uint8)
        labels_HW[15, 20] = 1
        numbers = np.random.default_rng(0)
        found = {crop_corner(labels_HW, (3, 4), np.array([0.0, 1.0]), numbers) for _ in range(300)}
        assert found == {(top, left) for top in (13, 14, 15) for left in (17, 18, 19, 20)}

    def test_of_two_classes_the_rarer_is_chosen_more_often(self) -> None:
        labels_HW = np.zeros((10, 30), np.uint8)
        labels_HW[:, :5], labels_HW[:, 25:] = 1, 2
        numbers = np.random.default_rng(0)
        lefts = [
            crop_corner(labels_HW, (10, 5), np.array([0, 0.8, 0.2]), numbers)[1] for _ in range(300)
        ]
        assert 0.7 < np.mean(np.array(lefts) < 5) < 0.9

    @pytest.mark.parametrize("label", [0, 255])
    def test_without_a_rare_class_it_is_anywhere(self, label: int) -> None:
        labels_HW = np.full((10, 12), label, np.uint8)
        numbers = np.random.default_rng(0)
        found = {crop_corner(labels_HW, (9, 10), np.array([0, 1.0]), numbers) for _ in range(99)}
        assert found == {(top, left) for top in (0, 1) for left in (0, 1, 2)}


def test_pixels_are_counted_at_the_input_size_and_ignored_ones_not(
    dataset: Dataset, spec: InputSpec
) -> None:
    samples = dataset.splits["train"]
    found_NC = count_pixels(dataset, samples, spec.size)
    assert found_NC.shape == (len(samples), 3)
    _, labels_HW = dataset.load(samples[1])
    centre_HW = labels_HW[1::2, 1::2]  # to half the size, each pixel is the one at its centre
    assert found_NC[1].tolist() == [int((centre_HW == c).sum()) for c in range(3)]


def test_pixels_are_counted_by_the_labels_alone(
    dataset: Dataset, spec: InputSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError("a picture was decoded")

    monkeypatch.setattr(Dataset, "load", refuse)
    assert count_pixels(dataset, dataset.splits["train"], spec.size).sum()


def test_labels_of_another_size_than_their_picture_are_refused_there_too(
    dataset: Dataset, spec: InputSpec
) -> None:
    sample, other = dataset.splits["train"][:2]
    Image.new("RGB", (31, 17)).save(other.image)
    with pytest.raises(DataError, match=r"mask is .* px wide"):
        count_pixels(dataset, [sample, other], spec.size)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, False),
        ({"augment": {"cutmix": 0.5, "classmix": 0.5}}, False),
        ({"sampling": {"rare_crops": 0.1}}, True),
        ({"sampling": {"name": "class_balanced"}}, True),
        ({"augment": {"copy_paste": 0.1}}, True),
    ],
)
def test_pictures_are_only_counted_where_something_depends_on_it(
    values: dict[str, Any], expected: bool, dataset: Dataset, spec: InputSpec
) -> None:
    wish = Recipe.model_validate(values)
    assert needs_counts(wish) == expected
    pictures = Pictures(dataset, dataset.splits["train"], wish, spec)
    assert pictures.rarity_C.any() == expected
    assert (pictures.turns_N is not None) == (wish.sampling.name != "each")


def test_training_draws_by_the_sampling(dataset: Dataset, spec: InputSpec) -> None:
    # A class of its own for one picture, which is then shown for a third of all.
    first = dataset.splits["train"][0].name
    rasterise = dataset.rasterise

    def only_there(sample: Sample, size: tuple[int, int]) -> NDArray[np.uint8]:
        labels_HW = rasterise(sample, size)
        return labels_HW if sample.name == first else np.where(labels_HW == 2, 1, labels_HW)

    rare = replace(dataset, rasterise=only_there)
    wish = Recipe.model_validate(
        {"sampling": {"name": "class_balanced"}, "batch_size": 2, "augment": {"scale": (1, 1)}}
    )
    labels = [batch[1] for batch in islice(training_batches(rare, wish, spec), 30)]
    with_it = np.mean([(pair_HW == 2).any() for pair in labels for pair_HW in pair.numpy()])
    others = len(dataset.splits["train"])
    assert with_it == pytest.approx(1 / 3 + 2 / 3 / others, abs=0.05)
