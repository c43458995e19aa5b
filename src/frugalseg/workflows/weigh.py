"""Weigh a network before anything is trained, or a file after it was exported."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from frugalseg.core.errors import ArtifactError, ConfigError
from frugalseg.core.inputs import InputSpec
from frugalseg.cost.device import Device, load_device
from frugalseg.cost.footprint import WeighReport
from frugalseg.cost.footprint import weigh as weigh_graph
from frugalseg.cost.graph import Graph
from frugalseg.cost.tflite import read_tflite
from frugalseg.cost.why import why as explain
from frugalseg.models.catalog import MODELS, Architecture
from frugalseg.trace import record
from frugalseg.training.checkpoint import load_checkpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What is weighed: a graph, its input, and the architecture or the file that it is of."""

    name: str
    graph: Graph
    spec: InputSpec
    architecture: Architecture | None = None
    file: Path | None = None

    def weigh(self, device: Device | None) -> WeighReport:
        """Weigh it; raises ConfigError for a file that the device does not run."""
        size = None if self.file is None else self.file.stat().st_size
        return weigh_graph(self.graph, self.spec, device, file=size)


def weigh(
    model: str | Path,
    *,
    classes: int | None = None,
    size: str | None = None,
    set: Mapping[str, Any] | None = None,
    device: str | Path | None = None,
    why: bool = False,
) -> WeighReport:
    """Weigh a network of the catalog, a checkpoint (.safetensors, a run) or a .tflite file.

    A network is weighed as it is deployed: its scores at their native size. `classes` (default
    11), `size` ("360x480") and `set` (width, depth, ...) describe one of the catalog. A checkpoint
    knows its own, but can be weighed for another `size`; a file is what it is, and ConfigError
    is raised where one of them is given. The size of a .tflite file and of its weights is
    measured, all else is estimated from the graph. With a `device` the report says whether the
    network fits; estimates must leave the device's margin free. With `why` it also says what is
    in memory at the peak, and what would lower it.
    """
    target = None if device is None else load_device(device)
    subject = find_subject(model, target, classes=classes, size=size, set=set)
    report = subject.weigh(target)
    return replace(report, why=explain(subject.graph, target)) if why else report


def weigh_file(path: Path, device: Device | None) -> WeighReport:
    """Weigh a .tflite file. Raises ArtifactError for what is not one that takes one picture."""
    return file_subject(path, device).weigh(device)


def find_subject(
    model: str | Path,
    device: Device | None,
    *,
    classes: int | None,
    size: str | None,
    set: Mapping[str, Any] | None,
) -> Subject:
    """Find what `model` names; the arguments are those of `weigh`."""
    path = Path(model)
    if str(model) not in MODELS and path.suffix == ".tflite":
        _refuse(path, classes=classes, size=size, set=set)
        return file_subject(path, device)
    if str(model) not in MODELS and path.exists():
        _refuse(path, classes=classes, set=set)
        kept = load_checkpoint(path)
        spec = kept.input if size is None else _input(size, kept.input.channels)
        architecture, network = kept.architecture, kept.network()
    else:
        wanted = {"num_classes": 11 if classes is None else classes, **(set or {})}
        architecture = Architecture(name=str(model), settings=wanted)
        network = architecture.build()
        spec = _input(size or "360x480", wanted.get("channels", 3))
    graph = record(network, spec)
    return Subject(name=path.stem, graph=graph, spec=spec, architecture=architecture)


def file_subject(path: Path, device: Device | None) -> Subject:
    """Read a .tflite file. Raises ArtifactError for what is not one that takes one picture."""
    # TensorFlow Lite Micro copies where LiteRT looks at the same bytes in another shape.
    copies = device is not None and device.runtime == "tflite-micro"
    graph = read_tflite(path, views=not copies)
    try:
        _, height, width, channels = graph.tensors[graph.inputs[0]].shape
        spec = InputSpec(height=height, width=width, channels=channels)
    except (ValueError, IndexError, ConfigError) as wrong:
        raise ArtifactError(f"{path} does not take one picture: {wrong}") from wrong
    return Subject(name=path.stem, graph=graph, spec=spec, file=path)


def _input(size: str, channels: int) -> InputSpec:
    return replace(InputSpec.parse(size), channels=channels)


def _refuse(path: Path, **given: object) -> None:
    """Refuse to describe what describes itself."""
    if told := [f"--{name}" for name, value in given.items() if value]:
        raise ConfigError(f"{path} knows its own: leave out {', '.join(told)}")
