"""Weights of 4 bits in a file."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ai_edge_litert.interpreter import Interpreter

from frugalseg.compress.mixed import plan_bits, sensitivity, weights_of
from frugalseg.core.errors import ConfigError
from frugalseg.core.inputs import InputSpec
from frugalseg.cost.tflite import read_tflite
from frugalseg.export.litert_int8 import export_litert_int8
from frugalseg.export.quantisation import Quantisation
from frugalseg.models.catalog import Architecture
from frugalseg.models.network import Network
from frugalseg.training.validation import network_scores

SPEC = InputSpec(height=48, width=64)


def scores(path: Path, picture_HWC: Any) -> Any:
    interpreter = Interpreter(str(path))
    interpreter.allocate_tensors()
    source, target = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    interpreter.set_tensor(source["index"], (picture_HWC ^ 0x80).view(np.int8)[None])
    interpreter.invoke()
    return interpreter.get_tensor(target["index"])[0].astype(np.float64)


def test_a_plan_comes_true_in_the_file(tmp_path: Path, untrained: Callable[..., Network]) -> None:
    network, path = untrained(), tmp_path / "m.tflite"
    images = torch.randn(1, 3, *SPEC.size)
    measure = sensitivity(network, SPEC, images)
    loss = {layer: measure(layer) for layer in weights_of(network, SPEC)}
    plan = plan_bits(network, "frugalnet", SPEC, loss, 47_000)
    assert 5 < len(plan.bits) < len(plan.weights)
    picture = np.random.default_rng(0).integers(0, 256, (*SPEC.size, 3), np.uint8)
    export_litert_int8(network, SPEC, path, pictures=[picture], how=Quantisation(bits=plan.bits))
    stored = read_tflite(path).stored
    assert stored["int4"] == sum(-(-plan.weights[n] // 2) for n in plan.bits)
    assert path.stat().st_size == pytest.approx(plan.after, rel=0.02)
    assert path.stat().st_size <= 47_000
    expected = network_scores(network, SPEC, picture)
    assert np.corrcoef(scores(path, picture).ravel(), expected.ravel())[0, 1] > 0.7


@pytest.mark.parametrize("layer", ["nowhere", "classify"])  # ENet's classifier is transposed
def test_layers_that_cannot_are_refused_before_the_conversion(tmp_path: Path, layer: str) -> None:
    picture = np.zeros((*SPEC.size, 3), np.uint8)
    settings = {"num_classes": 3, "width": 0.25}
    network = Architecture(name="enet", settings=settings).build().eval()
    how = Quantisation(bits={layer: 4})
    with pytest.raises(ConfigError, match=f"4 bits is called {layer}"):
        export_litert_int8(network, SPEC, tmp_path / "m", pictures=[picture], how=how)
    assert not [*tmp_path.iterdir()]


def test_other_widths_are_refused() -> None:
    with pytest.raises(ConfigError, match="4 or 8 bits"):
        Quantisation(bits={"head": 3})
    with pytest.raises(ConfigError, match="did you mean 'minmax'"):
        Quantisation(ranges="minmix")
