"""Attention over the pixels of a map, as `models.segformer` has it: sequences for other pictures.

A sequence has its pixels and the channels of a head where a map has its sides. Queries and values
are maps that a matrix product reads as sequences; what comes out is a map again behind a 1x1.
"""

from collections.abc import Mapping, Sequence
from math import prod

from frugalseg.cost.channels import ALIKE, sides
from frugalseg.cost.graph import Op, Tensor

Sides = tuple[int, ...]
PAIR = 2


def unrolled(op: Op, before: Sequence[Sides], made: Sides, now: Sequence[Sides]) -> Sides | None:
    """Return the sides of what an operator makes, pixels first; None if it makes no sequence."""
    if len(before) == 1 and op.kind in ALIKE and made[0] == prod(before[0]):
        return (prod(now[0]), made[1])
    if op.kind != "batch_matmul" or len(before) != PAIR:
        return None
    if before[0][0] != made[0] and prod(before[0]) == made[0]:  # queries times keys
        pixels = _pixels(before[1], made[1], now[1])
        return None if pixels is None else (prod(now[0]), pixels)
    if before[0][0] == made[0] and prod(before[1]) == before[0][1]:  # weights times values
        return (now[0][0], made[1])
    return None


def rolls_up(op: Op, before: Sides, made: Sides) -> bool:
    """Tell whether an operator reads a sequence as the map that it makes."""
    single = op.window is not None and op.window.kernel == op.window.stride == (1, 1)
    return single and before[0] == prod(made) and before != made


def products(op: Op, old: Mapping[str, Tensor], new: Mapping[str, Tensor]) -> int | None:
    """Count the multiply-accumulates of a matrix product; None if it is of another kind."""
    read, made = op.reads[0], op.writes[0]
    inner = op.macs // prod(old[made].shape)
    if sides(old[read].shape)[0] == sides(old[made].shape)[0]:  # weights, each for one value
        if sides(old[read].shape)[1] != inner:
            return None
        inner = sides(new[read].shape)[1]
    return prod(new[made].shape) * inner


def _pixels(before: Sides, wanted: int, now: Sides) -> int | None:
    """Count the pixels of a sequence, or of a map that is read as one."""
    if before[0] == wanted:
        return now[0]
    return prod(now) if prod(before) == wanted else None
