"""TensorFlow Lite Micro itself, where it is installed, on the golden artifact."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from frugalseg.core.errors import ToolchainError, require
from frugalseg.cost.tflite import read_tflite
from frugalseg.cost.tflm import arena as estimate
from frugalseg.toolchain.catalog import TOOLCHAINS
from frugalseg.toolchain.environment import is_installed
from frugalseg.toolchain.tflm import arena, run_model

Pictures = NDArray[np.int8]
pytestmark = [
    pytest.mark.toolchain,
    pytest.mark.skipif(not is_installed("tflm"), reason="needs: frugalseg toolchain install tflm"),
]


@pytest.fixture(scope="module")
def file(golden: Path) -> Path:
    return golden / "model.int8.tflite"


@pytest.fixture(scope="module")
def noise() -> Pictures:
    """Three pictures, NHWC, as the input tensor holds them."""
    return np.random.default_rng(0).integers(-128, 128, (3, 48, 64, 3)).astype(np.int8)


def with_operator(file: Path, code: str, path: Path) -> Path:
    """Write the file with its first operator's code replaced by another one."""
    schema = require("ai_edge_litert.schema_py_generated", extra=None)
    flatbuffers = require("flatbuffers", extra=None)
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(bytearray(file.read_bytes()), 0))
    model.operatorCodes[0].builtinCode = getattr(schema.BuiltinOperator, code)
    model.operatorCodes[0].deprecatedBuiltinCode = 127
    builder = flatbuffers.Builder(1 << 16)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    path.write_bytes(bytes(builder.Output()))
    return path


def test_the_estimate_is_what_the_interpreter_reports(file: Path) -> None:
    told, found = arena(file), estimate(read_tflite(file, views=False))
    assert (told.head_bytes, told.tail_bytes) == (found.head_bytes, found.tail_bytes)
    assert told.total_bytes == told.head_bytes + told.tail_bytes
    assert told.version == TOOLCHAINS["tflm"].version


def test_it_computes_what_the_reference_kernels_of_litert_compute(
    file: Path, noise: Pictures
) -> None:
    litert = require("ai_edge_litert.interpreter", extra=None)
    interpreter = litert.Interpreter(
        model_path=str(file),
        experimental_op_resolver_type=litert.OpResolverType.BUILTIN_REF,
    )
    interpreter.allocate_tensors()
    (source,), (result,) = interpreter.get_input_details(), interpreter.get_output_details()
    wanted = []
    for picture_HWC in noise:
        interpreter.set_tensor(source["index"], picture_HWC[None])
        interpreter.invoke()
        wanted.append(interpreter.get_tensor(result["index"])[0])
    outputs = run_model(file, noise, arena_bytes=arena(file).total_bytes + 64)
    np.testing.assert_array_equal(outputs, np.stack(wanted))


def test_an_arena_that_is_too_small_is_refused(file: Path, noise: Pictures) -> None:
    too_small = arena(file).total_bytes - 64
    with pytest.raises(ToolchainError, match=f"of {too_small:,} bytes: the arena is too small"):
        run_model(file, noise, arena_bytes=too_small)


def test_an_operator_that_it_lacks_is_named(file: Path, tmp_path: Path) -> None:
    with pytest.raises(ToolchainError, match="it has no operator GELU"):
        arena(with_operator(file, "GELU", tmp_path / "gelu.tflite"))


def test_pictures_of_another_size_are_refused(file: Path) -> None:
    with pytest.raises(ToolchainError, match=r"refuses .*Dimension mismatch"):
        run_model(file, np.zeros((1, 47, 64, 3), np.int8), arena_bytes=1 << 20)


@pytest.mark.parametrize("content", [b"", b"abc" * 1000, b"\0\0\0\0TFL3" + b"\xff" * 64])
def test_what_is_no_network_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.tflite").write_bytes(content)
    with pytest.raises(ToolchainError):
        arena(tmp_path / "x.tflite")


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ToolchainError, match="No such file"):
        arena(tmp_path / "nowhere.tflite")
