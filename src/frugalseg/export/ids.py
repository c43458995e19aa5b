"""Lets a file that gives scores give class ids at the size of its picture."""

from pathlib import Path
from typing import Any

import numpy as np

from frugalseg.core.errors import ConfigError
from frugalseg.export.flatbuffer import Builder, read_model, schema, write_model

PICTURE, CHANNELS = 4, 3  # axes of NHWC, and the last of them
MOST_CLASSES = 128  # that int8 can number


def with_ids(path: Path) -> None:
    """Append a bilinear resize to the picture's size, argmax, and a cast of the ids to int8.

    The output is (1, H, W), with the ids 0 to classes - 1 as they are. The file then holds a map
    of scores at full size; `patch` computes it in bands, if the scores' height divides the
    picture's. Raises ConfigError where the file's one output is no int8 map of up to 128 scores.
    """
    model = read_model(path)
    graph = model.subgraphs[0]
    scores = graph.tensors[graph.outputs[0]]
    _, height, width, _ = graph.tensors[graph.inputs[0]].shape
    _check(path, graph)
    build = Builder(model)
    last = int(graph.outputs[0])
    kinds = schema().TensorType
    if tuple(scores.shape[1:3]) != (height, width):
        resized = build.tensor("scores", [1, height, width, scores.shape[-1]], kinds.INT8)
        graph.tensors[resized].quantization = scores.quantization
        options = schema().ResizeBilinearOptionsT()
        options.halfPixelCenters, options.alignCorners = True, False
        size = build.constant("size", np.array([height, width], np.int32))
        last = build.operator("RESIZE_BILINEAR", [last, size], resized, options)
    options = schema().ArgMaxOptionsT()
    options.outputType = kinds.INT32
    wide = build.tensor("ids32", [1, height, width], kinds.INT32)
    axis = build.constant("axis", np.array([CHANNELS], np.int32))
    last = build.operator("ARG_MAX", [last, axis], wide, options)
    options = schema().CastOptionsT()
    options.inDataType, options.outDataType = kinds.INT32, kinds.INT8
    ids = build.tensor("ids", [1, height, width], kinds.INT8)
    graph.tensors[ids].quantization = as_they_are = schema().QuantizationParametersT()
    as_they_are.scale, as_they_are.zeroPoint = [1.0], [0]
    graph.outputs = [build.operator("CAST", [last], ids, options)]
    for signature in model.signatureDefs or []:
        signature.outputs[0].tensorIndex = ids
    write_model(model, path)


def _check(path: Path, graph: Any) -> None:
    outputs = [graph.tensors[i] for i in graph.outputs]
    fits = [
        tensor.type == schema().TensorType.INT8
        and len(tensor.shape) == PICTURE
        and 1 < tensor.shape[-1] <= MOST_CLASSES
        for tensor in outputs
    ]
    if fits != [True]:
        told = ", ".join(str([*map(int, tensor.shape)]) for tensor in outputs)
        raise ConfigError(
            f"{path.name} cannot give class ids: expected one int8 output of 2 to {MOST_CLASSES}"
            f" scores a pixel, got {told}; export it as int8 with scores as output"
        )
