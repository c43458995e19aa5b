import math

import pytest

from frugalseg.report.charts import HEIGHT, MAX_POINTS, WIDTH, curve, ticks, timeline
from frugalseg.report.contents import Moment
from frugalseg.report.wording import short


@pytest.mark.parametrize(
    ("low", "high"), [(0, 0), (0, 1e-9), (-3, 2), (5, 5), (0.61, 0.64), (0, 3e12)]
)
def test_ticks_span_the_values_in_a_few_steps(low: float, high: float) -> None:
    marks = ticks(low, high)
    assert marks[0] <= low
    assert marks[-1] >= high
    assert 2 <= len(marks) <= 7


def test_values_that_are_not_finite_are_counted_and_not_drawn() -> None:
    drawn = curve([(0, 1.0), (1, math.nan), (2, math.inf), (3, 0.5)], short)
    assert drawn is not None
    assert drawn.undrawn == 2
    assert "nan" not in drawn.line
    assert curve([(0, math.nan)], short) is None
    assert curve([], short) is None


def test_a_single_point_is_a_curve() -> None:
    drawn = curve([(5, 0.5)], short)
    assert drawn is not None
    assert len(drawn.columns) == 1


def test_many_points_are_merged_with_their_extremes() -> None:
    drawn = curve([(i, float(i % 7)) for i in range(50_000)], short)
    assert drawn is not None
    assert drawn.line.count("L") < MAX_POINTS
    assert drawn.band
    places = [float(pair.split()[0]) for pair in drawn.line[1:-3].split(" L")]
    assert min(places) >= 0
    assert max(places) <= WIDTH


def test_the_peak_is_marked_once_at_its_first_operator() -> None:
    drawn = timeline([Moment("a", 1), Moment("b", 9), Moment("c", 9)], None)
    assert drawn is not None
    assert [bar.is_peak for bar in drawn.bars] == [False, True, False]
    assert drawn.peak_left == 50
    assert drawn.limit_top is None


def test_a_limit_near_the_peak_is_drawn_and_one_far_above_is_not() -> None:
    moments = [Moment("a", 100)]
    near, far, gone = (timeline(moments, limit) for limit in (150, 10_000, -5))
    assert near is not None
    assert near.limit_top is not None
    assert 0 <= near.limit_top <= near.bars[0].top <= HEIGHT
    assert far is not None
    assert far.limit_top is None
    assert gone is not None
    assert gone.limit_top is None


def test_operators_without_memory_are_drawn_flat() -> None:
    drawn = timeline([Moment("a", 0)], None)
    assert drawn is not None
    assert drawn.bars[0].height == 0


def test_what_is_there_all_the_time_lies_below_the_moments() -> None:
    drawn = timeline([Moment("a", 20), Moment("b", 60)], 100, base_bytes=40)
    assert drawn is not None
    assert drawn.base_top == HEIGHT * 0.6
    assert [bar.top for bar in drawn.bars] == [HEIGHT * 0.4, 0]
    assert [bar.top + bar.height for bar in drawn.bars] == [drawn.base_top] * 2
    assert drawn.limit_top == drawn.peak_top == 0  # base and moment together reach the limit


def test_without_a_base_the_bars_stand_on_the_ground() -> None:
    drawn = timeline([Moment("a", 20)], None)
    assert drawn is not None
    assert drawn.base_top == drawn.bars[0].top + drawn.bars[0].height == HEIGHT
