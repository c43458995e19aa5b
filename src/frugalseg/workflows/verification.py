"""An estimate beside what a device's tool measured: compared, kept, and loud where they differ."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from frugalseg.core.budget import Footprint, Verdict
from frugalseg.core.inputs import InputSpec
from frugalseg.core.records import this_machine
from frugalseg.cost.device import Device
from frugalseg.cost.footprint import WeighReport
from frugalseg.toolchain.measured import Measured
from frugalseg.workflows.pairs import keep_pair

log = logging.getLogger("frugalseg")


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
        return as_footprint(self.report, self.measured)

    @property
    def fits(self) -> bool:
        """Whether the network fits the device, by what was measured."""
        return not self.objections

    @property
    def objections(self) -> list[str]:
        """Why the network cannot run on the device, by what was measured; empty where it fits."""
        told = [] if self.verdict else [str(self.verdict)]
        if self.verdict and not self.measured.accepted:
            told.append(f"{self.measured.tool} says that it does not fit")
        return [*told, *self.report.refusals]

    @property
    def comparisons(self) -> tuple[Comparison, ...]:
        """The parts that the tool tells, and the figures of the footprint."""
        return compare(self.report, self.measured)

    @property
    def contradicts(self) -> bool:
        """Whether a figure of the footprint is off by more than the device's margin.

        Tiles need less than what is estimated, which is the network in one piece: then it is
        whether that was said to fit.
        """
        if self.measured.in_tiles:
            return self.report.fits is True
        whole = [c for c in self.comparisons if c.figure in {"RAM", "network", "together"}]
        return any(abs(each.off) > self.margin for each in whole)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {
            "device": self.device,
            "fits": self.fits,
            "excess": {e.resource: e.needed - e.allowed for e in self.verdict.excess},
            "tool": self.measured.tool,
            "in_tiles": self.measured.in_tiles,
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


def confirm(
    report: WeighReport,
    measured: Measured,
    device: Device,
    *,
    name: str,
    spec: InputSpec,
    graphs: Mapping[str, Any],
    folder: Path,
) -> Verification:
    """Keep both figures of the network `name` in `folder`; warn where they contradict each other.

    `graphs` is what the estimator needs to be tested against the pair.
    """
    comparisons = compare(report, measured)
    pair = {
        "device": device.name,
        "model": name,
        "input": str(spec),
        "tool": measured.tool,
        "machine": this_machine(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "estimate": {each.figure: each.estimated for each in comparisons},
        "measured": {each.figure: each.measured for each in comparisons},
        **({"in_tiles": True} if measured.in_tiles else {}),
        **graphs,
    }
    found = Verification(
        device=device.name,
        margin=device.margin,
        report=report,
        measured=measured,
        verdict=device.check(as_footprint(report, measured)),
        pair=keep_pair(folder, f"{device.name}_{name}", pair, graphs),
    )
    if found.contradicts:
        log.warning("%s", _loud(found))
    return found


def as_footprint(report: WeighReport, measured: Measured) -> Footprint:
    """Return what was measured as a footprint."""
    return Footprint(
        storage_bytes=measured.storage_bytes,
        ram_bytes=measured.ram_bytes,
        macs=report.macs,
        measured=frozenset({"storage_bytes", "ram_bytes"}),
    )


def compare(report: WeighReport, measured: Measured) -> tuple[Comparison, ...]:
    """Lay each figure that the tool tells beside its estimate."""
    told, found = report.footprint, as_footprint(report, measured)
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
    if not measured.storage_bytes:  # the tool tells the sum alone
        pairs = {"together": pairs["together"]}
    return tuple(
        Comparison(figure=figure, estimated=before, measured=after)
        for figure, (before, after) in pairs.items()
    )


def _loud(found: Verification) -> str:
    told = "; ".join(
        f"{each.figure} estimated {each.estimated:,}, measured {each.measured:,} ({each.off:+.1%})"
        for each in found.comparisons
    )
    how = (
        "which should fit without tiles"
        if found.measured.in_tiles
        else f"by more than its margin of {found.margin:.0%}"
    )
    return (
        f"{found.measured.tool} contradicts the estimate for {found.device}, {how}: {told}. The"
        " measured figures count. This is a bug of the estimate: please report it with"
        f" {found.pair}"
    )
