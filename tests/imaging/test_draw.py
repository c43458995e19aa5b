import numpy as np
import pytest

from frugalseg.imaging.draw import color_table, colorize, overlay

COLORS = [(200, 0, 0), (0, 100, 0)]
LABELS_HW = np.array([[0, 1, 255]], np.uint8)


def test_ignored_pixels_are_black_when_painted() -> None:
    painted_HWC = colorize(LABELS_HW, COLORS)
    assert painted_HWC.tolist() == [[[200, 0, 0], [0, 100, 0], [0, 0, 0]]]


def test_ignored_pixels_are_untouched_in_the_overlay() -> None:
    image_HWC = np.full((1, 3, 3), 51, np.uint8)
    mixed_HWC = overlay(image_HWC, LABELS_HW, COLORS, alpha=0.25)
    assert mixed_HWC[0, 2].tolist() == [51, 51, 51]
    assert mixed_HWC[0, 0].tolist() == [88, 38, 38]


def test_grey_pictures_become_rgb() -> None:
    mixed_HWC = overlay(np.zeros((1, 3, 1), np.uint8), LABELS_HW, COLORS, alpha=1)
    np.testing.assert_array_equal(mixed_HWC, colorize(LABELS_HW, COLORS))


def test_the_table_has_a_colour_for_every_byte() -> None:
    table = color_table(COLORS)
    assert table.shape == (256, 3)
    assert table[:3].tolist() == [[200, 0, 0], [0, 100, 0], [0, 0, 0]]


def test_an_overlay_in_bands_is_that_of_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    image_HWC = random.integers(0, 256, (7, 5, 3), np.uint8)
    labels_HW = random.integers(0, 3, (7, 5), np.uint8)
    whole_HWC = overlay(image_HWC, labels_HW, COLORS, alpha=0.3)
    monkeypatch.setattr("frugalseg.imaging.draw.BAND_PIXELS", 11)
    np.testing.assert_array_equal(overlay(image_HWC, labels_HW, COLORS, alpha=0.3), whole_HWC)
