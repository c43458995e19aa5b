from hypothesis import given
from hypothesis import strategies as st

from frugalseg.cost.planner import Need, height, plan


def need(size: int, first: int, last: int) -> Need:
    return Need(bytes=size, first=first, last=last)


NEEDS = st.lists(
    st.tuples(st.integers(1, 9), st.integers(0, 6), st.integers(0, 3)).map(
        lambda n: need(16 * n[0], n[1], n[1] + n[2])
    ),
    max_size=20,
)


def test_of_a_chain_neighbours_are_apart_and_others_share() -> None:
    chain = [need(16, 0, 1), need(16, 1, 2), need(16, 2, 3), need(16, 3, 4)]
    assert plan(chain) == (16, 0, 16, 0)


def test_of_equals_the_last_named_is_placed_first() -> None:
    assert plan([need(32, 0, 2), need(32, 0, 2), need(32, 0, 2)]) == (64, 32, 0)


def test_a_gap_is_used_if_it_is_large_enough_and_passed_over_if_not() -> None:
    below, above = need(64, 0, 1), need(48, 1, 2)  # above rests on below, and is there later
    fits, too_large = need(32, 2, 2), need(80, 2, 2)
    assert plan([below, above, fits])[1:] == (64, 0)
    assert plan([below, above, need(32, 2, 2), need(32, 2, 2)]) == (0, 64, 32, 0)
    assert plan([below, above, too_large])[2] == 0
    assert plan([below, above, too_large])[1] == 80


def test_nothing_to_place_takes_nothing() -> None:
    assert (plan([]), height([], ())) == ((), 0)


@given(NEEDS)
def test_buffers_alive_together_never_overlap(needs: list[Need]) -> None:
    offsets = plan(needs)
    for i, (a, at) in enumerate(zip(needs, offsets, strict=True)):
        for b, bt in zip(needs[:i], offsets[:i], strict=True):
            apart = a.first > b.last or b.first > a.last
            assert apart or at >= bt + b.bytes or bt >= at + a.bytes


@given(NEEDS)
def test_the_plan_is_between_what_is_alive_at_once_and_all_together(needs: list[Need]) -> None:
    most = max(
        (sum(n.bytes for n in needs if n.first <= t <= n.last) for t in range(10)), default=0
    )
    assert most <= height(needs, plan(needs)) <= sum(n.bytes for n in needs)
