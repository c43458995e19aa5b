"""The first stage of a run of a study: the network, trained, scored and weighed."""

import contextlib
from pathlib import Path
from typing import Any

import torch

from frugalseg.core.errors import ArtifactError, OverBudgetError
from frugalseg.core.files import write_json
from frugalseg.core.inputs import InputSpec
from frugalseg.core.records import Record, this_machine
from frugalseg.cost.device import Device, load_device
from frugalseg.cost.footprint import weigh
from frugalseg.data.catalog import BELT_NAME, open_dataset
from frugalseg.data.check.report import DataReport
from frugalseg.data.class_map import merged
from frugalseg.data.dataset import Dataset
from frugalseg.metrics.scores import Scores
from frugalseg.models.catalog import Architecture
from frugalseg.search.design import design
from frugalseg.search.ladder import choose
from frugalseg.search.sizes import sizes_from
from frugalseg.trace import record
from frugalseg.training.batches import steps_in_epoch
from frugalseg.training.checkpoint import Checkpoint, find_checkpoint, load_checkpoint
from frugalseg.training.objective import chosen_losses
from frugalseg.training.recipe import Model, Recipe
from frugalseg.workflows.compress_rounds import TRAININGS
from frugalseg.workflows.compress_steps import LAST
from frugalseg.workflows.study_file import Job
from frugalseg.workflows.study_made import (
    Surroundings,
    check_compress,
    check_needs,
    files_of,
    made_recipe,
)
from frugalseg.workflows.study_state import Stage, read
from frugalseg.workflows.train import input_of, train_on

FIGURES = ("miou", "pixel_accuracy", "mean_class_accuracy", "fw_iou", "boundary_f1")


def open_data(job: Job, data: Path) -> Dataset:
    """Open the data set of a run below the folder `data`, its classes merged as asked."""
    source = data / job.data
    embedded = job.data == BELT_NAME and not source.exists()
    dataset = open_dataset(BELT_NAME if embedded else source)
    return merged(dataset, job.merge) if job.merge else dataset


def check_network(job: Job) -> None:
    """Raise ConfigError where the network, a setting of it, the loss or the device is unknown."""
    chosen_losses(job.recipe.loss)
    check_compress(job)
    if job.of is not None:
        return
    if job.device is not None:
        load_device(job.device)
        return
    settings: dict[str, Any] = {**job.recipe.model.settings, "num_classes": 2}
    with torch.device("meta"):  # without weights
        Architecture(name=job.recipe.model.name, settings=settings).build()


def check_start(job: Job, folder: Path) -> None:
    """Raise ArtifactError where the weights to start from, or the teacher, are still needed."""
    check_needs(job, folder.parent)
    start, teacher = files_of(job)
    if start is not None and not _is_begun(folder):
        find_checkpoint(Path(start))
    if teacher is not None:
        find_checkpoint(Path(teacher))


def check_input(job: Job, dataset: Dataset, report: DataReport) -> None:
    """Raise ConfigError for an input that is smaller than the crop or that the device refuses.

    Whether a network fits the device there is seen when the run begins: the search takes longer.
    """
    if job.of is not None and job.device is not None:
        return  # the size that was chosen for the other run
    if job.device is not None:
        device, sizes = _sizes(job, job.device, report)
        with contextlib.suppress(OverBudgetError):
            choose(device, sizes[0], dataset.labels.num_classes)
    elif job.recipe.augment.crop is not None:
        input_of(job.recipe, report)


def train_stage(job: Job, around: Surroundings) -> Stage:
    """Train, or go on; raises StoppedError when told to stop, what was done being saved."""
    dataset, report, folder = around.dataset, around.report, around.folder
    alone = job.device is None or job.of is not None
    recipe = job.recipe if alone else designed(job, dataset, report)
    recipe = made_recipe(job, recipe, around)
    machines, is_begun = _machines(folder), _is_begun(folder)
    made = train_on(dataset, report, recipe, folder / "run", is_begun, around.progress, around.stop)
    kept, trained_on = made.checkpoint, "; ".join(machines)
    steps, elapsed_s = _spent(folder)
    epochs = steps / steps_in_epoch(dataset, recipe)
    records = [
        *score_records("float", made.scores, dataset, scoring_machine()),
        *_weights(kept),
        Record(name="steps", value=steps, kind="measured", on=trained_on),
        Record(name="epochs", value=round(epochs, 2), kind="measured", on=trained_on),
        Record(name="training_s", value=round(elapsed_s, 1), kind="measured", on=trained_on),
    ]
    facts = {
        "network": kept.architecture.name,
        "settings": dict(kept.architecture.settings),
        "input": str(kept.input),
        "machine": trained_on,
        "classes": list(dataset.labels.names),
        "background": _background(dataset),
        "scored_on": f"val, {len(dataset.split('val'))} pictures",
    }
    return Stage(records=records, facts=facts, scores=made.scores.to_dict(dataset.labels.names))


def designed(job: Job, dataset: Dataset, report: DataReport) -> Recipe:
    """Choose the largest frugalnet that fits the device of the run, as `fit` does."""
    assert job.device is not None
    device, sizes = _sizes(job, job.device, report)
    choice = design(device, sizes, dataset.labels.num_classes)
    model = Model(settings=dict(choice.architecture.settings))
    return job.recipe.model_copy(update={"input": str(choice.input), "model": model})


def _sizes(job: Job, name: str, report: DataReport) -> tuple[Device, list[InputSpec]]:
    """Load the device, and list the inputs to choose from: one, if the recipe or it says so."""
    device = load_device(name)
    size = job.recipe.input or device.input.default
    spec = input_of(job.recipe.model_copy(update={"input": size}), report)
    return device, [spec] if size else sizes_from(spec, device)


def _spent(folder: Path) -> tuple[int, float]:
    """Return steps and seconds of the training, with that of earlier rounds."""
    paths = (p for each in TRAININGS for p in folder.glob(f"{each}/{LAST}"))
    lasts = [load_checkpoint(path) for path in paths]  # a best one may be earlier
    return sum(last.step for last in lasts), sum(last.elapsed_s for last in lasts)


def _is_begun(folder: Path) -> bool:
    return (folder / "run" / LAST).exists()


def score_records(form: str, scores: Scores, dataset: Dataset, machine: str) -> list[Record]:
    """Write scores as records: "int8/miou", "int8/iou/glass", and over all but the background."""
    labels, values = dataset.labels, {name: getattr(scores, name) for name in FIGURES}
    values |= {f"iou/{name}": iou for name, iou in zip(labels.names, scores.iou, strict=True)}
    objects = [
        iou for i, iou in enumerate(scores.iou) if i != labels.background and iou is not None
    ]
    if labels.background is not None and objects:
        values["object_miou"] = sum(objects) / len(objects)
    return [
        Record(name=f"{form}/{name}", value=value, kind="measured", on=machine)
        for name, value in values.items()
        if value is not None
    ]


def scoring_machine() -> str:
    """Name what a network is trained and scored on."""
    gpu = [torch.cuda.get_device_name()] if torch.cuda.is_available() else []
    return ", ".join([*gpu, this_machine()])


def _background(dataset: Dataset) -> str | None:
    number = dataset.labels.background
    return None if number is None else dataset.labels.names[number]


def _weights(kept: Checkpoint) -> list[Record]:
    """Weigh the network itself; what is known of its files comes with them."""
    report = weigh(record(kept.network(), kept.input), kept.input, None)
    values = {
        "parameters": report.params,
        "macs": report.macs,
        "peak_activation_bytes": report.peak_activation_bytes,
    }
    return [
        Record(name=name, value=value, kind="estimated", on="graph of the network")
        for name, value in values.items()
    ]


def _machines(folder: Path) -> list[str]:
    """List the machines that the run was trained on, with this one."""
    path = folder / "machines.json"
    try:
        known = [str(name) for name in read(path)["machines"]] if path.exists() else []
    except (ArtifactError, KeyError, TypeError):
        known = ["an unknown machine"]
    here = scoring_machine()
    if here not in known:
        known.append(here)
        write_json(path, {"machines": known})
    return known
