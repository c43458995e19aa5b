"""Whether the smallest objects survive the size of the network's input."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from frugalseg.core.labels import LabelSpace
from frugalseg.data.check.facts import SPECK_PIXELS, Facts
from frugalseg.data.check.findings import Finding, alone
from frugalseg.data.check.splits import SplitReport, quantile

SEEN_PIXELS = 4
"""Side of the least square that counts as seen: half a cell of the maps of 1/8 of the input on
which networks of this class decide."""

LOST_SHARE = 0.05
"""So many regions of a class may be smaller than that."""

LONG_SIDE = 640
"""Where no size is named, pictures are halved until no side is longer."""

SIDE_MULTIPLE = 8
"""Of the sizes proposed, so that maps of 1/8 of them have whole sides."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Class:
    """How many regions of a class are too small at the input's size, and at the pictures' own.

    Fewer than 5 % are too small for an input of so many pixels as `needed_px`.
    """

    train_id: int
    name: str
    regions: int
    lost: int
    lost_own: int
    needed_px: float

    @property
    def by_input(self) -> bool:
        """Whether it is the input's size by which too many are lost."""
        limit = LOST_SHARE * self.regions
        return self.lost >= limit and (self.lost_own < limit or self.lost - self.lost_own >= limit)

    @property
    def by_picture(self) -> bool:
        """Whether too many are lost at the pictures' own size."""
        return self.lost_own >= LOST_SHARE * self.regions


def usual_size(split: SplitReport) -> tuple[int, int]:
    """Give the (height, width) that training takes: the commonest, halved to 640 px a side."""
    if not split.sizes:
        return LONG_SIDE, LONG_SIDE
    height, width = map(int, max(split.sizes, key=lambda size: split.sizes[size]).split("x"))
    while max(height, width) > LONG_SIDE:
        height, width = height // 2, width // 2
    return height, width


def size_findings(
    every: Sequence[Facts], labels: LabelSpace, size: tuple[int, int]
) -> Iterator[Finding]:
    """Tell of classes of whose regions 5 % or more are under 4 px in an input of this size.

    A region of a share f of its picture has as many pixels of the input as a square of side
    sqrt(f * height * width); that side is what is compared. Specks of one or two pixels are not
    objects and are left out, and so is the background. The input proposed has the shape of `size`
    and the least sides, in steps of 8, at which fewer than 5 % of each class are too small. Where
    5 % are too small in the pictures as they are, that is a finding by itself.
    """
    least_share = SEEN_PIXELS**2 / (size[0] * size[1])
    classes = list(_classes(every, labels, least_share))
    if by_input := [c for c in classes if c.by_input]:
        told = ", ".join(
            f"{100 * c.lost / c.regions:.0f} % of {c.name!r} ({c.lost:,} of {c.regions:,})"
            for c in by_input
        )
        ids = [c.train_id for c in by_input]
        yield Finding(
            severity="warning",
            kind="lost-at-input-size",
            what=f"regions under {SEEN_PIXELS} px in an input of {size[0]}x{size[1]}: {told}",
            todo=_advice(by_input, size),
            groups=alone(f.label_file for f in every if _has_lost(f, ids, least_share)),
        )
    if by_picture := [c for c in classes if c.by_picture]:
        told = ", ".join(f"{100 * c.lost_own / c.regions:.0f} % of {c.name!r}" for c in by_picture)
        yield Finding(
            severity="note",
            kind="small-regions",
            what=f"regions under {SEEN_PIXELS} px in the pictures as they are: {told}",
            todo="no input mends it: if they are slips of the pen, label them as ignored",
        )


def _classes(every: Sequence[Facts], labels: LabelSpace, least_share: float) -> Iterator[_Class]:
    columns = [np.zeros((4, 0))]
    for f in every:
        objects = f.areas[:, f.areas[1] > SPECK_PIXELS]
        share = objects[1:2] / (f.size[0] * f.size[1])
        columns.append(np.concatenate([objects, share]))
    table = np.concatenate(columns, axis=1)
    for i, name in enumerate(labels.names):
        ids, pixels, counts, shares = table[:, table[0] == i]
        if i == labels.background or not len(ids):
            continue
        # Fewer than 5 % are lost once the region with which 5 % are reached is seen.
        yield _Class(
            train_id=i,
            name=name,
            regions=int(counts.sum()),
            lost=int(counts[shares < least_share].sum()),
            lost_own=int(counts[pixels < SEEN_PIXELS**2].sum()),
            needed_px=SEEN_PIXELS**2 / quantile(shares, counts, LOST_SHARE),
        )


def _has_lost(facts: Facts, ids: Sequence[int], least_share: float) -> bool:
    least_px = least_share * facts.size[0] * facts.size[1]
    small = (facts.areas[1] > SPECK_PIXELS) & (facts.areas[1] < least_px)
    return bool(np.isin(facts.areas[0, small], ids).any())


def _advice(lost: Sequence[_Class], size: tuple[int, int]) -> str:
    within, beyond = ([c for c in lost if c.by_picture is so] for so in (False, True))
    said = []
    if within:
        which = f" for {', '.join(repr(c.name) for c in within)}" if beyond else ""
        said.append(f"choose at least {_sides(size, max(c.needed_px for c in within))}{which}")
    if beyond:
        left = ", ".join(f"{100 * c.lost_own / c.regions:.0f} % of {c.name!r}" for c in beyond)
        said.append(f"a larger input helps; at the pictures' own size it is {left}")
    return "; ".join(said)


def _sides(size: tuple[int, int], needed_px: float) -> str:
    """Enlarge a size until it has so many pixels.

    >>> _sides((224, 448), 224 * 448 * 4)
    '448x896'
    """
    scale = math.sqrt(needed_px / (size[0] * size[1]))
    height, width = (
        math.ceil(round(side * scale / SIDE_MULTIPLE, 6)) * SIDE_MULTIPLE for side in size
    )
    return f"{height}x{width}"
