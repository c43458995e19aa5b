import random
from typing import Any

import pytest

from frugalseg.core.errors import ConfigError
from frugalseg.core.inputs import InputSpec
from frugalseg.core.labels import MAX_CLASSES
from frugalseg.cost.graph import Graph
from frugalseg.models.catalog import MODELS, Architecture
from frugalseg.models.frugalnet import DEPTHS, OUTPUT_STRIDES, WIDTHS
from frugalseg.search import graphs
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


SIZES = ("96x97", "256x320", "360x480", "365x479")


@pytest.mark.parametrize("name", sorted({*MODELS} - {"frugalnet"}))
def test_every_network_for_other_pictures(name: str) -> None:
    architecture = Architecture(name=name, settings={"num_classes": 3})
    network = architecture.build()
    for size in map(InputSpec.parse, SIZES):
        found, recorded = graph_of(architecture, size), record(network, size)
        assert found == recorded
        assert [*found.tensors.items()] == [*recorded.tensors.items()]


@pytest.mark.parametrize("name", sorted({*MODELS} - {"enet"}))
def test_one_picture_tells_all_others(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """But for ENet, which pads in its own way."""
    calls = []

    def counted(*of: Any) -> Graph:
        calls.append(of)
        return record(*of)

    monkeypatch.setattr(graphs, "record", counted)
    graphs._recordings.cache_clear()
    architecture = Architecture(name=name, settings={"num_classes": 7})
    for size in ("256x320", "480x640", "360x480", "401x333"):
        graph_of(architecture, InputSpec.parse(size))
    assert len(calls) == 1


def test_a_picture_of_other_channels_is_refused() -> None:
    architecture = Architecture(name="bisenet", settings={"num_classes": 3})
    graph_of(architecture, InputSpec.parse("64x64"))
    with pytest.raises(ConfigError, match="cannot be traced"):
        graph_of(architecture, InputSpec(height=64, width=64, channels=1))
