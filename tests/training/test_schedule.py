from itertools import pairwise

import pytest

from frugalseg.training.recipe import Schedule
from frugalseg.training.schedule import END, START, rate

BOTH = [Schedule(name="onecycle"), Schedule(name="poly")]
HUNDREDTHS = [i / 100 for i in range(101)]


@pytest.mark.parametrize("schedule", BOTH)
class TestEverySchedule:
    def test_it_starts_low_peaks_after_the_warmup_and_ends_near_zero(
        self, schedule: Schedule
    ) -> None:
        assert rate(schedule, 0) == pytest.approx(START)
        assert rate(schedule, schedule.warmup) == pytest.approx(1)
        assert rate(schedule, 1) == pytest.approx(END)

    def test_it_rises_then_falls(self, schedule: Schedule) -> None:
        rates = [rate(schedule, p) for p in HUNDREDTHS]
        peak = rates.index(max(rates))
        assert peak == round(schedule.warmup * 100)
        assert rates[: peak + 1] == sorted(set(rates[: peak + 1]))
        assert rates[peak:] == sorted(set(rates[peak:]), reverse=True)

    def test_it_has_no_jump(self, schedule: Schedule) -> None:
        rates = [rate(schedule, p) for p in HUNDREDTHS]
        steepest = max(abs(a - b) for a, b in pairwise(rates))
        assert steepest < 0.2

    def test_past_the_ends_it_stays(self, schedule: Schedule) -> None:
        assert rate(schedule, -0.5) == rate(schedule, 0)
        assert rate(schedule, 1.5) == rate(schedule, 1)

    def test_without_warmup_it_starts_at_the_peak(self, schedule: Schedule) -> None:
        assert rate(schedule.model_copy(update={"warmup": 0.0}), 0) == pytest.approx(1)


def test_poly_falls_as_its_power_says() -> None:
    schedule = Schedule(name="poly", warmup=0, power=2)
    assert rate(schedule, 0.5) == pytest.approx(0.25)


def test_onecycle_is_half_way_down_half_way() -> None:
    assert rate(Schedule(warmup=0), 0.5) == pytest.approx(0.5, abs=1e-3)
