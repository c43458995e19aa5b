"""The largest frugalnet whose estimate fits a device.

A ladder of well-proportioned sizes is weighed, not trained. Which of two nets
that fit is the better one is not known before training; the one with more parameters is taken.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from frugalseg.core.budget import Footprint, Verdict
from frugalseg.core.errors import ConfigError, OverBudgetError
from frugalseg.core.inputs import InputSpec
from frugalseg.cost.device import Device
from frugalseg.cost.footprint import divided_footprint, footprint
from frugalseg.cost.memory import as_run
from frugalseg.models.catalog import Architecture
from frugalseg.models.frugalnet import OUTPUT_STRIDES
from frugalseg.search.graphs import graph_of
from frugalseg.search.sizes import sizes_from

# (width, depth), from some 26 k to 1.5 M parameters.
LADDER: Sequence[tuple[float, int]] = (
    (0.25, 1), (0.35, 1), (0.5, 1), (0.65, 1), (0.75, 1), (0.75, 2),
    (1.0, 1), (1.0, 2), (1.0, 3), (1.25, 2), (1.25, 3), (1.5, 2),
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The network chosen for an input, its estimate, and why not the next larger one."""

    architecture: Architecture
    input: InputSpec
    footprint: Footprint
    larger: Verdict | None
    params: int
    in_bands: bool = False

    @property
    def reason(self) -> str:
        """Say in a sentence why this one."""
        bands = ", laid out in bands" if self.in_bands else ""
        if self.larger is None:
            return f"the largest frugalnet there is fits{bands}"
        return f"the next larger one does not fit with the margin{bands}: {self.larger}"


def choose(
    device: Device,
    spec: InputSpec,
    num_classes: int,
    *,
    output_stride: int = OUTPUT_STRIDES[0],
    in_bands: bool = False,
) -> Choice:
    """Return the largest frugalnet whose estimate keeps to the device's budget less its margin.

    Its channels are in the multiples that the device stores. With `in_bands`, a network that does
    not fit is divided until it does (`cost.patches`). Raises ConfigError for an input that the
    device does not take; OverBudgetError, with what is missing and what would help, where not even
    the smallest one fits.
    """
    larger: Verdict | None = None
    for architecture in reversed(_ladder(device, spec, num_classes, output_stride)):
        graph = graph_of(architecture, spec)
        if refusals := device.refusals(as_run(graph, device), spec):
            raise ConfigError(f"{device.name} {'; '.join(refusals)}")
        estimate, divided = footprint(graph, device), None
        if in_bands and not device.check(estimate):
            divided = divided_footprint(graph, device)
        verdict = device.check(divided or estimate)
        if verdict:
            return Choice(
                architecture=architecture, input=spec, footprint=divided or estimate,
                larger=larger, params=graph.params, in_bands=divided is not None,
            )  # fmt: skip
        larger = verdict
    assert larger is not None
    raise OverBudgetError(_nothing_fits(device, spec, num_classes, larger), larger)


def _ladder(
    device: Device, spec: InputSpec, num_classes: int, output_stride: int = OUTPUT_STRIDES[0]
) -> list[Architecture]:
    """List the steps, smallest first, with the settings that are not those of every frugalnet."""
    given: dict[str, int] = {"num_classes": num_classes, "channels": spec.channels}
    if device.channel_multiple > 1:
        given["channel_multiple"] = device.channel_multiple
    if output_stride != OUTPUT_STRIDES[0]:
        given["output_stride"] = output_stride
    return [
        Architecture(name="frugalnet", settings={"width": width, "depth": depth, **given})
        for width, depth in LADDER
    ]


def _nothing_fits(device: Device, spec: InputSpec, num_classes: int, verdict: Verdict) -> str:
    smallest = _ladder(device, spec, num_classes)[0]
    text = (
        f"no frugalnet fits {device.name} at {spec}: the smallest one"
        f" (width {LADDER[0][0]}, depth {LADDER[0][1]}) breaks the budget less its margin of"
        f" {device.margin:.0%}: {verdict}."
    )
    for less in sizes_from(spec, device)[1:]:
        graph = graph_of(smallest, less)
        taken = not device.refusals(as_run(graph, device), less)
        if taken and device.check(footprint(graph, device)):
            return f"{text} It would fit at --size {less}, or on a device with a larger budget."
    return (
        f"{text} No input down to a quarter of that makes it fit: the device needs a larger budget."
    )
