"""Do what is still missing of a study: train, export, score; stopped anywhere, it goes on."""

import contextlib
import logging
import time as clock
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from frugalseg.core.errors import ConfigError, FrugalsegError, listed, unknown
from frugalseg.core.files import check_folder, write_json
from frugalseg.core.progress import Progress, silent
from frugalseg.data.check import DataReport
from frugalseg.data.dataset import Dataset
from frugalseg.training.recipe import seconds
from frugalseg.workflows.study_claim import Claim, claimed, holder
from frugalseg.workflows.study_file import Job, load_study
from frugalseg.workflows.study_state import (
    STAGES,
    State,
    begin,
    finish,
    in_a_line,
    refuse_changed,
    state_of,
)
from frugalseg.workflows.study_train import check_network, open_data, train_stage
from frugalseg.workflows.train import StoppedError, checked

log = logging.getLogger("frugalseg")


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyResult:
    """What one call did, and what is left.

    `finished` are runs that this call brought to their end (with `train_only`, that of training),
    `left` tells how far each of the others is, `failed` why some could not be trained.
    """

    folder: Path
    finished: tuple[str, ...]
    left: dict[str, str]
    failed: dict[str, str]


def study_run(
    study: str | Path,
    data: str | Path,
    out: str | Path,
    *,
    time: str | float | None = None,
    only: Sequence[str] = (),
    train_only: bool = False,
    set: Sequence[str] = (),
    progress: Progress = silent,
) -> StudyResult:
    """Do what is missing of a study, each run in `out/<data>-<name>-s<seed>`.

    The order: the first seed of every run comes before any second one; of these, what lacks only
    its files before what is being trained, what is almost trained before what is not begun, else
    as in the study. What failed before comes last. It is decided anew before each run, and what
    another process works on is left to it: several machines can share one folder.

    `data` is the folder that holds the data sets. `only` names runs, `set` overrides the recipe
    of all ("length.steps=20"). With `time` ("9m", or seconds) training stops at the first step
    after it, to go on at a later call with the same result, and nothing else is begun; a scoring
    or an export that was begun is finished. With `train_only` nothing is exported.

    Raises ConfigError and DataError, each with all mistakes, before anything is trained.
    """
    began = clock.monotonic()
    limit_s = seconds(time) if isinstance(time, str) else time
    if limit_s is not None and not limit_s > 0:
        raise ConfigError(f"time must be more than 0 seconds, got {time!r}")
    jobs = chosen(load_study(study).jobs(set), only)
    folder = Path(out)
    check_folder(folder)
    refuse_changed(jobs, folder)
    if not train_only:
        from frugalseg.workflows.study_export import check_converters

        check_converters()
    bench = _Bench(
        jobs=jobs, data=Path(data), out=folder, settings=tuple(set), train_only=train_only,
        ends_s=None if limit_s is None else began + limit_s, progress=progress,
    )  # fmt: skip
    bench.open()
    return bench.work()


def chosen(jobs: Sequence[Job], only: Sequence[str]) -> list[Job]:
    """Keep the runs that are named: "enet", or one seed of it, "camvid-enet-s0"."""
    known = {name for job in jobs for name in (job.name, job.key)}
    for name in only:
        if name not in known:
            raise unknown("run", name, known)
    return [job for job in jobs if not only or {job.name, job.key} & {*only}]


@dataclass(slots=True, kw_only=True)
class _Bench:
    """One call at work."""

    jobs: Sequence[Job]
    data: Path
    out: Path
    settings: tuple[str, ...]
    train_only: bool
    ends_s: float | None
    progress: Progress
    datasets: dict[str, Dataset] = field(default_factory=dict)
    reports: dict[str, DataReport] = field(default_factory=dict)
    finished: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)

    def open(self) -> None:
        """Open all data sets and build each network once; tell all that is wrong together."""
        problems: list[str] = []
        for job in {job.data: job for job in self.jobs}.values():
            with _collected("", problems):
                self.datasets[job.data] = open_data(job, self.data)
        for job in {job.name: job for job in self.jobs}.values():
            with _collected(f"{job.name}: ", problems):
                check_network(job)
        if problems:
            raise ConfigError(f"the study cannot be run{listed(problems)}")

    def work(self) -> StudyResult:
        """Take one run after another, until nothing is left to do or the time is over."""
        while not self.is_over() and (job := self._next()) is not None:
            folder = self.out / job.key
            folder.mkdir(parents=True, exist_ok=True)
            with claimed(folder) as claim:
                if claim is not None:
                    self._run(job, claim)
        states = {job.key: state_of(self.out / job.key) for job in self.jobs}
        return StudyResult(
            folder=self.out,
            finished=tuple(self.finished),
            left={key: self._left(key, s) for key, s in states.items() if not s.done},
            failed=self.failed,
        )

    def is_over(self) -> bool:
        """Whether the time is up."""
        return self.ends_s is not None and clock.monotonic() >= self.ends_s

    def _left(self, key: str, state: State) -> str:
        worker = holder(self.out / key)
        return state.told if worker is None else f"{state.told}; {worker} is at it"

    def _next(self) -> Job | None:
        """Choose the run that tells most, of those that can be worked on."""
        order = []
        for job in self.jobs:
            folder = self.out / job.key
            state = state_of(folder)
            if not self._ended(state) and job.key not in self.failed and holder(folder) is None:
                order.append((_rank(job, state, self.jobs), job))
        return min(order, key=lambda pair: pair[0])[1] if order else None

    def _ended(self, state: State) -> bool:
        return state.done or (self.train_only and bool(state.stages))

    def _run(self, job: Job, claim: Claim) -> None:
        folder = self.out / job.key
        if self._ended(state_of(folder)):  # another process was quicker
            return
        refuse_changed([job], self.out)
        begin(job, folder, self.settings)
        try:
            for stage in STAGES[:1] if self.train_only else STAGES:
                if (folder / f"{stage}.json").exists():
                    continue
                if self.is_over() or claim.lost:
                    return
                self._stage(job, stage, claim)
        except StoppedError:
            return
        if not self.train_only:
            finish(job, folder)
        self.finished.append(job.key)

    def _stage(self, job: Job, stage: str, claim: Claim) -> None:
        folder, dataset, progress = self.out / job.key, self.datasets[job.data], self._told(job)
        if stage != "train":
            from frugalseg.workflows.study_export import export_stage

            export_stage(job, stage, dataset, folder, progress).save(folder, stage)
            return
        if job.data not in self.reports:
            self.reports[job.data] = checked(dataset, progress)
        report = self.reports[job.data]
        try:
            made = train_stage(
                job, dataset, report, folder, lambda: self.is_over() or claim.lost, progress
            )
        except (FrugalsegError, RuntimeError) as wrong:  # RuntimeError: torch, out of memory
            reason = self.failed[job.key] = in_a_line(wrong)
            write_json(folder / "failed.json", {"reason": reason})
            log.warning("%s cannot be trained: %s", job.key, reason)
            raise StoppedError from wrong
        made.save(folder, stage)
        (folder / "failed.json").unlink(missing_ok=True)

    def _told(self, job: Job) -> Progress:
        """Name the run in what is told of the progress."""

        def progress(stage: str, done: float, total: float, note: str = "") -> None:
            self.progress(stage, done, total, f"{job.key}, {note}" if note else job.key)

        return progress


@contextlib.contextmanager
def _collected(what: str, problems: list[str]) -> Iterator[None]:
    """Keep what is wrong, to tell it together with the rest."""
    try:
        yield
    except FrugalsegError as wrong:
        problems.append(f"{what}{wrong}")


def _rank(job: Job, state: State, jobs: Sequence[Job]) -> tuple[bool, int, float, int]:
    """The smallest comes first."""
    seeds = list(dict.fromkeys(other.recipe.seed for other in jobs))
    done = len(state.stages) + state.share
    return state.failed is not None, seeds.index(job.recipe.seed), -done, job.place
