"""Lets a float file that takes normalised pixels take the pixels themselves."""

from pathlib import Path

import numpy as np

from frugalseg.core.inputs import InputSpec
from frugalseg.export.flatbuffer import Builder, read_model, schema, write_model


def with_pixels(path: Path, spec: InputSpec) -> None:
    """Put a cast from uint8, and (pixel - mean) / std, before all other operators."""
    model = read_model(path)
    graph, kinds = model.subgraphs[0], schema().TensorType
    (taken,) = (int(number) for number in graph.inputs)
    build, shape = Builder(model, first=True), graph.tensors[taken].shape
    pixels = build.tensor("pixels", shape, kinds.UINT8)
    options = schema().CastOptionsT()
    options.inDataType, options.outDataType = kinds.UINT8, kinds.FLOAT32
    last = build.operator("CAST", [pixels], build.tensor("float", shape, kinds.FLOAT32), options)
    centred = build.tensor("centred", shape, kinds.FLOAT32)
    for kind, result, options, value in (
        ("SUB", centred, schema().SubOptionsT(), spec.mean),
        ("MUL", taken, schema().MulOptionsT(), 1 / spec.std),
    ):
        number = build.constant(kind.lower(), np.array(value, np.float32))
        last = build.operator(kind, [last, number], result, options)
    # What was given from outside so far carries the name of the signature's input.
    graph.tensors[pixels].name, graph.tensors[taken].name = graph.tensors[taken].name, b"normalised"
    graph.inputs = [pixels]
    for signature in model.signatureDefs or []:
        signature.inputs[0].tensorIndex = pixels
    write_model(model, path)
