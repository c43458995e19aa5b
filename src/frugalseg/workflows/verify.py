"""Let a device's own tool confirm an estimate, and keep both figures."""

import logging
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from frugalseg.core.budget import Footprint, Verdict
from frugalseg.core.errors import ConfigError
from frugalseg.core.files import cache_folder, check_folder
from frugalseg.core.inputs import InputSpec
from frugalseg.core.records import this_machine
from frugalseg.cost.device import TOOLCHAINS, Device, load_device
from frugalseg.cost.footprint import WeighReport
from frugalseg.cost.graph import Graph
from frugalseg.cost.memory import as_run
from frugalseg.cost.tflite import read_tflite
from frugalseg.cost.tflm import arena as planned
from frugalseg.models.catalog import Architecture
from frugalseg.toolchain.environment import installed
from frugalseg.toolchain.measured import Measured
from frugalseg.workflows.pairs import graph_data, keep_pair, whole_graph_data
from frugalseg.workflows.weigh import Subject, file_subject, find_subject

log = logging.getLogger("frugalseg")

# Measures a network; returns the figures, and what a pair holds beside them.
Measure = Callable[[Architecture, InputSpec, Device, Graph], tuple[Measured, dict[str, Any]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One figure in bytes, estimated and measured."""

    figure: str
    estimated: int
    measured: int

    @property
    def off(self) -> float:
        """By which share the estimate is off; below 0 it is too low."""
        return self.estimated / self.measured - 1 if self.measured else float(self.estimated > 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """An estimate (`report`) and what the device's tool measured, which `verdict` is about.

    `footprint` is the measured one. `pair` is the file that keeps both.
    """

    device: str
    margin: float
    report: WeighReport
    measured: Measured
    verdict: Verdict
    pair: Path

    @property
    def footprint(self) -> Footprint:
        """What the network needs on the device, as measured."""
        return _footprint(self.report, self.measured)

    @property
    def fits(self) -> bool:
        """Whether the network fits the device, by what was measured."""
        return bool(self.verdict) and not self.report.refusals

    @property
    def objections(self) -> list[str]:
        """Why the network cannot run on the device, by what was measured; empty where it fits."""
        return [*([] if self.verdict else [str(self.verdict)]), *self.report.refusals]

    @property
    def comparisons(self) -> tuple[Comparison, ...]:
        """The parts that the tool tells, and the figures of the footprint."""
        return _compare(self.report, self.measured)

    @property
    def contradicts(self) -> bool:
        """Whether a figure of the footprint is off by more than the device's margin."""
        return _contradicts(self.comparisons, self.margin)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {
            "device": self.device,
            "fits": self.fits,
            "excess": {e.resource: e.needed - e.allowed for e in self.verdict.excess},
            "tool": self.measured.tool,
            "figures": {
                each.figure: {
                    "estimated": each.estimated,
                    "measured": each.measured,
                    "off": round(each.off, 6),
                }
                for each in self.comparisons
            },
            "contradicts": self.contradicts,
            "pair": str(self.pair),
        }


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
    folder = cache_folder() / "pairs" if pairs is None else Path(pairs)
    check_folder(folder)
    report = subject.weigh(device)
    measured, graphs = _measure(subject, device)
    comparisons = _compare(report, measured)
    footprint = _footprint(report, measured)
    pair = {
        "device": device.name,
        "model": subject.name,
        "input": str(subject.spec),
        "tool": measured.tool,
        "machine": this_machine(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "estimate": {each.figure: each.estimated for each in comparisons},
        "measured": {each.figure: each.measured for each in comparisons},
        **graphs,
    }
    kept = keep_pair(folder, f"{device.name}_{subject.name}", pair, graphs)
    if _contradicts(comparisons, device.margin):
        log.warning("%s", _loud(comparisons, device, measured.tool, kept))
    return Verification(
        device=device.name,
        margin=device.margin,
        report=report,
        measured=measured,
        verdict=device.check(footprint),
        pair=kept,
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


def _footprint(report: WeighReport, measured: Measured) -> Footprint:
    return Footprint(
        storage_bytes=measured.storage_bytes,
        ram_bytes=measured.ram_bytes,
        macs=report.macs,
        measured=frozenset({"storage_bytes", "ram_bytes"}),
    )


def _compare(report: WeighReport, measured: Measured) -> tuple[Comparison, ...]:
    told, found = report.footprint, _footprint(report, measured)
    pairs = {
        **{
            part: (report.memory.parts[part], size)
            for part, size in measured.parts.items()
            if part in report.memory.parts
        },
        "RAM": (told.ram_bytes, found.ram_bytes),
        "network": (told.storage_bytes, found.storage_bytes),
        "together": (told.total_bytes, found.total_bytes),
    }
    return tuple(
        Comparison(figure=figure, estimated=before, measured=after)
        for figure, (before, after) in pairs.items()
    )


def _contradicts(comparisons: tuple[Comparison, ...], margin: float) -> bool:
    whole = [each for each in comparisons if each.figure in {"RAM", "network", "together"}]
    return any(abs(each.off) > margin for each in whole)


def _loud(comparisons: tuple[Comparison, ...], device: Device, tool: str, pair: Path) -> str:
    told = "; ".join(
        f"{each.figure} estimated {each.estimated:,}, measured {each.measured:,} ({each.off:+.1%})"
        for each in comparisons
    )
    return (
        f"{tool} contradicts the estimate for {device.name} by more than its margin of"
        f" {device.margin:.0%}: {told}. The measured figures count. This is a bug of the estimate:"
        f" please report it with {pair}"
    )
