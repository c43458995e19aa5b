"""Pictures that are the same photograph: recompressed, resized, recoloured, mirrored or turned.

A fingerprint is the signs of the lowest frequencies (DCT) of the picture in grey, stretched to
32x32. Two pictures are alike if, in one of the eight ways to lay one on the other, at most 7 of
the 64 coarse signs differ and at most 16 of the 64 next finer ones.

Where these limits come from (waste, trash bags, coco and camvid of our test data). Of copies made
with other compression, size, brightness, contrast, hue, blur or noise, 95 % or more are found; of
those cropped by 3 % 99 %, by 5 % 86 %. Copies cropped by a tenth, or turned by 5 degrees, are
mostly missed. Of strangers in 377 photographs of waste, laid in all ways, no two are nearer than
9 coarse signs; of pairs about as near as that, nine in ten are told apart by the fine ones.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from frugalseg.core.errors import DataError
from frugalseg.core.progress import Progress, silent
from frugalseg.data.check.regions import joined
from frugalseg.imaging.read import read_image

NEAR_COARSE, NEAR_FINE = 7, 16
FLAT = 1.0
"""Grey levels of standard deviation below which a picture has nothing to go by."""

_SIDE = 32
_COARSE, _FINE = 8, 12
_DCT = np.cos(np.pi * np.arange(_FINE)[:, None] * (np.arange(_SIDE) + 0.5) / _SIDE)
_REDUCED = 96
_QUARTER = 16
_AT_ONCE = 2_000_000

Words = NDArray[np.uint64]
Indices = NDArray[np.intp]


def fingerprint(image_HWC: NDArray[np.uint8]) -> bytes | None:
    """Give the signs of 12x12 frequencies as 18 bytes; None for a picture that is all one tone."""
    picture = Image.fromarray(image_HWC)
    if (factor := min(picture.size) // _REDUCED) > 1:
        picture = picture.reduce(factor)  # quicker than to resize in one go
    small = picture.convert("L").resize((_SIDE, _SIDE), Image.Resampling.BOX)
    grey = np.asarray(small, dtype=np.float64)
    if grey.std() < FLAT:
        return None
    return np.packbits(_DCT @ grey @ _DCT.T > 0).tobytes()


def groups_of_like(
    paths: Sequence[Path], progress: Progress = silent, *, workers: int | None = None
) -> list[list[Path]]:
    """Divide pictures so that those that look alike, mirrored and turned too, are together.

    Every path is in one group, most of them alone; groups and their paths keep the order given.
    Raises DataError that names every picture that cannot be read.
    """
    with ThreadPoolExecutor(workers) as pool:
        prints: list[bytes | str | None] = []
        for found in pool.map(_print_or_problem, paths):
            prints.append(found)
            progress("compare", len(prints), len(paths), paths[len(prints) - 1].name)
    problems = [found for found in prints if isinstance(found, str)]
    if problems:
        raise DataError("pictures that cannot be compared", problems)
    groups = like_groups([found for found in prints if not isinstance(found, str)])
    return [[paths[i] for i in group] for group in groups]


def _print_or_problem(path: Path) -> bytes | str | None:
    try:
        return fingerprint(read_image(path))
    except DataError as wrong:
        return str(wrong)


def like_groups(prints: Sequence[bytes | None]) -> list[list[int]]:
    """Divide indices of fingerprints into groups that are alike, from one to the next.

    A picture without fingerprint is alone. Two with at most 7 different coarse signs differ by at
    most one in a quarter of these, so only those that meet in a quarter are compared.
    """
    distinct = sorted({found for found in prints if found is not None})
    place = {found: i for i, found in enumerate(distinct)}
    root = _roots(distinct) if distinct else np.zeros(0, np.intp)
    groups: dict[int, list[int]] = {}
    for i, found in enumerate(prints):
        groups.setdefault(-1 - i if found is None else int(root[place[found]]), []).append(i)
    return list(groups.values())


def _roots(distinct: Sequence[bytes]) -> Indices:
    """Number different fingerprints so that those that are alike have the same number."""
    packed = np.frombuffer(b"".join(distinct), dtype=np.uint8).reshape(len(distinct), -1)
    signs_NFF = np.unpackbits(packed, axis=1).reshape(-1, _FINE, _FINE).view(np.bool_)
    known = _words(signs_NFF)
    quarters = [_Quarter(known[0], shift) for shift in range(0, 64, _QUARTER)]
    root = np.arange(len(distinct))
    for turned_NFF in _ways(signs_NFF):
        turned = _words(turned_NFF)
        for quarter in quarters:
            root = _met(quarter, turned, known, root)
    return root


def _met(
    quarter: "_Quarter", turned: tuple[Words, Words], known: tuple[Words, Words], root: Indices
) -> Indices:
    """Join what is alike among the pairs that differ by at most one sign in a quarter."""
    for changed in (0, *(1 << bit for bit in range(_QUARTER))):
        keys_N = quarter.keys(turned[0]) ^ changed
        begin = 0
        while begin < len(keys_N):
            one, other, begin = quarter.pairs(keys_N, begin, root)
            near = np.bitwise_count(turned[0][one] ^ known[0][other]) <= NEAR_COARSE
            near &= np.bitwise_count(turned[1][one] ^ known[1][other]) <= NEAR_FINE
            root = joined(root, one[near], other[near])
    return root


def _ways(signs_NFF: NDArray[np.bool_]) -> Iterator[NDArray[np.bool_]]:
    """Yield the signs of the pictures as they are, mirrored and turned.

    A mirror turns the sign of the odd frequencies along one axis. A quarter turn to the right is
    left out: it is a turn to the left of the other picture.
    """
    odd_F = np.arange(_FINE) % 2 == 1
    for across, down in ((False, False), (True, False), (False, True), (True, True)):
        mirror_FF = (odd_F & across) ^ (odd_F & down)[:, None]
        yield signs_NFF ^ mirror_FF
        if (across, down) != (False, True):
            yield signs_NFF.transpose(0, 2, 1) ^ mirror_FF


def _words(signs_NFF: NDArray[np.bool_]) -> tuple[Words, Words]:
    """Pack the 64 coarse signs into one number, and the 64 finer ones beside them into another."""
    count = len(signs_NFF)
    coarse = signs_NFF[:, :_COARSE, :_COARSE].reshape(count, -1)
    below = signs_NFF[:, _COARSE:, :_COARSE].reshape(count, -1)
    beside = signs_NFF[:, :_COARSE, _COARSE:].reshape(count, -1)
    fine = np.concatenate([below, beside], axis=1)
    coarse_N, fine_N = (np.packbits(bits, axis=1).view(np.uint64)[:, 0] for bits in (coarse, fine))
    return coarse_N, fine_N


class _Quarter:
    """All pictures, sorted by one quarter of their coarse signs into 65,536 drawers."""

    def __init__(self, coarse_N: Words, shift: int) -> None:
        self.shift = np.uint64(shift)
        keys_N = self.keys(coarse_N)
        self.order = np.argsort(keys_N, kind="stable")
        self.starts = np.searchsorted(keys_N[self.order], np.arange((1 << _QUARTER) + 1))

    def keys(self, coarse_N: Words) -> Indices:
        """Give the number of each picture's drawer."""
        return ((coarse_N >> self.shift) & np.uint64((1 << _QUARTER) - 1)).astype(np.intp)

    def pairs(self, keys_N: Indices, begin: int, root: Indices) -> tuple[Indices, Indices, int]:
        """Pair pictures from `begin` on with all in the drawer that each has for its key.

        So many as fit; the last value is where to go on.
        """
        first_N = self.starts[keys_N[begin:]]
        count_N = self.starts[keys_N[begin:] + 1] - first_N
        if count_N.sum() > _AT_ONCE:
            count_N[self._is_joined(keys_N[begin:], root[begin:], root)] = 0
        taken = max(1, int(np.searchsorted(count_N.cumsum(), _AT_ONCE, side="right")))
        count = count_N[:taken]
        one = np.repeat(np.arange(begin, begin + taken), count)
        place = np.arange(len(one)) - np.repeat(count.cumsum() - count - first_N[:taken], count)
        return one, self.order[place], begin + taken

    def _is_joined(self, keys_N: Indices, own_N: Indices, root: Indices) -> NDArray[np.bool_]:
        """Tell which pictures are joined with all in their drawer already.

        Without this, a film of a still scene would be compared frame by frame.
        """
        of_drawer = root[self.order]
        padded = np.append(of_drawer, of_drawer[-1])  # drawers at the end are empty
        least, most = (kind.reduceat(padded, self.starts) for kind in (np.minimum, np.maximum))
        same: NDArray[np.bool_] = (least[keys_N] == own_N) & (most[keys_N] == own_N)
        return same
