"""Metadata inside the network file, so that a file on its own still says what it is.

ONNX: `metadata_props`, with the keys that other tools read (`task`, `names`, `imgsz`, `stride`),
and ours under `frugalseg`. LiteRT: one metadata entry `frugalseg`, JSON.
"""

import json
from pathlib import Path
from typing import Any

from frugalseg.core.errors import require
from frugalseg.core.inputs import InputSpec
from frugalseg.core.labels import LabelSpace
from frugalseg.export.flatbuffer import add_buffer, read_model, schema, write_model

KEY = "frugalseg"


def write_metadata(path: Path, labels: LabelSpace, spec: InputSpec) -> None:
    """Add classes and input to a .tflite or .onnx file in place."""
    ours = {"task": "segment", "names": list(labels.names), "input": spec.to_dict()}
    if path.suffix == ".onnx":
        _write_onnx(path, ours, labels, spec)
    else:
        _write_tflite(path, ours)


def read_metadata(path: Path) -> dict[str, Any]:
    """Read what `write_metadata` added to a .tflite file; empty if there is none."""
    model = read_model(path)
    for entry in model.metadata or []:
        if entry.name == KEY.encode():
            text = bytes(model.buffers[entry.buffer].data).decode()
            return dict(json.loads(text))
    return {}


def _write_tflite(path: Path, ours: dict[str, Any]) -> None:
    model = read_model(path)
    entry = schema().MetadataT()
    entry.name = KEY
    entry.buffer = add_buffer(model, json.dumps(ours, separators=(",", ":")).encode())
    model.metadata = [*(model.metadata or []), entry]
    write_model(model, path)


def _write_onnx(path: Path, ours: dict[str, Any], labels: LabelSpace, spec: InputSpec) -> None:
    onnx = require("onnx", extra="export")
    model = onnx.load(str(path), load_external_data=False)
    stride = spec.height // model.graph.output[0].type.tensor_type.shape.dim[1].dim_value
    onnx.helper.set_model_props(
        model,
        {
            "task": "segment",
            "names": json.dumps(dict(enumerate(labels.names))),
            "imgsz": json.dumps(list(spec.size)),
            "stride": str(stride),
            KEY: json.dumps(ours),
        },
    )
    onnx.save(model, str(path))
