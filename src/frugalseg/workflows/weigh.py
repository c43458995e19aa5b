"""Weigh a network before anything is trained, or a file after it was exported."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from frugalseg.core.inputs import InputSpec
from frugalseg.cost.device import load_device
from frugalseg.cost.footprint import WeighReport
from frugalseg.cost.footprint import weigh as weigh_graph
from frugalseg.cost.tflite import read_tflite
from frugalseg.models.catalog import MODELS, Architecture
from frugalseg.trace import trace
from frugalseg.training.checkpoint import load_checkpoint


def weigh(
    model: str | Path,
    *,
    classes: int = 11,
    size: str = "360x480",
    settings: Mapping[str, Any] | None = None,
    device: str | Path | None = None,
) -> WeighReport:
    """Weigh a network of the catalog, a checkpoint (.safetensors, a run) or a .tflite file.

    A network is weighed as it is deployed: its scores at their native size. `classes`, `size`
    and `settings` (width, depth, ...) describe one of the catalog; a checkpoint and a file know
    theirs. The size of a .tflite file and of its weights is measured, all else is estimated from
    the graph. With a `device` the report says whether the network fits; estimates must leave the
    device's margin free.
    """
    target = None if device is None else load_device(device)
    path = Path(model)
    if str(model) not in MODELS and path.suffix == ".tflite":
        report = _of_file(path)
    elif str(model) not in MODELS and path.exists():
        kept = load_checkpoint(path)
        report = weigh_graph(trace(kept.network(), kept.input))
    else:
        spec = InputSpec.parse(size)
        wanted: dict[str, Any] = {"num_classes": classes, **(settings or {})}
        report = weigh_graph(trace(Architecture(name=str(model), settings=wanted).build(), spec))
    return report if target is None else report.for_device(target)


def _of_file(path: Path) -> WeighReport:
    graph = read_tflite(path)
    return replace(
        weigh_graph(graph),
        file_bytes=path.stat().st_size,
        weight_bytes=graph.stored,
        measured=("file_bytes", "weight_bytes"),
    )
