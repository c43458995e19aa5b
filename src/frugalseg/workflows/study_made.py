"""Runs of a study that are made of others: where these lie, and what is made of them."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from frugalseg.compress.catalog import METHODS, Plan
from frugalseg.compress.goal import Goal
from frugalseg.core.budget import Budget
from frugalseg.core.inputs import InputSpec
from frugalseg.core.progress import Progress
from frugalseg.cost.device import load_device
from frugalseg.data.check.report import DataReport
from frugalseg.data.dataset import Dataset
from frugalseg.trace import record
from frugalseg.training.checkpoint import Checkpoint, find_checkpoint, load_checkpoint
from frugalseg.training.recipe import Recipe
from frugalseg.workflows.compress_rounds import do_rounds
from frugalseg.workflows.compress_steps import PLAN, SPARE, CompressWish, for_network
from frugalseg.workflows.compress_steps import Job as Compression
from frugalseg.workflows.study_file import Job
from frugalseg.workflows.study_lines import Compress
from frugalseg.workflows.study_state import read

LIMITS = {"bytes": "storage_bytes", "peak": "ram_bytes"}  # what plans and wishes call them


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a run is trained with: the data, its folder, and whom it tells and asks."""

    dataset: Dataset
    report: DataReport
    folder: Path
    stop: Callable[[], bool]
    progress: Progress


def files_of(job: Job) -> tuple[str | None, str | None]:
    """Return start and teacher of a run as far as they are files, and no runs of the study."""
    learns = job.teacher is not None or job.compress is not None
    recipe = job.recipe
    return None if job.of else recipe.start, None if learns else recipe.teacher.run


def check_needs(job: Job, out: Path) -> None:
    """Raise ArtifactError where a run that is needed is trained and its weights are gone."""
    for needed in job.needs:
        if (out / needed.key / "train.json").exists():
            _trained(needed, out)


def check_compress(job: Job) -> None:
    """Raise ConfigError for a method or an importance that is unknown, or that do not go together.

    The limits themselves are known once there is the network.
    """
    if job.compress is not None:
        _wish(job, 1)


def made_recipe(job: Job, recipe: Recipe, around: Surroundings) -> Recipe:
    """Put what other runs made in the place of their names; with `compress`, make it smaller.

    Raises OverBudgetError where the network does not get as small as asked.
    """
    out = around.folder.parent
    if job.of is not None:
        path = _trained(job.of, out)
        kept = load_checkpoint(path)
        recipe = for_network(recipe, kept).model_copy(update={"start": str(path.resolve())})
        teacher = _trained(job.teacher or job.of, out)
    elif job.teacher is not None:
        teacher = _trained(job.teacher, out)
    if job.teacher is not None or job.compress is not None:
        taught = recipe.teacher.model_copy(update={"run": str(teacher.resolve())})
        recipe = recipe.model_copy(update={"teacher": taught})
    return recipe if job.compress is None else _smaller(job, recipe, kept, path, around)


def plan_of(job: Job, folder: Path) -> Plan | None:
    """Read the plan that a run followed; None for one that compresses nothing."""
    if job.compress is None:
        return None
    return METHODS[job.compress.method].plan.from_dict(read(folder / PLAN)["plan"])


def _smaller(
    job: Job, recipe: Recipe, kept: Checkpoint, path: Path, around: Surroundings
) -> Recipe:
    """Plan, or take the plan that was begun, and write what it leaves of the network."""
    assert job.compress is not None
    size = InputSpec.parse(str(recipe.input))
    kept = replace(kept, input=replace(kept.input, height=size.height, width=size.width))
    device = None if job.device is None else load_device(job.device)
    whole = record(kept.network(), kept.input)
    figures = Goal(budget=Budget(), device=device).figures(whole)
    wish = _wish(job, int(job.compress.share * figures[_limit(job.compress)]))
    steps = Compression(
        wish=wish, goal=wish.goal(SPARE), kept=kept, path=path, dataset=around.dataset,
        report=around.report, recipe=recipe.model_copy(update={"start": None}),
        folder=around.folder, progress=around.progress, stop=around.stop,
    )  # fmt: skip
    steps = do_rounds(steps)
    plan = steps.plan(keep=True)
    steps.write(plan)
    return steps.smaller(plan)


def _wish(job: Job, limit: int) -> CompressWish:
    assert job.compress is not None
    wanted = job.compress
    values: dict[str, Any] = {_limit(wanted): limit}
    return CompressWish(
        method=wanted.method,
        importance=wanted.importance,
        device=job.device,
        rounds=wanted.rounds,
        **values,
    )


def _limit(wanted: Compress) -> str:
    return LIMITS.get(wanted.limit, wanted.limit)


def _trained(job: Job, out: Path) -> Path:
    return find_checkpoint(out / job.key / "run")
