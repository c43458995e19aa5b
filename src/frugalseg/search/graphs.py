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

LARGE = 1024  # px of a side: no window of the zoo is cut to a map of so large a picture
HALF, QUARTER, EIGHTH, SIXTEENTH = CHANNELS
# Channels at width 1 of what the stage makes; blocks are half as wide inside.
MADE = {
    "stage2": HALF, "stage4": QUARTER, "stage8": EIGHTH, "stage16": SIXTEENTH,
    "context": SIXTEENTH, "join8": EIGHTH, "join4": QUARTER,
}  # fmt: skip


def graph_of(architecture: Architecture, spec: InputSpec) -> Graph:
    """Return what `trace.record` returns for the network, mostly in a fraction of the time.

    A network is recorded once and re-scaled to other pictures, and once more for one to which it
    cannot be. A frugalnet is not even recorded for other widths.
    """
    if architecture.name != "frugalnet" or architecture.shapes:
        return _for_picture(architecture, spec)
    config = FrugalNetConfig(**architecture.settings)
    plain = {"num_classes": 1, "depth": config.depth, "output_stride": config.output_stride}
    like = _for_picture(Architecture(name="frugalnet", settings=plain), replace(spec, channels=3))
    return rescale(like, channels=dict(_channels(like, config)))


def _for_picture(architecture: Architecture, spec: InputSpec) -> Graph:
    recorded = _recordings(json.dumps(architecture.to_dict(), sort_keys=True), spec.channels)
    for graph in recorded:
        try:
            return rescale(graph, size=spec.size)
        except ConfigError:  # by the next one, perhaps
            continue
    network = architecture.build()
    if not recorded and network.pads_same:
        recorded.append(record(network, replace(spec, height=LARGE, width=LARGE)))
        return _for_picture(architecture, spec)
    recorded.append(record(network, spec))
    return recorded[-1]


@lru_cache(maxsize=256)
def _recordings(_architecture: str, _channels: int) -> list[Graph]:
    """Keep what was recorded of an architecture, by which it is looked up; at first nothing."""
    return []


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
