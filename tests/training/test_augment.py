from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from frugalseg.core.inputs import InputSpec
from frugalseg.data.catalog import open_dataset
from frugalseg.data.dataset import Dataset
from frugalseg.training.augment import Augmenter
from frugalseg.training.batches import Pictures, Stream, Turn, training_batches
from frugalseg.training.recipe import Augment, Recipe

Pair = tuple[NDArray[np.uint8], NDArray[np.uint8]]
SPEC = InputSpec(height=64, width=96)
NOTHING: dict[str, Any] = {"scale": (1.0, 1.0), "flip": 0.0, "color": 0.0}
# Each key of the recipe's `augment`, so strong that it is seen.
STRONG: dict[str, Any] = {
    "scale": (0.5, 2.0),
    "rotate": 30,
    "crop": "40x56",
    "flip": 1.0,
    "flip_vertical": 1.0,
    "color": 0.8,
    "blur": 4.0,
    "noise": 0.3,
    "jpeg": 90,
    "fog": 1.0,
    "rain": 1.0,
    "shadow": 1.0,
    "cutout": 1.0,
    "copy_paste": 1.0,
    "cutmix": 1.0,
    "classmix": 1.0,
}
PIXELS_ONLY = {"color", "blur", "noise", "jpeg", "fog", "rain", "shadow"}
ALL = STRONG | {"cutmix": 0.5, "classmix": 0.5}
OPTIONS = [*({key: value} for key, value in STRONG.items()), ALL]


def augmenter(spec: InputSpec = SPEC, seed: int = 0, **augment: Any) -> Augmenter:
    return Augmenter(Recipe.model_validate({"augment": augment, "seed": seed}), spec)


def gradients(channels: int = 3) -> Pair:
    """A picture whose pixels tell where they are from: y in the first channel, x in the next."""
    y_HW, x_HW = np.mgrid[:64, :96]
    image_HWC = np.stack([y_HW * 3, x_HW * 2, y_HW + x_HW], -1).astype(np.uint8)
    return image_HWC[..., :channels], (y_HW // 16).astype(np.uint8)


def magnification(image_HWC: NDArray[np.uint8], labels_HW: NDArray[np.uint8]) -> float:
    inside = labels_HW != 255
    both = inside[:, 1:] & inside[:, :-1]
    slope = np.abs(np.diff(image_HWC[..., 1].astype(int), axis=1))[both].mean()
    return float(2 / slope)


def test_the_same_seed_epoch_and_index_give_the_same_sample() -> None:
    first = augmenter()(*gradients(), epoch=3, index=5)
    busy = augmenter()
    for index in range(4):
        busy(*gradients(), epoch=0, index=index)
    again = busy(*gradients(), epoch=3, index=5)
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("changed", [{"seed": 1}, {"epoch": 4}, {"index": 6}])
def test_another_seed_epoch_or_index_gives_another(changed: dict[str, int]) -> None:
    at = {"seed": 0, "epoch": 3, "index": 5}
    results = [
        augmenter(seed=where["seed"])(*gradients(), epoch=where["epoch"], index=where["index"])
        for where in (at, at | changed)
    ]
    assert not np.array_equal(results[0][0], results[1][0])


def test_what_is_drawn_for_one_change_says_nothing_about_another() -> None:
    augment = augmenter(color=0, scale=(1.2, 2.0))
    rows = []
    for epoch in range(200):
        image_HWC, labels_HW = augment(*gradients(), epoch=epoch, index=0)
        flipped = image_HWC[0, 0, 1] > image_HWC[0, -1, 1]
        rows.append(
            (
                magnification(image_HWC, labels_HW),
                image_HWC[..., 0].mean(),
                image_HWC[..., 1].mean(),
                flipped,
            )
        )
    related = np.abs(np.corrcoef(np.array(rows, float).T) - np.eye(4))
    # Of 200 independent draws a correlation of 0.3 is four standard deviations off.
    assert related.max() < 0.3


def test_scale_stays_within_its_bounds_and_uses_them() -> None:
    augment = augmenter(scale=(0.5, 2.0), color=0)
    found = [magnification(*augment(*gradients(), epoch=epoch, index=0)) for epoch in range(60)]
    assert 0.45 <= min(found) < 0.7
    assert 1.7 < max(found) <= 2.1


def test_a_single_scale_is_applied() -> None:
    augment = augmenter(scale=(0.5, 0.5), color=0)
    assert magnification(*augment(*gradients(), epoch=0, index=0)) == pytest.approx(0.5, abs=0.02)


def test_outside_is_ignored_and_of_the_mean_colour() -> None:
    augment = augmenter(scale=(0.5, 0.5), color=0)
    image_HWC, labels_HW = augment(*gradients(), epoch=0, index=0)
    outside = labels_HW == 255
    assert outside.mean() == pytest.approx(0.75)
    assert (image_HWC[outside] == round(SPEC.mean)).all()


def test_picture_and_labels_move_together() -> None:
    augment = augmenter(color=0, scale=(1.0, 2.0))
    for epoch in range(10):
        image_HWC, labels_HW = augment(*gradients(), epoch=epoch, index=0)
        from_y_HW = image_HWC[..., 0] / 3 / 16
        assert np.abs(from_y_HW - 0.5 - labels_HW).max() < 0.7  # half a band, and interpolation


def test_nothing_changes_where_nothing_is_asked() -> None:
    augment = augmenter(scale=(1, 1), flip=0, color=0)
    image_HWC, labels_HW = augment(*gradients(), epoch=0, index=0)
    np.testing.assert_array_equal(image_HWC, gradients()[0])
    np.testing.assert_array_equal(labels_HW, gradients()[1])


def test_half_are_flipped_and_all_if_asked() -> None:
    def flips(share: float) -> float:
        augment = augmenter(scale=(1, 1), flip=share, color=0)
        firsts = [augment(*gradients(), epoch=e, index=0)[0][0, 0, 1] for e in range(60)]
        return float(np.mean(np.array(firsts) > 0))

    assert (flips(0), flips(1)) == (0, 1)
    assert 0.3 < flips(0.5) < 0.7


@pytest.mark.parametrize("channels", [1, 3])
def test_crop_size_and_channels(channels: int) -> None:
    augment = augmenter(InputSpec(height=64, width=96, channels=channels), crop="37x120")
    image_HWC, labels_HW = augment(*gradients(channels), epoch=0, index=0)
    assert (image_HWC.shape, labels_HW.shape) == ((37, 120, channels), (37, 120))
    assert image_HWC.dtype == labels_HW.dtype == np.uint8


def test_colour_changes_the_picture_and_never_the_labels() -> None:
    augment = augmenter(scale=(1, 1), flip=0, color=1)
    made = [augment(*gradients(), epoch=epoch, index=0) for epoch in range(5)]
    assert len({image_HWC.tobytes() for image_HWC, _ in made}) >= 4
    assert {labels_HW.tobytes() for _, labels_HW in made} == {gradients()[1].tobytes()}


def pictures(
    dataset: Dataset, option: dict[str, Any], channels: int = 3, rare_crops: float | None = None
) -> Pictures:
    if rare_crops is None:
        rare_crops = 0.5 if option is ALL else 0.0
    wish = Recipe.model_validate(
        {"augment": NOTHING | option, "sampling": {"rare_crops": rare_crops}}
    )
    spec = InputSpec(height=64, width=96, channels=channels)
    return Pictures(dataset, dataset.splits["train"], wish, spec)


def test_every_option_is_tested() -> None:
    assert set(STRONG) == set(Augment.model_fields)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("option", OPTIONS, ids=[*STRONG, "all"])
class TestEveryOption:
    def test_labels_are_never_mixed(
        self, option: dict[str, Any], channels: int, dataset: Dataset
    ) -> None:
        # Two classes with a value between them that no picture has: 1 would come from mixing.
        seen = pictures(dataset, option, channels)
        for index in range(len(seen)):
            image_HWC, labels_HW = seen._picture(index)
            seen.kept[index] = image_HWC, np.where(labels_HW == 1, np.uint8(0), labels_HW)
        size = (40, 56) if "crop" in option else (64, 96)
        for epoch in range(3):
            for index in range(len(seen)):
                image_HWC, labels_HW = seen.pair(Turn(epoch, index))
                assert set(np.unique(labels_HW)) <= {0, 2, 255}
                assert (image_HWC.shape, labels_HW.shape) == ((*size, channels), size)
                assert image_HWC.dtype == labels_HW.dtype == np.uint8

    def test_it_depends_on_seed_epoch_and_index_alone(
        self, option: dict[str, Any], channels: int, dataset: Dataset
    ) -> None:
        one, other = (pictures(dataset, option, channels) for _ in range(2))
        turns = [Turn(epoch, index) for epoch in (0, 7) for index in range(3)]
        there = {turn: one.pair(turn) for turn in turns}
        back = {turn: other.pair(turn) for turn in reversed(turns)}
        for turn in turns:
            np.testing.assert_array_equal(there[turn][0], back[turn][0])
            np.testing.assert_array_equal(there[turn][1], back[turn][1])


@pytest.mark.parametrize("name", sorted(STRONG))
def test_every_option_does_something_and_only_some_move_labels(name: str, dataset: Dataset) -> None:
    plain, strong = pictures(dataset, {}), pictures(dataset, {name: STRONG[name]})
    turns = [Turn(epoch, index) for epoch in range(4) for index in range(2)]
    moved = changed = False
    for turn in turns:
        before, after = plain.pair(turn), strong.pair(turn)
        changed |= not np.array_equal(before[0], after[0])
        moved |= not np.array_equal(before[1], after[1])
    assert changed
    assert moved == (name not in PIXELS_ONLY)


def test_a_picture_that_is_shown_twice_in_an_epoch_is_changed_in_two_ways(
    dataset: Dataset,
) -> None:
    seen = pictures(dataset, {"scale": (0.5, 2.0)})
    assert not np.array_equal(seen.pair(Turn(0, 1, 0))[0], seen.pair(Turn(0, 1, 1))[0])


def test_what_is_cut_out_is_grey_and_ignored(dataset: Dataset) -> None:
    before, after = pictures(dataset, {}), pictures(dataset, {"cutout": 1.0})
    image_HWC, labels_HW = after.pair(Turn(0, 0))
    hole = (labels_HW == 255) & (before.pair(Turn(0, 0))[1] != 255)
    assert 0.005 < hole.mean() < 0.34
    assert (image_HWC[hole] == round(SPEC.mean)).all()


def test_corners_that_a_rotation_leaves_empty_are_grey_and_ignored() -> None:
    augment = augmenter(**(NOTHING | {"rotate": 45}))
    for epoch in range(5):
        image_HWC, labels_HW = augment(*gradients(), epoch=epoch, index=0)
        outside_HW = labels_HW == 255
        assert outside_HW.any()
        # At the rim, pixels are mixed with the grey: look two pixels further out.
        padded_HW = np.pad(outside_HW, 2, constant_values=True)
        windows = np.lib.stride_tricks.sliding_window_view(padded_HW, (5, 5))
        assert (image_HWC[windows.all(axis=(2, 3))] == round(SPEC.mean)).all()


def test_degrees_are_drawn_to_either_side_and_to_the_end() -> None:
    image_HWC, labels_HW = gradients()
    augment = augmenter(**(NOTHING | {"rotate": 20}))
    slopes = []
    for epoch in range(80):
        turned_HWC, _ = augment(image_HWC, labels_HW, epoch=epoch, index=0)
        middle_HW = turned_HWC[24:40, 30:66, 1].astype(float)  # twice the x of where it is from
        down, across = np.gradient(middle_HW)
        slopes.append(np.degrees(np.arctan2(down.mean(), across.mean())))
    assert -21 < min(slopes) < -15
    assert 15 < max(slopes) < 21


def test_crops_hold_rare_classes(dataset: Dataset) -> None:
    def share(rare_crops: float) -> float:
        seen = pictures(dataset, {"crop": "16x16"}, rare_crops=rare_crops)
        made = [seen.pair(Turn(epoch, i))[1] for epoch in range(40) for i in range(len(seen))]
        return float(np.mean([np.isin(labels_HW, (1, 2)).any() for labels_HW in made]))

    assert share(1.0) == 1  # the background is never looked for
    assert share(0.0) < 0.9
    assert share(0.0) < share(0.5) < 1


# As in test_batches: what a worker costs is for the user to weigh.
@pytest.mark.filterwarnings("ignore:This DataLoader will create")
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork")
def test_with_everything_on_workers_change_nothing(dataset: Dataset) -> None:
    made = []
    for workers in (0, 1):
        wish = Recipe.model_validate(
            {
                "augment": ALL,
                "sampling": {"name": "class_balanced", "rare_crops": 0.5},
                "workers": workers,
                "batch_size": 2,
            }
        )
        batches = training_batches(dataset, wish, SPEC, first_step=3)
        made.append([part.numpy() for batch in islice(batches, 3) for part in batch])
    for one, two in zip(*made, strict=True):
        np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("name", ["camvid", "waste"])
def test_real_pictures_with_everything_on(name: str, real_data: Path) -> None:
    dataset = open_dataset(real_data / name)
    small = Dataset(
        root=dataset.root,
        format=dataset.format,
        labels=dataset.labels,
        splits={"train": dataset.splits["train"][:12]},
        rasterise=dataset.rasterise,
    )
    seen = pictures(small, ALL)
    known = {*range(dataset.labels.num_classes), 255}
    for turn in islice(Stream(len(seen), Recipe(), 0), 24):
        assert set(np.unique(seen.pair(turn)[1])) <= known
