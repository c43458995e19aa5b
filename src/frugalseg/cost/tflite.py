"""Read a .tflite file into the same Graph, so that the real file is weighed as the estimate is.

The flatbuffer is read through the schema classes that the engine ships; no engine is started.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from math import prod
from pathlib import Path
from struct import error as StructError
from struct import iter_unpack
from typing import Any

from frugalseg.core.errors import ArtifactError, require
from frugalseg.cost.graph import Graph, Op, Tensor

MAX_FILE_BYTES = 1_000_000_000
IDENTIFIER = b"TFL3"
ELEMENT_BYTES = {
    "FLOAT64": 8, "INT64": 8, "UINT64": 8, "COMPLEX64": 8,
    "FLOAT32": 4, "INT32": 4, "UINT32": 4,
    "FLOAT16": 2, "INT16": 2, "UINT16": 2,
    "INT8": 1, "UINT8": 1, "BOOL": 1, "INT4": 1,
}  # fmt: skip
PACKED = 2  # of INT4, which weights alone are, so many lie in a byte of the file
MATRIX_KINDS = {"conv_2d", "depthwise_conv_2d", "transpose_conv", "fully_connected"}
DAMAGE = (
    StructError, IndexError, KeyError, ValueError, TypeError, AttributeError, OverflowError,
)  # fmt: skip
ALIAS_KINDS = {"reshape", "squeeze", "expand_dims"}
# Metadata with an offset in the arena for each tensor, after three numbers that lead it in.
PLACES, PLACES_FROM = "OfflineMemoryAllocation", 3


def read_tflite(path: Path, *, views: bool = True) -> Graph:
    """Read operators, tensors and weights of a file with one subgraph of static shapes.

    `params` and `weight_elements` of an operator count the numbers it reads from the file at
    its second and later inputs. With `views`, a reshape shares the memory of what it reads, as
    in LiteRT, and is left out; without, it is an operator that writes a tensor, as in TensorFlow
    Lite Micro, and tensors that no operator uses are there too. Raises ArtifactError for anything
    that is not such a file.
    """
    raw = _load(path)
    try:
        return _graph(raw, views=views)
    except DAMAGE as wrong:
        raise ArtifactError(
            f"{path} is damaged, or not a network that frugalseg can read: {wrong}"
        ) from wrong


def _load(path: Path) -> bytes:
    try:
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            raise ArtifactError(
                f"{path} has {size:,} bytes; networks to {MAX_FILE_BYTES:,} are read"
            )
        raw = path.read_bytes()
    except OSError as wrong:
        raise ArtifactError(f"cannot read {path}: {wrong.strerror}") from wrong
    if raw[4:8] != IDENTIFIER:
        raise ArtifactError(f"{path} is not a .tflite file: it lacks the identifier TFL3")
    return raw


def _graph(raw: bytes, *, views: bool) -> Graph:
    schema = require("ai_edge_litert.schema_py_generated", extra=None)
    model = schema.Model.GetRootAs(raw, 0)
    if model.SubgraphsLength() != 1:
        raise ValueError(f"it has {model.SubgraphsLength()} subgraphs, expected 1")
    source = model.Subgraphs(0)
    tensors = [source.Tensors(i) for i in range(source.TensorsLength())]
    constant = [_is_constant(model.Buffers(tensor.Buffer())) for tensor in tensors]
    types = _names_by_value(schema.TensorType)
    elements = [types[tensor.Type()] for tensor in tensors]
    names = _names(tensors)
    values = [
        Tensor(
            name=names[i],
            shape=_shape(tensor),
            element_bytes=ELEMENT_BYTES[elements[i]],
        )
        for i, tensor in enumerate(tensors)
    ]
    reader = _OpReader(values, constant, elements, views=views)
    kinds = _kinds(schema, model)
    for i in range(source.OperatorsLength()):
        reader.add(source.Operators(i), kinds[source.Operators(i).OpcodeIndex()])
    graph = reader.graph(_indices(source.InputsAsNumpy()), _indices(source.OutputsAsNumpy()))
    places = zip(names, _places(model, len(names)), strict=False)
    offsets = {name: at for name, at in places if at >= 0 and name in graph.tensors}
    return replace(graph, offsets=offsets)


class _OpReader:
    def __init__(
        self,
        values: Sequence[Tensor],
        constant: Sequence[bool],
        elements: Sequence[str],
        *,
        views: bool,
    ) -> None:
        self.values, self.constant, self.elements = values, constant, elements
        self.views = views
        self.stored: Counter[str] = Counter()
        self.ops: list[Op] = []
        self.same_as: dict[int, int] = {}
        self.counted: set[int] = set()

    def add(self, operator: Any, kind: str) -> None:
        inputs, outputs = (
            _indices(operator.InputsAsNumpy()),
            _indices(operator.OutputsAsNumpy()),
        )
        reads = [self.same_as.get(i, i) for i in inputs if not self.constant[i]]
        weights = [i for i in inputs if self.constant[i]]
        if self.views and kind in ALIAS_KINDS and reads:
            self.same_as[outputs[0]] = reads[0]
            return
        layer = self.values[outputs[0]].name
        new = [i for i in weights if i not in self.counted]
        self.counted |= {*new}
        for i in new:
            bytes_ = self.values[i].bytes
            stored = -(-bytes_ // PACKED) if self.elements[i] == "INT4" else bytes_
            self.stored[self.elements[i].lower().replace("float", "fp")] += stored
        # A transposed convolution reads the shape of its output first.
        places = inputs[3 if kind == "transpose_conv" else 2 :] if kind in MATRIX_KINDS else []
        bias = [i for i in new if i in places]
        self.ops.append(
            Op(
                name=f"{layer} {kind}",
                kind=kind,
                layer=layer,
                reads=tuple(dict.fromkeys(self.values[i].name for i in reads)),
                writes=tuple(self.values[i].name for i in outputs),
                macs=self._macs(kind, inputs, outputs[0]),
                params=sum(self._elements(i) for i in new),
                weight_elements=sum(self._elements(i) for i in new if i not in bias),
                bias_elements=sum(self._elements(i) for i in bias),
            )
        )

    def graph(self, inputs: list[int], outputs: list[int]) -> Graph:
        names = [self.values[self.same_as.get(i, i)].name for i in outputs]
        ends = [self.values[i].name for i in inputs]
        kept = {*ends, *names, *(n for op in self.ops for n in (*op.reads, *op.writes))}
        if not self.views:
            kept |= {v.name for v, held in zip(self.values, self.constant, strict=True) if not held}
        return Graph(
            tensors={value.name: value for value in self.values if value.name in kept},
            ops=tuple(self.ops),
            inputs=tuple(ends),
            outputs=tuple(names),
            stored=dict(self.stored),
            num_constants=sum(self.constant),
        )

    def _elements(self, i: int) -> int:
        return prod(self.values[i].shape)

    def _macs(self, kind: str, inputs: list[int], output: int) -> int:
        """Count as `trace` does. Weights are (out, h, w, in); (1, h, w, out) if depthwise."""
        if kind not in MATRIX_KINDS:
            return 0
        _, height, width, *_ = (*self.values[inputs[1]].shape, 1, 1, 1)
        match kind:
            case "conv_2d":
                per_output = prod(self.values[inputs[1]].shape[1:])
            case "depthwise_conv_2d":
                per_output = height * width
            case "fully_connected":
                per_output = self.values[inputs[1]].shape[1]
            case _:  # transpose_conv: each input element meets every weight of its channel
                image, weight = self.values[inputs[2]].shape, self.values[inputs[1]].shape
                return prod(image[:3]) * prod(weight)
        return self._elements(output) * per_output


def _places(model: Any, num_tensors: int) -> list[int]:
    """Read where TensorFlow Lite Micro is told to place tensors; -1 where it is not told."""
    for i in range(model.MetadataLength()):
        if (model.Metadata(i).Name() or b"").decode(errors="replace") == PLACES:
            data = model.Buffers(model.Metadata(i).Buffer()).DataAsNumpy()
            numbers = data.tobytes()
            found = [at for (at,) in iter_unpack("<i", numbers)][PLACES_FROM:]
            if len(found) != num_tensors:
                raise ValueError(f"it places {len(found)} tensors, but has {num_tensors}")
            return found
    return []


def _names(tensors: Sequence[Any]) -> list[str]:
    """Return the tensors' own names, or numbers where they are missing or not unique."""
    names: dict[str, int] = {}
    for i, tensor in enumerate(tensors):
        told = (tensor.Name() or b"").decode(errors="replace")
        names[told if told and told not in names else f"t{i}:{told}".rstrip(":")] = i
    return list(names)


def _kinds(schema: Any, model: Any) -> list[str]:
    names = _names_by_value(schema.BuiltinOperator)
    codes = [model.OperatorCodes(i) for i in range(model.OperatorCodesLength())]
    # Old files keep the number in a byte of its own: the larger of the two is valid.
    return [names[max(c.BuiltinCode(), c.DeprecatedBuiltinCode())].lower() for c in codes]


def _names_by_value(enum: Any) -> dict[int, str]:
    return {value: name for name, value in vars(enum).items() if isinstance(value, int)}


def _is_constant(buffer: Any) -> bool:
    # The quantiser appends large buffers after the flatbuffer and notes their offset.
    return bool(buffer.DataLength() or buffer.Offset() > 1)


def _shape(tensor: Any) -> tuple[int, ...]:
    sides = tensor.ShapeAsNumpy()
    shape = () if isinstance(sides, int) else tuple(int(side) for side in sides)
    if any(side <= 0 for side in shape):
        raise ValueError(f"a tensor has the shape {shape}; only static shapes can be weighed")
    return shape


def _indices(array: Any) -> list[int]:
    """Read a vector of integers; an absent vector is 0, an absent optional input is -1."""
    return [] if isinstance(array, int) else [int(i) for i in array if i != -1]
