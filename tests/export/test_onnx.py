from collections.abc import Callable
from pathlib import Path

import onnx
import pytest

from frugalseg.core.inputs import InputSpec
from frugalseg.export.onnx import export_onnx
from frugalseg.models.network import Network


def test_everything_is_in_one_file(artifact: Path) -> None:
    model = onnx.load(artifact / "model.fp32.onnx", load_external_data=False)
    assert not any(t.external_data for t in model.graph.initializer)
    names = {path.name for path in artifact.iterdir()}
    assert names == {
        "MODEL_CARD.md", "manifest.json",
        "model.int8.tflite", "model.fp32.tflite", "model.fp32.onnx",
    }  # fmt: skip


def test_it_takes_uint8_pixels_and_gives_scores(artifact: Path) -> None:
    model = onnx.load(artifact / "model.fp32.onnx")
    (source,), (target,) = model.graph.input, model.graph.output
    sides = [[d.dim_value for d in e.type.tensor_type.shape.dim] for e in (source, target)]
    assert (source.name, target.name) == ("pixels", "scores")
    assert source.type.tensor_type.elem_type == onnx.TensorProto.UINT8
    assert sides == [[1, 48, 64, 3], [1, 12, 16, 3]]


@pytest.mark.parametrize("size", ["45x61"])
def test_a_grey_network_of_odd_size_is_written(
    size: str, tmp_path: Path, untrained: Callable[..., Network]
) -> None:
    height, width = map(int, size.split("x"))
    spec = InputSpec(height=height, width=width, channels=1)
    export_onnx(untrained(channels=1), spec, tmp_path / "model.onnx", pictures=[])
    model = onnx.load(tmp_path / "model.onnx")
    shape = model.graph.input[0].type.tensor_type.shape
    assert [d.dim_value for d in shape.dim] == [1, 45, 61, 1]
