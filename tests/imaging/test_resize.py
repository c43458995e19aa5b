import numpy as np
import pytest

from frugalseg.imaging.resize import (
    argmax_labels,
    labels_at,
    resize_image,
    resize_labels,
    resize_scores,
)

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("channels", [1, 3])
def test_resized_picture_keeps_its_channels_and_flat_colour(channels: int) -> None:
    image_HWC = np.full((9, 13, channels), 77, np.uint8)
    resized_HWC = resize_image(image_HWC, (5, 31))
    assert resized_HWC.shape == (5, 31, channels)
    assert (resized_HWC == 77).all()


def test_shrinking_averages_so_that_fine_stripes_turn_grey() -> None:
    image_HWC = np.zeros((64, 64, 3), np.uint8)
    image_HWC[:, ::2] = 255
    shrunk_HWC = resize_image(image_HWC, (8, 8))
    assert abs(shrunk_HWC[2:-2, 2:-2].astype(int) - 128).max() <= 2


def test_same_size_changes_nothing() -> None:
    image_HWC = RNG.integers(0, 256, (5, 7, 3), np.uint8)
    np.testing.assert_array_equal(resize_image(image_HWC, (5, 7)), image_HWC)
    np.testing.assert_array_equal(resize_labels(image_HWC[..., 0], (5, 7)), image_HWC[..., 0])


def test_labels_are_never_mixed() -> None:
    labels_HW = RNG.choice(np.array([0, 7, 255], np.uint8), (37, 53))
    for size in ((5, 11), (100, 90)):
        assert set(np.unique(resize_labels(labels_HW, size))) <= {0, 7, 255}


def test_labels_there_and_back_by_a_whole_factor_are_the_same() -> None:
    labels_HW = RNG.integers(0, 9, (6, 8), np.uint8)
    large_HW = resize_labels(labels_HW, (18, 40))
    np.testing.assert_array_equal(resize_labels(large_HW, (6, 8)), labels_HW)


@pytest.mark.parametrize("size", [(48, 60), (47, 61), (12, 15), (7, 5), (1, 1)])
def test_scores_agree_with_the_interpolation_of_the_network(size: tuple[int, int]) -> None:
    torch = pytest.importorskip("torch", reason="the comparison needs torch")
    scores_hwC = RNG.normal(0, 10, (12, 15, 5)).astype(np.float32)
    scores_NCHW = torch.from_numpy(scores_hwC.transpose(2, 0, 1).copy())[None]
    expected_CHW = torch.nn.functional.interpolate(
        scores_NCHW, size, mode="bilinear", align_corners=False
    )[0].numpy()
    # Of scores up to 40: torch places its weights in float32, which costs 3e-5 here.
    np.testing.assert_allclose(resize_scores(scores_hwC, size), expected_CHW, atol=1e-4)


def test_best_class_is_that_of_argmax_ties_included() -> None:
    scores_CHW = RNG.integers(0, 3, (5, 20, 30)).astype(np.float32)
    np.testing.assert_array_equal(argmax_labels(scores_CHW), scores_CHW.argmax(axis=0))


@pytest.mark.parametrize("size", [(1, 1), (7, 5), (90, 120), (721, 963), (1_400, 1)])
@pytest.mark.parametrize("classes", [1, 5, 60])
def test_labels_in_bands_are_those_of_the_whole(size: tuple[int, int], classes: int) -> None:
    scores_hwC = RNG.normal(0, 10, (23, 31, classes)).astype(np.float32)
    whole_HW = argmax_labels(resize_scores(scores_hwC, size))
    np.testing.assert_array_equal(labels_at(scores_hwC, size), whole_HW)


def test_labels_in_bands_settle_ties_as_the_whole_does() -> None:
    scores_hwC = RNG.integers(0, 2, (12, 16, 40)).astype(np.float32)
    whole_HW = argmax_labels(resize_scores(scores_hwC, (480, 640)))
    np.testing.assert_array_equal(labels_at(scores_hwC, (480, 640)), whole_HW)
