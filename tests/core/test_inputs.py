from typing import Any

import pytest

from frugalseg.core.errors import ConfigError
from frugalseg.core.inputs import InputSpec


@pytest.mark.parametrize(
    ("text", "size"),
    [("360x480", (360, 480)), ("96", (96, 96)), ("37X53", (37, 53)), ("360×480", (360, 480))],
)
def test_a_size_is_height_by_width(text: str, size: tuple[int, int]) -> None:
    assert InputSpec.parse(text).size == size


@pytest.mark.parametrize("text", ["", "x", "10x", "10x20x3", "-10x20", "1e2x20", "ten"])
def test_other_text_is_not_a_size(text: str) -> None:
    with pytest.raises(ConfigError, match="is not HEIGHTxWIDTH"):
        InputSpec.parse(text)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"height": 15}, "height must be 16 to 8192 px, got 15"),
        ({"width": 8193}, "width must be 16 to 8192 px, got 8193"),
        ({"channels": 4}, r"channels must be 1 \(grey\) or 3 \(RGB\), got 4"),
        ({"std": 0.0}, "std must be positive"),
        ({"std": float("nan")}, "std must be positive"),
    ],
)
def test_an_input_that_no_network_takes_is_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        InputSpec(**{"height": 96, "width": 128, **wrong})


def test_an_input_survives_a_round_trip() -> None:
    spec = InputSpec(height=37, width=53, channels=1, mean=0.0, std=255.0)
    assert InputSpec.from_dict(spec.to_dict()) == spec
    with pytest.raises(ConfigError, match=r"not an input spec: .*heigth"):
        InputSpec.from_dict({"heigth": 37, "width": 53})


def test_with_the_default_every_int8_value_is_the_pixel_less_128() -> None:
    spec = InputSpec(height=96, width=96)
    # An int8 tensor of scale 1/64 and zero point 0 (ADR 0005).
    assert all(((p - spec.mean) / spec.std) * 64 == p - 128 for p in range(256))
