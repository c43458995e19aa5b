import pytest

from frugalseg.core.errors import ConfigError
from frugalseg.models.settings import check_choice, check_whole, check_width


@pytest.mark.parametrize("width", [0.1, 4.1, "1", True, None])
def test_a_width_that_cannot_be(width: object) -> None:
    with pytest.raises(ConfigError, match=r"decoder_width must be 0\.125 to 4\.0, got"):
        check_width(width, "decoder_width")


@pytest.mark.parametrize("depth", [0, 5, 2.0, "2", True, None])
def test_a_whole_number_that_cannot_be(depth: object) -> None:
    with pytest.raises(ConfigError, match="depth must be a whole number from 1 to 4, got"):
        check_whole("depth", depth, (1, 4))


def test_what_can_be_passes() -> None:
    for width in (0.125, 1, 4.0):
        check_width(width)
    check_whole("depth", 4, (1, 4))
    check_choice("act", "relu", ("prelu", "relu"))


def test_a_choice_names_all_there_are() -> None:
    with pytest.raises(ConfigError, match="size must be 'b0', 'b1' or 'b2', got 'b9'"):
        check_choice("size", "b9", ("b0", "b1", "b2"))
