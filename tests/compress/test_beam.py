"""The beam search, on ladders and scores that are made up."""

from frugalseg.compress.beam import Beam, Ranks, Rung, search

LADDERS = {
    "a": [Rung(rank=("channel", 4 - i), saves=1.0 + i, loses=0.1 * (1 + i)) for i in range(3)],
    "b": [Rung(rank=("channel", 8 - i), saves=1.0 + i, loses=0.2 * (1 + i)) for i in range(3)],
}
STEP = 1.0  # what each rung saves


def saved(ranks: Ranks) -> float:
    return sum(
        rung.saves for name, rank in ranks.items() for rung in LADDERS[name] if rung.rank == rank
    )


def beam(kept: int = 3, children: int = 8) -> Beam:
    return Beam(score=lambda _network: 0.0, kept=kept, children=children)


def test_the_most_accurate_that_is_small_enough_is_found() -> None:
    found = search(LADDERS, STEP, lambda ranks: -len(ranks), lambda r: saved(r) >= 3, beam())
    assert found == ({"a": ("channel", 2)}, -1)


def test_layers_share_where_that_is_more_accurate() -> None:
    def score(ranks: Ranks) -> float:
        return -max(saved({name: rank}) for name, rank in ranks.items())

    found = search(LADDERS, STEP, score, lambda ranks: saved(ranks) >= 4, beam())
    assert found is not None
    assert found[0] == {"a": ("channel", 3), "b": ("channel", 7)}


def test_a_wider_beam_finds_what_a_narrow_one_loses() -> None:
    def score(ranks: Ranks) -> float:  # b alone is bad at first and best in the end
        return {1.0: 0.5, 2.0: 0.4, 3.0: 0.9}[saved(ranks)] if set(ranks) == {"b"} else 0.6

    ends = [search(LADDERS, STEP, score, lambda r: saved(r) >= 3, beam(kept=n)) for n in (1, 3)]
    assert [None if end is None else end[1] for end in ends] == [0.6, 0.9]


def test_few_children_are_those_that_lose_least() -> None:
    asked: list[Ranks] = []

    def score(ranks: Ranks) -> float:
        asked.append(ranks)
        return 0.0

    search(LADDERS, STEP, score, lambda ranks: saved(ranks) >= 2, beam(children=1))
    assert asked == [{"a": ("channel", 4)}, {"a": ("channel", 3)}]


def test_layers_that_save_little_take_a_step_together() -> None:
    """The cheapest that save a step are the first child, those after them the next; no rest is."""
    ladders = {
        name: [Rung(rank=("channel", 1), saves=0.5, loses=loses)]
        for name, loses in (("a", 0.3), ("b", 0.1), ("c", 0.4), ("d", 0.2), ("e", 0.5))
    }
    asked: list[set[str]] = []

    def score(ranks: Ranks) -> float:
        asked.append(set(ranks))
        return -len(asked)

    search(ladders, STEP, score, lambda ranks: len(ranks) > 3, beam(kept=1))
    assert asked == [{"b", "d"}, {"a", "c"}, {"b", "d", "a", "c"}]


def test_a_layer_that_saves_a_step_is_tried_alone() -> None:
    ladders = {
        "a": [Rung(rank=("channel", 4 - i), saves=1.0 + i, loses=0.1 * (1 + i)) for i in range(3)],
        "b": [
            Rung(rank=("channel", 8 - i), saves=0.25 * (1 + i), loses=0.01 * (1 + i))
            for i in range(4)
        ],
    }

    def score(ranks: Ranks) -> float:
        return -len(ranks)

    found = search(ladders, STEP, score, lambda ranks: ranks.get("a") == ("channel", 2), beam())
    assert found == ({"a": ("channel", 2)}, -1)


def test_nothing_is_found_below_the_last_rungs() -> None:
    assert search(LADDERS, STEP, lambda _ranks: 0.0, lambda _ranks: False, beam()) is None
