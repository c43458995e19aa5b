"""Which maps of an int8 network must have one scale."""

from collections.abc import Iterable, Set

from frugalseg.cost.fuse import FIXED, JOINS, PASSES


def joined(ops: Iterable[tuple[str, Set[str], Set[str]]], inputs: Set[str]) -> list[set[str]]:
    """Collect the names of maps that must have one scale, for each group with a join in it.

    An operator is its kind, what it reads and what it writes. What is tied to a scale of its own
    is in no group: the inputs, the results of FIXED, and what PASSES make of both.

    >>> ops = [("concatenation", {"a", "b"}, {"c"}), ("pad", {"c"}, {"d"}), ("mul", {"d"}, {"e"})]
    >>> [sorted(group) for group in joined(ops, {"image"})]
    [['a', 'b', 'c', 'd']]
    """
    fixed = {*inputs}
    groups: list[tuple[set[str], bool]] = []
    for kind, reads, writes in ops:
        if kind in FIXED or (kind in PASSES and fixed & reads):
            fixed |= writes
        elif kind in PASSES | JOINS:
            new, joins = {*reads, *writes} - fixed, kind in JOINS
            for met in [group for group in groups if group[0] & new]:
                groups.remove(met)
                new, joins = new | met[0], joins or met[1]
            groups.append((new, joins))
    return [group for group, joins in groups if joins]
