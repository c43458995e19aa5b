"""How a network is made int8: a value that export takes."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from frugalseg.core.errors import ConfigError, unknown
from frugalseg.export.ranges import CLIPS, MINMAX
from frugalseg.export.rounding import NEAREST, ROUNDINGS

WIDTHS = (4, 8)


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantisation:
    """Choices after training. The default is what suffices for most networks.

    `ranges` says how far the 8 bits of a map reach: "minmax", or a clip of `export.ranges`.
    `equalise` and `correct` are those of `export.equalise` and `export.bias`, `rounding` is one of
    `export.rounding`. `bits` are those of the weights of single layers, where they are not 8.

    >>> Quantisation() == Quantisation(ranges="minmax", bits={"head.0": 8})
    True
    """

    ranges: str = MINMAX
    equalise: bool = False
    correct: bool = False
    rounding: str = NEAREST
    bits: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.ranges not in (MINMAX, *CLIPS):
            raise unknown("way to choose ranges", self.ranges, (MINMAX, *CLIPS))
        if self.rounding not in ROUNDINGS:
            raise unknown("way to round weights", self.rounding, ROUNDINGS)
        for layer, bits in self.bits.items():
            if bits not in WIDTHS:
                raise ConfigError(f"weights have 4 or 8 bits, got {bits!r} for {layer}")
        few = {layer: bits for layer, bits in self.bits.items() if bits != max(WIDTHS)}
        object.__setattr__(self, "bits", few)

    @property
    def changes_weights(self) -> bool:
        """Whether weights are others than those of the float network before they are rounded."""
        return self.equalise or self.correct or self.rounding != NEAREST

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return asdict(self)


PLAIN = Quantisation()
