from pathlib import Path

import pytest

from frugalseg.core.errors import ConfigError
from frugalseg.data.dataset import Sample
from frugalseg.data.split import by_source, divide, read_shares


def samples(*names: str) -> list[Sample]:
    return [Sample(name=name, image=Path(name), label=Path(name)) for name in names]


def test_a_group_is_never_torn_and_shares_are_kept() -> None:
    groups = [samples(*(f"{group}.{i}" for i in range(1 + group % 3))) for group in range(60)]
    divided = divide(groups, {"train": 0.7, "val": 0.2, "test": 0.1})
    side = {s.name: split for split, found in divided.items() for s in found}
    assert len(side) == sum(map(len, groups)) == 120
    assert all(len({side[s.name] for s in group}) == 1 for group in groups)
    assert {split: len(found) for split, found in divided.items()} == pytest.approx(
        {"train": 84, "val": 24, "test": 12}, abs=1
    )


def test_another_seed_divides_otherwise_and_the_same_one_the_same() -> None:
    groups = [samples(str(i)) for i in range(50)]
    shares = {"train": 0.8, "val": 0.2}
    assert divide(groups, shares, 1) == divide(groups[::-1], shares, 1) != divide(groups, shares, 2)


def test_a_few_large_groups_leave_no_split_empty() -> None:
    groups = [samples(*map(str, range(300))), samples("a", "b"), samples("c")]
    divided = divide(groups, {"train": 0.5, "val": 0.25, "test": 0.25})
    assert {split: len(found) for split, found in divided.items()} == {
        "train": 300, "val": 2, "test": 1,
    }  # fmt: skip
    with pytest.raises(ConfigError, match=r"2 groups .* too few for train, val, test"):
        divide(groups[:2], {"train": 0.5, "val": 0.25, "test": 0.25})


@pytest.mark.parametrize("text", ["0.8", "0.8/0.3", "a/b", "1/0", "0.5/0.2/0.2/0.1", "nan/1", ""])
def test_shares_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="shares"):
        read_shares(text)


def test_the_source_is_what_the_pattern_finds() -> None:
    found = by_source(samples("bag_1.rf.ab", "bag_1.rf.cd", "can_2.rf.ef"), r"^(.*)\.rf\.")
    assert [[s.name for s in group] for group in found] == [
        ["bag_1.rf.ab", "bag_1.rf.cd"], ["can_2.rf.ef"],
    ]  # fmt: skip
    assert len(by_source(samples("bag_1", "bag_2", "can_1"), "^[a-z]+")) == 2
    with pytest.raises(ConfigError, match="not found in 1 names, such as can"):
        by_source(samples("bag_1", "can"), "_")
    with pytest.raises(ConfigError, match="no regular expression"):
        by_source(samples("bag_1"), "(")
