"""Graphs of networks by the thousand: a few are recorded, the rest re-scaled."""

import json
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache

from frugalseg.core.errors import ConfigError
from frugalseg.core.inputs import InputSpec
from frugalseg.cost.channels import groups
from frugalseg.cost.graph import Graph
from frugalseg.cost.rescale import rescale
from frugalseg.models.catalog import Architecture
from frugalseg.models.frugalnet import CHANNELS, FrugalNetConfig
from frugalseg.trace import record

# No window of the zoo is cut to a map of so large a picture; and since its sides are no multiples
# of 8, a quarter of them is not twice an eighth. Those of the other are multiples of all strides.
LARGE = {"height": 1028, "width": 1028}
EVEN = {"height": 1024, "width": 1024}
HALF, QUARTER, EIGHTH, SIXTEENTH = CHANNELS
# Channels at width 1 of what the stage makes; blocks are half as wide inside.
MADE = {
    "stage2": HALF, "stage4": QUARTER, "stage8": EIGHTH, "stage16": SIXTEENTH,
    "context": SIXTEENTH, "join8": EIGHTH, "join4": QUARTER,
}  # fmt: skip


def graph_of(architecture: Architecture, spec: InputSpec) -> Graph:
    """Return what `trace.record` returns for the network, mostly in a fraction of the time.

    A network is recorded once, over a large picture, and re-scaled from that; it is recorded once
    more for a picture to which it cannot be. A frugalnet is not even recorded for other widths.
    """
    if architecture.name != "frugalnet" or architecture.shapes or architecture.ranks:
        return _for_picture(architecture, spec)
    config = FrugalNetConfig(**architecture.settings)
    plain = {"num_classes": 1, "depth": config.depth, "output_stride": config.output_stride}
    like = _for_picture(Architecture(name="frugalnet", settings=plain), replace(spec, channels=3))
    return rescale(like, channels=dict(_channels(like, config)))


def _for_picture(architecture: Architecture, spec: InputSpec) -> Graph:
    recorded = _recordings(json.dumps(architecture.to_dict(), sort_keys=True), spec.channels)
    if spec.size in recorded:
        return recorded[spec.size]
    if not recorded:
        network = architecture.build()
        large = replace(spec, **(LARGE if network.pads_same else EVEN))
        recorded[large.size] = record(network, large)
    try:
        return rescale(next(iter(recorded.values())), size=spec.size)
    except ConfigError:
        recorded[spec.size] = record(architecture.build(), spec)
        return recorded[spec.size]


@lru_cache(maxsize=256)
def _recordings(_architecture: str, _channels: int) -> dict[tuple[int, int], Graph]:
    """Keep what was recorded of an architecture, by which it is looked up; at first nothing."""
    return {}


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
