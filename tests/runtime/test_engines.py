import re
from pathlib import Path

import numpy as np
import pytest

from frugalseg.core.errors import ArtifactError
from frugalseg.core.inputs import InputSpec
from frugalseg.runtime.engines import ENGINES, open_engine
from frugalseg.runtime.manifest import Manifest

SPEC = InputSpec(height=48, width=64)


def test_litert_gives_scores_in_real_units_at_a_quarter_of_the_size(golden: Path) -> None:
    file = Manifest.load(golden).files[0]
    engine = open_engine(golden / file.path, file, SPEC, 5)
    scores_hwC = engine(np.zeros((48, 64, 3), np.uint8))
    assert scores_hwC.shape == (12, 16, 5)
    assert scores_hwC.dtype == np.float32
    assert not np.array_equal(scores_hwC, np.rint(scores_hwC))


def test_the_same_pixels_give_the_same_scores(golden: Path) -> None:
    file = Manifest.load(golden).files[0]
    pixels = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    first, second = (
        open_engine(golden / file.path, file, SPEC, 5, threads=n)(pixels) for n in (1, 2)
    )
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("format", sorted(ENGINES))
def test_a_damaged_network_is_an_artifact_error(golden: Path, tmp_path: Path, format: str) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(b"\x1c\0\0\0TFL3" + bytes(100))
    file = Manifest.load(golden).files[0].model_copy(update={"format": format})
    with pytest.raises(ArtifactError, match=r"cannot run model\.bin"):
        open_engine(path, file, SPEC, 5)


@pytest.mark.parametrize(
    ("spec", "classes", "held", "told"),
    [
        (
            InputSpec(height=48, width=80),
            5,
            "int8",
            "(1, 48, 64, 3), expected int8 (1, 48, 80, 3)",
        ),
        (InputSpec(height=48, width=64, channels=1), 5, "int8", "expected int8 (1, 48, 64, 1)"),
        (InputSpec(height=48, width=64), 5, "uint8", "takes int8 (1, 48, 64, 3), expected uint8"),
        (InputSpec(height=48, width=64), 4, "int8", "gives (1, 12, 16, 5), expected 4 classes"),
        (InputSpec(height=48.0, width=64), 5, "int8", "expected int8 (1, 48.0, 64, 3)"),  # type: ignore[arg-type]
    ],
)
def test_a_manifest_that_contradicts_its_file_is_an_artifact_error(
    golden: Path, spec: InputSpec, classes: int, held: str, told: str
) -> None:
    file = Manifest.load(golden).files[0].model_copy(update={"input": held})
    with pytest.raises(ArtifactError, match=re.escape(told)):
        open_engine(golden / file.path, file, spec, classes)


def test_an_onnx_file_is_compared_with_its_manifest_too(golden: Path, tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx", reason="onnx writes the file of this test")
    uint8, float32 = onnx.TensorProto.UINT8, onnx.TensorProto.FLOAT
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Cast", ["x"], ["y"], to=float32)],
        "graph",
        [onnx.helper.make_tensor_value_info("x", uint8, [1, 48, 64, 3])],
        [onnx.helper.make_tensor_value_info("y", float32, [1, 48, 64, 3])],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)])
    model.ir_version = 9
    onnx.save(model, tmp_path / "model.onnx")
    file = Manifest.load(golden).files[0].model_copy(update={"format": "onnx", "input": "uint8"})
    assert open_engine(tmp_path / "model.onnx", file, SPEC, 3)(
        np.zeros((48, 64, 3), np.uint8)
    ).shape == (48, 64, 3)
    with pytest.raises(ArtifactError, match="expected 5 classes"):
        open_engine(tmp_path / "model.onnx", file, SPEC, 5)
    int8 = file.model_copy(update={"input": "int8"})
    with pytest.raises(ArtifactError, match="expected int8"):
        open_engine(tmp_path / "model.onnx", int8, SPEC, 3)


def test_onnx_reads_no_weights_from_outside_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    onnx = pytest.importorskip("onnx", reason="onnx writes the file of this test")
    weight = onnx.numpy_helper.from_array(np.ones((3, 2), np.float32), "w")
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("MatMul", ["x", "w"], ["y"])],
        "graph",
        [onnx.helper.make_tensor_value_info("x", 1, [1, 3])],
        [onnx.helper.make_tensor_value_info("y", 1, [1, 2])],
        [weight],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)])
    model.ir_version = 9
    path = tmp_path / "model.onnx"
    onnx.save(model, path, save_as_external_data=True, location="secret.bin", size_threshold=0)
    assert (tmp_path / "secret.bin").is_file()
    monkeypatch.chdir(tmp_path)  # where ONNX Runtime looks unless told otherwise
    with pytest.raises(ArtifactError, match="External data path"):
        ENGINES["onnx"](path, 1)
