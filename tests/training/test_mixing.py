from collections.abc import Callable

import numpy as np
import pytest

from frugalseg.core.labels import IGNORE
from frugalseg.training.mixing import Pair, classmix, copy_paste, cutmix

Mix = Callable[[Pair, Pair, np.random.Generator], Pair]


def flat(value: int, label: int, channels: int = 3) -> Pair:
    return np.full((24, 36, channels), value, np.uint8), np.full((24, 36), label, np.uint8)


def pasted(pair: Pair, donor: Pair, numbers: np.random.Generator) -> Pair:
    return copy_paste(pair, donor, 1, numbers)


def by_class(pair: Pair, other: Pair, numbers: np.random.Generator) -> Pair:
    return classmix(pair, other, numbers, ignore=IGNORE)


def two_boxes(channels: int = 3) -> Pair:
    """Class 1 in two regions of pixels 200, a speck of it, and what is ignored."""
    image_HWC, labels_HW = flat(50, 0, channels)
    for box in (np.s_[2:10, 3:12], np.s_[14:22, 20:24], np.s_[0:1, 30:31]):
        image_HWC[box], labels_HW[box] = 200, 1
    labels_HW[20:, :10] = IGNORE
    return image_HWC, labels_HW


@pytest.mark.parametrize("mix", [pasted, cutmix, by_class])
@pytest.mark.parametrize("channels", [1, 3])
class TestEveryMix:
    def test_it_is_made_of_the_pixels_of_both_with_their_labels(
        self, mix: Mix, channels: int
    ) -> None:
        donor = two_boxes(channels)
        fresh = np.random.default_rng(0)
        for _ in range(30):
            image_HWC, labels_HW = mix(flat(9, 2, channels), donor, fresh)
            assert image_HWC.shape == (24, 36, channels)
            assert image_HWC.dtype == labels_HW.dtype == np.uint8
            assert set(np.unique(labels_HW)) <= {0, 1, 2, IGNORE}
            assert (image_HWC[labels_HW == 2] == 9).all()
            assert (image_HWC[labels_HW == 0] == 50).all()
            # A pasted region is made smaller: its rim may mix with its surroundings.
            least = 50 if mix is pasted else 200
            assert (image_HWC[labels_HW == 1] >= least).all()

    def test_what_is_mixed_stays_as_it_was(self, mix: Mix, channels: int) -> None:
        pair, donor = flat(9, 2, channels), two_boxes(channels)
        for seed in range(5):
            mix(pair, donor, np.random.default_rng(seed))
        for one, other in ((pair, flat(9, 2, channels)), (donor, two_boxes(channels))):
            np.testing.assert_array_equal(one[0], other[0])
            np.testing.assert_array_equal(one[1], other[1])

    def test_equal_numbers_give_equal_pictures_and_others_others(
        self, mix: Mix, channels: int
    ) -> None:
        made = [
            mix(flat(9, 2, channels), two_boxes(channels), np.random.default_rng(seed))
            for seed in (1, 1, 2, 3, 4, 5)
        ]
        np.testing.assert_array_equal(made[0][0], made[1][0])
        np.testing.assert_array_equal(made[0][1], made[1][1])
        assert len({labels_HW.tobytes() for _, labels_HW in made}) >= 2


class TestCopyPaste:
    def test_regions_are_whole_between_half_and_all_of_their_size(self) -> None:
        heights = set()
        image_HWC, labels_HW = flat(50, 0)
        image_HWC[2:10, 3:12], labels_HW[2:10, 3:12] = 200, 1
        for seed in range(200):
            _, found_HW = pasted(flat(9, 2), (image_HWC, labels_HW), np.random.default_rng(seed))
            rows, columns = np.nonzero(found_HW == 1)
            height, width = int(np.ptp(rows)) + 1, int(np.ptp(columns)) + 1
            assert len(rows) == height * width
            assert 4 <= height <= 8
            assert 4 <= width <= 9
            heights.add(height)
        assert heights == {4, 5, 6, 7, 8}

    def test_nothing_but_the_region_is_pasted_whatever_its_shape(self) -> None:
        image_HWC, labels_HW = flat(50, 0)
        for box in (np.s_[2:20, 3:8], np.s_[14:20, 3:30]):  # the letter L
            image_HWC[box], labels_HW[box] = 200, 1
        share = (18 * 5 + 6 * 22) / (18 * 27)  # of the box around it
        for seed in range(20):
            done_HWC, found_HW = pasted(
                flat(9, 2), (image_HWC, labels_HW), np.random.default_rng(seed)
            )
            rows, columns = np.nonzero(found_HW == 1)
            box_pixels = (np.ptp(rows) + 1) * (np.ptp(columns) + 1)
            assert len(rows) / box_pixels == pytest.approx(share, abs=0.1)
            assert (done_HWC[found_HW == 1] >= 120).mean() > 0.95
            assert set(np.unique(done_HWC[found_HW == 2])) == {9}

    def test_specks_are_not_worth_it(self) -> None:
        image_HWC, labels_HW = flat(50, 0)
        image_HWC[:3, :5], labels_HW[:3, :5] = 200, 1
        _, found_HW = pasted(flat(9, 2), (image_HWC, labels_HW), np.random.default_rng(0))
        assert (found_HW == 2).all()

    def test_no_more_than_three_regions(self) -> None:
        image_HWC, labels_HW = flat(50, 0)
        for left in range(0, 36, 6):
            labels_HW[4:20, left : left + 3] = 1
        most = 16 * 3 * 3
        sizes = [
            (pasted(flat(9, 2), (image_HWC, labels_HW), np.random.default_rng(s))[1] == 1).sum()
            for s in range(100)
        ]
        assert most / 3 < max(sizes) <= most


class TestCutMix:
    def test_boxes_have_every_size_and_a_mean_area_of_a_half_less_what_is_cut_off(self) -> None:
        shares = []
        for seed in range(600):
            _, labels_HW = cutmix(flat(9, 2), flat(50, 0), np.random.default_rng(seed))
            rows, columns = np.nonzero(labels_HW == 0)
            if len(rows):
                assert len(rows) == (np.ptp(rows) + 1) * (np.ptp(columns) + 1)
            shares.append(len(rows) / labels_HW.size)
        # Of sides s = sqrt(u), a centre anywhere leaves s - s^2 / 4: squared, 0.32 on average.
        assert np.mean(shares) == pytest.approx(0.32, abs=0.04)
        assert min(shares) < 0.02
        assert max(shares) > 0.9


class TestClassMix:
    def test_half_of_the_classes_are_laid_over(self) -> None:
        other = flat(50, 0)
        other[1][:, :9], other[1][:, 9:18], other[1][:, 18:27] = 1, 3, IGNORE
        seen = set()
        for seed in range(40):
            _, labels_HW = by_class(flat(9, 2), other, np.random.default_rng(seed))
            seen.add(frozenset(np.unique(labels_HW).tolist()))
        assert seen == {frozenset({2, c}) for c in (0, 1, 3)}  # of three classes, one

    def test_a_picture_of_one_class_or_none_is_not_laid_over_another(self) -> None:
        for label in (0, IGNORE):
            _, labels_HW = by_class(flat(9, 2), flat(50, label), np.random.default_rng(0))
            assert (labels_HW == 2).all()
