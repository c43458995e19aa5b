"""How the memory of a device is laid out for the chart of the report."""

from pathlib import Path
from typing import Any

import pytest

from frugalseg.core.inputs import InputSpec
from frugalseg.cost.device import load_device
from frugalseg.cost.memory import Memory, as_run, memory_of
from frugalseg.models.catalog import Architecture
from frugalseg.trace import record
from frugalseg.workflows.report import _graph, _moments, _resident
from frugalseg.workflows.weigh import weigh

GOLDEN = Path(__file__).parents[1] / "golden" / "artifact" / "model.int8.tflite"
SMALL = Architecture(name="frugalnet", settings={"num_classes": 3, "width": 0.35, "depth": 1})


def memory_on(device: str) -> Memory:
    target = load_device(device)
    return memory_of(as_run(record(SMALL.build(), InputSpec.parse("64x96")), target), target)


def test_head_and_tail_of_an_arena_are_told_apart() -> None:
    memory = memory_on("mcu-1mb")
    assert _resident(memory) == [("arena tail", memory.parts["arena tail"])]
    assert max(moment.live_bytes for moment in _moments(memory)) == memory.parts["arena head"]


def test_a_picture_that_the_sensor_keeps_lies_below_the_moments() -> None:
    memory = memory_on("imx500")
    [(name, size)] = _resident(memory)
    assert name == "image"
    assert size > 64 * 96 * 3
    moments = _moments(memory)
    assert all(name not in dict(moment.tensors) for moment in moments)
    whole = [moment.live_bytes + size for moment in moments]
    assert whole == [moment.bytes for moment in memory.timeline]


def test_of_a_process_the_maps_are_of_the_moment_and_the_rest_is_not() -> None:
    memory = memory_on("raspberry-pi-4")
    assert {name for name, _ in _resident(memory)} == {
        name for name, size in memory.parts.items() if size
    } - {"arena", "workspace"}
    assert [moment.live_bytes for moment in _moments(memory)] == [
        moment.bytes for moment in memory.timeline
    ]


@pytest.mark.parametrize("device", ["mcu-1mb", "raspberry-pi-4"])
def test_a_file_is_counted_as_weigh_counts_it(device: str) -> None:
    nobody: Any = None  # a network is asked for only where a compiler takes it
    target = load_device(device)
    found = memory_of(_graph(target, nobody, GOLDEN), target, file=GOLDEN.stat().st_size)
    assert found == weigh(GOLDEN, device=device).memory
