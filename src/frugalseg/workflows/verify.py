"""Let a device's own tool confirm an estimate, and keep both figures."""

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from frugalseg.core.errors import ConfigError
from frugalseg.core.files import check_folder
from frugalseg.core.inputs import InputSpec
from frugalseg.cost.device import TOOLCHAINS, Device, load_device
from frugalseg.cost.graph import Graph
from frugalseg.cost.memory import as_run
from frugalseg.cost.tflite import read_tflite
from frugalseg.cost.tflm import arena as planned
from frugalseg.models.catalog import Architecture
from frugalseg.toolchain.environment import installed
from frugalseg.toolchain.measured import Measured
from frugalseg.workflows.pairs import graph_data, pairs_folder, whole_graph_data
from frugalseg.workflows.verification import Verification, confirm
from frugalseg.workflows.weigh import Subject, file_subject, find_subject

# Measures a network; returns the figures, and what a pair holds beside them.
Measure = Callable[[Architecture, InputSpec, Device, Graph], tuple[Measured, dict[str, Any]]]


def verify(
    model: str | Path,
    device: str | Path,
    *,
    classes: int | None = None,
    size: str | None = None,
    set: Mapping[str, Any] | None = None,
    pairs: str | Path | None = None,
) -> Verification:
    """Weigh as `weigh` does, and let the device's toolchain measure the same network.

    A .tflite file is measured as it is. A network of the catalog or a checkpoint is first made a
    file of the device's format, with noise to set its ranges: what it needs does not depend on
    its weights. Estimate and measurement are kept in the folder `pairs`, by default in the cache.
    Raises ConfigError for a device without a toolchain, ToolchainError where it is not installed
    or fails.
    """
    target = load_device(device)
    toolchain_of(target)
    subject = find_subject(model, target, classes=classes, size=size, set=set)
    return _verify(subject, target, pairs)


def verify_file(path: Path, device: Device, *, pairs: str | Path | None = None) -> Verification:
    """Verify a .tflite file that is there, as `verify` does."""
    toolchain_of(device)
    return _verify(file_subject(path, device), device, pairs)


def toolchain_of(device: Device) -> str:
    """Name the device's toolchain; raises, before any work, where there is none to ask."""
    if device.toolchain is None:
        raise ConfigError(
            f"{device.name} names no toolchain that could confirm an estimate; leave --verify out"
            f"{_advice(device)}"
        )
    installed(device.toolchain)
    return device.toolchain


def _advice(device: Device) -> str:
    tool = TOOLCHAINS.get(device.runtime)
    return f', or name it in the device\'s file: toolchain = "{tool}"' if tool else ""


def _verify(subject: Subject, device: Device, pairs: str | Path | None) -> Verification:
    folder = pairs_folder(pairs)
    check_folder(folder)
    report = subject.weigh(device)
    measured, graphs = _measure(subject, device)
    return confirm(
        report, measured, device, name=subject.name, spec=subject.spec, graphs=graphs, folder=folder
    )


def _measure(subject: Subject, device: Device) -> tuple[Measured, dict[str, Any]]:
    measure = MEASURES[toolchain_of(device)]
    if subject.architecture is not None:
        return measure(subject.architecture, subject.spec, device, subject.graph)
    if subject.file is None or device.toolchain != "tflm":
        raise ConfigError(
            f"{device.name} runs no .tflite file: verify the network or its checkpoint instead"
        )
    return _tflm_file(subject.file)


def _tflm(
    architecture: Architecture, spec: InputSpec, device: Device, graph: Graph
) -> tuple[Measured, dict[str, Any]]:
    from frugalseg.export.litert_int8 import export_litert_int8

    noise_HWC = np.random.default_rng(0).integers(0, 256, (*spec.size, spec.channels), np.uint8)
    with tempfile.TemporaryDirectory(prefix="frugalseg-") as folder:
        file = Path(folder) / "model.int8.tflite"
        export_litert_int8(architecture.build(), spec, file, pictures=[noise_HWC])
        measured, graphs = _tflm_file(file)
    return measured, graphs | {"traced": graph_data(as_run(graph, device))}


def _tflm_file(file: Path) -> tuple[Measured, dict[str, Any]]:
    from frugalseg.toolchain.tflm import arena

    found, graph = arena(file), read_tflite(file, views=False)
    measured = Measured(
        storage_bytes=file.stat().st_size,
        # The report is of the arena once it is set up; planning may have taken more.
        ram_bytes=max(found.total_bytes, planned(graph).planning_bytes),
        parts={"arena head": found.head_bytes, "arena tail": found.tail_bytes},
        tool=f"tflite_micro {found.version}",
    )
    reported = {
        "head": found.head_bytes,
        "tail": found.tail_bytes,
        "tflite_micro": found.version,
    }
    return measured, {
        "reported": reported,
        "file": graph_data(graph),
    }


def _imx500(
    architecture: Architecture, spec: InputSpec, _device: Device, graph: Graph
) -> tuple[Measured, dict[str, Any]]:
    from frugalseg.workflows.verify_imx500 import measure

    return measure(architecture, spec, output="scores"), {"graph": whole_graph_data(graph)}


MEASURES: Mapping[str, Measure] = {"imx500": _imx500, "tflm": _tflm}
