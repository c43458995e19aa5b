"""Run lengths to pixels: stretches of pixels, column by column, the first outside the region."""

import numpy as np
from numpy.typing import NDArray

_CODE_BITS, _GOES_ON, _IS_NEGATIVE, _FIRST_CODE = 5, 32, 16, 48
_MAX_CODES = 7  # of one number: 35 bits

Runs = NDArray[np.int64]


def area(runs: Runs) -> int:
    """Count the pixels of a region.

    >>> area(np.array([3, 2, 7, 5]))
    7
    """
    return int(runs[1::2].sum())


def paint(labels_P: NDArray[np.uint8], runs: Runs, value: int) -> None:
    """Set the pixels of a region, in a picture that is laid out column by column.

    >>> labels_P = np.zeros(6, np.uint8)
    >>> paint(labels_P, np.array([1, 2, 1, 1, 1]), 7)
    >>> labels_P.tolist()
    [0, 7, 7, 0, 7, 0]
    """
    inner = runs[1 : len(runs) // 2 * 2]  # from the first pixel of the region to its last
    inside_P = np.repeat(np.arange(len(inner)) % 2 == 0, inner)
    labels_P[runs[0] : runs[0] + len(inside_P)][inside_P] = value


def decode_counts(text: str) -> Runs:
    """Decode the compressed string of pycocotools: run lengths, each less the one two before.

    Numbers are written in groups of five bits, the lowest first, as characters from "0" on; the
    sixth bit says that the number goes on. Raises ValueError for what it cannot have written.

    >>> decode_counts("11Y3").tolist()
    [1, 1, 105]
    """
    codes = (
        np.frombuffer(text.encode(errors="surrogatepass"), np.uint8).astype(np.int64) - _FIRST_CODE
    )
    if not len(codes) or ((codes < 0) | (codes >= 2 * _GOES_ON)).any() or codes[-1] & _GOES_ON:
        raise ValueError("compressed run lengths are damaged")
    stops = np.flatnonzero((codes & _GOES_ON) == 0) + 1
    starts = np.concatenate([[0], stops[:-1]])
    lengths = stops - starts
    if lengths.max() > _MAX_CODES:
        raise ValueError("compressed run lengths are damaged")
    places = np.arange(len(codes)) - np.repeat(starts, lengths)
    values = np.add.reduceat((codes & (_GOES_ON - 1)) << (_CODE_BITS * places), starts)
    values -= np.where(codes[stops - 1] & _IS_NEGATIVE, 1 << (_CODE_BITS * lengths), 0)
    values[1::2] = values[1::2].cumsum()
    values[2::2] = values[2::2].cumsum()
    return values
