"""The steps of `compress`: the plan, the training before it is followed, what it leaves."""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from frugalseg.compress.beam import Beam
from frugalseg.compress.catalog import METHODS, Plan
from frugalseg.compress.goal import Goal
from frugalseg.compress.groups import Groups
from frugalseg.compress.importance import IMPORTANCES, Importance
from frugalseg.compress.joint import Evidence, JointPlan, plan_joint
from frugalseg.compress.losses import Losses
from frugalseg.compress.lowrank import LowRankPlan, plan_lowrank
from frugalseg.compress.mixed import BitsPlan, apply_bits, saved_bytes
from frugalseg.compress.prune import plan_prune
from frugalseg.core.budget import Budget
from frugalseg.core.errors import ArtifactError, ConfigError, OverBudgetError, unknown
from frugalseg.core.files import sha256, write_json
from frugalseg.core.inputs import InputSpec
from frugalseg.core.progress import Progress
from frugalseg.cost.device import load_device
from frugalseg.data.check.report import DataReport
from frugalseg.data.dataset import Dataset
from frugalseg.models.catalog import Architecture
from frugalseg.models.network import Network
from frugalseg.trace import record
from frugalseg.training.batches import normalise, training_batches
from frugalseg.training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from frugalseg.training.fine_tuning import fine_tuning, shorter
from frugalseg.training.objective import Objective
from frugalseg.training.recipe import Recipe, load_recipe, recipe_from, with_time
from frugalseg.training.smaller import Quantize
from frugalseg.training.validation import quick_score
from frugalseg.workflows.bits import LOOKED_AT, pictures_of
from frugalseg.workflows.plans import read_plan
from frugalseg.workflows.train import train_on, weights_of

PLAN, SMALLER, LAST = "plan.json", "smaller.safetensors", "last.safetensors"
MEASURED = "measured.jsonl"
BATCHES = 16  # for the importances that look at gradients
PICTURES = 16  # of the validation split, for a beam search
SPARE = 0.005  # of the bytes of a file: what their estimate may be wrong by
BY_IMPORTANCE = ("joint", "prune")
LEARNT_FROM = 0.5  # of the training afterwards: then it computes as the file with its bits will


@dataclass(frozen=True, slots=True, kw_only=True)
class CompressWish:
    """What the network must come to, and how.

    `storage_bytes`, `ram_bytes`, `macs` and `parameters` are limits of the int8 network;
    `device` a name or a file whose budget and multiples of channels hold too. `method` is one of
    `compress.catalog`; `importance` is that of channels ("taylor" unless it is said). Groups keep
    `multiple` channels or a multiple of it. All that is reached in `rounds`. `plan` is a file whose
    plan is followed as it stands.
    """

    storage_bytes: int | None = None
    ram_bytes: int | None = None
    macs: int | None = None
    parameters: int | None = None
    device: str | Path | None = None
    method: str = "joint"
    importance: str | None = None
    multiple: int = 1
    rounds: int = 1
    plan: Path | None = None

    def __post_init__(self) -> None:
        limits = (self.storage_bytes, self.ram_bytes, self.macs, self.parameters, self.device)
        if self.plan is None and all(limit is None for limit in limits):
            raise ConfigError(
                "say what the network must come to: bytes of its file, bytes at the peak, MACs,"
                " parameters, or a device"
            )
        if self.multiple < 1:
            raise ConfigError(f"channels are multiples of 1 or more, got {self.multiple}")
        if self.parameters is not None and self.parameters <= 0:
            raise ConfigError(f"parameters must be positive, got {self.parameters}")
        self._check_method()

    def _check_method(self) -> None:
        if self.method not in METHODS:
            raise unknown("method", self.method, METHODS)
        if self.importance is not None and self.method not in BY_IMPORTANCE:
            raise ConfigError(f"{self.method} finds ranks, without an importance of channels")
        if self.importance is not None and self.importance not in IMPORTANCES:
            raise unknown("importance", self.importance, IMPORTANCES)
        if self.rounds < 1:
            raise ConfigError(f"there has to be 1 round or more, got {self.rounds}")
        if self.rounds > 1 and self.method != "prune":
            raise ConfigError(f"{self.method} goes there at once: rounds are for method prune")

    def goal(self, spare: float = 0.0) -> Goal:
        """Return the limits, bytes less a share; raises what `load_device` and `Budget` do.

        A device leaves a margin itself.
        """
        room = self.storage_bytes and int(self.storage_bytes * (1 - spare))
        return Goal(
            budget=Budget(storage_bytes=room, ram_bytes=self.ram_bytes, macs=self.macs),
            device=None if self.device is None else load_device(self.device),
            parameters=self.parameters,
            channels=self.multiple,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A compression: of what, on which data, how it is trained, and the folder for all of it.

    `kept` is the network with the input that it is to have, `recipe` that of the whole training.
    """

    wish: CompressWish
    goal: Goal
    kept: Checkpoint
    path: Path
    dataset: Dataset
    report: DataReport
    recipe: Recipe
    folder: Path
    progress: Progress
    stop: Callable[[], bool] = lambda: False

    def plan(self, *, keep: bool) -> Plan:
        """Return the plan that was begun in this folder, the one to be followed, or make one.

        Nothing is written but, to `keep` it, what was measured for a joint plan: measuring that was
        cut off goes on, with other limits too.
        Raises ConfigError where the folder is that of something else, and for the plan of another
        network, and what the plans do.
        """
        return _begun(self.folder, self.asked()) or self.new_plan(keep=keep)

    def new_plan(self, *, keep: bool) -> Plan:
        """Return the plan to be followed, or make one, whatever was begun; see `plan`."""
        return self._found(keep) if self.wish.plan is None else self._read(self.wish.plan)

    def asked(self) -> dict[str, Any]:
        """Say what decides on the plan."""
        return asked_of(self.path, self.wish, self.goal, self.kept.input)

    def write(self, plan: Plan) -> None:
        """Write the plan beside what was asked for."""
        write_json(self.folder / PLAN, {"asked": self.asked(), "plan": plan.to_dict()})

    def smaller(self, plan: Plan) -> Recipe:
        """Write what the plan leaves of the network, and return the recipe that starts from it.

        For `bsr` the whole network is trained before, pressed towards the ranks; half of the
        training is that. What is there already stays.
        """
        path, recipe = self.folder / SMALLER, self.recipe
        if self.wish.method == "bsr":
            recipe = shorter(recipe, 0.5)
        if not ((self.folder / "run" / LAST).exists() and path.exists()):
            before = self._pressed(plan, recipe) if self.wish.method == "bsr" else self.kept
            network, architecture = self._follow(plan, before)
            left = replace(
                self.kept, architecture=architecture, weights=network.state_dict(), state={},
                best_miou=None,
            )  # fmt: skip
            save_checkpoint(left, path)
        recipe = _from(recipe, load_checkpoint(path).architecture, path)
        if bits := bits_of(plan):
            values = {"name": "qat", "start": LEARNT_FROM, "bits": dict(bits.bits)}
            learnt = Quantize.model_validate(values)
            return recipe.model_copy(update={"quantize": learnt})
        return recipe

    def _follow(self, plan: Plan, kept: Checkpoint) -> tuple[Network, Architecture]:
        apply = METHODS[self.wish.method].apply
        return apply(kept.network(), kept.architecture, self.kept.input, plan)

    def _pressed(self, plan: Plan, recipe: Recipe) -> Checkpoint:
        """Return the whole network, trained with its matrices pressed towards the plan's ranks."""
        assert isinstance(plan, LowRankPlan)
        if not plan.ranks:
            return self.kept
        ranks = {name: list(rank) for name, rank in plan.ranks.items()}
        pressed = recipe.model_copy(
            update={
                "low_rank": recipe.low_rank.model_copy(update={"ranks": ranks}),
                "teacher": type(recipe.teacher)(),
                "validations": 1,  # the end counts, where the pressure is full
            }
        )
        out = self.folder / "press"
        whole = _from(pressed, self.kept.architecture, self.path)
        run = train_on(
            self.dataset, self.report, whole, out, (out / LAST).exists(), self.progress, self.stop
        )
        return run.checkpoint

    def _read(self, path: Path) -> Plan:
        """Read a plan, and raise if it cannot be followed, or leaves too much."""
        _, plan = read_plan(path)
        network, architecture = self._follow(plan, self.kept)
        bits, graph = bits_of(plan), record(network, self.kept.input)
        if bits is not None:
            apply_bits(network, architecture.name, self.kept.input, bits)
        self.goal.refuse(graph, self.kept.input)
        spared = sum(saved_bytes(bits.weights[name]) for name in bits.bits) if bits else 0
        if verdict := self.goal.check(graph, spared=spared):
            return plan
        raise OverBudgetError(f"the plan {path} leaves too much: {verdict}", verdict)

    def _found(self, keep: bool) -> Plan:
        network, name, spec = self.kept.network(), self.kept.architecture.name, self.kept.input
        if self.wish.method in BY_IMPORTANCE:
            importance = self._importance(network)
            if self.wish.method == "prune":
                return plan_prune(
                    network, name, spec, importance, self.goal, multiple=self.goal.multiple
                )
            images_NCHW = pictures_of(self.dataset, spec, LOOKED_AT)
            evidence = Evidence(
                importance=importance[0], scores=importance[1], images_NCHW=images_NCHW,
                losses=self._losses(*importance, images_NCHW) if keep else Losses(),
            )  # fmt: skip
            return plan_joint(network, name, spec, self.goal, evidence, progress=self.progress)
        method: str | Beam = self.wish.method
        if method == "bsr":
            samples = self.dataset.splits["val"]
            few = samples[:: -(-len(samples) // PICTURES)]
            score = quick_score(self.dataset, few, spec)
            method = Beam(score=score, progress=self.progress)
        return plan_lowrank(network, name, spec, self.goal, method)

    def _losses(self, importance: str, scores: Importance, images_NCHW: Tensor) -> Losses:
        """Return what was measured of this network, on these pictures, before."""
        pictures = hashlib.sha256(images_NCHW.numpy().tobytes()).hexdigest()
        about = {
            "checkpoint": sha256(self.path), "importance": importance, "pictures": pictures,
            "groups": {group: len(scores_C) for group, scores_C in scores.items()},
        }  # fmt: skip
        return Losses(self.folder / MEASURED, about)

    def _importance(self, network: Network) -> tuple[str, Importance]:
        """Measure how much channels matter; the loss weighs classes as the training does."""
        spec, name = self.kept.input, self.wish.importance or "taylor"
        weights_C = weights_of(self.recipe, self.report, self.dataset)

        def losses(network: Network) -> Iterator[Tensor]:
            objective = Objective(self.recipe.loss, weights_C, torch.device("cpu"))
            batches = training_batches(self.dataset, self.recipe, spec)
            for images, labels in islice(batches, BATCHES):
                outputs = network.outputs(normalise(images, spec))
                yield objective(outputs, labels.long(), 0)

        return name, IMPORTANCES[name](network, Groups.of(network, spec), losses)


def bits_of(plan: Plan) -> BitsPlan | None:
    """Return the part of a plan that says which weights have 4 bits; None where none has."""
    return plan.bits if isinstance(plan, JointPlan) and plan.bits.bits else None


def asked_of(path: Path, wish: CompressWish, goal: Goal, spec: InputSpec) -> dict[str, Any]:
    """Say what decides on the plan."""
    return asdict(wish) | {
        "input": str(spec),
        "limits": goal.limits(),
        "importance": wish.importance or ("taylor" if wish.method in BY_IMPORTANCE else None),
        "device": wish.device and str(wish.device),
        "checkpoint": sha256(path),
        "plan": wish.plan and sha256(wish.plan),
    }


def recipe_of(
    kept: Checkpoint, path: Path, time: str | float | None, settings: Sequence[str]
) -> Recipe:
    """Return how the smaller network is trained: as before, shorter, and with a teacher."""
    own = ("model", "start", "teacher.run", "sparsity", "low_rank.ranks", "quantize")
    if strange := [text for text in settings if text.strip().startswith(own)]:
        raise ConfigError(f"compress says itself what network is trained, and with whom: {strange}")
    recipe = for_network(fine_tuning(recipe_from(kept.recipe)), kept)
    recipe = load_recipe(recipe, [f"teacher.run={json.dumps(str(path.resolve()))}", *settings])
    return recipe if time is None else with_time(recipe, time)


def for_network(recipe: Recipe, kept: Checkpoint) -> Recipe:
    """Return the recipe for the network of a checkpoint, and its input unless it names one."""
    architecture = kept.architecture
    settings = {k: v for k, v in architecture.settings.items() if k != "num_classes"}
    model = recipe.model.model_copy(update={"name": architecture.name, "settings": settings})
    named = recipe.model_copy(update={"model": model, "input": recipe.input or str(kept.input)})
    return _shaped(named, architecture)


def _from(recipe: Recipe, architecture: Architecture, start: Path) -> Recipe:
    """Return the recipe for a network as it came to be, starting from a checkpoint of it."""
    shaped = _shaped(recipe, architecture)
    return shaped.model_copy(update={"start": str(start.resolve())})


def _shaped(recipe: Recipe, architecture: Architecture) -> Recipe:
    model = recipe.model.model_copy(
        update={
            what: {name: list(values) for name, values in by_name.items()}
            for what, by_name in (("shapes", architecture.shapes), ("ranks", architecture.ranks))
        }
    )
    return recipe.model_copy(update={"model": model})


def _begun(folder: Path, asked: Mapping[str, Any]) -> Plan | None:
    """Return the plan of what was cut off in this folder; None where no training was begun.

    A plan alone is taken as well, if it is for what is asked now. Raises ConfigError where a run is
    that of something else.
    """
    runs = [folder / name for name in ("press", "run") if (folder / name / LAST).exists()]
    if runs and not (folder / PLAN).is_file():
        raise ConfigError(f"{runs[0]} is a run of something else: name another folder")
    try:
        before, plan = read_plan(folder / PLAN)
    except ConfigError as wrong:
        if not runs:
            return None
        raise ArtifactError(str(wrong)) from wrong
    before = {"rounds": 1, "plan": None} | before
    told = [
        f"{key} was {v}, is {asked.get(key)}" for key, v in before.items() if v != asked.get(key)
    ]
    if runs and told:
        raise ConfigError(f"{folder} holds another compression: {'; '.join(told)}; name another")
    return None if told else plan
