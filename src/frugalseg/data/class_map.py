"""A class map: which classes of a data set are seen as one, and which do not count.

As YAML, either new names with the classes that they replace, or each class with its new name:

    can: [Aerosol, Drink can]              Aerosol: can
    ignore: [Unlabeled litter]             Drink can: can
    other: ["*"]                           "*": other

As CSV, a line "class,new name" for each (`Aerosol,can`). "ignore" is no class: its pixels do not
count. "*" stands for all classes that are not named but the background, which stays what it is
unless it is named. Without "*", classes that are not named stay.

The word "supercategories" in place of a file merges classes into the groups that the data set
itself has them in, as COCO and TACO do.
"""

import csv
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from frugalseg.core.errors import ConfigError, unknown
from frugalseg.core.labels import IGNORE, LabelSpace
from frugalseg.data.dataset import Dataset, Rasterise, Sample
from frugalseg.data.text import read_lines, read_yaml, shown

IGNORED = "ignore"
REST = "*"
SUPERCATEGORIES = "supercategories"

log = logging.getLogger("frugalseg")


@dataclass(frozen=True, slots=True)
class ClassMap:
    """New names by class; "ignore" for what does not count, "*" for all other classes."""

    new_name: Mapping[str, str]

    @classmethod
    def of_groups(cls, groups: Mapping[str, Sequence[str]]) -> "ClassMap":
        """Read new names with the classes that they replace.

        Raises ConfigError for a group of none and for a class that is named twice.

        >>> ClassMap.of_groups({"thing": ["box", "disc"]}).new_name
        {'box': 'thing', 'disc': 'thing'}
        """
        new_name = dict[str, str]()
        for group, members in groups.items():
            if not members:
                raise ConfigError(
                    f"the group {group!r} has no classes: name those that it replaces"
                )
            for member in members:
                if member in new_name:
                    raise ConfigError(
                        f"class {member!r} is in two groups that are merged, or twice in one"
                    )
                new_name[member] = group
        return cls(new_name)

    def over(self, labels: LabelSpace) -> dict[str, str]:
        """Say for each class of a label space what it becomes.

        Raises ConfigError where no class would be left, or the map names none that is there.
        """
        if not {REST, *labels.names} & self.new_name.keys():
            raise ConfigError(
                f"the class map names none of the classes {', '.join(labels.names)};"
                f" it names {', '.join(self.new_name)}"
            )
        if IGNORED in labels.names and IGNORED not in self.new_name:
            raise ConfigError(f"a class is called {IGNORED!r}: say in the map what it becomes")
        rest = self.new_name.get(REST)
        found = dict[str, str]()
        for i, name in enumerate(labels.names):
            stays = name if rest is None or i == labels.background else rest
            found[name] = self.new_name.get(name, stays)
        if set(found.values()) == {IGNORED}:
            raise ConfigError("the class map ignores all classes: leave one")
        return found


def told(class_map: Mapping[str, str]) -> str:
    """Write down what classes become, as `LabelSpace.class_map` keeps it.

    >>> told({"sky": "sky", "car": "thing", "van": "thing", "void": "ignore"})
    'thing: car, van; ignore: void'
    """
    groups = dict[str, list[str]]()
    for name, new in class_map.items():
        if name != new:
            groups.setdefault(new, []).append(name)
    return "; ".join(f"{new}: {', '.join(names)}" for new, names in groups.items())


def read_class_map(path: Path) -> ClassMap:
    """Read a class map from a YAML or CSV file.

    Raises DataError for a file that cannot be read, ConfigError for one that is no class map.
    """
    if path.suffix.lower() == ".csv":
        return ClassMap(_pairs_of_csv(path))
    if path.suffix.lower() not in {".yaml", ".yml"}:
        raise ConfigError(
            f"{path}: a class map is a .yaml or a .csv file, or the word {SUPERCATEGORIES!r}"
        )
    written = read_yaml(path)
    if all(isinstance(value, list) for value in written.values()):
        if strange := [m for members in written.values() for m in members if not _is_name(m)]:
            raise ConfigError(f"{path}: class names are text; put into quotes: {strange}")
        return _named(path, ClassMap.of_groups, written)
    if strange := [value for value in written.values() if not _is_name(value)]:
        raise ConfigError(
            f"{path}: a class map has either lists of classes or a new name for each class, not"
            f" both, and names are text; got {strange}"
        )
    return ClassMap(written)


def view(source: str | Path) -> Callable[[Dataset], Dataset]:
    """Read a class map, or the word "supercategories", to see a data set through once it is open.

    Raises what `read_class_map` does.
    """
    if str(source) == SUPERCATEGORIES:
        return by_supercategory
    return partial(mapped, class_map=read_class_map(Path(source)))


def by_supercategory(dataset: Dataset) -> Dataset:
    """Return the data set with its own super-categories as classes; ConfigError without any."""
    if not dataset.supercategories:
        raise ConfigError(
            f"{dataset.root}: its classes have no super-categories (COCO's annotation files can"
            " tell some); name a file that maps them"
        )
    return merged(dataset, dataset.supercategories)


def mapped(dataset: Dataset, class_map: ClassMap) -> Dataset:
    """Return the data set with its classes as the map says; files stay as they are.

    A new class stands where the first of its classes stood, in that one's colour. What the map
    names and the data set does not have is logged, and so is a map that leaves one class, which
    tells nothing apart. `labels.class_map` keeps what was mapped.
    """
    names = dataset.labels.names
    if strange := sorted(class_map.new_name.keys() - {REST, *names}):
        log.warning("the class map names what %s does not have: %s", dataset.root.name, strange)
    becomes = class_map.over(dataset.labels)
    kept = [name for name in dict.fromkeys(becomes.values()) if name != IGNORED]
    if len(kept) == 1 < len(names):
        log.warning("the class map leaves one class, %r: name the background too", kept[0])
    table = np.full(256, IGNORE, np.uint8)
    for i, name in enumerate(names):
        table[i] = IGNORE if becomes[name] == IGNORED else kept.index(becomes[name])
    return replace(
        dataset,
        labels=replace(_labels(dataset.labels, kept, table), class_map=becomes),
        rasterise=partial(_rasterise, of_all=dataset.rasterise, table=table),
    )


def merged(dataset: Dataset, groups: Mapping[str, Sequence[str]]) -> Dataset:
    """Return the data set with each group of classes under one new name; the others stay.

    Raises ConfigError for a class that is not there, and for what `ClassMap.of_groups` refuses.
    """
    class_map = ClassMap.of_groups(groups)
    for member in class_map.new_name:
        if member not in dataset.labels.names:
            raise unknown(f"class of {dataset.root.name}", member, dataset.labels.names)
    return mapped(dataset, class_map)


def as_trained(dataset: Dataset, labels: LabelSpace) -> Dataset:
    """Return the data set as the network with these labels saw it, if it saw it through a map."""
    names = dataset.labels.names
    if names == labels.names or set(names) != labels.class_map.keys():
        return dataset
    return mapped(dataset, ClassMap(labels.class_map))


def _labels(labels: LabelSpace, kept: Sequence[str], table: NDArray[np.uint8]) -> LabelSpace:
    first = [int(np.flatnonzero(table[: labels.num_classes] == i)[0]) for i in range(len(kept))]
    number = labels.background
    background = None if number is None or table[number] == IGNORE else int(table[number])
    return LabelSpace(
        names=tuple(kept),
        colors=tuple(labels.colors[i] for i in first),
        from_disk={value: int(table[train_id]) for value, train_id in labels.from_disk.items()},
        background=background,
    )


def _rasterise(
    sample: Sample, size: tuple[int, int], *, of_all: Rasterise, table: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    mapped_HW: NDArray[np.uint8] = table[of_all(sample, size)]
    return mapped_HW


def _pairs_of_csv(path: Path) -> dict[str, str]:
    pairs = dict[str, str]()
    try:
        rows = list(csv.reader(read_lines(path)))
    except csv.Error as wrong:
        raise ConfigError(f"{path}: not readable as CSV ({wrong})") from wrong
    for number, row in enumerate(rows, start=1):
        if not row:
            continue
        words = [word.strip() for word in row]
        if len(words) != 2 or not all(words):  # noqa: PLR2004
            raise ConfigError(f"{path} line {number}: expected 'class,new name', got {shown(row)}")
        if words[0] in pairs:
            raise ConfigError(f"{path} line {number}: class {shown(words[0])} is there twice")
        pairs[words[0]] = words[1]
    if not pairs:
        raise ConfigError(f"{path}: no line 'class,new name' in it")
    return pairs


def _named(path: Path, read: Any, written: dict[str, Any]) -> ClassMap:
    try:
        found: ClassMap = read(written)
    except ConfigError as wrong:
        raise ConfigError(f"{path}: {wrong}") from wrong
    return found


def _is_name(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())
