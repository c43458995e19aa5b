"""Weigh a network before anything is trained, or a file after it was exported."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from frugalseg.core.inputs import InputSpec
from frugalseg.cost.footprint import WeighReport
from frugalseg.cost.footprint import weigh as weigh_graph
from frugalseg.cost.tflite import read_tflite
from frugalseg.models.catalog import Architecture
from frugalseg.trace import trace
from frugalseg.training.checkpoint import load_checkpoint


def weigh(
    model: str | Path,
    *,
    classes: int = 11,
    size: str = "360x480",
    settings: Mapping[str, Any] | None = None,
) -> WeighReport:
    """Weigh a network of the catalog, a checkpoint (.safetensors, a run) or a .tflite file.

    A network is weighed as it is deployed: its scores at their native size. `classes`, `size`
    and `settings` (width, depth, ...) describe one of the catalog; a checkpoint and a file know
    theirs. All figures are estimates from the graph.
    """
    path = Path(model)
    if path.suffix == ".tflite":
        return weigh_graph(read_tflite(path))
    if path.exists():
        kept = load_checkpoint(path)
        return weigh_graph(trace(kept.network(), kept.input))
    spec = InputSpec.parse(size)
    wanted: dict[str, Any] = {"num_classes": classes, **(settings or {})}
    return weigh_graph(trace(Architecture(name=str(model), settings=wanted).build(), spec))
