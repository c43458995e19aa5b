"""The largest frugalnet whose estimate fits a device.

A ladder of well-proportioned sizes is traced, not trained: a second for each. Which of two nets
that fit is the better one is not known before training; the one with more parameters is taken.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from frugalseg.core.budget import Footprint, Verdict
from frugalseg.core.errors import ConfigError, OverBudgetError
from frugalseg.core.inputs import MIN_SIDE, InputSpec
from frugalseg.cost.device import Device
from frugalseg.cost.footprint import footprint
from frugalseg.cost.memory import as_run
from frugalseg.models.catalog import Architecture
from frugalseg.trace import record

# (width, depth), from some 26 k to 1.5 M parameters.
LADDER: Sequence[tuple[float, int]] = (
    (0.25, 1), (0.35, 1), (0.5, 1), (0.65, 1), (0.75, 1), (0.75, 2),
    (1.0, 1), (1.0, 2), (1.0, 3), (1.25, 2), (1.25, 3), (1.5, 2),
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The network chosen, its estimate, and why not the next larger one."""

    architecture: Architecture
    footprint: Footprint
    larger: Verdict | None

    @property
    def reason(self) -> str:
        """Say in a sentence why this one."""
        if self.larger is None:
            return "the largest frugalnet there is fits"
        return f"the next larger one does not fit with the margin: {self.larger}"


def choose(device: Device, spec: InputSpec, num_classes: int) -> Choice:
    """Return the largest frugalnet whose estimate keeps to the device's budget less its margin.

    Raises ConfigError for an input that the device does not take; OverBudgetError, with what is
    missing and what would help, where not even the smallest one fits.
    """
    larger: Verdict | None = None
    for architecture in reversed(_ladder(spec, num_classes)):
        graph = record(architecture.build(), spec)
        if refusals := device.refusals(as_run(graph, device), spec):
            raise ConfigError(f"{device.name} {'; '.join(refusals)}")
        estimate = footprint(graph, device)
        verdict = device.check(estimate)
        if verdict:
            return Choice(architecture=architecture, footprint=estimate, larger=larger)
        larger = verdict
    assert larger is not None
    raise OverBudgetError(_nothing_fits(device, spec, num_classes, larger), larger)


def _ladder(spec: InputSpec, num_classes: int) -> list[Architecture]:
    return [
        Architecture(
            name="frugalnet",
            settings={
                "width": width, "depth": depth,
                "num_classes": num_classes, "channels": spec.channels,
            },
        )
        for width, depth in LADDER
    ]  # fmt: skip


def _estimate(architecture: Architecture, spec: InputSpec, device: Device) -> Footprint:
    return footprint(record(architecture.build(), spec), device)


def _nothing_fits(device: Device, spec: InputSpec, num_classes: int, verdict: Verdict) -> str:
    smallest = _ladder(spec, num_classes)[0]
    text = (
        f"no frugalnet fits {device.name} at {spec}: the smallest one"
        f" (width {LADDER[0][0]}, depth {LADDER[0][1]}) breaks the budget less its margin of"
        f" {device.margin:.0%}: {verdict}."
    )
    for divisor in (1.25, 1.5, 2, 3, 4, 6, 8):
        try:
            less = replace(
                spec, height=round(spec.height / divisor), width=round(spec.width / divisor)
            )
        except ConfigError:  # under the smallest side
            break
        if device.check(_estimate(smallest, less, device)):
            return f"{text} It would fit at --size {less}, or on a device with a larger budget."
    return (
        f"{text} No input of {MIN_SIDE} px or more a side makes it fit: the device needs a larger"
        " budget."
    )
