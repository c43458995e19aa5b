"""Gathers what the report of a `fit` shows."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from frugalseg.core.budget import Footprint
from frugalseg.core.errors import DataError
from frugalseg.core.records import Record, this_machine
from frugalseg.cost.device import Device
from frugalseg.cost.graph import Graph
from frugalseg.cost.peak import peak
from frugalseg.cost.tflite import read_tflite
from frugalseg.data.check import DataReport
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
from frugalseg.training.log import read_log
from frugalseg.workflows.export import ExportResult
from frugalseg.workflows.train import TrainResult

LOOKED_AT = 60
SHOWN = 4
LARGEST_TENSORS = 5


def report_of(
    dataset: Dataset,
    data_report: DataReport,
    device: Device,
    choice: Choice,
    run: TrainResult,
    exported: ExportResult,
) -> ReportData:
    """Gather the report from what the steps of `fit` returned and from the exported file."""
    rows = read_log(run.folder / "metrics.csv")
    graph = read_tflite(exported.file)
    best, worst = _examples(dataset, exported.folder)
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
        notes=(f"Chosen: {choice.reason}.", *data_report.warnings),
        best=best,
        worst=worst,
        steps=[TrainingStep(int(r["step"]), r["loss"], r["lr"]) for r in rows if "loss" in r],
        validations=[TrainingScore(int(r["step"]), r["miou"]) for r in rows if "miou" in r],
        moments=_moments(graph),
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


def _examples(dataset: Dataset, artifact: Path) -> tuple[list[Example], list[Example]]:
    """Segment up to 60 pictures spread over the split; return the best and the worst."""
    segmenter = Segmenter.open(artifact)
    samples = dataset.split("val")
    spread = samples[:: max(1, -(-len(samples) // LOOKED_AT))]
    scored = [(found, s) for s in spread if (found := _miou(segmenter, dataset, s)) is not None]
    scored.sort(key=lambda pair: pair[0])
    count = min(SHOWN, len(scored) // 2) or len(scored)
    best = [_example(segmenter, dataset, s, score) for score, s in scored[::-1][:count]]
    worst = [_example(segmenter, dataset, s, score) for score, s in scored[:count]]
    return best, worst


def _miou(segmenter: Segmenter, dataset: Dataset, sample: Sample) -> float | None:
    image_HWC, labels_HW = dataset.load(sample)
    keeper = ScoreKeeper(dataset.labels.num_classes, boundary=False)
    keeper.add(labels_HW, segmenter.segment(image_HWC).labels_HW)
    try:
        return keeper.scores().miou
    except DataError:  # every pixel is ignored
        return None


def _example(segmenter: Segmenter, dataset: Dataset, sample: Sample, miou: float) -> Example:
    image_HWC, labels_HW = dataset.load(sample)

    def drawn(ids_HW: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return overlay(image_HWC, ids_HW, dataset.labels.colors, 0.6)

    return Example(
        name=sample.name,
        image=image_HWC,
        label=drawn(labels_HW),
        prediction=drawn(segmenter.segment(image_HWC).labels_HW),
        miou=miou,
    )


def _moments(graph: Graph) -> list[Moment]:
    moments = []
    for moment in peak(graph).timeline:
        sizes = sorted(
            ((name, graph.tensors[name].bytes) for name in moment.tensors),
            key=lambda pair: -pair[1],
        )
        moments.append(Moment(moment.op, moment.bytes, tuple(sizes[:LARGEST_TENSORS])))
    return moments


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
