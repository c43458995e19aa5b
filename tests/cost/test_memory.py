from dataclasses import replace

import pytest

from frugalseg.core.errors import ConfigError
from frugalseg.cost.device import device_names, load_device
from frugalseg.cost.file_size import file_bytes
from frugalseg.cost.graph import Graph, Op, Window, chain
from frugalseg.cost.memory import MODELS, as_run, memory_of


def net() -> Graph:
    conv = Op(
        name="stem conv_2d", kind="conv_2d", reads=("a",), writes=("b",), weight_elements=2_700,
        bias_elements=100, window=Window(kernel=(3, 3), padding=((1, 1), (1, 1))),
    )  # fmt: skip
    relu = Op(name="relu", kind="relu", reads=("b",), writes=("c",))
    return chain(
        conv, relu, shapes={"a": (1, 3, 64, 64), "b": (1, 100, 64, 64), "c": (1, 100, 64, 64)}
    )


@pytest.mark.parametrize("name", device_names())
def test_every_device_has_a_memory_model(name: str) -> None:
    memory = memory_of(as_run(net(), load_device(name)), load_device(name))
    assert memory.ram_bytes >= 64 * 64 * (3 + 100)
    assert max(moment.bytes for moment in memory.timeline) <= memory.ram_bytes


def test_each_runtime_counts_in_its_own_way() -> None:
    fused = as_run(net())
    counted = {
        name: model(net() if name == "imx500" else fused, file_bytes(fused)).ram_bytes
        for name, model in MODELS.items()
    }
    live = memory_of(fused).ram_bytes
    assert live == 64 * 64 * 103
    micro = memory_of(fused, load_device("mcu-2mb"))
    assert micro.parts["arena head"] == live
    assert micro.ram_bytes == sum(micro.parts.values()) > live
    linux = memory_of(fused, load_device("raspberry-pi-5"))
    assert linux.ram_bytes == sum(linux.parts.values()) == counted["litert"] > live
    assert linux.parts.keys() >= {"file", "packed weights", "pointers", "workspace", "arena"}
    # 100 channels are stored as 128 on the sensor.
    assert counted["imx500"] > 64 * 64 * 128


def test_the_size_of_a_file_counts_as_it_is_and_float_weights_are_packed_as_float() -> None:
    device, fused = load_device("raspberry-pi-5"), as_run(net())
    told = memory_of(fused, device).parts
    larger = memory_of(fused, device, file=told["file"] + 1_000_000).parts
    assert larger["file"] == told["file"] + 1_000_000
    as_float = memory_of(replace(fused, stored={"fp32": 11_200}), device).parts
    assert as_float["packed weights"] == 4 * told["packed weights"]


def test_maps_that_lie_within_each_other_are_counted_once() -> None:
    relus = (
        Op(name="one", kind="relu", reads=("a",), writes=("b",)),
        Op(name="two", kind="relu", reads=("b",), writes=("c",)),
    )
    shapes = dict.fromkeys("abc", (1, 4, 16, 16))
    apart = chain(*relus, shapes=shapes)
    within = replace(apart, offsets={"a": 0, "b": 0, "c": 0})
    device = load_device("mcu-2mb")
    assert [m.bytes for m in memory_of(apart, device).timeline] == [2048, 2048]
    assert [m.bytes for m in memory_of(within, device).timeline] == [1024, 1024]


def test_a_compiler_gets_the_graph_before_it_is_fused() -> None:
    assert as_run(net(), load_device("imx500")) == net()
    assert [op.name for op in as_run(net()).ops] == ["stem conv_2d"]


def test_a_file_is_not_weighed_for_a_device_that_runs_none() -> None:
    with pytest.raises(ConfigError, match=r"runs no \.tflite file"):
        memory_of(replace(net(), num_constants=2), load_device("imx500"))
