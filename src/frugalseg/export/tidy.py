"""Removes operators that the converter leaves in a .tflite file but that compute nothing.

Where one map feeds two convolutions, or gets more channels, the converter changes its layout to
channels first, pads it there, adds to it, and changes it back. Three rules undo that:

    transpose, transpose back                 ->  nothing
    transpose, pad or sum                     ->  pad or sum, transpose
    pad as SAME does, convolution (VALID)     ->  convolution (SAME)

Each tensor so removed is a whole copy of a map in memory. Then operators without readers go, and
tensors that nothing refers to, for which TensorFlow Lite Micro would set memory aside. Names of
tensors, up to 40 % of a small file, are cut to the path of the layer.
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from frugalseg.export.flatbuffer import add_buffer, read_model, schema, write_model

SPATIAL = (1, 2)  # of NHWC
PADS = frozenset({"PAD", "PADV2"})
CARRIES = PADS | {"ADD", "MUL", "SUB"}  # the same in any order of axes


def tidy(path: Path) -> None:
    """Rewrite the file in place; what it computes stays the same to the bit."""
    model = read_model(path)
    graph = _Graph(model, schema())
    while graph.merge_transposes() or graph.sink_transposes() or graph.absorb_pads():
        graph.drop_unread()
    graph.drop_orphans()
    graph.shorten_names()
    write_model(model, path)


def layer_of(name: str) -> str:
    """Return the path of the layer in a tensor name of the converter; empty if there is none.

    >>> layer_of("a.lowering.Deployed/torch.nn.container.Sequential_stage4/b.Block_1/x_0;extra")
    'stage4.1.0'
    >>> layer_of("arith.constant12")
    ''
    """
    parts = name.split(";", maxsplit=1)[0].split("/")[1:]
    classes = (part.rpartition(".")[2] for part in parts)
    return ".".join(c.partition("_")[2] for c in classes if c.partition("_")[2])


def operator_names(model: Any) -> list[str]:
    """Return the names of a model's operator codes, such as CONV_2D, in their order."""
    names = {v: k for k, v in vars(schema().BuiltinOperator).items() if isinstance(v, int)}
    return [names[max(c.builtinCode, c.deprecatedBuiltinCode)] for c in model.operatorCodes]


class _Graph:
    """The one subgraph of a model, with who writes and who reads each tensor."""

    def __init__(self, model: Any, schema: Any) -> None:
        self.model, self.schema, self.graph = model, schema, model.subgraphs[0]
        self.kinds = operator_names(model)

    def merge_transposes(self) -> bool:
        """Let readers of a transposed-back tensor read the original one."""
        writers = self._writers()
        for op in self._of("TRANSPOSE"):
            before = writers.get(int(op.inputs[0]))
            if before is not None and self._kind(before) == "TRANSPOSE" and self._undo(before, op):
                return self._redirect(int(op.outputs[0]), int(before.inputs[0]))
        return False

    def sink_transposes(self) -> bool:
        """Let a pad or a sum work before the transposes of all that it reads."""
        writers = self._writers()
        for op in self._of(*CARRIES):
            num_maps = 1 if self._kind(op) in PADS else len(op.inputs)
            before = [writers[i] for i in map(int, op.inputs[:num_maps]) if i in writers]
            if {*map(self._kind, before)} != {"TRANSPOSE"} or len(before) < num_maps:
                continue
            orders = {tuple(self._constant(int(b.inputs[1]))) for b in before}
            if len(orders) == 1 and self._may_sink(before, op):
                self._sink(before, op, np.argsort(orders.pop()))
                return True
        return False

    def _may_sink(self, before: list[Any], op: Any) -> bool:
        """Whether no transpose is added: those before lose their reader, or one after goes."""
        ends = {int(i) for i in self.graph.outputs}

        def readers(of: Any) -> list[Any]:
            return [o for o in self.graph.operators if int(of.outputs[0]) in map(int, o.inputs)]

        after = readers(op)
        return all(len(readers(b)) == 1 and int(b.outputs[0]) not in ends for b in before) or (
            bool(after)
            and int(op.outputs[0]) not in ends
            and all(self._kind(a) == "TRANSPOSE" and self._undo(before[0], a) for a in after)
        )

    def _sink(self, before: list[Any], op: Any, back: NDArray[np.intp]) -> None:
        """Put a copy of a transpose after the operator, which gets what the transposes read."""
        inputs = [int(b.inputs[0]) for b in before]
        if self._kind(op) in PADS:
            amounts = self._constant(int(op.inputs[1]))[back]
            inputs += [self._new_constant(op.inputs[1], amounts), *op.inputs[2:]]
        old = self.graph.tensors[int(op.outputs[0])]
        tensor, again = self.schema.TensorT(), self.schema.OperatorT()
        vars(tensor).update(vars(old))
        tensor.shape, tensor.shapeSignature = np.asarray(old.shape)[back], None
        tensor.name = bytes(old.name or b"map") + b"/nhwc"
        self.graph.tensors.append(tensor)
        vars(again).update(vars(before[0]))
        again.inputs = [len(self.graph.tensors) - 1, int(before[0].inputs[1])]
        again.outputs = [int(op.outputs[0])]
        op.inputs, op.outputs = inputs, [again.inputs[0]]
        place = next(i for i, o in enumerate(self.graph.operators) if o is op)
        self.graph.operators.insert(place + 1, again)

    def absorb_pads(self) -> bool:
        """Let a strided convolution do the padding that SAME means."""
        writers = self._writers()
        for op in self._of("CONV_2D", "DEPTHWISE_CONV_2D"):
            pad = writers.get(int(op.inputs[0]))
            options = op.builtinOptions
            if (
                pad is not None
                and self._kind(pad) == "PAD"
                and options.padding == self.schema.Padding.VALID
                and self._is_same(pad, op)
            ):
                options.padding = self.schema.Padding.SAME
                op.inputs = [int(pad.inputs[0]), *op.inputs[1:]]
                return True
        return False

    def drop_unread(self) -> None:
        """Remove operators whose results nobody reads."""
        while True:
            read = {int(i) for op in self.graph.operators for i in op.inputs}
            read |= {int(i) for i in self.graph.outputs}
            kept = [o for o in self.graph.operators if any(int(i) in read for i in o.outputs)]
            if len(kept) == len(self.graph.operators):
                return
            self.graph.operators = kept

    def drop_orphans(self) -> None:
        """Remove tensors that nothing refers to, and number the others anew."""
        graph = self.graph
        used = {int(i) for op in graph.operators for i in (*op.inputs, *op.outputs) if i >= 0}
        used |= {int(i) for i in (*graph.inputs, *graph.outputs)}
        kept = sorted(used)
        new = {old: number for number, old in enumerate(kept)} | {-1: -1}
        graph.tensors = [graph.tensors[i] for i in kept]
        for op in graph.operators:
            op.inputs = [new[int(i)] for i in op.inputs]
            op.outputs = [new[int(i)] for i in op.outputs]
        graph.inputs = [new[int(i)] for i in graph.inputs]
        graph.outputs = [new[int(i)] for i in graph.outputs]
        for signature in self.model.signatureDefs or []:
            for named in (*signature.inputs, *signature.outputs):
                named.tensorIndex = new[named.tensorIndex]

    def shorten_names(self) -> None:
        """Name maps by the layer that writes them, constants by number; inputs, outputs stay."""
        graph = self.graph
        ends = {int(i) for i in (*graph.inputs, *graph.outputs)}
        maps = set(self._writers())
        taken: set[str] = set()
        for number, tensor in enumerate(graph.tensors):
            if number in ends:
                continue
            told = bytes(tensor.name or b"").decode()
            layer = (layer_of(told) if "/" in told else told) if number in maps else ""
            name = layer if layer and layer not in taken else f"{layer}:{number}".lstrip(":")
            taken.add(name)
            tensor.name = name.encode()

    def _of(self, *kinds: str) -> list[Any]:
        return [op for op in self.graph.operators if self._kind(op) in kinds]

    def _kind(self, op: Any) -> str:
        return str(self.kinds[op.opcodeIndex])

    def _writers(self) -> dict[int, Any]:
        return {int(i): op for op in self.graph.operators for i in op.outputs}

    def _redirect(self, old: int, new: int) -> bool:
        """Let all readers of tensor `old` read `new`; an output of the graph keeps its tensor."""
        if old in {int(i) for i in self.graph.outputs}:
            return False
        for op in self.graph.operators:
            op.inputs = [new if int(i) == old else int(i) for i in op.inputs]
        return True

    def _undo(self, first: Any, second: Any) -> bool:
        there = self._constant(int(first.inputs[1]))
        back = self._constant(int(second.inputs[1]))
        return bool((there[back] == np.arange(len(there))).all())

    def _is_same(self, pad: Any, op: Any) -> bool:
        """Whether the pad adds what SAME would: the odd pixel of each axis at the end."""
        amounts = self._constant(int(pad.inputs[1]))
        shape = self.graph.tensors[int(pad.inputs[0])].shape
        kernel = self.graph.tensors[int(op.inputs[1])].shape
        options = op.builtinOptions
        strides = (options.strideH, options.strideW)
        dilations = (options.dilationHFactor, options.dilationWFactor)
        for axis, stride, dilation in zip(SPATIAL, strides, dilations, strict=True):
            reach = (int(kernel[axis]) - 1) * dilation + 1
            total = max(0, (-(-int(shape[axis]) // stride) - 1) * stride + reach - int(shape[axis]))
            if tuple(amounts[axis]) != (total // 2, total - total // 2):
                return False
        return not amounts[0].any() and not amounts[3].any()

    def _constant(self, index: int) -> NDArray[np.int32]:
        tensor = self.graph.tensors[index]
        data = np.asarray(self.model.buffers[tensor.buffer].data, np.uint8)
        return data.view(np.int32).reshape(tensor.shape)

    def _new_constant(self, like: int, values: NDArray[np.int32]) -> int:
        """Add a constant shaped as tensor `like`; others may still read that one."""
        old = self.graph.tensors[int(like)]
        tensor = self.schema.TensorT()
        vars(tensor).update(vars(old))
        tensor.buffer = add_buffer(self.model, values.astype(np.int32).tobytes())
        tensor.name = bytes(old.name or b"pad") + b"/nhwc"
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1
