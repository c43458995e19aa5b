"""The lines of a study: its runs before they are done on each data set with each seed."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import AfterValidator, Field, model_validator

from frugalseg.core.errors import unknown
from frugalseg.core.parse import Part

NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"
SEED = "seeds stand in `seeds:` of the study, such as seeds: [0, 1], not among the settings"
OF, COMPRESS = "of", "compress."  # keys of a grid that are none of the recipe
TELLING = {OF, "compress.method", "compress.importance"}  # by their values alone

Values = TypeVar("Values", bound=Mapping[str, Any])


def _without_seed(settings: Values) -> Values:
    if any(key.strip() == "seed" for key in settings):
        raise ValueError(SEED)
    return settings


Name = Annotated[str, Field(pattern=NAME)]
Settings = dict[str, Any]
Overrides = Annotated[Settings, AfterValidator(_without_seed)]
Choices = dict[str, Annotated[tuple[Any, ...], Field(min_length=1)]]


class Compress(Part):
    """How the network of another run is made smaller: see `workflows.compress`.

    What is left has at most the `share` of what the network has by `limit`: bytes of its int8
    file, bytes at the peak, MACs or parameters, both as they are estimated.
    It comes to that in `rounds`, which share the training evenly.
    """

    method: str = "joint"
    importance: str | None = None
    share: float = Field(gt=0, lt=1)
    rounds: int = Field(default=1, ge=1)
    limit: Literal["bytes", "peak", "macs", "parameters"] = "bytes"


class Entry(Part):
    """One line of a study, or several where it has a `grid`.

    `model` and `settings` are those of the recipe; `set` has keys as `--set` does, and `grid` a
    list for each such key, which are multiplied out. With a `device`, the largest frugalnet that
    fits it is chosen, as `fit` does, and no model or setting of it may be given. A run that is
    just a name is the model of that name.

    A run `of` another one starts from its trained network, or with `compress` (see `Compress`) from
    what that leaves of it, with the network as it was as teacher. It is trained a quarter as long
    as the run it goes back to, at half the rate, unless `set` says otherwise. `teacher` is a run
    to learn from. A grid may also have the keys `of` and `compress.share`, `compress.method`, ...
    """

    name: Name
    model: str | None = None
    settings: Settings = Field(default_factory=dict)
    recipe: str | None = None
    set: Overrides = Field(default_factory=dict)
    grid: Annotated[Choices, AfterValidator(_without_seed)] = Field(default_factory=dict)
    device: str | None = None
    of: Name | None = None
    compress: Settings = Field(default_factory=dict)
    teacher: Name | None = None

    @model_validator(mode="after")
    def _network_once(self) -> Self:
        is_of = self.of is not None or OF in self.grid
        if self.of is not None and OF in self.grid:
            raise ValueError("`of` stands in the entry and in its grid: leave out one")
        if not is_of and (self.compress or any(key.startswith(COMPRESS) for key in self.grid)):
            raise ValueError("say with `of` which run's network `compress` makes smaller")
        own = {key for key in ("model", "settings", "recipe", "device") if getattr(self, key)}
        if is_of and own:
            raise ValueError(
                f"network and recipe are those of the run that it is `of`: leave out"
                f" {', '.join(sorted(own))}"
            )
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One point of an entry's grid; `chosen` are its settings of the recipe."""

    place: int
    entry: Entry
    name: str
    chosen: Settings
    of: str | None
    compress: Settings

    @property
    def needs(self) -> tuple[str, ...]:
        """The runs that have to be trained before."""
        return tuple(name for name in (self.of, self.entry.teacher) if name is not None)


def lines_of(entries: Sequence[Entry]) -> list[Line]:
    """Multiply the grids out."""
    points = ((entry, *point) for entry in entries for point in _multiplied(entry))
    return [
        Line(
            place=place, entry=entry, name=name,
            chosen={k: v for k, v in chosen.items() if k != OF and not k.startswith(COMPRESS)},
            of=str(chosen[OF]) if OF in chosen else entry.of,
            compress=entry.compress | {
                key.removeprefix(COMPRESS): value
                for key, value in chosen.items() if key.startswith(COMPRESS)
            },
        )
        for place, (entry, name, chosen) in enumerate(points)
    ]  # fmt: skip


def in_order(lines: Sequence[Line], problems: list[str]) -> list[Line]:
    """Order lines so that each follows those that it needs; unknown ones and circles are told."""
    known = {line.name: line for line in lines}
    for line in lines:
        for name in dict.fromkeys(line.needs):
            if name not in known:
                problems.append(f"{line.name}: {unknown('run', name, known)}")
    graph = {name: [need for need in line.needs if need in known] for name, line in known.items()}
    try:
        return [known[name] for name in TopologicalSorter(graph).static_order()]
    except CycleError as wrong:
        circle = " of ".join(reversed(wrong.args[1]))
        problems.append(f"no run can be first where they need each other in a circle: {circle}")
        return []


def _multiplied(entry: Entry) -> Iterator[tuple[str, Settings]]:
    """Give each point of the grid with its name: width 0.5 of "net" is "net-width0.5"."""
    for values in itertools.product(*entry.grid.values()):
        chosen = dict(zip(entry.grid, values, strict=True))
        yield entry.name + "".join(f"-{_said(key, v)}" for key, v in chosen.items()), chosen


def _said(key: str, value: Any) -> str:
    return _short(value) if key in TELLING else key.rpartition(".")[2] + _short(value)


def _short(value: Any) -> str:
    return "-".join(map(_short, value)) if isinstance(value, list) else str(value)
