"""A study on disk: a grid of runs, and the columns of the table that they fill.

    about: Does a wider network pay?
    data: camvid
    set: {input: 96x128, length.epochs: 20}
    seeds: [0, 1]
    runs:
      - {name: enet, model: enet}
      - {name: frugalnet, model: frugalnet, grid: {model.settings.width: [0.5, 1.0]}}
    columns: [parameters, int8_bytes, miou_float, miou_int8]

makes 2 seeds of enet, frugalnet-width0.5 and frugalnet-width1.0 each. A run can be made of another
one's trained network:

      - {name: int8, of: enet, set: {quantize.name: qat}}
      - {name: half, of: enet, compress: {method: joint, share: 0.5}}
      - {name: taught, model: enet, teacher: frugalnet-width1.0}
"""

import itertools
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, Field

from frugalseg.core.errors import ConfigError, listed, unknown
from frugalseg.core.parse import Part, parse, parse_yaml
from frugalseg.report.columns import COLUMNS
from frugalseg.training.fine_tuning import fine_tuning
from frugalseg.training.recipe import Model, Recipe, load_recipe
from frugalseg.training.smaller import LowRank, Quantize, Sparsity
from frugalseg.workflows.study_lines import (
    NAME,
    SEED,
    Compress,
    Entry,
    Line,
    Name,
    Overrides,
    Settings,
    in_order,
    lines_of,
)

Kind = TypeVar("Kind", bound=BaseModel)
Names = Annotated[
    tuple[Name, ...],
    BeforeValidator(lambda value: [value] if isinstance(value, str) else value),
    Field(min_length=1),
]


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
    """One run of a study: everything that decides on its result. `place` is its line.

    `of` is the run whose trained network it starts from, or makes smaller as `compress` says, and
    `teacher` one that it learns from; in the recipe these stand by their names.
    """

    place: int
    data: str
    name: str
    recipe: Recipe
    device: str | None
    merge: Mapping[str, Sequence[str]]
    tolerance_points: float
    calibration: int
    of: "Job | None" = None
    teacher: "Job | None" = None
    compress: Compress | None = None

    @property
    def needs(self) -> "tuple[Job, ...]":
        """The runs that have to be trained before."""
        return tuple(job for job in (self.of, self.teacher) if job is not None)

    @property
    def first(self) -> "Job":
        """The run that it goes back to, which is of no other."""
        return self if self.of is None else self.of.first

    @property
    def key(self) -> str:
        """The name of its folder."""
        return f"{self.data}-{self.name}-s{self.recipe.seed}"

    def asked(self) -> dict[str, Any]:
        """Everything that decides on the result, as plain values."""
        others = {"of": self.of, "teacher": self.teacher}
        needed = {
            key: {"name": job.name, **job.asked()} for key, job in others.items() if job is not None
        }
        smaller = {} if self.compress is None else {"compress": self.compress.model_dump()}
        return {
            **needed,
            **smaller,
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
        lines = lines_of(self.entries)
        problems += _doubles(
            [line.name for line in lines], "runs have this name; each needs its own"
        )
        problems += [SEED] if any(_key(setting) == "seed" for setting in settings) else []
        made: dict[str, list[Job]] = {}
        for line in in_order(lines, problems):
            if not re.match(NAME, line.name):
                problems.append(f"{line.name}: a name has letters, digits, dots, _ and - only")
            elif all(name in made for name in line.needs):  # else it is told of these
                try:
                    made[line.name] = self._of_line(line, made, settings)
                except ConfigError as wrong:
                    problems.append(f"{line.name}: {wrong}")
        jobs = sorted((job for some in made.values() for job in some), key=lambda job: job.place)
        problems = problems or _doubles(
            [job.key for job in jobs],
            "runs would share this folder; name each run, data set and seed once, and so that no"
            " two together read the same",
        )
        if problems:
            raise ConfigError(f"the study {self.name} is wrong{listed(problems)}")
        return jobs

    def _of_line(
        self, line: Line, made: Mapping[str, Sequence[Job]], settings: Sequence[str]
    ) -> list[Job]:
        sheet, entry = self.sheet, line.entry
        before, teachers = (
            itertools.repeat(None) if name is None else made[name]
            for name in (line.of, entry.teacher)
        )
        compress = parse(Compress, line.compress, "compress") if line.compress else None
        first = None if line.of is None else made[line.of][0].first
        recipe = self._recipe(line, first, settings)
        device = None if entry.device is None else str(_beside(self.home, entry.device, ".toml"))
        if entry.device is not None:
            _refuse_model(recipe.model)
        points = zip(itertools.product(sheet.data, sheet.seeds), before, teachers, strict=False)
        return [
            Job(
                place=line.place, data=data, name=line.name, merge=sheet.merge,
                device=device if first is None else first.device,
                recipe=recipe.model_copy(update={"seed": seed}),
                tolerance_points=sheet.tolerance, calibration=sheet.calibration,
                of=of, teacher=teacher, compress=compress,
            )
            for (data, seed), of, teacher in points
        ]  # fmt: skip

    def _recipe(self, line: Line, first: Job | None, settings: Sequence[str]) -> Recipe:
        """Return the recipe of a line; other runs stand in it by their names."""
        entry, teacher = line.entry, line.entry.teacher or (line.compress and line.of) or None
        named = {"start": line.of, "teacher.run": teacher}
        named = {key: name for key, name in named.items() if name is not None}
        own = [*_assigned(entry.set), *_assigned(line.chosen), *settings]
        if first is None:
            source = _beside(self.home, entry.recipe or self.sheet.recipe)
            own = [*_assigned(self.sheet.set), *_assigned(_model(entry)), *_assigned(named), *own]
            recipe = load_recipe(source, own)
        else:
            recipe = load_recipe(fine_tuning(first.recipe), [*_assigned(named), *own])
            _refuse_decided(recipe, first.recipe, bool(line.compress))
        said = {"start": recipe.start, "teacher.run": recipe.teacher.run}
        if wrong := [key for key, name in named.items() if said[key] != name]:
            raise ConfigError(f"leave out {' and '.join(wrong)}: `of` and `teacher` say who it is")
        return recipe


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


def _refuse_decided(recipe: Recipe, first: Recipe, is_smaller: bool) -> None:
    """Refuse settings of what `of` or `compress` decide on."""
    if recipe.model != first.model:
        raise ConfigError("the network is that of the run that it is `of`: leave model out")
    plain = (Sparsity(), LowRank().ranks, Quantize())
    if is_smaller and (recipe.sparsity, recipe.low_rank.ranks, recipe.quantize) != plain:
        raise ConfigError(
            "compress says itself how the network gets smaller: leave sparsity, low_rank.ranks and"
            " quantize to another run that is `of` this one, or that this one is `of`"
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
