import pytest

from frugalseg.core.errors import ConfigError
from frugalseg.cost.channels import Group, channel_counts, groups
from frugalseg.cost.graph import Graph, Op, chain


def conv(name: str, reads: str, writes: str, weights: int, groups: int = 1) -> Op:
    return Op(
        name=name, kind="conv_2d" if groups == 1 else "depthwise_conv_2d", reads=(reads,),
        writes=(writes,), weight_elements=weights, groups=groups,
    )  # fmt: skip


def joined() -> Graph:
    """Two maps of a picture, one depthwise, laid side by side and mixed."""
    return chain(
        conv("left", "image", "a", 3 * 8),
        conv("right", "image", "b", 3 * 16),
        conv("each", "b", "c", 16 * 9, groups=16),
        Op(name="cat", kind="concatenation", reads=("a", "c"), writes=("d",)),
        conv("mix", "d", "e", 24 * 24),
        Op(name="add", kind="add", reads=("d", "e"), writes=("f",)),
        shapes={
            "image": (1, 3, 4, 4), "a": (1, 8, 4, 4), "b": (1, 16, 4, 4), "c": (1, 16, 4, 4),
            "d": (1, 24, 4, 4), "e": (1, 24, 4, 4), "f": (1, 24, 4, 4),
        },
    )  # fmt: skip


def test_what_must_agree_is_one_group_and_a_sum_is_none() -> None:
    assert groups(joined()) == (
        Group(makers=("image",), tensors=frozenset({"image"}), channels=3),
        Group(makers=("left",), tensors=frozenset("adef"), channels=8),
        Group(makers=("right",), tensors=frozenset("bcdef"), channels=16),
    )


def test_a_concatenation_and_what_is_added_to_it_follow() -> None:
    counts = channel_counts(joined(), {"left": 4, "right": 32})
    assert counts == {"image": 3, "a": 4, "b": 32, "c": 32, "d": 36, "e": 36, "f": 36}


def test_a_sum_cannot_be_set() -> None:
    with pytest.raises(ConfigError, match="mix makes 24 channels, cannot 8"):
        channel_counts(joined(), {"mix": 8})


def padded() -> Graph:
    """A map, another that is made of it, and the first with zeros for the channels it lacks."""
    return chain(
        conv("few", "image", "a", 3 * 8),
        conv("many", "a", "b", 8 * 24),
        Op(name="pad", kind="pad", reads=("a",), writes=("c",)),
        Op(name="add", kind="add", reads=("b", "c"), writes=("d",)),
        shapes={
            "image": (1, 3, 4, 4), "a": (1, 8, 4, 4),
            **dict.fromkeys("bcd", (1, 24, 4, 4)),
        },
    )  # fmt: skip


def test_channels_of_zeros_are_a_group_beside_those_that_were_there() -> None:
    assert [(group.makers, group.channels) for group in groups(padded())] == [
        (("image",), 3), (("few",), 8), (("pad",), 16),
    ]  # fmt: skip
    counts = channel_counts(padded(), {"few": 4, "pad": 5})
    assert counts == {"image": 3, "a": 4, "b": 9, "c": 9, "d": 9}


def test_parts_of_joined_maps_that_are_added_up_are_tied() -> None:
    net = chain(
        conv("one", "image", "a", 3 * 8),
        conv("two", "image", "b", 3 * 16),
        Op(name="first", kind="concatenation", reads=("a", "b"), writes=("c",)),
        conv("three", "c", "d", 24 * 8),
        conv("four", "c", "e", 24 * 16),
        Op(name="second", kind="concatenation", reads=("d", "e"), writes=("f",)),
        Op(name="add", kind="add", reads=("c", "f"), writes=("g",)),
        shapes={
            "image": (1, 3, 4, 4), "a": (1, 8, 4, 4), "b": (1, 16, 4, 4), "d": (1, 8, 4, 4),
            "e": (1, 16, 4, 4), **dict.fromkeys("cfg", (1, 24, 4, 4)),
        },
    )  # fmt: skip
    assert [group.makers for group in groups(net)][1:] == [("one", "three"), ("two", "four")]
    assert channel_counts(net, {"one": 4})["g"] == 20


def test_a_name_that_makes_nothing_is_refused_with_a_hint() -> None:
    with pytest.raises(ConfigError, match="did you mean 'left'"):
        channel_counts(joined(), {"lift": 8})


def test_members_of_a_group_cannot_be_set_apart() -> None:
    net = chain(
        conv("one", "a", "b", 8),
        conv("two", "b", "c", 64),
        Op(name="add", kind="add", reads=("b", "c"), writes=("d",)),
        shapes={name: (1, 1 if name == "a" else 8, 2, 2) for name in "abcd"},
    )
    with pytest.raises(ConfigError, match="one, two must make equally many channels"):
        channel_counts(net, {"one": 4, "two": 16})


def test_what_is_not_understood_pins_its_channels() -> None:
    net = chain(
        conv("one", "a", "b", 24),
        Op(name="roll", kind="roll", reads=("b",), writes=("c",)),
        shapes={"a": (1, 3, 2, 2), "b": (1, 8, 2, 2), "c": (1, 8, 2, 2)},
    )
    assert [group.makers for group in groups(net)] == [("a",)]
    with pytest.raises(ConfigError, match="one makes 8 channels, cannot 4"):
        channel_counts(net, {"one": 4})


def test_a_map_of_one_channel_that_counts_for_all_stays_one() -> None:
    net = chain(
        conv("map", "a", "b", 24),
        conv("mask", "a", "m", 3),
        Op(name="mul", kind="mul", reads=("b", "m"), writes=("c",)),
        shapes={"a": (1, 3, 2, 2), "b": (1, 8, 2, 2), "m": (1, 1, 2, 2), "c": (1, 8, 2, 2)},
    )
    assert [group.makers for group in groups(net)] == [("a",), ("map",)]
