"""Weigh a network before anything is trained, or a file after it was exported."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from frugalseg.core.errors import ArtifactError, ConfigError
from frugalseg.core.inputs import InputSpec
from frugalseg.cost.device import Device, load_device
from frugalseg.cost.footprint import WeighReport
from frugalseg.cost.footprint import weigh as weigh_graph
from frugalseg.cost.tflite import read_tflite
from frugalseg.models.catalog import MODELS, Architecture
from frugalseg.trace import record
from frugalseg.training.checkpoint import load_checkpoint


def weigh(
    model: str | Path,
    *,
    classes: int | None = None,
    size: str | None = None,
    set: Mapping[str, Any] | None = None,
    device: str | Path | None = None,
) -> WeighReport:
    """Weigh a network of the catalog, a checkpoint (.safetensors, a run) or a .tflite file.

    A network is weighed as it is deployed: its scores at their native size. `classes` (default
    11), `size` ("360x480") and `set` (width, depth, ...) describe one of the catalog. A checkpoint
    knows its own, but can be weighed for another `size`; a file is what it is, and ConfigError
    is raised where one of them is given. The size of a .tflite file and of its weights is
    measured, all else is estimated from the graph. With a `device` the report says whether the
    network fits; estimates must leave the device's margin free.
    """
    target = None if device is None else load_device(device)
    path = Path(model)
    if str(model) not in MODELS and path.suffix == ".tflite":
        _refuse(path, classes=classes, size=size, set=set)
        return weigh_file(path, target)
    if str(model) not in MODELS and path.exists():
        _refuse(path, classes=classes, set=set)
        kept = load_checkpoint(path)
        spec = kept.input if size is None else _input(size, kept.input.channels)
        network = kept.network()
    else:
        wanted = {"num_classes": 11 if classes is None else classes, **(set or {})}
        network = Architecture(name=str(model), settings=wanted).build()
        spec = _input(size or "360x480", wanted.get("channels", 3))
    return weigh_graph(record(network, spec), spec, target)


def weigh_file(path: Path, device: Device | None) -> WeighReport:
    """Weigh a .tflite file. Raises ArtifactError for what is not one that takes one picture."""
    # TensorFlow Lite Micro copies where LiteRT looks at the same bytes in another shape.
    copies = device is not None and device.runtime == "tflite-micro"
    graph = read_tflite(path, views=not copies)
    try:
        _, height, width, channels = graph.tensors[graph.inputs[0]].shape
        spec = InputSpec(height=height, width=width, channels=channels)
    except (ValueError, IndexError, ConfigError) as wrong:
        raise ArtifactError(f"{path} does not take one picture: {wrong}") from wrong
    return weigh_graph(graph, spec, device, file=path.stat().st_size)


def _input(size: str, channels: int) -> InputSpec:
    return replace(InputSpec.parse(size), channels=channels)


def _refuse(path: Path, **given: object) -> None:
    """Refuse to describe what describes itself."""
    if told := [f"--{name}" for name, value in given.items() if value]:
        raise ConfigError(f"{path} knows its own: leave out {', '.join(told)}")
