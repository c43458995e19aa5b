"""Make a trained network smaller until it keeps to limits, train it again, and prove it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from frugalseg.compress.catalog import Plan
from frugalseg.core.errors import ConfigError, OverBudgetError
from frugalseg.core.files import check_folder
from frugalseg.core.inputs import InputSpec
from frugalseg.core.progress import Progress, silent
from frugalseg.export.quantisation import Quantisation
from frugalseg.training.checkpoint import find_checkpoint, load_checkpoint
from frugalseg.workflows.compress_rounds import do_rounds
from frugalseg.workflows.compress_steps import (
    LAST,
    SPARE,
    CompressWish,
    Job,
    bits_of,
    recipe_of,
)
from frugalseg.workflows.evaluate import open_for
from frugalseg.workflows.export import ExportResult, ExportWish, export_checkpoint
from frugalseg.workflows.place import check_place
from frugalseg.workflows.plans import read_plan
from frugalseg.workflows.train import checked, train_on


@dataclass(frozen=True, slots=True, kw_only=True)
class CompressResult:
    """The plan and, unless it was a dry run, the artifact of the network that it made.

    `asked` is what decided on the plan. `before` is the mIoU that the network had before, where its
    checkpoint tells it.
    """

    folder: Path
    asked: Mapping[str, Any]
    plan: Plan
    before: float | None = None
    export: ExportResult | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        told = {
            "asked": dict(self.asked), "plan": self.plan.to_dict(), "before": {"miou": self.before},
        }  # fmt: skip
        if self.export is None:
            return told
        names = self.export.manifest.label_space.names
        return told | {
            "float": self.export.float_scores.to_dict(names),
            "int8": self.export.scores.to_dict(names),
            "file": str(self.export.file),
            "footprint": self.export.footprint.to_dict(),
        }


def compress(
    checkpoint: str | Path,
    data: str | Path,
    out: str | Path,
    *,
    bytes: int | None = None,
    peak: int | None = None,
    macs: int | None = None,
    parameters: int | None = None,
    device: str | Path | None = None,
    method: str | None = None,
    importance: str | None = None,
    multiple: int | None = None,
    rounds: int | None = None,
    plan: str | Path | None = None,
    time: str | float | None = None,
    set: Sequence[str] = (),
    tolerance: float = 1.0,
    dry_run: bool = False,
    format: str | None = None,
    announce: Callable[[Plan], None] = lambda plan: None,
    progress: Progress = silent,
) -> CompressResult:
    """Make a trained network smaller, train it again with itself as teacher, and export it.

    At least one limit has to be given, or a `plan` to follow again: `bytes` of the int8 file,
    bytes at the `peak`, `macs`, `parameters`, or a `device` (a name or a file), whose budget and
    multiples of channels then hold.
    `method` is "joint" (the default) for channels, ranks and bits of weights together (see
    `compress.joint`), "prune" for channels alone, or one of low rank: "svd", "tucker", "bsr" (see
    `compress.lowrank`). `importance` says which channels go first (see `compress.importance`).
    Channels that stay, and ranks, are multiples of `multiple`: 8 or 16 is faster on processors that
    compute with so many at once, at equal MACs. Pruning may go there in several `rounds`, with a
    training behind each (`out/round1`, ...). `plan` is the file of one that was made before,
    `plan.json` or what was printed as JSON, for the same network, trained anew perhaps: it says
    itself what is done, and what it leaves has to keep to limits that are given.

    Writes `out/plan.json` (for a joint one before it, as it comes, what each change was measured to
    lose, `out/measured.jsonl`), what the plan leaves as `out/smaller.safetensors`, the training in
    `out/run` and the artifact, through the gate, in `out/artifact`. The training is that of the
    checkpoint, a quarter as long at half the rate unless `time` ("30m", or seconds) or `set`
    ("length.epochs=20") say otherwise, with the network as it was as teacher. For "bsr", its first
    half trains the whole network, pressed towards the ranks, in `out/press`. What was cut off
    goes on when it is called again. With `dry_run` the plan alone is made, and nothing is written;
    `announce` is called with it before the long part, for each round.

    Raises OverBudgetError where the limits cannot be met, GateError where int8 loses more than
    `tolerance` points, ConfigError and DataError before anything is written.
    """
    how = {"method": method, "importance": importance, "multiple": multiple, "rounds": rounds}
    wish = CompressWish(
        storage_bytes=bytes, ram_bytes=peak, macs=macs, parameters=parameters, device=device,
        **(_given(how) if plan is None else _planned(Path(plan), _given(how))),
    )  # fmt: skip
    if dry_run and wish.rounds > 1:
        raise ConfigError("later rounds are planned after a training: a dry run shows no rounds")
    folder, limits = Path(out), wish.goal()
    check_folder(folder)
    check_place(folder / "artifact")
    export_wish = ExportWish(tolerance_points=tolerance, device=limits.device)
    path = find_checkpoint(Path(checkpoint))
    kept = load_checkpoint(path)
    dataset = open_for(kept.labels, data, format=format)
    recipe = recipe_of(kept, path, time, set)
    size = InputSpec.parse(str(recipe.input))
    kept = replace(kept, input=replace(kept.input, height=size.height, width=size.width))
    job = Job(
        wish=wish, goal=wish.goal(SPARE), kept=kept, path=path, dataset=dataset,
        report=checked(dataset, progress), recipe=recipe, folder=folder, progress=progress,
    )  # fmt: skip
    if not dry_run:
        job = do_rounds(job, announce)
    made = job.plan(keep=not dry_run)
    result = CompressResult(folder=folder, asked=job.asked(), plan=made, before=kept.best_miou)
    announce(made)
    if dry_run:
        return result
    job.write(made)
    if bits := bits_of(made):
        export_wish = replace(export_wish, how=Quantisation(bits=bits.bits), plan=bits)
    smaller, resume = job.smaller(made), (folder / "run" / LAST).exists()
    run = train_on(dataset, job.report, smaller, folder / "run", resume, progress)
    exported = export_checkpoint(
        run.checkpoint, dataset, folder / "artifact", export_wish, float_scores=run.scores,
        progress=progress,
    )  # fmt: skip
    if verdict := limits.budget.check(exported.footprint):
        return replace(result, export=exported)
    raise OverBudgetError(f"the file is larger than its plan: {verdict}", verdict)


def _given(how: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in how.items() if value is not None}


def _planned(path: Path, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return how a plan was made, and where it lies; nothing else may be `given`."""
    if given:
        raise ConfigError(f"the plan {path} says itself what is done: leave out {', '.join(given)}")
    asked, _ = read_plan(path)
    if (rounds := asked.get("rounds", 1)) != 1:
        raise ConfigError(f"{path} is the last of {rounds} rounds: follow those before it, first")
    wanted = ("method", "importance", "multiple")
    return {key: value for key, value in asked.items() if key in wanted} | {"plan": path}
