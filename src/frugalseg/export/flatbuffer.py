"""Reading and writing .tflite files as objects that can be edited."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from frugalseg.core.errors import require
from frugalseg.core.files import complete_file


def schema() -> Any:
    """Return the module with the classes of the format."""
    return require("ai_edge_litert.schema_py_generated", extra=None)


def read_model(path: Path) -> Any:
    """Read a file as a `ModelT`, buffers behind the flatbuffer taken into it.

    The quantiser appends large weights there, where not every reader looks.
    """
    raw = bytearray(path.read_bytes())
    model = schema().ModelT.InitFromObj(schema().Model.GetRootAsModel(raw, 0))
    for buffer in model.buffers:
        if buffer.offset > 1:
            end = buffer.offset + buffer.size
            buffer.data = np.frombuffer(bytes(raw[buffer.offset : end]), np.uint8)
            buffer.offset = buffer.size = 0
    return model


def write_model(model: Any, path: Path) -> None:
    """Write a `ModelT`, whole or not at all."""
    flatbuffers = require("flatbuffers", extra="export")
    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    with complete_file(path) as draft:
        draft.write_bytes(bytes(builder.Output()))


def add_buffer(model: Any, data: bytes) -> int:
    """Append bytes to a model and return the number of their buffer."""
    buffer = schema().BufferT()
    buffer.data = np.frombuffer(data, np.uint8)
    model.buffers.append(buffer)
    return len(model.buffers) - 1


def opcode(model: Any, kind: str, version: int) -> int:
    """Return the number under which operators know `kind` ("SLICE"), at this version at least."""
    code = getattr(schema().BuiltinOperator, kind)
    for i, known in enumerate(model.operatorCodes):
        if max(known.builtinCode, known.deprecatedBuiltinCode) == code:
            known.version = max(known.version, version)
            return i
    new = schema().OperatorCodeT()
    new.builtinCode = new.deprecatedBuiltinCode = code
    new.version = version
    model.operatorCodes.append(new)
    return len(model.operatorCodes) - 1


def set_options(operator: Any, options: Any) -> None:
    """Give an operator its options, such as a `SliceOptionsT`."""
    operator.builtinOptions = options
    name = type(options).__name__.removesuffix("T")
    operator.builtinOptionsType = getattr(schema().BuiltinOptions, name)


# Versions of operators that have what is used here.
VERSIONS = {"RESIZE_BILINEAR": 3, "ARG_MAX": 2, "CAST": 1, "SUB": 1, "MUL": 1}


class Builder:
    """Adds operators to the one subgraph of a model: at its end, or from its beginning on."""

    def __init__(self, model: Any, *, first: bool = False) -> None:
        self.model, self.graph = model, model.subgraphs[0]
        self.at = 0 if first else len(self.graph.operators)

    def tensor(self, name: str, shape: Sequence[int], kind: int) -> int:
        """Add a map, and return its number."""
        new = schema().TensorT()
        new.name, new.shape, new.type, new.buffer = name.encode(), [*shape], kind, 0
        self.graph.tensors.append(new)
        return len(self.graph.tensors) - 1

    def constant(self, name: str, values: NDArray[np.int32] | NDArray[np.float32]) -> int:
        """Add numbers, and return the number of their tensor."""
        kind = {"int32": schema().TensorType.INT32, "float32": schema().TensorType.FLOAT32}
        number = self.tensor(name, values.shape, kind[values.dtype.name])
        self.graph.tensors[number].buffer = add_buffer(self.model, values.tobytes())
        return number

    def operator(self, kind: str, inputs: list[int], output: int, options: Any) -> int:
        """Add an operator after those that were added before; return the number of its output."""
        new = schema().OperatorT()
        new.opcodeIndex = opcode(self.model, kind, VERSIONS[kind])
        new.inputs, new.outputs = inputs, [output]
        set_options(new, options)
        self.graph.operators.insert(self.at, new)
        self.at += 1
        return output
