from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from frugalseg.core.inputs import InputSpec
from frugalseg.training.augment import Augmenter
from frugalseg.training.recipe import Recipe

Pair = tuple[NDArray[np.uint8], NDArray[np.uint8]]
SPEC = InputSpec(height=64, width=96)


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
