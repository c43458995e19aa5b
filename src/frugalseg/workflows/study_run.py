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
from frugalseg.data.check.report import DataReport
from frugalseg.data.dataset import Dataset
from frugalseg.training.recipe import seconds
from frugalseg.workflows.study_claim import Claim, LostError, claimed, holder
from frugalseg.workflows.study_file import Job, load_study
from frugalseg.workflows.study_made import Surroundings
from frugalseg.workflows.study_state import (
    STAGES,
    Stage,
    State,
    begin,
    finish,
    in_a_line,
    refuse_changed,
    state_of,
)
from frugalseg.workflows.study_train import (
    check_input,
    check_network,
    check_start,
    open_data,
    train_stage,
)
from frugalseg.workflows.train import StoppedError, checked

log = logging.getLogger("frugalseg")


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyResult:
    """What one call did, and what is left.

    `finished` are runs that this call brought to their end (with `train_only`, that of training),
    `left` tells how far each of the others is, `failed` why some could not be trained or
    exported. `lacks` says of those finished which file could not be written or kept, and why.
    """

    folder: Path
    finished: tuple[str, ...]
    left: dict[str, str]
    failed: dict[str, str]
    lacks: dict[str, str]


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
    another process works on is left to it: several machines can share one folder. A run that is
    made of another one, or learns from it, waits for it.

    `data` is the folder that holds the data sets. `only` names runs, `set` overrides the recipe
    of all ("length.steps=20"). With `time` ("9m", or seconds) training stops at the first step
    after it, to go on at a later call with the same result, and nothing else is begun; a scoring
    or an export that was begun is finished. With `train_only` nothing is exported.

    Raises ConfigError before anything is trained: for all mistakes in the study and the tools that
    are missing together; then for all in the data, and in how the runs go with it.
    """
    began = clock.monotonic()
    limit_s = seconds(time) if isinstance(time, str) else time
    if limit_s is not None and not limit_s > 0:
        raise ConfigError(f"time must be more than 0 seconds, got {time!r}")
    jobs = chosen(load_study(study).jobs(set), only)
    folder = Path(out)
    check_folder(folder)
    _refuse_alone(jobs, folder)
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


def _refuse_alone(jobs: Sequence[Job], out: Path) -> None:
    """Refuse runs that need others which are neither trained nor among them."""
    keys = {job.key for job in jobs}
    for job in jobs:
        for needed in job.needs:
            if needed.key not in keys and not _is_trained(needed, out):
                raise ConfigError(
                    f"{job.key} needs {needed.key}, which is not trained: do that one too"
                    f" (--only {needed.name})"
                )


def _is_trained(job: Job, out: Path) -> bool:
    return (out / job.key / f"{STAGES[0]}.json").exists()


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
    lacks: dict[str, str] = field(default_factory=dict)

    def open(self) -> None:
        """Open and check all that the runs still need; tell all that is wrong together."""
        problems: list[str] = []
        for job in {job.data: job for job in self.jobs}.values():
            with _collected("", problems):
                self.datasets[job.data] = open_data(job, self.data)
        untrained = self._without("train")
        for job in {job.name: job for job in untrained}.values():
            with _collected(f"{job.name}: ", problems):
                check_network(job)
        for job in untrained:
            with _collected(f"{job.name}: ", problems):
                check_start(job, self.out / job.key)
        if not self.train_only:
            self._check_exports(problems)
        _refuse(problems)
        for name in dict.fromkeys(job.data for job in untrained):
            with _collected("", problems):
                self._report(name)
        _refuse(problems)
        for job in {(job.data, job.name): job for job in untrained}.values():
            with _collected(f"{job.name}: ", problems):
                check_input(job, self.datasets[job.data], self._report(job.data))
        _refuse(problems)

    def _without(self, stage: str) -> list[Job]:
        return [job for job in self.jobs if stage not in state_of(self.out / job.key).stages]

    def _check_exports(self, problems: list[str]) -> None:
        from frugalseg.workflows.study_export import check_wish

        for job in {job.name: job for job in self._without("int8")}.values():
            with _collected(f"{job.name}: ", problems):
                check_wish(job)

    def _report(self, data: str) -> DataReport:
        """Check a data set, once; raises DataError for its problems."""
        if data not in self.reports:
            self.reports[data] = checked(self.datasets[data], self.progress)
        return self.reports[data]

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
            left={
                job.key: self._left(job, states[job.key])
                for job in self.jobs
                if not states[job.key].done
            },
            failed=self.failed,
            lacks=self.lacks,
        )

    def is_over(self) -> bool:
        """Whether the time is up."""
        return self.ends_s is not None and clock.monotonic() >= self.ends_s

    def _left(self, job: Job, state: State) -> str:
        key, told, worker = job.key, state.told, holder(self.out / job.key)
        if not state.stages and (awaited := self._awaited(job)):
            told = f"{told}; waits for {', '.join(awaited)}"
        if state.stages and key in self.failed:
            told = f"{told}; failed: {self.failed[key]}"
        return told if worker is None else f"{told}; {worker} is at it"

    def _awaited(self, job: Job) -> list[str]:
        return [needed.key for needed in job.needs if not _is_trained(needed, self.out)]

    def _next(self) -> Job | None:
        """Choose the run that tells most, of those that can be worked on."""
        order = []
        for job in self.jobs:
            folder = self.out / job.key
            state = state_of(folder)
            is_free = job.key not in self.failed and holder(folder) is None
            if is_free and not self._ended(state) and not self._awaited(job):
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
            with contextlib.suppress(StoppedError, LostError):
                self._stages(job, claim)
        except (FrugalsegError, RuntimeError) as wrong:  # RuntimeError: torch, out of memory
            self._fail(job, claim, wrong)

    def _stages(self, job: Job, claim: Claim) -> None:
        """Do what the run lacks, up to its end or that of the time."""
        folder = self.out / job.key
        for stage in STAGES[:1] if self.train_only else STAGES:
            if (folder / f"{stage}.json").exists():
                continue
            if self.is_over():
                return
            claim.check()
            made = self._train(job, claim) if stage == "train" else self._export(job, stage, claim)
            claim.check(now=True)
            made.save(folder, stage)
            (folder / "failed.json").unlink(missing_ok=True)
        if not self.train_only:
            claim.check(now=True)
            if lacks := finish(job, folder):
                self.lacks[job.key] = lacks
        self.finished.append(job.key)

    def _train(self, job: Job, claim: Claim) -> Stage:
        def stop() -> bool:
            claim.check()  # raises: what this process has is older, and must not be saved
            return self.is_over()

        around = Surroundings(
            dataset=self.datasets[job.data], report=self._report(job.data),
            folder=self.out / job.key, stop=stop, progress=self._told(job, claim),
        )  # fmt: skip
        return train_stage(job, around)

    def _export(self, job: Job, stage: str, claim: Claim) -> Stage:
        from frugalseg.workflows.study_export import export_stage

        folder, dataset = self.out / job.key, self.datasets[job.data]
        return export_stage(job, stage, dataset, folder, self._told(job, claim))

    def _fail(self, job: Job, claim: Claim, wrong: Exception) -> None:
        """Keep why a run could not be trained or exported, to go on with the others."""
        claim.look()
        if claim.lost:
            return
        folder, reason = self.out / job.key, in_a_line(wrong)
        is_trained = (folder / "train.json").exists()
        self.failed[job.key] = reason
        if not is_trained:
            write_json(folder / "failed.json", {"reason": reason})
        log.warning("%s cannot be %s: %s", job.key, "exported" if is_trained else "trained", reason)

    def _told(self, job: Job, claim: Claim) -> Progress:
        """Name the run in what is told of the progress, and end it once the claim is lost."""

        def progress(stage: str, done: float, total: float, note: str = "") -> None:
            claim.check()
            self.progress(stage, done, total, f"{job.key}, {note}" if note else job.key)

        return progress


@contextlib.contextmanager
def _collected(what: str, problems: list[str]) -> Iterator[None]:
    """Keep what is wrong, to tell it together with the rest."""
    try:
        yield
    except FrugalsegError as wrong:
        if (told := f"{what}{wrong}") not in problems:  # as of another seed
            problems.append(told)


def _refuse(problems: Sequence[str]) -> None:
    if problems:
        raise ConfigError(f"the study cannot be run{listed(problems)}")


def _rank(job: Job, state: State, jobs: Sequence[Job]) -> tuple[bool, int, float, int]:
    """The smallest comes first."""
    seeds = list(dict.fromkeys(other.recipe.seed for other in jobs))
    done = len(state.stages) + state.share
    return state.failed is not None, seeds.index(job.recipe.seed), -done, job.place
