import numpy as np
import pytest

from frugalseg.data.shapes.outlines import outlines
from frugalseg.data.shapes.polygons import fill


@pytest.mark.parametrize("share", [0.3, 0.5, 0.7, 0.9])
def test_filled_again_a_region_is_what_it_was(share: float) -> None:
    rng = np.random.default_rng(0)
    for _ in range(250):
        region_HW = rng.random(rng.integers(1, 12, 2)) < share
        filled_HW = np.zeros(region_HW.shape, np.uint8)
        for points_P2 in outlines(region_HW):
            part_HW = np.zeros(region_HW.shape, np.uint8)
            fill(part_HW, points_P2.astype(np.float64), 1)
            assert not (part_HW & filled_HW).any()
            filled_HW |= part_HW
        assert (filled_HW == region_HW).all()


def test_a_hole_is_part_of_the_outline_and_corners_alone_do_not_touch() -> None:
    ring_HW = np.ones((3, 3), np.bool_)
    ring_HW[1, 1] = False
    assert len(outlines(ring_HW)) == 1
    assert len(outlines(np.eye(3, dtype=np.bool_))) == 3
    assert outlines(np.zeros((2, 2), np.bool_)) == []


def test_no_way_is_oblique() -> None:
    region_HW = np.random.default_rng(1).random((40, 60)) < 0.8
    for points_P2 in outlines(region_HW):
        ways = np.diff(points_P2, axis=0, append=points_P2[:1])
        assert (ways == 0).any(axis=1).all()
