"""Brush regions of Label Studio: a packed list of bytes to pixels."""

import numpy as np
from numpy.typing import NDArray

_WORD_BITS = 8
_CHANNELS = 4


def decode_brush(rle: bytes, size: tuple[int, int]) -> NDArray[np.bool_]:
    """Unpack a brush region to HxW; raises ValueError if it is of another size or damaged.

    The bits, from the highest of each byte, are: how many values there are (32), the bits of a
    value less 1 (5), four widths less 1 (4 each). Then blocks: whether one value is repeated (1),
    which of the widths comes (2), the length of the block less 1 (that width), and the value or
    the values. The values are red, green, blue and alpha of each pixel, row by row. This is the
    packing of @thi.ng/rle-pack, as label-studio-converter's brush.py unpacks it.

    >>> rle = bytes([0, 0, 0, 8, 57, 27, 252, 127, 241, 128, 0])
    >>> decode_brush(rle, (1, 2)).tolist()
    [[True, False]]
    """
    height, width = size
    bits = _Bits(rle)
    count, word_bits = bits.take(32), bits.take(5) + 1
    widths = [bits.take(4) + 1 for _ in range(4)]
    if word_bits != _WORD_BITS or count != height * width * _CHANNELS:
        raise ValueError(
            f"the brush has {count:,} values of {word_bits} bits; expected {width} x {height} x 4"
            " of 8 bits"
        )
    alpha = np.zeros(height * width, dtype=np.uint8)
    start = 0
    while start < count:
        repeated = bits.take(1)
        end = start + 1 + bits.take(widths[bits.take(2)])
        if end > count:
            raise ValueError("the brush is damaged: it goes on past its last pixel")
        pixels = slice(start // _CHANNELS, end // _CHANNELS)  # those whose alpha is in the block
        if repeated:
            alpha[pixels] = bits.take(_WORD_BITS)
        else:
            values = bits.take(_WORD_BITS * (end - start)).to_bytes(end - start, "big")
            alpha[pixels] = np.frombuffer(values, np.uint8)[(3 - start) % _CHANNELS :: _CHANNELS]
        start = end
    return alpha.astype(np.bool_).reshape(size)


class _Bits:
    """Bytes as a stream of bits, the highest first."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.at = 0

    def take(self, count: int) -> int:
        """Take the next bits as a number; raises ValueError where there are none left."""
        end = self.at + count
        if end > 8 * len(self.content):
            raise ValueError("the brush is damaged: it ends early")
        number = int.from_bytes(self.content[self.at // 8 : (end + 7) // 8], "big")
        self.at = end
        return number >> (-end % 8) & ((1 << count) - 1)
