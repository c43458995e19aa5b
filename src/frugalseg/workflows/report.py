"""Gathers what the report of a `fit` shows."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from frugalseg.core.budget import Footprint
from frugalseg.core.errors import DataError
from frugalseg.core.progress import Progress, silent
from frugalseg.core.records import Record, this_machine
from frugalseg.cost.device import Device
from frugalseg.cost.graph import Graph
from frugalseg.cost.memory import Memory, memory_of
from frugalseg.cost.tflite import read_tflite
from frugalseg.data.check.report import DataReport
from frugalseg.data.dataset import Dataset, Sample
from frugalseg.imaging.draw import overlay
from frugalseg.metrics.scores import ScoreKeeper
from frugalseg.report.contents import (
    Example,
    Layer,
    Moment,
    ReportData,
    Target,
    TrainingScore,
    TrainingStep,
    Weighing,
)
from frugalseg.runtime.segmenter import Segmenter
from frugalseg.search.ladder import Choice
from frugalseg.trace import record
from frugalseg.training.log import read_log
from frugalseg.workflows.colour import colour_of
from frugalseg.workflows.export import ExportResult
from frugalseg.workflows.export_imx500 import AT_ONCE, NETWORK, label_pictures
from frugalseg.workflows.train import TrainResult

LOOKED_AT = 60
SHOWN = 4
LARGEST_TENSORS = 5
OF_MAPS = {"arena", "arena head", "workspace"}  # parts of the memory that the moments fill


def report_of(
    dataset: Dataset,
    data_report: DataReport,
    device: Device,
    choice: Choice,
    run: TrainResult,
    exported: ExportResult,
    progress: Progress = silent,
) -> ReportData:
    """Gather the report from what the steps of `fit` returned and from the exported file."""
    rows = read_log(run.folder / "metrics.csv")
    graph = _graph(device, choice, exported.file)
    memory = memory_of(graph, device, file=exported.manifest.files[0].bytes)
    best, worst = _examples(dataset, device, exported)
    manifest = exported.manifest
    return ReportData(
        title=f"{manifest.name} for {device.name}",
        created=datetime.now(UTC),
        target=Target(name=device.name, title=device.title, budget=device.budget),
        labels=dataset.labels,
        weighings=(
            Weighing(footprint=choice.footprint, source="from the network before training"),
            Weighing(footprint=exported.footprint, source="from the exported file"),
        ),
        scores={"float": exported.float_scores, "int8": exported.scores},
        scored_on=manifest.scored_on or "val",
        gate_points=manifest.tolerance_points,
        colour=colour_of(dataset, run.checkpoint, choice, device, progress),
        notes=(f"Chosen: {choice.reason}.", *data_report.warnings),
        best=best,
        worst=worst,
        steps=[TrainingStep(int(r["step"]), r["loss"], r["lr"]) for r in rows if "loss" in r],
        validations=[TrainingScore(int(r["step"]), r["miou"]) for r in rows if "miou" in r],
        moments=_moments(memory),
        resident=_resident(memory),
        layers=_layers(graph),
        settings={
            "data": {"format": dataset.format, "pictures": _pictures(dataset)},
            "network": manifest.architecture,
            "input": manifest.input,
            "recipe": manifest.training.get("recipe", {}),
            "export": manifest.settings,
            "machine": this_machine(),
            "frugalseg": manifest.frugalseg,
            "sha256 of the file": manifest.files[0].sha256,
        },
        records=_records(exported, choice.footprint),
    )


def _examples(
    dataset: Dataset, device: Device, exported: ExportResult
) -> tuple[list[Example], list[Example]]:
    """Segment up to 60 pictures spread over the split; return the best and the worst.

    Photographs may be large: no more are held than are shown, and a few that are being labelled.
    """
    samples = dataset.split("val")
    spread = samples[:: max(1, -(-len(samples) // LOOKED_AT))]
    shown = min(SHOWN, len(spread) // 2) or len(spread)
    best, worst = list[Example](), list[Example]()
    for start in range(0, len(spread), AT_ONCE):
        found = _scored(dataset, device, exported, spread[start : start + AT_ONCE])
        best = sorted([*best, *found], key=_score, reverse=True)[:shown]
        worst = sorted([*worst, *found], key=_score)[:shown]
    drawn = partial(_drawn, colors=dataset.labels.colors)
    return [*map(drawn, best)], [*map(drawn, worst)]


def _score(example: Example) -> float:
    return example.miou or 0.0


def _scored(
    dataset: Dataset, device: Device, exported: ExportResult, samples: Sequence[Sample]
) -> list[Example]:
    """Label pictures; those of which every pixel is ignored are left out."""
    loaded = [dataset.load(sample) for sample in samples]
    found = _labelled([image_HWC for image_HWC, _ in loaded], device, exported)
    return [
        Example(
            name=sample.name, image=image_HWC, label=labels_HW, prediction=found_HW, miou=miou
        )
        for sample, (image_HWC, labels_HW), found_HW in zip(samples, loaded, found, strict=True)
        if (miou := _miou(dataset, labels_HW, found_HW)) is not None
    ]  # fmt: skip


def _labelled(
    images: Sequence[NDArray[np.uint8]], device: Device, exported: ExportResult
) -> Sequence[NDArray[np.uint8]]:
    """Label pictures with the exported file."""
    if device.runtime == "imx500":
        return label_pictures(exported.folder / NETWORK, exported.manifest.input_spec, images)
    segmenter = Segmenter.open(exported.folder)
    return [segmenter.labels_of(image_HWC) for image_HWC in images]


def _miou(
    dataset: Dataset, labels_HW: NDArray[np.uint8], found_HW: NDArray[np.uint8]
) -> float | None:
    keeper = ScoreKeeper(dataset.labels.num_classes, boundary=False)
    keeper.add(labels_HW, found_HW)
    try:
        return keeper.scores().miou
    except DataError:  # every pixel is ignored
        return None


def _drawn(example: Example, colors: Sequence[tuple[int, int, int]]) -> Example:
    """Put colours over the picture in place of ids."""
    label, prediction = (
        overlay(example.image, ids_HW, colors, 0.6)
        for ids_HW in (example.label, example.prediction)
    )
    return replace(example, label=label, prediction=prediction)


def _graph(device: Device, choice: Choice, file: Path) -> Graph:
    """Return the graph of the file as the device runs it; of the network, if that is compiled."""
    if device.runtime == "imx500":
        return record(choice.architecture.build(), choice.input)
    return read_tflite(file, views=device.runtime != "tflite-micro")


def _always(memory: Memory) -> set[str]:
    """Name the tensors that are there at every step, such as a picture that is kept."""
    alive = [frozenset(moment.tensors) for moment in memory.timeline]
    return {*frozenset.intersection(*alive)} if len(alive) > 1 else set()


def _moments(memory: Memory) -> list[Moment]:
    moments, always = [], _always(memory)
    for moment in memory.timeline:
        named = [*zip(moment.tensors, moment.sizes, strict=True)]
        sizes = sorted((n for n in named if n[0] not in always), key=lambda pair: -pair[1])
        live = moment.bytes - sum(size for name, size in named if name in always)
        moments.append(Moment(moment.op, live, tuple(sizes[:LARGEST_TENSORS])))
    return moments


def _resident(memory: Memory) -> list[tuple[str, int]]:
    """List what lies below the moments: what is always there, and parts that hold no maps."""
    always, first = _always(memory), memory.timeline[:1]
    kept = [pair for m in first for pair in zip(m.tensors, m.sizes, strict=True)]
    return [
        *(pair for pair in kept if pair[0] in always),
        *(pair for pair in memory.parts.items() if pair[0] not in OF_MAPS and pair[1]),
    ]


def _layers(graph: Graph) -> list[Layer]:
    return [
        Layer(op.name, op.weight_elements + 4 * op.bias_elements, op.params, op.macs)
        for op in graph.ops
        if op.weight_elements
    ]


def _pictures(dataset: Dataset) -> dict[str, int]:
    return {name: len(samples) for name, samples in dataset.splits.items()}


def _records(exported: ExportResult, estimate: Footprint) -> Sequence[Record]:
    machine = this_machine()
    need = exported.footprint
    measured = {
        "mIoU, float": exported.float_scores.miou,
        "mIoU, exported int8 file": exported.scores.miou,
        "pixel accuracy, exported int8 file": exported.scores.pixel_accuracy,
        "bytes of the exported file": float(need.storage_bytes),
    }
    estimated = {
        "bytes of the file, before training": float(estimate.storage_bytes),
        "bytes of working memory, before training": float(estimate.ram_bytes),
        "bytes of working memory, from the graph of the file": float(need.ram_bytes),
    }
    return [
        *(Record(name=n, value=v, kind="measured", on=machine) for n, v in measured.items()),
        *(Record(name=n, value=v, kind="estimated", on=machine) for n, v in estimated.items()),
    ]
