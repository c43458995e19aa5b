"""Writes a graph in bands back into the .tflite file from which it was read.

Copies of an operator read the same weights. Slices, joins and copies of maps have the scale of
their map: they move bytes. The places of all maps in memory go with the file, as TensorFlow Lite
Micro reads them; LiteRT passes over them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from frugalseg.cost.bands import JOIN, SLICE, Banded, first_row
from frugalseg.cost.graph import Graph, Op, Window
from frugalseg.cost.rows import POINTWISE, RESIZES, WINDOWED
from frugalseg.cost.tflite import PLACES
from frugalseg.export.flatbuffer import add_buffer, opcode, schema, set_options

ROWS, CHANNELS, PICTURE = 1, 3, 4  # axes of NHWC, and their number
VERSION = 2  # of SLICE and CONCATENATION, from which on they take int8
ONLINE = -1  # in the list of places: to be placed by the interpreter, as constants are


class Rewriter:
    """One model of one subgraph, and what its tensors are called in the graph."""

    def __init__(self, model: Any, graph: Graph) -> None:
        self.model, self.schema, self.source = model, schema(), model.subgraphs[0]
        maps = [i for i, t in enumerate(self.source.tensors) if not self._is_constant(t)]
        self.index = dict(zip(graph.tensors, maps, strict=True))
        self.name_of = {i: name for name, i in self.index.items()}
        self.tensors: list[Any] = []
        self.number: dict[str | int, int] = {}  # names of maps, old numbers of constants

    def with_windows(self, graph: Graph) -> Graph:
        """Add to convolutions and poolings what the file says of their geometry."""
        pairs = zip(graph.ops, self.source.operators, strict=True)
        ops = (
            replace(op, window=self._window(operator)) if op.kind in WINDOWED else op
            for op, operator in pairs
        )
        return replace(graph, ops=tuple(ops))

    def undivided(self, graph: Graph) -> frozenset[str]:
        """Name the operators whose settings or constants do not allow to divide rows."""
        pairs = zip(graph.ops, self.source.operators, strict=True)
        return frozenset(op.name for op, operator in pairs if not self._divides(op, operator))

    def write(self, banded: Banded, order: Sequence[int]) -> None:
        """Replace tensors and operators of the model by those of the graph in bands.

        `order` says which operator of the file is which of the graph that was divided.
        """
        for name in banded.graph.tensors:
            self._add_map(name, banded)
        operators = [
            self._copy(op, self.source.operators[order[i]])
            if i is not None
            else self._move(op, banded)
            for op, i in zip(banded.graph.ops, banded.copies, strict=True)
        ]
        self._renumber()
        self.source.operators, self.source.tensors = operators, self.tensors
        at = [ONLINE] * len(self.tensors)
        for name, offset in banded.graph.offsets.items():
            at[self.number[name]] = offset
        self._note(PLACES, [0, 0, len(at), *at])

    def _window(self, operator: Any) -> Window:
        options = operator.builtinOptions
        shape = self.source.tensors[operator.inputs[0]].shape
        if hasattr(options, "filterHeight"):
            kernel = (options.filterHeight, options.filterWidth)
        else:
            _, *sides, _ = self.source.tensors[operator.inputs[1]].shape
            kernel = (int(sides[0]), int(sides[1]))
        stride = (options.strideH, options.strideW)
        dilation = (
            getattr(options, "dilationHFactor", 1), getattr(options, "dilationWFactor", 1)
        )  # fmt: skip
        same = options.padding == self.schema.Padding.SAME
        pads = [
            _same(int(shape[ROWS + i]), (kernel[i] - 1) * dilation[i] + 1, stride[i])
            if same else (0, 0)
            for i in (0, 1)
        ]  # fmt: skip
        return Window(kernel=kernel, stride=stride, dilation=dilation, padding=(pads[0], pads[1]))

    def _divides(self, op: Op, operator: Any) -> bool:
        options = operator.builtinOptions
        if op.kind == "arg_max":
            axis = int(self._values(operator.inputs[1])[0])
            return axis in {CHANNELS, -1}
        if op.kind in RESIZES:
            centred = options.halfPixelCenters or op.kind != "resize_bilinear"
            return bool(centred and not options.alignCorners)
        if op.kind == "concatenation":
            return bool(options.axis in {CHANNELS, -1})
        if op.kind in POINTWISE:
            constants = [
                self.source.tensors[i] for i in operator.inputs
                if self._is_constant(self.source.tensors[i])
            ]  # fmt: skip
            return all(int(np.prod([*t.shape[:-1]])) == 1 for t in constants)
        return True

    def _add_map(self, name: str, banded: Banded) -> None:
        old = self.source.tensors[self.index[banded.rows.get(name, (name, None))[0]]]
        new = self.schema.TensorT()
        vars(new).update(vars(old))
        if name in banded.rows:
            new.shape = [*banded.graph.tensors[name].shape]
            new.shapeSignature = None
            new.name = name.encode()
        self.number[name] = len(self.tensors)
        self.tensors.append(new)

    def _copy(self, op: Op, operator: Any) -> Any:
        """Copy an operator onto other maps: in the order in which it reads its own."""
        maps = dict.fromkeys(int(i) for i in operator.inputs if i >= 0 and self._is_map(i))
        new_of = dict(zip(maps, op.reads, strict=True))
        new = self.schema.OperatorT()
        vars(new).update(vars(operator))
        new.outputs = [self.number[name] for name in op.writes]
        if op.kind in RESIZES and op.writes != self._names(operator.outputs):
            size = self.tensors[new.outputs[0]].shape[ROWS:CHANNELS]
            new.inputs = [self.number[op.reads[0]], self._constant(size)]
        else:
            new.inputs = [self._input(int(i), new_of) for i in operator.inputs]
        return new

    def _names(self, numbers: Sequence[int]) -> tuple[str, ...]:
        return tuple(self.name_of[int(i)] for i in numbers)

    def _input(self, i: int, new_of: Mapping[int, str]) -> int:
        if i < 0:
            return i
        if i in new_of:
            return self.number[new_of[i]]
        return self._keep(i)

    def _move(self, op: Op, banded: Banded) -> Any:
        """Make a slice or a join."""
        new = self.schema.OperatorT()
        new.outputs = [self.number[op.writes[0]]]
        inputs = [self.number[name] for name in op.reads]
        if op.kind == JOIN:
            options = self.schema.ConcatenationOptionsT()
            options.axis = ROWS
            kind = "CONCATENATION"
        else:
            assert op.kind == SLICE
            options, kind = self.schema.SliceOptionsT(), "SLICE"
            shape = [int(side) for side in self.tensors[new.outputs[0]].shape]
            begin = [0] * len(shape)
            begin[ROWS] = first_row(banded.rows, op)
            inputs += [self._constant(begin), self._constant(shape)]
        new.inputs = inputs
        set_options(new, options)
        new.opcodeIndex = opcode(self.model, kind, VERSION)
        return new

    def _constant(self, values: Sequence[int]) -> int:
        """Return the tensor of a few whole numbers; equal ones are kept once."""
        key = f"const {[int(value) for value in values]}"
        if key not in self.number:
            new = self.schema.TensorT()
            new.shape, new.type = [len(values)], self.schema.TensorType.INT32
            new.name = f"{len(self.tensors)}".encode()
            new.buffer = add_buffer(self.model, np.array(values, np.int32).tobytes())
            self.number[key] = len(self.tensors)
            self.tensors.append(new)
        return self.number[key]

    def _keep(self, i: int) -> int:
        if i not in self.number:
            self.number[i] = len(self.tensors)
            self.tensors.append(self.source.tensors[i])
        return self.number[i]

    def _renumber(self) -> None:
        """Let inputs, outputs and signatures point to the tensors in their new places."""
        source = self.source
        source.inputs = [self.number[name] for name in self._names(source.inputs)]
        source.outputs = [self.number[name] for name in self._names(source.outputs)]
        for signature in self.model.signatureDefs or []:
            for named in (*signature.inputs, *signature.outputs):
                named.tensorIndex = self.number[self.name_of[named.tensorIndex]]

    def _note(self, name: str, numbers: Sequence[int]) -> None:
        note = self.schema.MetadataT()
        note.name = name.encode()
        note.buffer = add_buffer(self.model, np.array(numbers, np.int32).tobytes())
        kept = [old for old in self.model.metadata or [] if bytes(old.name) != bytes(note.name)]
        self.model.metadata = [*kept, note]

    def _values(self, i: int) -> Any:
        data = self.model.buffers[self.source.tensors[i].buffer].data
        return np.asarray(data, np.uint8).view(np.int32)

    def _is_map(self, i: int) -> bool:
        return not self._is_constant(self.source.tensors[i])

    def _is_constant(self, tensor: Any) -> bool:
        data = self.model.buffers[tensor.buffer].data
        return data is not None and len(data) > 0


def _same(side: int, reach: int, stride: int) -> tuple[int, int]:
    total = max(0, (-(-side // stride) - 1) * stride + reach - side)
    return total // 2, total - total // 2
