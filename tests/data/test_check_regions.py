import numpy as np
import pytest
from numpy.typing import NDArray

from frugalseg.data.check.mend import without_specks
from frugalseg.data.check.regions import regions_of


def flooded(labels_HW: NDArray[np.uint8]) -> list[tuple[int, int]]:
    """List label and area of every region, found by flooding."""
    left = {(y, x) for y, x in np.ndindex(labels_HW.shape)}
    found = []
    while left:
        todo = [left.pop()]
        label, area = int(labels_HW[todo[0]]), 0
        while todo:
            y, x = todo.pop()
            area += 1
            for place in ((y + a, x + b) for a in (-1, 0, 1) for b in (-1, 0, 1)):
                if place in left and labels_HW[place] == label:
                    left.remove(place)
                    todo.append(place)
        found.append((label, area))
    return sorted(found)


def listed(labels_HW: NDArray[np.uint8]) -> list[tuple[int, int]]:
    found = regions_of(labels_HW)
    return sorted(zip(found.labels.tolist(), found.areas.tolist(), strict=True))


@pytest.mark.parametrize("seed", range(60))
def test_regions_are_those_of_flooding(seed: int) -> None:
    rng = np.random.default_rng(seed)
    height, width = rng.integers(1, 25, 2)
    labels_HW = rng.integers(0, rng.integers(2, 5), (height, width)).astype(np.uint8)
    labels_HW = labels_HW.repeat(rng.integers(1, 4), axis=0).repeat(rng.integers(1, 4), axis=1)
    labels_HW[labels_HW == 3] = 255
    assert listed(labels_HW) == flooded(labels_HW)


def test_a_spiral_is_one_region() -> None:
    labels_HW = np.zeros((41, 41), np.uint8)
    for ring in range(0, 20, 2):
        labels_HW[ring : 41 - ring, ring : 41 - ring] = 1
        labels_HW[ring + 1 : 40 - ring, ring + 1 : 40 - ring] = 0
        labels_HW[ring + 1, ring] = 0
        labels_HW[ring + 2, ring + 1] = 1
    assert listed(labels_HW) == flooded(labels_HW)


def test_the_map_numbers_every_pixel() -> None:
    labels_HW = np.array([[1, 0, 1], [0, 0, 1]], np.uint8)
    found = regions_of(labels_HW)
    assert (found.labels[found.map()] == labels_HW).all()
    assert found.map()[0, 0] != found.map()[0, 2]


class TestWithoutSpecks:
    def test_a_speck_gets_what_most_pixels_around_it_have(self) -> None:
        labels_HW = np.zeros((6, 9), np.uint8)
        labels_HW[:, 5:] = 2
        labels_HW[2, 5] = 1  # three pixels of 0 beside it, five of 2
        labels_HW[4, 1:3] = 1  # two pixels
        mended_HW, count = without_specks(labels_HW)
        assert count == 2
        assert mended_HW[2, 5] == 2
        assert (mended_HW[4, 1:3] == 0).all()
        assert sorted(set(mended_HW.ravel().tolist())) == [0, 2]

    def test_three_pixels_stay(self) -> None:
        labels_HW = np.zeros((5, 5), np.uint8)
        labels_HW[2, 1:4] = 1
        mended_HW, count = without_specks(labels_HW)
        assert count == 0
        assert (mended_HW == labels_HW).all()

    def test_what_is_ignored_stays_and_is_not_spread(self) -> None:
        labels_HW = np.zeros((7, 7), np.uint8)
        labels_HW[0, 0] = 255
        labels_HW[4:] = 255
        labels_HW[4, 3] = 1  # five ignored pixels around it, three of 0
        mended_HW, count = without_specks(labels_HW)
        assert (count, mended_HW[4, 3], mended_HW[0, 0]) == (1, 0, 255)

    def test_a_speck_among_ignored_pixels_is_ignored(self) -> None:
        labels_HW = np.full((5, 5), 255, np.uint8)
        labels_HW[2, 2] = 1
        assert (without_specks(labels_HW)[0] == 255).all()

    def test_a_mask_of_specks_alone_stays(self) -> None:
        labels_HW = np.arange(9, dtype=np.uint8).reshape(3, 3)
        mended_HW, count = without_specks(labels_HW)
        assert count == 0
        assert (mended_HW == labels_HW).all()

    @pytest.mark.parametrize("seed", range(20))
    def test_noise_comes_to_an_end_without_specks(self, seed: int) -> None:
        labels_HW = np.random.default_rng(seed).integers(0, 9, (30, 30)).astype(np.uint8)
        labels_HW[:10, :10] = 3
        mended_HW, _ = without_specks(labels_HW)
        assert not regions_of(mended_HW).small(2).any()
