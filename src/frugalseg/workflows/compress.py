"""Make a trained network smaller until it keeps to limits, train it again, and prove it."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from frugalseg.compress.groups import Groups
from frugalseg.compress.importance import IMPORTANCES
from frugalseg.compress.prune import Goal, PrunePlan, apply_prune, plan_prune
from frugalseg.core.budget import Budget
from frugalseg.core.errors import ArtifactError, ConfigError, OverBudgetError, unknown
from frugalseg.core.files import check_folder, sha256, write_json
from frugalseg.core.inputs import InputSpec
from frugalseg.core.progress import Progress, silent
from frugalseg.cost.device import load_device
from frugalseg.data.dataset import Dataset
from frugalseg.models.network import Network
from frugalseg.training.batches import normalise, training_batches
from frugalseg.training.checkpoint import (
    Checkpoint,
    find_checkpoint,
    load_checkpoint,
    save_checkpoint,
)
from frugalseg.training.objective import Objective
from frugalseg.training.recipe import Recipe, load_recipe, recipe_from, with_time
from frugalseg.workflows.evaluate import open_for
from frugalseg.workflows.export import ExportResult, ExportWish, export_checkpoint
from frugalseg.workflows.place import check_place
from frugalseg.workflows.train import checked, train_on, weights_of

PLAN, PRUNED = "plan.json", "pruned.safetensors"
BATCHES = 16  # for the importances that look at gradients
RATE = 0.5  # of the learning rate of the first training
SHARE = 0.25  # of its length


@dataclass(frozen=True, slots=True, kw_only=True)
class CompressWish:
    """What the network must come to, and by which importance channels go.

    `storage_bytes`, `ram_bytes`, `macs` and `parameters` are limits of the int8 network;
    `device` a name or a file whose budget and multiples of channels hold too.
    """

    storage_bytes: int | None = None
    ram_bytes: int | None = None
    macs: int | None = None
    parameters: int | None = None
    device: str | Path | None = None
    importance: str = "taylor"

    def __post_init__(self) -> None:
        limits = (self.storage_bytes, self.ram_bytes, self.macs, self.parameters, self.device)
        if all(limit is None for limit in limits):
            raise ConfigError(
                "say what the network must come to: bytes of its file, bytes at the peak, MACs,"
                " parameters, or a device"
            )
        if self.importance not in IMPORTANCES:
            raise unknown("importance", self.importance, IMPORTANCES)
        if self.parameters is not None and self.parameters <= 0:
            raise ConfigError(f"parameters must be positive, got {self.parameters}")

    def goal(self) -> Goal:
        """Return the limits; raises what `load_device` and `Budget` do."""
        return Goal(
            budget=Budget(
                storage_bytes=self.storage_bytes, ram_bytes=self.ram_bytes, macs=self.macs
            ),
            device=None if self.device is None else load_device(self.device),
            parameters=self.parameters,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class CompressResult:
    """The plan and, unless it was a dry run, the artifact of the network that it made.

    `before` is the mIoU that the network had before, where its checkpoint tells it.
    """

    folder: Path
    plan: PrunePlan
    before: float | None = None
    export: ExportResult | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        told = {"plan": self.plan.to_dict(), "before": {"miou": self.before}}
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
    importance: str = "taylor",
    time: str | float | None = None,
    set: Sequence[str] = (),
    tolerance: float = 1.0,
    dry_run: bool = False,
    format: str | None = None,
    announce: Callable[[PrunePlan], None] = lambda plan: None,
    progress: Progress = silent,
) -> CompressResult:
    """Prune a trained network to limits, train it again with itself as teacher, and export it.

    At least one limit has to be given: `bytes` of the int8 file, bytes at the `peak`, `macs`,
    `parameters`, or a `device` (a name or a file), whose budget and multiples of channels then
    hold. `importance` says which channels go first (see `compress.importance`).

    Writes `out/plan.json`, what the plan leaves as `out/pruned.safetensors`, the training in
    `out/run` and the artifact, through the gate, in `out/artifact`. The training is that of the
    checkpoint, a quarter as long at half the rate unless `time` ("30m", or seconds) or `set`
    ("length.epochs=20") say otherwise, with the network as it was as teacher. What was cut off
    goes on when it is called again. With `dry_run` the plan alone is made, and nothing is written;
    `announce` is called with it before the long part.

    Raises OverBudgetError where the limits cannot be met, GateError where int8 loses more than
    `tolerance` points, ConfigError and DataError before anything is written.
    """
    wish = CompressWish(
        storage_bytes=bytes, ram_bytes=peak, macs=macs, parameters=parameters, device=device,
        importance=importance,
    )  # fmt: skip
    folder, goal = Path(out), wish.goal()
    check_folder(folder)
    check_place(folder / "artifact")
    export_wish = ExportWish(tolerance_points=tolerance, device=goal.device)
    path = find_checkpoint(Path(checkpoint))
    kept = load_checkpoint(path)
    dataset = open_for(kept.labels, data, format=format)
    recipe = _recipe(kept, path, time, set)
    size = InputSpec.parse(str(recipe.input))
    kept = replace(kept, input=replace(kept.input, height=size.height, width=size.width))
    report = checked(dataset, progress)
    weights_C = weights_of(recipe, report, dataset)
    asked = _asked(path, wish)
    plan = _begun(folder, asked) or _plan(kept, dataset, recipe, goal, (wish.importance, weights_C))
    announce(plan)
    if dry_run:
        return CompressResult(folder=folder, plan=plan, before=kept.best_miou)
    write_json(folder / PLAN, {"asked": asked, "plan": plan.to_dict()})
    smaller = _prune(kept, plan, recipe, folder)
    begun = (folder / "run" / "last.safetensors").exists()
    run = train_on(dataset, report, smaller, folder / "run", begun, progress)
    exported = export_checkpoint(
        run.checkpoint, dataset, folder / "artifact", export_wish, float_scores=run.scores,
        progress=progress,
    )  # fmt: skip
    if verdict := goal.budget.check(exported.footprint):
        return CompressResult(folder=folder, plan=plan, before=kept.best_miou, export=exported)
    raise OverBudgetError(f"the file is larger than its plan: {verdict}", verdict)


def _prune(kept: Checkpoint, plan: PrunePlan, recipe: Recipe, folder: Path) -> Recipe:
    """Write what the plan leaves of the network, and return the recipe that starts from it."""
    network, architecture = apply_prune(kept.network(), kept.architecture, kept.input, plan)
    pruned = replace(
        kept, architecture=architecture, weights=network.state_dict(), state={}, best_miou=None
    )
    save_checkpoint(pruned, folder / PRUNED)
    shapes = {name: list(shape) for name, shape in architecture.shapes.items()}
    model = recipe.model.model_copy(update={"shapes": shapes})
    return recipe.model_copy(update={"model": model, "start": str((folder / PRUNED).resolve())})


def _recipe(
    kept: Checkpoint, path: Path, time: str | float | None, settings: Sequence[str]
) -> Recipe:
    """Return how the smaller network is trained: as before, shorter, and with a teacher."""
    own = ("model", "start", "teacher.run", "sparsity")
    if strange := [text for text in settings if text.strip().startswith(own)]:
        raise ConfigError(f"compress says itself what network is trained, and with whom: {strange}")
    before = recipe_from(kept.recipe)
    length = {key: value and value * SHARE for key, value in before.length.model_dump().items()}
    if length["steps"]:
        length["steps"] = max(1, int(length["steps"]))
    values = before.model_dump() | {
        "model": {"name": kept.architecture.name, "settings": dict(kept.architecture.settings)},
        "input": str(kept.input),
        "length": length,
        "optimizer": before.optimizer.model_dump() | {"lr": RATE * before.optimizer.lr},
        "teacher": {"run": str(path.resolve())},
        "sparsity": {"name": "none"},
        "start": None,
    }
    del values["model"]["settings"]["num_classes"]
    recipe = load_recipe(recipe_from(values), settings)
    return recipe if time is None else with_time(recipe, time)


def _asked(path: Path, wish: CompressWish) -> dict[str, Any]:
    """Say what decides on the plan."""
    return {**asdict(wish), "device": wish.device and str(wish.device), "checkpoint": sha256(path)}


def _begun(folder: Path, asked: Mapping[str, Any]) -> PrunePlan | None:
    """Return the plan of what was cut off in this folder; None where nothing was begun.

    Raises ConfigError where that was something else.
    """
    if not (folder / "run" / "last.safetensors").exists():
        return None
    if not (folder / PLAN).is_file():
        raise ConfigError(f"{folder / 'run'} is a run of something else: name another folder")
    try:
        written = json.loads((folder / PLAN).read_text(encoding="utf-8"))
        before, plan = dict(written["asked"]), PrunePlan.from_dict(written["plan"])
    except (OSError, ValueError, KeyError, TypeError) as wrong:
        raise ArtifactError(f"{folder / PLAN}: not a plan of ours ({wrong!r})") from wrong
    if told := [
        f"{key} was {v}, is {asked.get(key)}" for key, v in before.items() if v != asked.get(key)
    ]:
        raise ConfigError(f"{folder} holds another compression: {'; '.join(told)}; name another")
    return plan


def _plan(
    kept: Checkpoint,
    dataset: Dataset,
    recipe: Recipe,
    goal: Goal,
    importance: tuple[str, Tensor | None],
) -> PrunePlan:
    """Make the plan, by an importance; the loss weighs classes as the training does."""
    name, weights_C = importance
    network = kept.network()
    groups = Groups.of(network, kept.input)

    def losses(network: Network) -> Iterator[Tensor]:
        objective = Objective(recipe.loss, weights_C, torch.device("cpu"))
        for images, labels in islice(training_batches(dataset, recipe, kept.input), BATCHES):
            outputs = network.outputs(normalise(images, kept.input))
            yield objective(outputs, labels.long(), 0)

    scores = IMPORTANCES[name](network, groups, losses)
    multiple = 1 if goal.device is None else goal.device.channel_multiple
    return plan_prune(
        network, kept.architecture.name, kept.input, (name, scores), goal,
        multiple=multiple,
    )  # fmt: skip
