import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frugalseg.core.budget import Budget, Excess, Footprint, Verdict
from frugalseg.core.errors import ConfigError

NEED = Footprint(storage_bytes=400, ram_bytes=100, macs=7)


def test_a_device_without_limits_takes_everything() -> None:
    assert Budget().check(NEED)
    assert str(Budget().check(NEED)) == "fits"


def test_a_limit_may_be_reached_but_not_passed() -> None:
    assert Budget(storage_bytes=400, total_bytes=500).check(NEED)
    assert not Budget(storage_bytes=399).check(NEED)


def test_every_broken_limit_is_named() -> None:
    limits = Budget(storage_bytes=1, ram_bytes=1, total_bytes=1, macs=1)
    verdict = limits.check(NEED)
    assert [excess.resource for excess in verdict.excess] == [
        "storage",
        "ram",
        "total",
        "macs",
    ]


def test_a_shared_memory_counts_file_and_activations_together() -> None:
    verdict = Budget(storage_bytes=450, ram_bytes=450, total_bytes=450).check(NEED)
    assert verdict == Verdict((Excess(resource="total", needed=500, allowed=450),))


def test_an_excess_says_by_how_much_and_in_what_unit() -> None:
    assert str(Excess(resource="total", needed=1_500, allowed=1_000)) == (
        "total needs 1,500 bytes of 1,000 (500 too many)"
    )
    assert "bytes" not in str(Excess(resource="macs", needed=2, allowed=1))


@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_that_nothing_meets_is_refused(limit: int) -> None:
    with pytest.raises(ConfigError, match="total_bytes must be positive"):
        Budget(total_bytes=limit)


@given(st.integers(1, 10**9), st.integers(0, 10**9), st.integers(0, 10**9))
def test_a_larger_network_never_fits_where_a_smaller_one_does_not(
    allowed: int, needed: int, more: int
) -> None:
    budget = Budget(ram_bytes=allowed)
    small = Footprint(storage_bytes=0, ram_bytes=needed, macs=0)
    large = Footprint(storage_bytes=0, ram_bytes=needed + more, macs=0)
    assert bool(budget.check(small)) or not bool(budget.check(large))


def test_each_figure_says_whether_it_was_measured() -> None:
    need = Footprint(
        storage_bytes=400, ram_bytes=100, macs=7, measured=frozenset({"storage_bytes"})
    )
    assert need.origin_of("storage_bytes") == "measured"
    assert need.origin_of("ram_bytes") == need.origin_of("macs") == "estimated"


def test_a_sum_is_measured_only_if_all_its_parts_are() -> None:
    parts = frozenset({"storage_bytes", "ram_bytes"})
    assert replace(NEED, measured=parts - {"storage_bytes"}).origin_of("total_bytes") == "estimated"
    assert replace(NEED, measured=parts).origin_of("total_bytes") == "measured"


def test_a_figure_that_does_not_exist_cannot_have_been_measured() -> None:
    with pytest.raises(ValueError, match="storage_byte"):
        replace(NEED, measured=frozenset({"storage_byte"}))
    with pytest.raises(ValueError, match="latency"):
        NEED.origin_of("latency")


def test_a_footprint_is_plain_values_for_json() -> None:
    need = replace(NEED, measured=frozenset({"macs", "storage_bytes"}))
    assert json.loads(json.dumps(need.to_dict())) == {
        "storage_bytes": 400, "ram_bytes": 100, "macs": 7,
        "measured": ["macs", "storage_bytes"],
    }  # fmt: skip
