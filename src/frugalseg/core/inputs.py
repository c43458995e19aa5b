"""InputSpec: what a network takes, from picture to tensor."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from frugalseg.core.errors import ConfigError

MIN_SIDE = 16
MAX_SIDE = 8192


@dataclass(frozen=True, slots=True, kw_only=True)
class InputSpec:
    """The input of a network: pictures are stretched to height x width, then normalised.

    x = (pixel - mean) / std, in pixel units 0..255, the same for all channels. With the
    default, an int8 tensor of scale 1/64 and zero point 0 holds exactly pixel - 128: the
    deployed file needs no operator for it, and padding with zeros means the same in both
    (ADR 0005).

    >>> InputSpec.parse("360x480")
    InputSpec(height=360, width=480, channels=3, mean=128.0, std=64.0)
    >>> str(InputSpec(height=96, width=128))
    '96x128'
    """

    height: int
    width: int
    channels: int = 3
    mean: float = 128.0
    std: float = 64.0

    def __post_init__(self) -> None:
        for name, side in (("height", self.height), ("width", self.width)):
            if not MIN_SIDE <= side <= MAX_SIDE:
                raise ConfigError(f"{name} must be {MIN_SIDE} to {MAX_SIDE} px, got {side}")
        if self.channels not in {1, 3}:
            raise ConfigError(f"channels must be 1 (grey) or 3 (RGB), got {self.channels}")
        if not self.std > 0:
            raise ConfigError(f"std must be positive, got {self.std}")

    def __str__(self) -> str:
        return f"{self.height}x{self.width}"

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.height, self.width

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read "HEIGHTxWIDTH", or one number for a square.

        >>> InputSpec.parse("10by20")
        Traceback (most recent call last):
            ...
        frugalseg.core.errors.ConfigError: size '10by20' is not HEIGHTxWIDTH, such as 360x480
        """
        sides = text.lower().replace("×", "x").split("x")
        if len(sides) not in {1, 2} or not all(s.strip().isdecimal() for s in sides):
            raise ConfigError(f"size {text!r} is not HEIGHTxWIDTH, such as 360x480")
        return cls(height=int(sides[0]), width=int(sides[-1]))

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Read what `to_dict` wrote."""
        try:
            return cls(**values)
        except TypeError as wrong:
            raise ConfigError(f"not an input spec: {wrong}") from wrong
