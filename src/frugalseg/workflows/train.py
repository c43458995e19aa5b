"""Train a network by a recipe, so that it can be killed and resumed at any moment."""

import logging
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor

from frugalseg.core.errors import ConfigError, DataError
from frugalseg.core.files import check_folder, write_text
from frugalseg.core.inputs import InputSpec
from frugalseg.core.labels import LabelSpace
from frugalseg.core.progress import Progress, silent
from frugalseg.cost.device import load_device
from frugalseg.data.catalog import open_dataset
from frugalseg.data.check.report import DataReport, check_dataset
from frugalseg.data.check.sizes import usual_size
from frugalseg.data.dataset import Dataset
from frugalseg.metrics.scores import Scores
from frugalseg.models.catalog import Architecture
from frugalseg.models.network import Network
from frugalseg.report.wording import flat
from frugalseg.search.smaller import check_fits
from frugalseg.training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint, start_from
from frugalseg.training.log import RunLog
from frugalseg.training.loop import Step, Training
from frugalseg.training.objective import class_weights
from frugalseg.training.recipe import Recipe, load_recipe, recipe_from, with_time
from frugalseg.training.teacher import Teaching
from frugalseg.training.validation import score_split, torch_predictor

CHECKED_PICTURES = 2_000  # of a split, before training; `data check` looks at all
SAVE_EVERY_S = 20.0
LOG_ROWS = 200

log = logging.getLogger("frugalseg")


class StoppedError(Exception):
    """Training was told to stop before its end; what was done is saved."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainResult:
    """Where the run lies, and the scores of its best checkpoint on the validation split.

    `loading_share` is the part of the time of the steps taken here in which they waited for
    pictures, the first step left out; None where there was no other.
    """

    folder: Path
    checkpoint: Checkpoint
    scores: Scores
    loading_share: float | None = None


def train(
    data: str | Path,
    out: str | Path,
    *,
    recipe: str | Path | Recipe = "default",
    set: Sequence[str] = (),
    time: str | float | None = None,
    device: str | Path | None = None,
    resume: bool = False,
    format: str | None = None,
    map: str | Path | None = None,
    progress: Progress = silent,
) -> TrainResult:
    """Train on `data` and write the run to the folder `out`.

    `map` is a file that merges classes or ignores some (see `data.class_map`).
    `set` ("optimizer.lr=2e-3") and `time` ("30m", or seconds) override the recipe. With a `device`
    (a name or a file), OverBudgetError is raised for a network that would not fit or run there.
    With `resume`, a run that was cut off goes on from its last checkpoint; on the CPU and counted
    in steps or epochs, it ends with the same weights to the bit.

    Raises ConfigError and DataError before anything is written.
    """
    check_folder(Path(out))
    target = None if device is None else load_device(device)
    wish = recipe if isinstance(recipe, Recipe) else load_recipe(recipe, set)
    wish = wish if time is None else with_time(wish, time)
    dataset = open_dataset(data, format=format, map=map, progress=progress)
    report = checked(dataset, progress)
    if target is not None:
        spec = input_of(wish, report)
        check_fits(architecture_of(wish, dataset.labels, spec).build(), spec, target)
    return train_on(dataset, report, wish, Path(out), resume, progress)


def checked(dataset: Dataset, progress: Progress = silent) -> DataReport:
    """Check a data set, refuse it for its problems, and log its warnings.

    Of a large one a part is looked at, so that a training begins within a minute.
    """
    report = check_dataset(dataset, most=CHECKED_PICTURES, progress=progress)
    if report.problems:
        raise DataError(f"{dataset.root} cannot be used for training", report.problems)
    for name in ("train", "val"):
        if not dataset.splits.get(name):
            raise DataError(
                f"{dataset.root} has no pictures in the split {name!r}: move some there"
                f" (images/{name}), or leave out the split folders to have them split"
            )
        if not sum(report.split(name).pixels):
            raise DataError(f"{dataset.root}: every pixel of the split {name!r} is ignored")
    for warning in report.warnings:
        log.warning(warning)
    if report.unseen:
        total = sum(map(len, dataset.splits.values()))
        log.warning(
            "looked at %s of %s pictures before training; `frugalseg data check` looks at all",
            f"{total - report.unseen:,}", f"{total:,}",
        )  # fmt: skip
    return report


def check_no_run(folder: Path) -> None:
    """Refuse a folder in which a run lies that would be written over."""
    if (folder / "last.safetensors").exists():
        raise ConfigError(f"{folder} holds a run already: --resume it, or name another folder")


def train_on(
    dataset: Dataset,
    report: DataReport,
    recipe: Recipe,
    out: Path,
    resume: bool,
    progress: Progress,
    stop: Callable[[], bool] = lambda: False,
) -> TrainResult:
    """Train on a data set that is open and checked.

    Asked after each step; once `stop` says so, the run is saved and StoppedError raised: resumed,
    it goes on as if it had not been stopped.
    """
    run = _Run(dataset, report, recipe, out, resume)
    training = run.training
    with RunLog(out, from_step=training.step) as rows:
        for step in training.steps():
            run.after(step, rows, progress)
            if stop() and step.progress < 1:
                run.save_last()
                raise StoppedError
        return run.finish(rows, progress)


class _Run:
    """The folder of a run: what is saved when."""

    def __init__(
        self, dataset: Dataset, report: DataReport, recipe: Recipe, out: Path, resume: bool
    ) -> None:
        self.dataset, self.recipe, self.out = dataset, recipe, out
        self.spec = input_of(recipe, report)
        self.architecture = architecture_of(recipe, dataset.labels, self.spec)
        torch.manual_seed(recipe.seed)
        weights_C = weights_of(recipe, report, dataset)
        network = self.architecture.build()
        if recipe.start is not None and not resume:
            start_from(network, Path(recipe.start))
        teaching = None
        if recipe.teacher.run is not None:
            teaching = Teaching(recipe.teacher, dataset.labels, self.spec)
        self.training = Training(network, dataset, recipe, self.spec, weights_C, teaching)
        self.best_miou: float | None = None
        if resume:
            self._resume()
        else:
            check_no_run(out)
        out.mkdir(parents=True, exist_ok=True)
        write_text(out / "recipe.yaml", yaml.safe_dump(recipe.model_dump(mode="json")))
        if not resume:
            self.save_last()  # a run that is killed in its first seconds can be resumed too
        self.saved_s = self.validated_s = time.monotonic()
        self.validation_s = 0.0
        self.validated = int(self.training.progress() * recipe.validations)
        self.loss_sum, self.loss_count, self.logged = 0.0, 0, self.training.progress()

    def _resume(self) -> None:
        kept = load_checkpoint(self.out / "last.safetensors")
        if different := _differences(kept, self.recipe, self._checkpoint()):
            raise ConfigError(f"cannot resume {self.out} with other settings: {different}")
        for draft in self.out.glob(".draft-*"):  # of a run that was killed while it saved
            draft.unlink()
        self.training.restore(kept.state, kept.weights, kept.step, kept.elapsed_s)
        self.best_miou = kept.best_miou

    def after(self, step: Step, rows: RunLog, progress: Progress) -> None:
        """Log, validate and save, as far as it is time to."""
        loss = float(step.loss)
        if not math.isfinite(loss):
            raise ConfigError(
                f"the loss is {loss} at step {step.number}: lower the rate,"
                f" such as with --set optimizer.lr={self.recipe.optimizer.lr / 4:g}"
            )
        self.loss_sum, self.loss_count = self.loss_sum + loss, self.loss_count + 1
        best = "" if self.best_miou is None else f", best mIoU {self.best_miou:.1%}"
        shown = self.loss_sum / self.loss_count
        progress("training", step.progress, 1.0, f"step {step.number:,}, loss {shown:.3f}{best}")
        if step.progress - self.logged >= 1 / LOG_ROWS:
            self._log(step, rows)
        if int(step.progress * self.recipe.validations) > self.validated and self._may_validate():
            self.validate(rows, progress)
        if time.monotonic() - self.saved_s > SAVE_EVERY_S:
            self.save_last()

    def _may_validate(self) -> bool:
        """A run by the clock does not spend more than a fifth of it on validation."""
        spent = time.monotonic() - self.validated_s
        return self.recipe.length.time is None or spent >= 4 * self.validation_s

    def _log(self, step: Step, rows: RunLog) -> None:
        rows.add(
            step=step.number, progress=step.progress, elapsed_s=step.elapsed_s, lr=step.lr,
            loss=self.loss_sum / self.loss_count,
        )  # fmt: skip
        self.loss_sum, self.loss_count, self.logged = 0.0, 0, step.progress

    def validate(self, rows: RunLog, progress: Progress) -> None:
        """Score the averaged weights on the validation split, and keep them if they lead."""
        training, began = self.training, time.monotonic()
        self.validated = int(training.progress() * self.recipe.validations)
        scores = self._scores(training.judged(), progress, boundary=False)
        self.validated_s = time.monotonic()
        self.validation_s = self.validated_s - began
        # The last validation also draws boundaries, which takes about as long again.
        training.reserve(2.5 * self.validation_s)
        rows.add(
            step=training.step, progress=training.progress(), elapsed_s=training.elapsed_s,
            miou=scores.miou, pixel_accuracy=scores.pixel_accuracy,
        )  # fmt: skip
        # Of a run that ends in int8, only what was learnt in it is kept.
        leads = self.best_miou is None or scores.miou >= self.best_miou
        if leads and (training.quantiser is None) == (training.judged() is training.averaged):
            self.best_miou = scores.miou
            save_checkpoint(replace(self._checkpoint(), state={}), self.out / "best.safetensors")
        self.save_last()

    def finish(self, rows: RunLog, progress: Progress) -> TrainResult:
        """Score the best weights once more, with boundaries."""
        if self.validated < self.recipe.validations:  # the clock ran out during a validation
            self.validate(rows, progress)
        if self.recipe.length.time is not None:  # what was kept for the end is used up
            self.training.elapsed_s = self.recipe.length.time
            self.save_last()
        best = load_checkpoint(self.out / "best.safetensors")
        self.training.averaged.load_state_dict(dict(best.weights))
        scores = self._scores(self.training.averaged, progress, boundary=True)
        loop = self.training
        return TrainResult(
            folder=self.out,
            checkpoint=best,
            scores=scores,
            loading_share=loop.loading_s / loop.looping_s if loop.looping_s else None,
        )

    def save_last(self) -> None:
        """Write the checkpoint from which the run can go on."""
        save_checkpoint(self._checkpoint(), self.out / "last.safetensors")
        self.saved_s = time.monotonic()

    def _scores(self, network: Network, progress: Progress, *, boundary: bool) -> Scores:
        predict = torch_predictor(network, self.spec, self.training.fabric.device)
        return score_split(
            self.dataset,
            self.dataset.splits["val"],
            predict,
            boundary=boundary,
            progress=progress,
        )

    def _checkpoint(self) -> Checkpoint:
        training = self.training
        return Checkpoint(
            architecture=self.architecture,
            input=self.spec,
            labels=self.dataset.labels,
            weights=training.averaged.state_dict(),
            state=training.state(),
            recipe=self.recipe.model_dump(mode="json"),
            step=training.step,
            elapsed_s=training.elapsed_s,
            best_miou=self.best_miou,
        )


def input_of(recipe: Recipe, report: DataReport) -> InputSpec:
    """Return the recipe's input, or the commonest size of the training pictures.

    Where these are larger than 640 px a side, they are halved until they are not: networks of
    this class gain little from more, and take the more memory for it.
    """
    if recipe.input is not None:
        size = InputSpec.parse(recipe.input)
    else:
        split = report.split("train")
        shown = max(split.sizes, key=lambda size: split.sizes[size])
        height, width = usual_size(split)
        size = InputSpec(height=height, width=width)
        if str(size) != shown:
            log.warning("pictures are %s; the input is %s unless you name a size", shown, size)
    if recipe.augment.crop is not None:
        crop = InputSpec.parse(recipe.augment.crop)
        if crop.height > size.height or crop.width > size.width:
            raise ConfigError(
                f"augment.crop {crop} is larger than the input {size}: most of it would be"
                " padding. Leave it out (--set augment.crop=null), or choose a smaller one"
            )
    return replace(size, channels=recipe.model.settings.get("channels", 3))


def weights_of(recipe: Recipe, report: DataReport, dataset: Dataset) -> Tensor | None:
    """Return the weights of classes in the loss, by the shares that were found in training."""
    train, pictures = report.split("train"), len(dataset.splits["train"])
    shares_C = torch.tensor([share.image_share for share in train.classes])
    return class_weights(recipe, torch.tensor(train.pixels), shares_C * pictures, pictures)


def architecture_of(recipe: Recipe, labels: LabelSpace, spec: InputSpec) -> Architecture:
    """Return the recipe's network for these classes."""
    settings: dict[str, Any] = {**recipe.model.settings, "num_classes": labels.num_classes}
    settings["channels"] = spec.channels
    model = recipe.model
    return Architecture(name=model.name, settings=settings, shapes=model.shapes, ranks=model.ranks)


def _differences(kept: Checkpoint, recipe: Recipe, now: Checkpoint) -> str:
    """Tell in what a run to be resumed differs. Network and input count as they came out."""
    apart = {"model", "input", "workers"}  # whoever loads pictures, they are the same
    old = dict(flat(recipe_from(kept.recipe).model_dump(mode="json", exclude=apart)))
    new = dict(flat(recipe.model_dump(mode="json", exclude=apart)))
    told = [
        f"{key} was {old.get(key)}, is {new.get(key)}"
        for key in dict.fromkeys((*new, *old))
        if new.get(key) != old.get(key)
    ]
    for what in ("architecture", "input", "labels"):
        before, after = getattr(kept, what), getattr(now, what)
        if before != after:
            told.append(f"{what} was {before}, is {after}")
    return "; ".join(told)
