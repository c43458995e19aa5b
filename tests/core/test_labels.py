import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frugalseg.core.errors import ConfigError
from frugalseg.core.labels import IGNORE, LabelSpace, palette


@st.composite
def label_spaces(draw: st.DrawFn) -> LabelSpace:
    lines = st.text(min_size=1, max_size=8).filter(lambda name: name.splitlines() == [name])
    names = draw(st.lists(lines, min_size=1, max_size=20, unique=True))
    ids = st.sampled_from([*range(len(names)), IGNORE])
    return LabelSpace(
        names=tuple(names),
        colors=palette(len(names)),
        from_disk=draw(st.dictionaries(st.integers(0, 255), ids)),
        background=draw(st.none() | st.integers(0, len(names) - 1)),
    )


@pytest.mark.parametrize("name", ["", "sky\n", "a\u2028b"])
def test_a_class_name_is_one_line(name: str) -> None:
    with pytest.raises(ConfigError, match="one line of text"):
        LabelSpace.of(["road", name])


@given(label_spaces())
def test_a_label_space_survives_a_round_trip_through_json(labels: LabelSpace) -> None:
    assert LabelSpace.from_dict(json.loads(json.dumps(labels.to_dict()))) == labels


def test_the_common_case_maps_each_value_to_itself_and_255_to_ignore() -> None:
    labels = LabelSpace.of(["a", "b"], background=0)
    assert labels.from_disk == {0: 0, 1: 1, 255: IGNORE}
    assert labels.num_classes == 2
    assert labels.colors[0] == (0, 0, 0)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"names": ()}, "1 to 255 classes, got 0"),
        ({"names": tuple(map(str, range(256)))}, "1 to 255 classes, got 256"),
        ({"names": ("a", "a")}, "must differ"),
        ({"colors": palette(3)}, "2 classes but 3 colours"),
        ({"from_disk": {7: 2}}, "do not exist: {7: 2}"),
        ({"from_disk": {300: 0, 1: 1}}, r"mask values are 0 to 255, got \[300\]"),
        ({"from_disk": {-1: 0, 256: IGNORE}}, r"mask values are 0 to 255, got \[-1, 256\]"),
        ({"colors": ((0, 0, 0), (0, 256, 0))}, r"0 to 255, got \[\(0, 256, 0\)\]"),
        ({"colors": ((-1, 0, 0), (0, 0, 0))}, r"0 to 255, got \[\(-1, 0, 0\)\]"),
        ({"background": 2}, "background 2 is not a class"),
        ({"background": -1}, "background -1 is not a class"),
    ],
)
def test_a_label_space_that_contradicts_itself_is_refused(
    wrong: dict[str, Any], message: str
) -> None:
    right = {"names": ("a", "b"), "colors": palette(2), "from_disk": {0: 0, 1: 1}}
    with pytest.raises(ConfigError, match=message):
        LabelSpace(**{**right, **wrong})


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"names": ["a"]},
        {"names": ["a"], "colors": [[1, 2]], "from_disk": {}, "background": None},
        {"names": ["a"], "colors": [[1, 2, 3]], "from_disk": {"x": 0}, "background": None},
        {"names": ["a"], "colors": [[1, 2, 3]], "from_disk": [0], "background": None},
        {"names": 3, "colors": [], "from_disk": {}, "background": None},
    ],
)
def test_damaged_values_are_refused_as_such(values: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="not a label space"):
        LabelSpace.from_dict(values)


@pytest.mark.parametrize(
    "wrong", [{"from_disk": {"300": 0}}, {"from_disk": {"-1": 0}}, {"colors": [[0, 0, 256]]}]
)
def test_values_beyond_a_byte_are_refused_when_read_too(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="0 to 255, got"):
        LabelSpace.from_dict(LabelSpace.of(["a"]).to_dict() | wrong)


@pytest.mark.parametrize("background", [None, 0, 254])
def test_all_colours_of_a_palette_differ(background: int | None) -> None:
    colors = palette(255, background)
    assert len(set(colors)) == 255
    assert all(0 <= part <= 255 for color in colors for part in color)
