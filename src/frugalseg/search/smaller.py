"""Whether a network fits, and what would help: a smaller input, or another network."""

from torch import nn

from frugalseg.core.budget import Footprint
from frugalseg.core.errors import OverBudgetError
from frugalseg.core.inputs import InputSpec
from frugalseg.cost.device import Device
from frugalseg.cost.footprint import divided_footprint, footprint, weigh
from frugalseg.cost.graph import Graph
from frugalseg.cost.memory import as_run
from frugalseg.search.sizes import sizes_from
from frugalseg.trace import record


def check_fits(network: nn.Module, spec: InputSpec, device: Device) -> None:
    """Raise OverBudgetError where a network is estimated not to fit, or cannot be run.

    The error names the limits that are broken, the operators that the device lacks, and an input
    at which the network should fit.
    """
    graph = record(network, spec)
    if _need(graph, spec, device) is not None:
        return
    report = weigh(graph, spec, device)
    assert report.verdict is not None  # there is one for a device
    raise OverBudgetError(
        f"the network would not run on {device.name} (estimated, with the device's margin):"
        f" {'; '.join(report.objections)}. {what_would_fit(network, spec, device)} Nothing was"
        " trained.",
        report.verdict,
    )


def what_would_fit(network: nn.Module, spec: InputSpec, device: Device) -> str:
    """Name, in sentences, the largest smaller input at which the network is estimated to fit."""
    for smaller in sizes_from(spec, device)[1:]:
        need = _need(record(network, smaller), smaller, device)
        if need is not None:
            return (
                f"At {smaller} instead of {spec} it should: estimated are"
                f" {need.storage_bytes:,} bytes for the network and {need.ram_bytes:,} to run it."
                f" Train it at that size, or let `frugalseg fit --device {device.argument}` choose"
                " a network."
            )
    return (
        f"No smaller input would make it fit: let `frugalseg fit --device {device.argument}` choose"
        " a network."
    )


def _need(graph: Graph, spec: InputSpec, device: Device) -> Footprint | None:
    """Estimate what is needed, in bands of rows where the device has them; None: does not fit."""
    if device.refusals(as_run(graph, device), spec):
        return None
    needs = [footprint(graph, device)]
    if device.runtime == "tflite-micro" and not device.check(needs[0]):
        needs = [need for need in [divided_footprint(graph, device)] if need is not None]
    return next((need for need in needs if device.check(need)), None)
