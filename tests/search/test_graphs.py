import random
from typing import Any

import pytest

from frugalseg.core.inputs import InputSpec
from frugalseg.core.labels import MAX_CLASSES
from frugalseg.models.catalog import Architecture
from frugalseg.models.frugalnet import DEPTHS, OUTPUT_STRIDES, WIDTHS
from frugalseg.search.graphs import graph_of
from frugalseg.trace import record


def drawn(seed: int) -> tuple[Architecture, InputSpec]:
    draw = random.Random(seed)
    settings: dict[str, Any] = {
        "num_classes": draw.choice((1, 2, 11, MAX_CLASSES)),
        "channels": draw.choice((1, 3)),
        "width": round(draw.uniform(*WIDTHS), 2),
        "depth": draw.randint(DEPTHS[0], 3),
        "output_stride": draw.choice(OUTPUT_STRIDES),
        "channel_multiple": draw.choice((1, 1, 32)),
    }
    spec = InputSpec(
        height=draw.randint(16, 400), width=draw.randint(16, 400), channels=settings["channels"]
    )
    return Architecture(name="frugalnet", settings=settings), spec


@pytest.mark.parametrize("seed", range(8))
def test_a_graph_is_that_of_the_network_built_and_recorded(seed: int) -> None:
    architecture, spec = drawn(seed)
    found, recorded = graph_of(architecture, spec), record(architecture.build(), spec)
    assert found == recorded
    assert [*found.tensors.items()] == [*recorded.tensors.items()]


@pytest.mark.parametrize("width", [0.2, 0.35, 1.1, 4.0])
@pytest.mark.parametrize("size", ["16x16", "17x31", "360x480"])
def test_all_widths_and_remainders_of_sides(width: float, size: str) -> None:
    architecture = Architecture(name="frugalnet", settings={"num_classes": 5, "width": width})
    spec = InputSpec.parse(size)
    assert graph_of(architecture, spec) == record(architecture.build(), spec)


def test_other_networks_are_recorded() -> None:
    architecture = Architecture(name="enet", settings={"num_classes": 3})
    spec = InputSpec.parse("32x48")
    assert graph_of(architecture, spec) == record(architecture.build(), spec)
