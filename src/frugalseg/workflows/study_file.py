"""A study on disk: a grid of runs, and the columns of the table that they fill.

    about: Does a wider network pay?
    data: camvid
    set: {input: 96x128, length.epochs: 20}
    seeds: [0, 1]
    runs:
      - {name: enet, model: enet}
      - {name: frugalnet, model: frugalnet, grid: {model.settings.width: [0.5, 1.0]}}
    columns: [parameters, int8_bytes, miou_float, miou_int8]

makes 2 seeds of enet, frugalnet-width0.5 and frugalnet-width1.0 each.
"""

import itertools
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field

from frugalseg.core.errors import ConfigError, listed, unknown
from frugalseg.core.parse import Part, parse, parse_yaml
from frugalseg.report.columns import COLUMNS
from frugalseg.training.recipe import Model, Recipe, load_recipe

NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"
SEED = "seeds stand in `seeds:` of the study, such as seeds: [0, 1], not among the settings"

Kind = TypeVar("Kind", bound=BaseModel)
Values = TypeVar("Values", bound=Mapping[str, Any])


def _without_seed(settings: Values) -> Values:
    if any(key.strip() == "seed" for key in settings):
        raise ValueError(SEED)
    return settings


Name = Annotated[str, Field(pattern=NAME)]
Settings = dict[str, Any]
Overrides = Annotated[Settings, AfterValidator(_without_seed)]
Choices = dict[str, Annotated[tuple[Any, ...], Field(min_length=1)]]
Names = Annotated[
    tuple[Name, ...],
    BeforeValidator(lambda value: [value] if isinstance(value, str) else value),
    Field(min_length=1),
]


class Entry(Part):
    """One line of a study, or several where it has a `grid`.

    `model` and `settings` are those of the recipe; `set` has keys as `--set` does, and `grid` a
    list for each such key, which are multiplied out. With a `device`, the largest frugalnet that
    fits it is chosen, as `fit` does, and no model or setting of it may be given. A run that is
    just a name is the model of that name.
    """

    name: Name
    model: str | None = None
    settings: Settings = Field(default_factory=dict)
    recipe: str | None = None
    set: Overrides = Field(default_factory=dict)
    grid: Annotated[Choices, AfterValidator(_without_seed)] = Field(default_factory=dict)
    device: str | None = None


class _Sheet(Part):
    """What stands in the file; the runs are checked one by one."""

    about: str
    data: Names
    runs: Annotated[tuple[Any, ...], Field(min_length=1)]
    columns: Annotated[tuple[str, ...], Field(min_length=1)]
    recipe: str = "default"
    set: Overrides = Field(default_factory=dict)
    seeds: Annotated[tuple[Annotated[int, Field(ge=0, lt=2**32)], ...], Field(min_length=1)] = (0,)
    merge: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    tolerance: float = Field(default=1.0, ge=0, description="mIoU points that int8 may lose")
    calibration: int = Field(default=128, ge=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One run of a study: everything that decides on its result. `place` is its line."""

    place: int
    data: str
    name: str
    recipe: Recipe
    device: str | None
    merge: Mapping[str, Sequence[str]]
    tolerance_points: float
    calibration: int

    @property
    def key(self) -> str:
        """The name of its folder."""
        return f"{self.data}-{self.name}-s{self.recipe.seed}"

    def asked(self) -> dict[str, Any]:
        """Everything that decides on the result, as plain values."""
        return {
            "data": self.data,
            "merge": {name: list(members) for name, members in self.merge.items()},
            "device": self.device,
            "tolerance_points": self.tolerance_points,
            "calibration": self.calibration,
            "recipe": self.recipe.model_dump(mode="json"),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """A study as it was read; `jobs` says which runs it has."""

    name: str
    home: Path
    sheet: _Sheet
    entries: tuple[Entry, ...]

    @property
    def about(self) -> str:
        """What it is for, in a line."""
        return self.sheet.about

    def jobs(self, settings: Sequence[str] = ()) -> list[Job]:
        """Multiply out; `settings` such as "length.steps=20" override the recipe of each run.

        Raises ConfigError that names every mistake.
        """
        problems: list[str] = []
        lines = [
            (entry, name, chosen) for entry in self.entries for name, chosen in _multiplied(entry)
        ]
        problems += _doubles(
            [name for _, name, _ in lines], "runs have this name; each needs its own"
        )
        problems += [SEED] if any(_key(setting) == "seed" for setting in settings) else []
        jobs: list[Job] = []
        for place, (entry, name, chosen) in enumerate(lines):
            if not re.match(NAME, name):
                problems.append(f"{name}: a name has letters, digits, dots, _ and - only")
                continue
            try:
                jobs += self._of_line(place, entry, name, [*_assigned(chosen), *settings])
            except ConfigError as wrong:
                problems.append(f"{name}: {wrong}")
        problems = problems or _doubles(
            [job.key for job in jobs],
            "runs would share this folder; name each run, data set and seed once, and so that no"
            " two together read the same",
        )
        if problems:
            raise ConfigError(f"the study {self.name} is wrong{listed(problems)}")
        return jobs

    def _of_line(
        self, place: int, entry: Entry, name: str, settings: Sequence[str]
    ) -> Iterator[Job]:
        sheet = self.sheet
        wanted = [*_assigned(sheet.set), *_assigned(_model(entry)), *_assigned(entry.set)]
        source = _beside(self.home, entry.recipe or sheet.recipe)
        recipe = load_recipe(source, [*wanted, *settings])
        if entry.device is not None:
            _refuse_model(recipe.model)
        device = None if entry.device is None else str(_beside(self.home, entry.device, ".toml"))
        for data, seed in itertools.product(sheet.data, sheet.seeds):
            yield Job(
                place=place, data=data, name=name, device=device, merge=sheet.merge,
                recipe=recipe.model_copy(update={"seed": seed}),
                tolerance_points=sheet.tolerance, calibration=sheet.calibration,
            )  # fmt: skip


def study_names() -> list[str]:
    """Name the studies that ship with the package."""
    return sorted(p.name.removesuffix(".yaml") for p in _shipped().iterdir())


def load_study(source: str | Path) -> Study:
    """Read a study by name or from a YAML file.

    Raises ConfigError for a file that is missing or not YAML, and for every mistake in it.
    """
    path = Path(source)
    if path.suffix not in {".yaml", ".yml"}:
        if str(source) not in study_names():
            raise unknown("study", str(source), study_names())
        path = _shipped() / f"{source}.yaml"
    try:
        values = parse_yaml(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as wrong:
        raise ConfigError(f"cannot read the study {path}: {wrong}") from wrong
    if not isinstance(values, dict):
        raise ConfigError(f"{path} is not a study: expected keys and values, such as runs")
    return _checked(path, values)


def _checked(path: Path, values: Mapping[str, Any]) -> Study:
    """Check the file and each of its runs, and tell all mistakes together."""
    problems: list[str] = []
    sheet = _tried(_Sheet, values, "the file", problems)
    runs = values.get("runs")
    entries = [
        _tried(Entry, _entry(run), f"run {number}", problems)
        for number, run in enumerate(runs if isinstance(runs, list) else (), start=1)
    ]
    columns = values.get("columns")
    named = [c for c in columns if isinstance(c, str)] if isinstance(columns, list) else []
    problems += [str(unknown("column", name, COLUMNS)) for name in named if name not in COLUMNS]
    if problems or sheet is None:
        raise ConfigError(f"the study {path} is wrong{listed(problems)}")
    return Study(
        name=path.stem, home=path.parent, sheet=sheet, entries=tuple(e for e in entries if e)
    )


def _entry(run: Any) -> Mapping[str, Any]:
    if isinstance(run, str):
        return {"name": run, "model": run}
    return run if isinstance(run, dict) else {"name": run}


def _tried(
    kind: type[Kind], values: Mapping[str, Any], what: str, problems: list[str]
) -> Kind | None:
    try:
        return parse(kind, values, what)
    except ConfigError as wrong:
        problems.append(str(wrong))
        return None


def _multiplied(entry: Entry) -> Iterator[tuple[str, Settings]]:
    """Give each point of the grid with its name: width 0.5 of "net" is "net-width0.5"."""
    for values in itertools.product(*entry.grid.values()):
        chosen = dict(zip(entry.grid, values, strict=True))
        parts = [f"-{key.rpartition('.')[2]}{_short(value)}" for key, value in chosen.items()]
        yield entry.name + "".join(parts), chosen


def _short(value: Any) -> str:
    return "-".join(map(_short, value)) if isinstance(value, list) else str(value)


def _model(entry: Entry) -> Settings:
    named = {} if entry.model is None else {"model.name": entry.model}
    return named | {f"model.settings.{key}": value for key, value in entry.settings.items()}


def _refuse_model(model: Model) -> None:
    """Refuse a model beside a device, wherever it was named; only its channels are left open."""
    settings = [key for key in model.settings if key != "channels"]
    if model.name != Model().name or settings:
        told = " with ".join([model.name, *([", ".join(settings)] if settings else [])])
        raise ConfigError(
            f"a device chooses its own frugalnet: leave model and settings out, here and in set,"
            f" grid, --set and the recipe (got {told})"
        )


def _assigned(settings: Settings) -> list[str]:
    """Write settings as `--set` takes them; JSON is YAML too. A date becomes its text."""
    try:
        return [f"{key}={json.dumps(value, default=str)}" for key, value in settings.items()]
    except (TypeError, ValueError) as wrong:  # a key that is a date, a list that holds itself
        raise ConfigError(f"a setting is no plain value: {wrong}") from wrong


def _key(setting: str) -> str:
    return setting.partition("=")[0].strip()


def _doubles(names: Sequence[str], said: str) -> list[str]:
    return [
        f"{name}: {names.count(name)} {said}"
        for name in dict.fromkeys(names)
        if names.count(name) > 1
    ]


def _beside(home: Path, source: str, *suffixes: str) -> str | Path:
    """A file is named from the folder of the study; anything else is a name."""
    return home / source if Path(source).suffix in {".yaml", ".yml", *suffixes} else source


def _shipped() -> Path:
    return Path(str(resources.files("frugalseg") / "studies"))
