"""What TensorFlow Lite Micro allocates for each operator: files of a few equal operators, measured.

    python benchmarks/probe_tflm.py OUT.json --python TFLM/bin/python

Each file reads one map of 16x16x16 with one, two and five operators of a kind; from the tails of
its arena follow the sizes in `cost/tflm.py`, from its head the scratch buffers. Written are pairs
as those of `measure_tflm.py`: the graph as read from the file, and what was reported.
"""

import argparse
import json
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
from measure_tflm import report

from frugalseg.core.files import write_text
from frugalseg.cost.tflite import read_tflite
from frugalseg.cost.tflm import arena
from frugalseg.export.flatbuffer import schema
from frugalseg.workflows.pairs import graph_data

Shape = tuple[int, ...]
MAP: Shape = (1, 16, 16, 16)
COUNTS = (1, 2, 5)
FIXED_SCALE = {"LOGISTIC": -128, "SOFTMAX": -128}  # kernels insist on 1/256 and this zero point


class File:
    """A .tflite file by hand: one map in, operators beside each other that read it."""

    def __init__(self, element: str) -> None:
        self.types, self.element = schema(), element
        self.model, self.graph = self.types.ModelT(), self.types.SubGraphT()
        self.model.version, self.model.buffers = 3, [self.types.BufferT()]
        self.model.operatorCodes, self.model.subgraphs = [], [self.graph]
        self.graph.tensors, self.graph.operators = [], []
        self.image = self.tensor(MAP)

    def tensor(
        self, shape: Shape, element: str = "", data: Any = None, *, channels: int = 1, axis: int = 0
    ) -> int:
        """Add a tensor; with `data` a constant."""
        element = element or self.element
        tensor = self.types.TensorT()
        tensor.shape, tensor.type = [*shape], getattr(self.types.TensorType, element)
        tensor.name = f"t{len(self.graph.tensors)}".encode()
        if element == "INT8" or (element == "INT32" and data is not None):
            scales = self.types.QuantizationParametersT()
            scales.scale = [0.05 if element == "INT8" else 0.05 * 0.05] * channels
            scales.zeroPoint, scales.quantizedDimension = [0] * channels, axis
            tensor.quantization = scales
        if data is not None:
            buffer = self.types.BufferT()
            buffer.data = np.frombuffer(data.tobytes(), np.uint8)
            self.model.buffers.append(buffer)
            tensor.buffer = len(self.model.buffers) - 1
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1

    def numbers(self, values: Any) -> int:
        """Add a constant of whole numbers: a shape, axes, pads."""
        array = np.asarray(values, np.int32)
        return self.tensor(array.shape, "INT32", array)

    def weights(self, *shape: int, axis: int = 0) -> list[int]:
        """Add weights, and a bias for each channel of an axis."""
        channels = shape[axis]
        bias = "INT32" if self.element == "INT8" else "FLOAT32"
        size = np.int8 if self.element == "INT8" else np.float32
        wide = np.int32 if self.element == "INT8" else np.float32
        return [
            self.tensor(shape, data=np.ones(shape, size), channels=channels, axis=axis),
            self.tensor((channels,), bias, np.ones(channels, wide), channels=channels),
        ]

    def op(self, kind: str, inputs: Sequence[int], outputs: list[int], **options: Any) -> None:
        """Add an operator; `options` are fields of the table `name` in the schema."""
        code, operator = self.types.OperatorCodeT(), self.types.OperatorT()
        code.builtinCode = getattr(self.types.BuiltinOperator, kind)
        code.deprecatedBuiltinCode = min(code.builtinCode, 127)
        self.model.operatorCodes.append(code)
        operator.opcodeIndex = len(self.model.operatorCodes) - 1
        operator.inputs, operator.outputs = [*inputs], outputs
        if name := options.pop("name", ""):
            operator.builtinOptions = getattr(self.types, f"{name}T")()
            operator.builtinOptionsType = getattr(self.types.BuiltinOptions, name)
            vars(operator.builtinOptions).update(options)
        if kind in FIXED_SCALE:
            scales = self.graph.tensors[outputs[0]].quantization
            if scales is not None:
                scales.scale, scales.zeroPoint = [1 / 256], [FIXED_SCALE[kind]]
        self.graph.operators.append(operator)

    def write(self, path: Path) -> Path:
        """Write the file; its output is the first result that has numbers."""
        results = [int(i) for op in self.graph.operators for i in op.outputs]
        flags = self.types.TensorType.BOOL
        numbers = [i for i in results if self.graph.tensors[i].type != flags]
        self.graph.inputs, self.graph.outputs = [self.image], (numbers or [self.image])[:1]
        builder = flatbuffers.Builder(1024)
        builder.Finish(self.model.Pack(builder), file_identifier=b"TFL3")
        path.write_bytes(bytes(builder.Output()))
        return path


Add = Callable[[File], None]


def _maps(kind: str, *, n: int = 1, out: Shape = MAP, to: str = "", **options: Any) -> Add:
    """Build an operator that reads the map n times."""
    return lambda f: f.op(kind, [f.image] * n, [f.tensor(out, to)], **options)


def _settings(kind: str, *values: Any, out: Shape, **options: Any) -> Add:
    """Build an operator that reads the map and constants of whole numbers."""

    def add(f: File) -> None:
        f.op(kind, [f.image, *map(f.numbers, values)], [f.tensor(out)], **options)

    return add


def _convolution(f: File) -> None:
    f.op("CONV_2D", [f.image, *f.weights(8, 3, 3, 16)], [f.tensor((1, 16, 16, 8))],
         name="Conv2DOptions", strideW=1, strideH=1)  # fmt: skip


def _depthwise(f: File) -> None:
    f.op("DEPTHWISE_CONV_2D", [f.image, *f.weights(1, 3, 3, 16, axis=3)], [f.tensor(MAP)],
         name="DepthwiseConv2DOptions", strideW=1, strideH=1, depthMultiplier=1)  # fmt: skip


def _transposed(f: File) -> None:
    out = (1, 32, 32, 8)
    weights, bias = f.weights(8, 2, 2, 16)
    f.op("TRANSPOSE_CONV", [f.numbers(out), weights, f.image, bias], [f.tensor(out)],
         name="TransposeConvOptions", strideW=2, strideH=2)  # fmt: skip


def _matrix(f: File) -> None:
    f.op("FULLY_CONNECTED", [f.image, *f.weights(12, 16)], [f.tensor((256, 12))],
         name="FullyConnectedOptions")  # fmt: skip


def _slope(f: File) -> None:
    slope = f.tensor((1, 1, 16), data=np.ones(16, np.int8))
    f.op("PRELU", [f.image, slope], [f.tensor(MAP)])


def _pad_value(f: File) -> None:
    value = f.tensor((), data=np.asarray(-128, np.int8))
    f.op("PADV2", [f.image, f.numbers(PADS), value], [f.tensor((1, 18, 18, 16))],
         name="PadV2Options")  # fmt: skip


def _choice(f: File) -> None:
    where = f.tensor(MAP, "BOOL")
    f.op("LESS", [f.image, f.image], [where])
    f.op("SELECT_V2", [where, f.image, f.image], [f.tensor(MAP)], name="SelectV2Options")


def _halves(f: File) -> None:
    half = (1, 16, 16, 8)
    f.op("SPLIT", [f.numbers(3), f.image], [f.tensor(half), f.tensor(half)],
         name="SplitOptions", numSplits=2)  # fmt: skip


PADS = [[0, 0], [1, 1], [1, 1], [0, 0]]
HALF, DOUBLE, POINT = (1, 8, 8, 16), (1, 32, 32, 16), (1, 1, 1, 16)
POOL = {"name": "Pool2DOptions", "padding": 1, "out": HALF, "strideW": 2, "strideH": 2,
        "filterWidth": 2, "filterHeight": 2}  # fmt: skip
_mean = partial(_settings, out=POINT, name="ReducerOptions", keepDims=True)
BOTH: dict[str, Add] = {
    "conv_2d": _convolution,
    "transpose_conv": _transposed,
    "mean": _mean("MEAN", [1, 2]),
    "add": _maps("ADD", n=2, name="AddOptions"),
    "hard_swish": _maps("HARD_SWISH"),
    "logistic": _maps("LOGISTIC"),
    "mul": _maps("MUL", n=2, name="MulOptions"),
    "relu": _maps("RELU"),
    "rsqrt": _maps("RSQRT"),
    "softmax": _maps("SOFTMAX", name="SoftmaxOptions", beta=1.0),
    "sub": _maps("SUB", n=2, name="SubOptions"),
    "tanh": _maps("TANH"),
}
INT8: dict[str, Add] = {
    **BOTH,
    "abs": _maps("ABS"),
    "arg_max": lambda f: f.op(
        "ARG_MAX", [f.image, f.numbers([3])], [f.tensor(MAP[:3], "INT32")],
        name="ArgMaxOptions", outputType=2,
    ),
    "average_pool_2d": _maps("AVERAGE_POOL_2D", **POOL),
    "batch_matmul": _maps("BATCH_MATMUL", n=2, name="BatchMatMulOptions"),
    "broadcast_to": _settings("BROADCAST_TO", MAP, out=MAP),
    "cast": _maps("CAST", to="FLOAT32", name="CastOptions"),
    "concatenation": _maps(
        "CONCATENATION", n=3, out=(1, 16, 16, 48), name="ConcatenationOptions", axis=3
    ),
    "depth_to_space": _maps(
        "DEPTH_TO_SPACE", out=(1, 32, 32, 4), name="DepthToSpaceOptions", blockSize=2
    ),
    "depthwise_conv_2d": _depthwise,
    "dequantize": _maps("DEQUANTIZE", to="FLOAT32"),
    "div": _maps("DIV", n=2, name="DivOptions"),
    "elu": _maps("ELU"),
    "equal": _maps("EQUAL", n=2, to="BOOL"),
    "expand_dims": _settings("EXPAND_DIMS", [0], out=(1, *MAP)),
    "fully_connected": _matrix,
    "gather": _settings("GATHER", [1, 2], out=(1, 2, 16, 16), name="GatherOptions", axis=1),
    "greater": _maps("GREATER", n=2, to="BOOL"),
    "greater_equal": _maps("GREATER_EQUAL", n=2, to="BOOL"),
    "leaky_relu": _maps("LEAKY_RELU", name="LeakyReluOptions", alpha=0.1),
    "less_equal": _maps("LESS_EQUAL", n=2, to="BOOL"),
    "max_pool_2d": _maps("MAX_POOL_2D", **POOL),
    "maximum": _maps("MAXIMUM", n=2, name="MaximumMinimumOptions"),
    "mirror_pad": _settings("MIRROR_PAD", PADS, out=(1, 18, 18, 16), name="MirrorPadOptions"),
    "neg": _maps("NEG"),
    "pack": _maps("PACK", n=2, out=(2, *MAP), name="PackOptions", valuesCount=2),
    "pad": _settings("PAD", PADS, out=(1, 18, 18, 16), name="PadOptions"),
    "padv2": _pad_value,
    "prelu": _slope,
    "quantize": _maps("QUANTIZE"),
    "reduce_max": _mean("REDUCE_MAX", [1, 2]),
    "relu6": _maps("RELU6"),
    "reshape": _settings("RESHAPE", [1, 8, 32, 16], out=(1, 8, 32, 16), name="ReshapeOptions"),
    "resize_bilinear": _settings(
        "RESIZE_BILINEAR", [32, 32], out=DOUBLE, name="ResizeBilinearOptions"
    ),
    "resize_nearest_neighbor": _settings(
        "RESIZE_NEAREST_NEIGHBOR", [32, 32], out=DOUBLE, name="ResizeNearestNeighborOptions"
    ),
    "select_v2": _choice,
    "slice": _settings("SLICE", [0] * 4, HALF, out=HALF, name="SliceOptions"),
    "space_to_depth": _maps(
        "SPACE_TO_DEPTH", out=(1, 8, 8, 64), name="SpaceToDepthOptions", blockSize=2
    ),
    "split": _halves,
    "squared_difference": _maps("SQUARED_DIFFERENCE", n=2, name="SquaredDifferenceOptions"),
    "squeeze": _maps("SQUEEZE", out=MAP[1:], name="SqueezeOptions", squeezeDims=[0]),
    "strided_slice": _settings(
        "STRIDED_SLICE", [0] * 4, HALF, [1] * 4, out=HALF, name="StridedSliceOptions"
    ),
    "sum": _mean("SUM", [1, 2]),
    "transpose": _settings("TRANSPOSE", [0, 3, 1, 2], out=MAP, name="TransposeOptions"),
}  # fmt: skip
FLOAT32: dict[str, Add] = {
    **BOTH,
    **{kind: _maps(kind.upper()) for kind in ("cos", "exp", "floor", "log", "sin", "sqrt")},
    "square": _maps("SQUARE"),
}


def main() -> None:
    """Build, measure, compare, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--python", required=True, help="a Python that has tflite_micro")
    wish = parser.parse_args()
    pairs: dict[str, Any] = {}
    for element, probes in (("INT8", INT8), ("FLOAT32", FLOAT32)):
        for kind, add in probes.items():
            for count in COUNTS:
                pair, error = probe(element, add, count, wish.python)
                pairs[f"{count} {kind} {element.lower()}"] = pair
                if any(error):
                    print(f"{count} {kind} {element}: head {error[0]:+}, tail {error[1]:+} bytes")
    write_text(wish.out, json.dumps(pairs, separators=(",", ":")).replace('},"', '},\n"') + "\n")


def probe(
    element: str, add: Add, count: int, python: str
) -> tuple[dict[str, Any], tuple[int, int]]:
    """Measure a file of some operators; return the pair, and the errors of head and tail."""
    file = File(element)
    for _ in range(count):
        add(file)
    with tempfile.TemporaryDirectory() as folder:
        path = file.write(Path(folder) / "probe.tflite")
        graph, reported = read_tflite(path, views=False), report(path, python)
    found = arena(graph)
    error = (found.head_bytes - reported["head"], found.tail_bytes - reported["tail"])
    return {"reported": reported, "file": graph_data(graph)}, error


if __name__ == "__main__":
    main()
