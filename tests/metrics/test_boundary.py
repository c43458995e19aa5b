import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from frugalseg.metrics.boundary import BoundaryCounts, default_tolerance, on_boundary

Ids = np.ndarray[tuple[int, int], np.dtype[np.uint8]]


def naive_edges(ids: Ids) -> set[tuple[int, int, int]]:
    height, width = ids.shape
    edges = set()
    for y in range(height):
        for x in range(width):
            for v, u in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
                inside = 0 <= v < height and 0 <= u < width
                if inside and 255 not in (ids[y, x], ids[v, u]) and ids[y, x] != ids[v, u]:
                    edges.add((y, x, int(ids[y, x])))
    return edges


def naive_f1(labels: Ids, predicted: Ids, tolerance: int) -> float | None:
    truth = naive_edges(labels)
    guess = naive_edges(np.where(labels == 255, np.uint8(255), predicted))

    def share_hit(own: list[tuple[int, int]], other: list[tuple[int, int]]) -> float:
        near = [any((y - v) ** 2 + (x - u) ** 2 <= tolerance**2 for v, u in other) for y, x in own]
        return sum(near) / max(1, len(near))

    f1 = []
    for k in {k for *_, k in truth | guess}:
        a = [(y, x) for y, x, c in truth if c == k]
        b = [(y, x) for y, x, c in guess if c == k]
        recall, precision = share_hit(a, b), share_hit(b, a)
        f1.append(2 * recall * precision / ((recall + precision) or 1))
    return sum(f1) / len(f1) if f1 else None


ids = arrays(np.uint8, (7, 9), elements=st.sampled_from([0, 1, 2, 40]))
with_ignore = arrays(np.uint8, (7, 9), elements=st.sampled_from([0, 1, 40, 255]))


@given(labels=with_ignore, predicted=ids, tolerance=st.integers(1, 4))
@settings(max_examples=60, deadline=None)
def test_it_agrees_with_a_naive_implementation(labels: Ids, predicted: Ids, tolerance: int) -> None:
    counts = BoundaryCounts(41, tolerance=tolerance)
    counts.add(labels, predicted)
    expected = naive_f1(labels, predicted, tolerance)
    assert counts.f1() == (expected if expected is None else pytest.approx(expected))


def test_an_outline_off_by_the_tolerance_is_perfect_and_one_pixel_more_is_not() -> None:
    labels, near, far = (np.zeros((40, 40), np.uint8) for _ in range(3))
    labels[:, 20:], near[:, 22:], far[:, 23:] = 1, 1, 1

    def score(predicted: Ids) -> float | None:
        counts = BoundaryCounts(2, tolerance=2)
        counts.add(labels, predicted)
        return counts.f1()

    assert score(near) == 1.0
    assert score(far) == 0.0


def test_the_sums_run_over_the_split_not_over_pictures() -> None:
    split = np.zeros((20, 20), np.uint8)
    split[:, 10:] = 1
    far = np.zeros((20, 20), np.uint8)
    far[:, 15:] = 1
    counts = BoundaryCounts(2, tolerance=1)
    counts.add(split, split)
    counts.add(split, far)
    assert counts.f1() == pytest.approx(0.5)


def test_pictures_of_one_class_have_no_boundary_score() -> None:
    counts = BoundaryCounts(2)
    counts.add(np.zeros((5, 5), np.uint8), np.zeros((5, 5), np.uint8))
    assert counts.f1() is None


def test_a_frame_of_ignored_pixels_makes_no_boundary() -> None:
    labels = np.full((6, 6), 255, np.uint8)
    labels[2:4, 2:4] = 1
    assert not on_boundary(labels).any()


def test_a_picture_narrower_than_the_tolerance_is_counted() -> None:
    counts = BoundaryCounts(2, tolerance=5)
    strip = np.array([[0, 1, 1]], np.uint8)
    counts.add(strip, strip)
    assert counts.f1() == 1.0


def test_the_tolerance_follows_the_diagonal() -> None:
    assert [default_tolerance(*s) for s in ((96, 128), (720, 960), (1080, 1920))] == [1, 9, 17]
