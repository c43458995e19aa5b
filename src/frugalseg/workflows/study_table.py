"""The table of a study, and its pictures, from what has been done so far."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean, stdev

from frugalseg.core.errors import ArtifactError, ConfigError, unknown
from frugalseg.core.files import check_folder, write_text
from frugalseg.core.records import Record
from frugalseg.report.columns import COLUMNS, expanded
from frugalseg.report.scatter import Point, scatter
from frugalseg.report.study_table import FORMATS, Row, Run, StudyTable
from frugalseg.workflows.study_file import Job, Study, load_study
from frugalseg.workflows.study_state import changes, read, state_of

PLOTS = {
    "bytes": ("int8_bytes", "size of the int8 file (measured)", "B"),
    "memory": ("peak_bytes", "peak activation memory, int8 (estimated)", "B"),
    "macs": ("gmacs", "multiply-accumulates for one picture (estimated)", ""),
}


def study_table(
    study: str | Path,
    out: str | Path,
    *,
    format: str = "markdown",
    plots: str | Path | None = None,
) -> str:
    """Return the table of a study as text: "markdown", "csv" or "latex".

    `out` is the folder of `study_run`. A run over several seeds is one line, mean and standard
    deviation of those there are; one that is not done says how far it is. With `plots`, a folder,
    mIoU of the int8 file is drawn over its bytes, peak memory and multiply-accumulates, as SVG,
    for what has been measured of each.
    """
    if format not in FORMATS:
        raise unknown("format of a table", format, FORMATS)
    plan, folder = load_study(study), Path(out)
    if not folder.is_dir():
        raise ConfigError(f"{folder}: no such folder; name the one that `study run` wrote")
    tables = [_table(plan, data, folder) for data in plan.sheet.data]
    if plots is not None:
        check_folder(Path(plots))
        for data, table in zip(plan.sheet.data, tables, strict=True):
            _draw(table, Path(plots), f"{plan.name}-{data}")
    return "\n\n".join(FORMATS[format](table) for table in tables)


def _table(study: Study, data: str, out: Path) -> StudyTable:
    """Collect what there is of the runs on one data set."""
    jobs = [job for job in study.jobs() if job.data == data]
    looks = _Looks(study, out)
    found = {job.key: looks.at(job) for job in jobs}
    known = {key: run for key, (run, _) in found.items() if run is not None}
    rows = []
    for name in dict.fromkeys(job.name for job in jobs):
        keys = {job.recipe.seed: job.key for job in jobs if job.name == name}
        states = {seed: found[key][1] for seed, key in keys.items()}
        runs = tuple(known[key] for key in keys.values() if key in known)
        rows.append(Row(name=name, runs=runs, state=_state(states)))
    first = next(iter(known.values()), Run(records={}, facts={}))
    return StudyTable(
        title=f"{study.name} on {data}: {study.about.rstrip('.')}",
        rows=tuple(rows),
        columns=expanded(
            study.sheet.columns, first.facts.get("classes", ()), first.facts.get("background")
        ),
        notes=_notes(known),
    )


@dataclass(slots=True)
class _Looks:
    """Looks at the folders of runs; what a study is with other settings is worked out once."""

    study: Study
    out: Path
    jobs: dict[tuple[str, ...], dict[str, Job]] = field(default_factory=dict)

    def at(self, job: Job) -> tuple[Run | None, str | None]:
        """Return what is known of a run, and how far it is if it is not done."""
        folder = self.out / job.key
        state, path = state_of(folder), folder / "asked.json"
        settings = tuple(map(str, read(path).get("set", ()))) if path.exists() else ()
        if settings not in self.jobs:
            self.jobs[settings] = {each.key: each for each in self.study.jobs(settings)}
        if changes(self.jobs[settings][job.key], folder):
            return None, "was begun with other settings than the study has now"
        if not state.stages:
            return None, state.told
        try:
            run = _run(folder, state.stages, settings)
        except (KeyError, TypeError, AttributeError) as wrong:
            raise ArtifactError(f"{folder} holds no results of a study: {wrong!r}") from wrong
        return run, None if state.done else state.told


def _run(folder: Path, names: Sequence[str], settings: Sequence[str]) -> Run:
    stages = {name: read(folder / f"{name}.json") for name in names}
    records = [Record(**record) for stage in stages.values() for record in stage["records"]]
    facts = {key: value for stage in stages.values() for key, value in stage["facts"].items()}
    notes = [f"{name}: {stage['reason']}" for name, stage in stages.items() if stage["reason"]]
    notes += [f"with --set {' '.join(settings)}"] if settings else []
    notes.append(f"scored on {facts['scored_on']}")
    return Run(records={r.name: r for r in records}, facts=facts, notes=tuple(notes))


def _notes(runs: Mapping[str, Run]) -> tuple[str, ...]:
    """Tell each note once, with the runs that it is about."""
    about: dict[str, list[str]] = {}
    for key, run in runs.items():
        for note in run.notes:
            about.setdefault(note, []).append(key)
    return tuple(
        note if len(keys) == len(runs) else f"{', '.join(keys)}: {note}"
        for note, keys in about.items()
    )


def _state(states: Mapping[int, str | None]) -> str | None:
    """Tell how far the seeds are that are not done."""
    if len(set(states.values())) == 1:
        return next(iter(states.values()))
    return "; ".join(f"seed {seed}: {state}" for seed, state in states.items() if state)


def _draw(table: StudyTable, folder: Path, name: str) -> None:
    """Draw the pictures for which there are results."""
    for what in PLOTS:
        if picture := drawing(table, what):
            write_text(folder / f"{name}-{what}.svg", picture)


def drawing(table: StudyTable, what: str) -> str:
    """Return a picture of the scores over one of `PLOTS`, as SVG; empty without results."""
    column, cost, unit = PLOTS[what]
    points = [point for row in table.rows if (point := _point(row, column))]
    if not points:
        return ""
    score = "mIoU of the int8 file, %"
    return scatter(points, title=table.title, cost=cost, unit=unit, score=score)


def _point(row: Row, column: str) -> Point | None:
    costs = [record.value for record in row.records(COLUMNS[column])]
    scores = row.values(COLUMNS["miou_int8"])
    if not costs or not scores:
        return None
    spread = stdev(scores) if len(scores) > 1 else 0.0
    return Point(name=row.name, cost=fmean(costs), score=fmean(scores), spread=spread)
