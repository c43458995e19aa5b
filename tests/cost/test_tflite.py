import contextlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from frugalseg.core.errors import ArtifactError
from frugalseg.cost.peak import peak
from frugalseg.cost.tflite import read_tflite

flatbuffers = pytest.importorskip("flatbuffers")
schema = pytest.importorskip("ai_edge_litert.schema_py_generated")


class Builder:
    """Writes a .tflite file of int8 tensors by hand."""

    def __init__(self) -> None:
        self.model = schema.ModelT()
        self.model.version, self.model.buffers = 3, [schema.BufferT()]
        self.model.operatorCodes = []
        self.graph = schema.SubGraphT()
        self.graph.tensors, self.graph.operators = [], []
        self.model.subgraphs = [self.graph]

    def tensor(self, *shape: int, data: Any = None, kind: str = "INT8") -> int:
        tensor = schema.TensorT()
        tensor.shape, tensor.type = list(shape), getattr(schema.TensorType, kind)
        if data is not None:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(np.asarray(data).tobytes(), np.uint8)
            self.model.buffers.append(buffer)
            tensor.buffer = len(self.model.buffers) - 1
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1

    def weights(self, *shape: int) -> int:
        return self.tensor(*shape, data=np.ones(shape, np.int8))

    def bias(self, channels: int) -> int:
        return self.tensor(channels, data=np.ones(channels, np.int32), kind="INT32")

    def op(self, kind: str, inputs: list[int], output: int) -> int:
        code, operator = schema.OperatorCodeT(), schema.OperatorT()
        code.builtinCode = getattr(schema.BuiltinOperator, kind)
        code.deprecatedBuiltinCode = min(code.builtinCode, 127)
        self.model.operatorCodes.append(code)
        operator.opcodeIndex = len(self.model.operatorCodes) - 1
        operator.inputs, operator.outputs = inputs, [output]
        self.graph.operators.append(operator)
        return output

    def write(self, path: Path, inputs: list[int], outputs: list[int]) -> Path:
        self.graph.inputs, self.graph.outputs = inputs, outputs
        builder = flatbuffers.Builder(1024)
        builder.Finish(self.model.Pack(builder), file_identifier=b"TFL3")
        path.write_bytes(bytes(builder.Output()))
        return path


@pytest.fixture
def network(tmp_path: Path) -> Path:
    file = Builder()
    image = file.tensor(1, 8, 8, 3)
    stem = file.op(
        "CONV_2D", [image, file.weights(4, 3, 3, 3), file.bias(4)], file.tensor(1, 4, 4, 4)
    )
    deep = file.op(
        "DEPTHWISE_CONV_2D", [stem, file.weights(1, 3, 3, 4), -1], file.tensor(1, 4, 4, 4)
    )
    flat = file.op("RESHAPE", [deep, file.bias(2)], file.tensor(1, 64))
    head = file.op("FULLY_CONNECTED", [flat, file.weights(5, 64)], file.tensor(1, 5))
    return file.write(tmp_path / "net.tflite", [image], [head])


def test_operators_are_read_in_order_and_a_reshape_is_free(network: Path) -> None:
    graph = read_tflite(network)
    assert [op.kind for op in graph.ops] == ["conv_2d", "depthwise_conv_2d", "fully_connected"]
    assert graph.ops[2].reads == graph.ops[1].writes


def test_macs_weights_and_biases_are_counted(network: Path) -> None:
    graph = read_tflite(network)
    assert [op.macs for op in graph.ops] == [64 * 27, 64 * 9, 320]
    assert [op.weight_elements for op in graph.ops] == [108, 36, 320]
    assert [op.bias_elements for op in graph.ops] == [4, 0, 0]


def test_the_peak_is_that_of_activations_alone(network: Path) -> None:
    found = peak(read_tflite(network))
    assert (found.bytes, found.at) == (8 * 8 * 3 + 64, "t3 conv_2d")


def test_a_transposed_convolution_counts_inputs(tmp_path: Path) -> None:
    file = Builder()
    image = file.tensor(1, 4, 4, 8)
    size = file.tensor(4, data=np.ones(4, np.int32), kind="INT32")
    out = file.op(
        "TRANSPOSE_CONV", [size, file.weights(5, 2, 2, 8), image], file.tensor(1, 8, 8, 5)
    )
    graph = read_tflite(file.write(tmp_path / "up.tflite", [image], [out]))
    assert graph.macs == 4 * 4 * 8 * 5 * 2 * 2


def test_indices_take_four_bytes(tmp_path: Path) -> None:
    file = Builder()
    image = file.tensor(1, 4, 4, 8)
    out = file.op("ARG_MAX", [image], file.tensor(1, 4, 4, kind="INT32"))
    assert peak(read_tflite(file.write(tmp_path / "a.tflite", [image], [out]))).bytes == 128 + 64


def test_a_shape_that_is_not_static_is_refused(tmp_path: Path) -> None:
    file = Builder()
    image = file.tensor(-1, 4)
    path = file.write(tmp_path / "a.tflite", [image], [image])
    with pytest.raises(ArtifactError, match="only static shapes"):
        read_tflite(path)


def test_what_is_no_network_is_refused(tmp_path: Path, network: Path) -> None:
    other = tmp_path / "x.tflite"
    other.write_bytes(b"PK\x03\x04 something else")
    with pytest.raises(ArtifactError, match="lacks the identifier TFL3"):
        read_tflite(other)
    with pytest.raises(ArtifactError, match="cannot read"):
        read_tflite(tmp_path / "none.tflite")
    other.write_bytes(network.read_bytes()[:60])
    with pytest.raises(ArtifactError, match="damaged"):
        read_tflite(other)


def test_random_damage_is_an_error_of_ours_or_harmless(tmp_path: Path, network: Path) -> None:
    whole = network.read_bytes()
    generator = np.random.default_rng(0)
    for _ in range(150):
        broken = bytearray(whole)
        for place in generator.integers(8, len(whole), 4):
            broken[place] = generator.integers(256)
        path = tmp_path / "broken.tflite"
        path.write_bytes(broken)
        with contextlib.suppress(ArtifactError):
            assert peak(read_tflite(path)).at


def test_the_bytes_of_the_weights_are_told_by_element_type(tmp_path: Path) -> None:
    net = Builder()
    image, first = net.tensor(1, 4, 4, 3), net.tensor(1, 4, 4, 5)
    kernel, bias = net.weights(5, 1, 1, 3), net.bias(5)
    net.op("CONV_2D", [image, kernel, bias], first)
    scale = net.tensor(5, data=np.ones(5, np.float32), kind="FLOAT32")
    net.op("MUL", [first, scale], last := net.tensor(1, 4, 4, 5))
    graph = read_tflite(net.write(tmp_path / "net.tflite", [image], [last]))
    assert graph.stored == {"int8": 15, "int32": 20, "fp32": 20}


def test_without_views_a_reshape_writes_a_tensor_of_its_own(network: Path) -> None:
    graph = read_tflite(network, views=False)
    assert [op.kind for op in graph.ops] == [
        "conv_2d", "depthwise_conv_2d", "reshape", "fully_connected",
    ]  # fmt: skip
    assert graph.ops[3].reads == graph.ops[2].writes != graph.ops[1].writes
    assert graph.num_constants == 5


def test_without_views_tensors_are_told_that_no_operator_uses(tmp_path: Path) -> None:
    file = Builder()
    image, orphan = file.tensor(1, 4, 4, 8), file.tensor(1, 64)
    out = file.op("RELU", [image], file.tensor(1, 4, 4, 8))
    path = file.write(tmp_path / "a.tflite", [image], [out])
    assert f"t{orphan}" in read_tflite(path, views=False).tensors
    assert f"t{orphan}" not in read_tflite(path).tensors


def test_the_shape_that_a_transposed_convolution_reads_is_no_bias(tmp_path: Path) -> None:
    file = Builder()
    image = file.tensor(1, 4, 4, 8)
    size = file.tensor(4, data=np.ones(4, np.int32), kind="INT32")
    out = file.op(
        "TRANSPOSE_CONV",
        [size, file.weights(5, 2, 2, 8), image, file.bias(5)],
        file.tensor(1, 8, 8, 5),
    )
    graph = read_tflite(file.write(tmp_path / "up.tflite", [image], [out]))
    assert graph.ops[0].bias_elements == 5
