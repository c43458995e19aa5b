"""A data set in which several classes are seen as one."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from frugalseg.core.errors import ConfigError, unknown
from frugalseg.core.labels import IGNORE, LabelSpace
from frugalseg.data.dataset import Dataset, Rasterise, Sample


def merged(dataset: Dataset, groups: Mapping[str, Sequence[str]]) -> Dataset:
    """Return the data set with each group of classes under one new name; files stay as they are.

    Classes in no group stay. A new class stands where the first of its group stood, in that
    one's colour. Raises ConfigError for a class that is not there or is named twice, for a group
    of none, and for a new name that another class has.
    """
    names = dataset.labels.names
    new_name = {name: name for name in names}
    seen: set[str] = set()
    for group, members in groups.items():
        if not members:
            raise ConfigError(f"the group {group!r} has no classes: name those that it replaces")
        for member in members:
            if member not in new_name:
                raise unknown(f"class of {dataset.root.name}", member, names)
            if member in seen:
                raise ConfigError(
                    f"class {member!r} is in two groups that are merged, or twice in one"
                )
            seen.add(member)
            if group in names and group not in members:
                raise ConfigError(
                    f"classes cannot be merged as {group!r}: another class is {group}"
                )
            new_name[member] = group
    kept = list(dict.fromkeys(new_name[name] for name in names))
    table = np.full(256, IGNORE, np.uint8)
    table[: len(names)] = [kept.index(new_name[name]) for name in names]
    return replace(
        dataset,
        labels=_labels(dataset.labels, kept, table),
        rasterise=partial(_rasterise, of_all=dataset.rasterise, table=table),
    )


def _labels(labels: LabelSpace, kept: Sequence[str], table: NDArray[np.uint8]) -> LabelSpace:
    first = [int(np.flatnonzero(table[: labels.num_classes] == i)[0]) for i in range(len(kept))]
    background = labels.background
    return LabelSpace(
        names=tuple(kept),
        colors=tuple(labels.colors[i] for i in first),
        from_disk={value: int(table[train_id]) for value, train_id in labels.from_disk.items()},
        background=None if background is None else int(table[background]),
    )


def _rasterise(
    sample: Sample, size: tuple[int, int], *, of_all: Rasterise, table: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    merged_HW: NDArray[np.uint8] = table[of_all(sample, size)]
    return merged_HW
