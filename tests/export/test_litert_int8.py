from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from frugalseg.core.errors import ConfigError
from frugalseg.core.inputs import InputSpec
from frugalseg.export.litert_int8 import export_litert_int8
from frugalseg.models.catalog import Architecture
from frugalseg.models.network import Network
from frugalseg.training.validation import network_scores

Operators = Callable[[Path], Counter[str]]
FRUGAL = {"CONV_2D", "ADD", "RESIZE_BILINEAR", "MEAN"}


def pictures(spec: InputSpec, count: int = 2) -> list[Any]:
    noise = np.random.default_rng(0)
    return [noise.integers(0, 256, (*spec.size, spec.channels), np.uint8) for _ in range(count)]


def opened(path: Path) -> Any:
    interpreter = Interpreter(str(path))
    interpreter.allocate_tensors()
    return interpreter


def test_an_int8_input_is_the_pixel_minus_128(artifact: Path) -> None:
    source = opened(artifact / "model.int8.tflite").get_input_details()[0]
    assert source["dtype"] == np.int8
    assert source["quantization"] == (1 / 64, 0)
    assert source["shape"].tolist() == [1, 48, 64, 3]


def test_weights_are_per_channel_and_symmetric(artifact: Path) -> None:
    interpreter = opened(artifact / "model.int8.tflite")
    weights = [t for t in interpreter.get_tensor_details() if len(t["shape"]) == 4]
    per_channel = [
        t["quantization_parameters"]
        for t in weights
        if len(t["quantization_parameters"]["scales"]) > 1
    ]
    assert len(per_channel) == 33  # each convolution of a frugalnet of depth 1
    for told in per_channel:
        assert len(set(told["scales"].tolist())) > 1
        assert not told["zero_points"].any()


def test_everything_is_integer(artifact: Path) -> None:
    interpreter = opened(artifact / "model.int8.tflite")
    assert {np.dtype(t["dtype"]).kind for t in interpreter.get_tensor_details()} == {"i"}


def test_an_even_size_needs_no_copies(artifact: Path, operators: Operators) -> None:
    assert operators(artifact / "model.int8.tflite").keys() == FRUGAL


@pytest.mark.parametrize("size", ["45x61", "45x64"])
def test_odd_and_mixed_sizes_need_no_copies_either(
    size: str, tmp_path: Path, operators: Operators, untrained: Callable[..., Network]
) -> None:
    spec, path = InputSpec.parse(size), tmp_path / "model.tflite"
    export_litert_int8(untrained(), spec, path, pictures=pictures(spec))
    assert operators(path).keys() == FRUGAL


@pytest.mark.slow
def test_a_network_of_many_weights_is_whole(
    tmp_path: Path, untrained: Callable[..., Network]
) -> None:
    """From 256 KiB on, the quantiser puts weights behind the flatbuffer."""
    spec, path = InputSpec(height=48, width=64), tmp_path / "model.tflite"
    network = untrained(width=1.0)
    some = pictures(spec)
    export_litert_int8(network, spec, path, pictures=some)
    assert path.stat().st_size > 256 * 1024
    assert _correlation(network, spec, path, some[0]) > 0.95


@pytest.mark.slow
def test_an_enet_becomes_int8_and_computes_the_same(tmp_path: Path, operators: Operators) -> None:
    spec, path = InputSpec(height=48, width=64), tmp_path / "model.tflite"
    network = Architecture(name="enet", settings={"num_classes": 3}).build().eval()
    some = pictures(spec)
    export_litert_int8(network, spec, path, pictures=some)
    assert operators(path)["CONV_2D"] > 80
    assert _correlation(network, spec, path, some[0]) > 0.9


def test_without_pictures_there_is_nothing_to_calibrate_on(
    tmp_path: Path, untrained: Callable[..., Network]
) -> None:
    spec = InputSpec(height=48, width=64)
    with pytest.raises(ConfigError, match="at least one calibration picture"):
        export_litert_int8(untrained(), spec, tmp_path / "model.tflite", pictures=[])
    assert list(tmp_path.iterdir()) == []


def _correlation(network: Network, spec: InputSpec, path: Path, picture_HWC: Any) -> float:
    interpreter = opened(path)
    source, target = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    interpreter.set_tensor(source["index"], (picture_HWC ^ 0x80).view(np.int8)[None])
    interpreter.invoke()
    scores = interpreter.get_tensor(target["index"])[0].astype(np.float64)
    expected = network_scores(network, spec, picture_HWC)
    return float(np.corrcoef(scores.ravel(), expected.ravel())[0, 1])
