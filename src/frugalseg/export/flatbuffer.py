"""Reading and writing .tflite files as objects that can be edited."""

from pathlib import Path
from typing import Any

import numpy as np

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
