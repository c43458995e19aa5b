"""How the IMX500 lays out a map in memory, and what it takes, in bytes.

The processor works on 32 values side by side. They are channels of one pixel, or pixels of a row,
a column or a whole channel; the last 32 are filled up. What runs along an axis cannot have its 32
values on it: rows are padded, cut and joined while maps lie by columns, and the other way round.
"""

from dataclasses import dataclass
from enum import Enum, auto
from math import ceil

BLOCK = 32


class Form(Enum):
    """What lies side by side."""

    BLOCKS = auto()  # of channels
    COLUMNS = auto()
    ROWS = auto()
    FLAT = auto()  # all pixels of a channel


@dataclass(frozen=True, slots=True)
class Map:
    """Sides of an activation. A vector is a map of one pixel."""

    channels: int
    height: int
    width: int

    @property
    def pixels(self) -> int:
        """Height times width."""
        return self.height * self.width

    @property
    def blocks(self) -> int:
        """Channels with those that fill the last block of 32."""
        return whole_blocks(self.channels)

    def bytes(self, form: Form) -> int:
        """Size in memory.

        >>> narrow = Map(16, 60, 100)
        >>> narrow.bytes(Form.BLOCKS), narrow.bytes(Form.ROWS), narrow.bytes(Form.COLUMNS)
        (192000, 122880, 102400)
        """
        if self.pixels == 1:
            return self.blocks
        match form:
            case Form.BLOCKS:
                return self.blocks * self.pixels
            case Form.COLUMNS:
                return self.channels * self.width * whole_blocks(self.height)
            case Form.ROWS:
                return self.channels * self.height * whole_blocks(self.width)
            case Form.FLAT:
                return self.channels * whole_blocks(self.pixels)


def whole_blocks(number: int) -> int:
    """Round up to whole blocks of 32.

    >>> whole_blocks(24), whole_blocks(64)
    (32, 64)
    """
    return ceil(number / BLOCK) * BLOCK
