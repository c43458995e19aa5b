"""The estimate against what the converter reported: pairs in data/imx500.

`sheet.json` holds the probes of the project's reference measurements whose network is clear from
their description, `probes.json` and `networks.json` later measurements with the same tool. `off`
is what the estimate is known to be off by, in bytes of run-time and of model memory.
"""

import json
import time
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest

from frugalseg.core.inputs import InputSpec
from frugalseg.cost.graph import Graph, Op, Window, chain
from frugalseg.cost.imx500 import CAPACITY_BYTES, Imx500Memory, imx500_memory

pytest.importorskip("torch", reason="networks are built with torch")

FILES = sorted((Path(__file__).parent / "data" / "imx500").glob("*.json"))
PAIRS: list[dict[str, Any]] = [pair for file in FILES for pair in json.loads(file.read_text())]
BUILDER = Path(__file__).parents[2] / "benchmarks" / "imx500_nets.py"


@pytest.fixture(scope="module")
def nets() -> Any:
    spec = spec_from_file_location("imx500_nets", BUILDER)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def trace(nets: Any, line: str) -> Graph:
    from frugalseg.trace import record

    net = nets.Net(line)
    return record(net, InputSpec(height=net.height, width=net.width, channels=net.channels))


def weigh(nets: Any, line: str, **how: bool) -> Imx500Memory:
    return imx500_memory(trace(nets, line), **how)


@pytest.mark.parametrize("pair", PAIRS, ids=[pair["net"] for pair in PAIRS])
def test_the_estimate_is_what_the_converter_reported(nets: Any, pair: dict[str, Any]) -> None:
    found = weigh(nets, pair["net"])
    runtime_off, model_off = pair.get("off", (0, 0))
    assert found.runtime_bytes == pair["measured"][0] + runtime_off
    assert found.model_bytes == pair["measured"][1] + model_off


def test_most_pairs_are_exact_and_whole_networks_are_not_too_low() -> None:
    networks = json.loads((FILES[0].parent / "networks.json").read_text())
    assert sum("off" not in pair for pair in PAIRS) / len(PAIRS) > 0.65
    for pair in networks:
        for off, measured in zip(pair.get("off", (0, 0)), pair["measured"], strict=True):
            assert off > -0.001 * measured


def test_a_network_that_is_off_by_a_thousandth_says_so(nets: Any) -> None:
    for pair in json.loads((FILES[0].parent / "networks.json").read_text()):
        if abs(pair.get("off", (0, 0))[0]) > 0.001 * pair["measured"][0]:
            assert weigh(nets, pair["net"]).doubts, pair["net"]


def test_the_peak_is_the_largest_moment_and_it_is_named(nets: Any) -> None:
    found = weigh(nets, "3x128x128 > conv 32 k1 > conv 40")
    largest = max(found.timeline, key=lambda moment: moment.bytes)
    assert (found.at, found.runtime_bytes) == (largest.op, largest.bytes)
    assert "handed out" in found.at  # 40 channels leave as a copy
    assert "image" in largest.tensors


def test_without_persistent_input_the_picture_is_freed(nets: Any) -> None:
    line = "3x64x64 > conv 8 k1"
    assert weigh(nets, line, input_stays=False).runtime_bytes == 163_840
    assert weigh(nets, line).runtime_bytes == 180_224


@pytest.mark.parametrize(
    ("line", "layers"),
    [
        ("3x64x64 > conv 32 k1 > conv 64 k1 bn linear > conv 32 k1", 2),  # merged: no more weights
        ("3x64x64 > conv 32 k1 > conv 8 k1 linear > conv 32 k1", 3),  # merging would cost weights
        ("3x64x64 > conv 32 k1 > conv 64 k1 > conv 32 k1", 3),  # an activation between
        ("3x64x64 > a: conv 32 k1 > conv 32 linear > add a", 2),  # x + conv(x)
        ("3x64x64 > a: conv 32 k1 > conv 32 > add a", 3),
    ],
)
def test_the_quantiser_merges_what_it_can(nets: Any, line: str, layers: int) -> None:
    from frugalseg.cost.imx500_layers import lower

    assert len(lower(trace(nets, line)).layers) == layers


def test_capacity_counts_the_reserved_kibibyte() -> None:
    def memory(runtime: int) -> Imx500Memory:
        return Imx500Memory(runtime_bytes=runtime, model_bytes=1_000, at="", timeline=(), doubts=())

    most = CAPACITY_BYTES - 1_024 - 1_000
    assert memory(most).fits
    assert not memory(most + 1).fits


def test_a_graph_without_operators_is_its_input() -> None:
    graph = chain(shapes={"image": (1, 3, 64, 64)})
    assert imx500_memory(graph).runtime_bytes == 3 * 64 * 64 + 4_096


def test_a_long_network_is_weighed_in_a_blink() -> None:
    names = [f"m{i}" for i in range(200)]
    ops = [
        Op(
            name=f"conv{i}",
            kind="conv_2d",
            reads=(before,),
            writes=(after,),
            window=Window(kernel=(3, 3), padding=((1, 1), (1, 1))),
        )
        for i, (before, after) in enumerate(zip(["image", *names], names, strict=False))
    ]
    shapes = {"image": (1, 3, 64, 64), **dict.fromkeys(names, (1, 24, 64, 64))}
    began = time.process_time()
    imx500_memory(chain(*ops, shapes=shapes))
    assert time.process_time() - began < 0.05
