"""Regions against plain ways to find them, run lengths against pycocotools."""

from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from frugalseg.serve.outlines import polygons
from frugalseg.serve.regions import TooRaggedError, compressed_rle, find_regions

SIZES = [(1, 1), (1, 7), (7, 1), (5, 6), (24, 17)]


def label_maps() -> Iterator[NDArray[np.uint8]]:
    """Noise, which has every way in which regions can touch, and the same in larger pixels."""
    random = np.random.default_rng(0)
    for size in SIZES:
        for _ in range(5):
            noise_HW = random.integers(0, 3, size).astype(np.uint8)
            yield noise_HW
            yield noise_HW.repeat(3, axis=0).repeat(2, axis=1)


def flooded(labels_HW: NDArray[np.uint8]) -> Iterator[tuple[int, NDArray[np.bool_]]]:
    """Yield class and mask of each region, found by spreading from its first pixel."""
    seen_HW = np.zeros(labels_HW.shape, bool)
    height, width = labels_HW.shape
    for x in range(width):
        for y in range(height):
            if seen_HW[y, x]:
                continue
            mask_HW, border = np.zeros(labels_HW.shape, bool), [(y, x)]
            while border:
                row, column = border.pop()
                inside = 0 <= row < height and 0 <= column < width
                if inside and not mask_HW[row, column]:
                    if labels_HW[row, column] != labels_HW[y, x]:
                        continue
                    mask_HW[row, column] = True
                    border += [(row + 1, column), (row - 1, column)]
                    border += [(row, column + 1), (row, column - 1)]
            seen_HW |= mask_HW
            yield int(labels_HW[y, x]), mask_HW


@pytest.mark.parametrize("labels_HW", list(label_maps()), ids=lambda m: "x".join(map(str, m.shape)))
def test_regions_are_those_that_flooding_finds(labels_HW: NDArray[np.uint8]) -> None:
    coco = pytest.importorskip("pycocotools.mask")
    found = find_regions(labels_HW)
    every = np.arange(len(found.classes))
    expected = list(flooded(labels_HW))
    assert [kind for kind, _ in expected] == found.classes.tolist()
    for number, (starts, stops) in enumerate(found.runs_of(every)):
        mask_HW = expected[number][1]
        encoded = coco.encode(np.asfortranarray(mask_HW, np.uint8))
        written = compressed_rle(starts, stops, found.size)
        assert written["counts"] == encoded["counts"].decode()
        assert coco.toBbox(encoded).tolist() == found.boxes[number].tolist()
        assert mask_HW.sum() == found.pixels[number]


@pytest.mark.parametrize("labels_HW", list(label_maps()), ids=lambda m: "x".join(map(str, m.shape)))
def test_outlines_enclose_their_region_and_nothing_else(labels_HW: NDArray[np.uint8]) -> None:
    found = find_regions(labels_HW)
    drawn = polygons(found, np.arange(len(found.classes)))
    for (_, mask_HW), rings in zip(flooded(labels_HW), drawn, strict=True):
        inside_HW = np.zeros(labels_HW.shape, bool)
        for ring in rings:
            corners = list(zip(ring[::2], ring[1::2], strict=True))
            for (x, y), (next_x, next_y) in zip(corners, [*corners[1:], corners[0]], strict=True):
                assert (x == next_x) != (y == next_y)
                if x == next_x:  # pixels to the right of an upright edge change sides
                    inside_HW[min(y, next_y) : max(y, next_y), x:] ^= True
        np.testing.assert_array_equal(inside_HW, mask_HW)


def test_a_ring_round_a_hole_has_two_outlines() -> None:
    labels_HW = np.zeros((5, 5), np.uint8)
    labels_HW[1:4, 1:4] = 1
    labels_HW[2, 2] = 2
    found = find_regions(labels_HW)
    number = found.classes.tolist().index(1)
    [rings] = polygons(found, np.array([number]))
    assert [sorted(set(ring)) for ring in rings] == [[1, 4], [2, 3]]


def test_a_mean_is_over_the_pixels_of_its_region() -> None:
    labels_HW = np.array([[0, 0, 1], [0, 1, 1]], np.uint8)
    values_HW = np.array([[1, 2, 9], [3, 5, 1]], np.float32)
    assert find_regions(labels_HW).means(values_HW).tolist() == [2.0, 5.0]


def test_a_map_of_more_runs_than_are_looked_at_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("frugalseg.serve.regions.MOST_RUNS", 3)
    with pytest.raises(TooRaggedError, match="4 runs"):
        find_regions(np.eye(2, dtype=np.uint8))
