"""Graphs of frugalnets by the thousand: one is recorded for each structure, the rest re-scaled."""

from collections.abc import Iterator
from functools import lru_cache

from frugalseg.core.inputs import InputSpec
from frugalseg.cost.channels import groups
from frugalseg.cost.graph import Graph
from frugalseg.cost.rescale import rescale
from frugalseg.models.catalog import Architecture
from frugalseg.models.frugalnet import CHANNELS, FrugalNet, FrugalNetConfig
from frugalseg.trace import record

STRIDE = 16  # how a side is padded depends on what this leaves of it
RECORDED = 4 * STRIDE
HALF, QUARTER, EIGHTH, SIXTEENTH = CHANNELS
# Channels at width 1 of what the stage makes; blocks are half as wide inside.
MADE = {
    "stage2": HALF, "stage4": QUARTER, "stage8": EIGHTH, "stage16": SIXTEENTH,
    "context": SIXTEENTH, "join8": EIGHTH, "join4": QUARTER,
}  # fmt: skip


def graph_of(architecture: Architecture, spec: InputSpec) -> Graph:
    """Return what `trace.record` returns for the network, in a fraction of the time.

    Only a frugalnet is re-scaled; any other network is built and recorded.
    """
    if architecture.name != "frugalnet" or architecture.shapes:
        return record(architecture.build(), spec)
    config = FrugalNetConfig(**architecture.settings)
    left = [side % STRIDE for side in spec.size]
    like = _recorded(config.depth, config.output_stride, left[0], left[1])
    return rescale(like, size=spec.size, channels=dict(_channels(like, config)))


@lru_cache(maxsize=256)
def _recorded(depth: int, output_stride: int, down: int, across: int) -> Graph:
    net = FrugalNet(FrugalNetConfig(num_classes=1, depth=depth, output_stride=output_stride))
    return record(net, InputSpec(height=RECORDED + down, width=RECORDED + across))


def _channels(graph: Graph, config: FrugalNetConfig) -> Iterator[tuple[str, int]]:
    """Say what each operator makes that decides on channels."""
    for group in groups(graph):
        name = group.makers[0]
        stage, *inside = name.partition(" ")[0].split(".")
        if name in graph.inputs:
            yield name, config.channels
        elif stage == "classify":
            yield name, config.num_classes
        else:
            full = config.scaled(MADE[stage])
            yield name, max(4, full // 2) if {"narrow", "spread"} & {*inside} else full
