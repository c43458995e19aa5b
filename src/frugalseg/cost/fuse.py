"""From the operators of the framework to those that LiteRT runs.

* Batch norm after a convolution disappears into it; elsewhere it is a depthwise one of one pixel.
* ReLU and ReLU6 disappear into the operator before, if they alone read it.
* Padding disappears if it is what TensorFlow calls SAME, else it is a PAD with a tensor of its
  own: PyTorch's symmetric padding of a strided convolution on an even side is of that kind.
* PReLU is computed as relu(x) - slope * relu(-x), hard sigmoid as relu6(x + 3) / 6.
* A convolution of one channel is a depthwise one; what is computed twice is computed once.
* int8: what is joined must have one scale, so that a map that is tied to a scale of its own passes
  through a QUANTIZE first; what has no int8 kernel is computed in float, between DEQUANTIZE and
  QUANTIZE.
"""

from collections.abc import Iterator
from dataclasses import replace

from frugalseg.cost.graph import Graph, Op, Tensor, Window

CONVOLUTIONS = frozenset({"conv_2d", "depthwise_conv_2d", "transpose_conv"})
ACTIVATIONS = frozenset({"relu", "relu6"})
# Operators that have an activation of their own to set.
TAKES_ACTIVATION = CONVOLUTIONS | {
    "fully_connected", "add", "sub", "mul", "div", "max_pool_2d", "average_pool_2d",
}  # fmt: skip
FLOAT_BYTES = 4
REPEATABLE = frozenset({
    "average_pool_2d", "hard_swish", "logistic", "max_pool_2d", "mirror_pad", "relu", "relu6",
    "resize_bilinear", "resize_nearest_neighbor", "tanh",
})  # fmt: skip
# What AI Edge Quantizer leaves in float; decisions have results that are no numbers to quantise.
DECISIONS = frozenset({"arg_max", "greater", "greater_equal", "less", "less_equal"})
FLOAT = DECISIONS | {"cos", "exp", "leaky_relu", "log", "reduce_max", "sin"}
# What they read has the scale of what they write; `export` sees to that. PASSES write in the scale
# of what they read, FIXED in one that the kernel sets.
JOINS = frozenset({"concatenation", "maximum", "pack", "select_v2"})
PASSES = frozenset({
    "average_pool_2d", "gather", "max_pool_2d", "mirror_pad", "pad", "padv2", "reshape",
    "resize_bilinear", "resize_nearest_neighbor", "slice", "space_to_depth", "split",
    "strided_slice", "transpose",
})  # fmt: skip
FIXED = frozenset({"logistic", "softmax", "tanh"})


def fuse(graph: Graph) -> Graph:
    """Return the graph as LiteRT runs it. Fusing twice changes nothing more.

    >>> from frugalseg.cost.graph import chain
    >>> conv = Op(name="conv", kind="conv_2d", reads=("a",), writes=("b",))
    >>> relu = Op(name="relu", kind="relu", reads=("b",), writes=("c",))
    >>> fused = fuse(chain(conv, relu, shapes={"a": (1, 8), "b": (1, 8), "c": (1, 8)}))
    >>> [(op.name, op.reads, op.writes) for op in fused.ops], sorted(fused.tensors)
    ([('conv', ('a',), ('c',))], ['a', 'c'])
    """
    for step in STEPS:
        graph = step(graph)
    # In the order in which a file names them, which is that of the operators.
    names = dict.fromkeys((*graph.inputs, *(name for op in graph.ops for name in op.writes)))
    return replace(graph, tensors={name: graph.tensors[name] for name in names})


def _pairs(graph: Graph) -> Iterator[tuple[int, int]]:
    """Pairs (i, j): operator j alone reads what i writes, as its first input."""
    readers = graph.num_readers()
    writer = {op.writes[0]: i for i, op in enumerate(graph.ops) if len(op.writes) == 1}
    for j, op in enumerate(graph.ops):
        if op.reads and readers[op.reads[0]] == 1 and op.reads[0] in writer:
            yield writer[op.reads[0]], j


def _fold_pads(graph: Graph) -> Graph:
    ops: list[Op | None] = [*graph.ops]
    for i, j in _pairs(graph):
        pad, reader = ops[i], ops[j]
        if not (pad and pad.pads and reader and reader.window):
            continue
        top, left = (
            (p[0] + q[0], p[1] + q[1]) for p, q in zip(pad.pads, reader.window.padding, strict=True)
        )
        whole = replace(reader.window, padding=(top, left))
        if whole.padding == _same(whole, graph.tensors[pad.reads[0]].shape):
            ops[i] = None
            ops[j] = replace(reader, reads=(pad.reads[0], *reader.reads[1:]), window=whole)
    return replace(graph, ops=tuple(op for op in ops if op))


def _same(window: Window, shape_NCHW: tuple[int, ...]) -> tuple[tuple[int, int], tuple[int, int]]:
    """Compute what TensorFlow's SAME pads."""
    down, across = (
        same_pads(
            shape_NCHW[2 + axis], window.kernel[axis], window.stride[axis], window.dilation[axis]
        )
        for axis in (0, 1)
    )
    return down, across


def same_pads(side: int, kernel: int, stride: int, dilation: int = 1) -> tuple[int, int]:
    """Compute what TensorFlow's SAME pads before and after: the odd pixel goes to the end.

    >>> same_pads(8, 3, 2), same_pads(9, 3, 2)
    ((0, 1), (1, 1))
    """
    reach = (kernel - 1) * dilation + 1
    total = max((-(-side // stride) - 1) * stride + reach - side, 0)
    return total // 2, total - total // 2


def _is_same(window: Window, shape_NCHW: tuple[int, ...]) -> bool:
    """Whether it is padded as SAME does; a window that rounds up pads the end by itself."""
    same = _same(window, shape_NCHW)
    if window.rounds_up:
        return all(own[0] == its[0] for own, its in zip(window.padding, same, strict=True))
    return window.padding == same


def _explicit_pads(graph: Graph) -> Graph:
    tensors, ops = dict(graph.tensors), list[Op]()
    for op in graph.ops:
        shape = tensors[op.reads[0]].shape if op.reads else ()
        if op.window and any(map(any, op.window.padding)):
            padding = op.window.padding
            if not _is_same(op.window, shape):
                (top, bottom), (left, right) = padding
                name = f"{op.writes[0]} padded"
                padded = (*shape[:2], shape[2] + top + bottom, shape[3] + left + right)
                tensors[name] = Tensor(name=name, shape=padded)
                ops.append(
                    Op(
                        name=f"{op.name} pad",
                        # The pad of a maximum is no zero, and so another operator.
                        kind="padv2" if op.kind == "max_pool_2d" else "pad",
                        layer=op.layer,
                        reads=op.reads[:1],
                        writes=(name,),
                        pads=padding,
                    )
                )
                valid = replace(op.window, padding=((0, 0), (0, 0)))
                op = replace(op, reads=(name, *op.reads[1:]), window=valid)  # noqa: PLW2901
        ops.append(op)
    return replace(graph, tensors=tensors, ops=tuple(ops))


def _fold_norms(graph: Graph) -> Graph:
    return _fold(graph, CONVOLUTIONS, frozenset({"batch_norm"}))


def _norms_alone(graph: Graph) -> Graph:
    """Write each norm that is left as `export` does: a depthwise convolution of one pixel.

    It counts no multiply-accumulates, as no norm does.
    """

    def written(op: Op) -> Op:
        if op.kind != "batch_norm":
            return op
        channels, point = op.weight_elements, Window(kernel=(1, 1))
        return replace(
            op, kind="depthwise_conv_2d", bias_elements=channels, groups=channels, window=point
        )

    return replace(graph, ops=tuple(map(written, graph.ops)))


def _fold_activations(graph: Graph) -> Graph:
    return _fold(graph, TAKES_ACTIVATION, ACTIVATIONS)


def _compute_once(graph: Graph) -> Graph:
    """Drop an operator that does what another did: U-shaped networks may pool a map twice."""
    done: dict[tuple[object, ...], str] = {}
    same_as: dict[str, str] = {}
    ops = []
    for op in graph.ops:
        reads = tuple(dict.fromkeys(same_as.get(name, name) for name in op.reads))
        what = (op.kind, reads, op.window, op.pads, graph.tensors[op.writes[0]].shape)
        if op.kind in REPEATABLE and done.setdefault(what, op.writes[0]) != op.writes[0]:
            same_as[op.writes[0]] = done[what]
        else:
            ops.append(_reading(op, reads))
    outputs = tuple(same_as.get(name, name) for name in graph.outputs)
    return replace(graph, ops=tuple(ops), outputs=outputs)


def _reading(op: Op, reads: tuple[str, ...]) -> Op:
    """Return the operator with other inputs; most keep theirs, and a copy takes time."""
    return op if reads == op.reads else replace(op, reads=reads)


def _name_depthwise(graph: Graph) -> Graph:
    """Name a convolution of one channel as the converter does."""

    def of_one(op: Op) -> bool:
        return op.kind == "conv_2d" and graph.tensors[op.reads[0]].shape[1] == 1

    return replace(
        graph,
        ops=tuple(replace(o, kind="depthwise_conv_2d") if of_one(o) else o for o in graph.ops),
    )


class _Editor:
    """Copies a graph operator by operator; others can be put in between."""

    def __init__(self, graph: Graph) -> None:
        self.source, self.tensors, self.ops = graph, dict(graph.tensors), list[Op]()
        self.writer = {name: op.kind for op in graph.ops for name in op.writes}

    def convert(self, kind: str, op: Op, name: str, *, element_bytes: int | None = None) -> str:
        """Convert a tensor before `op` reads it, and return the name of the result."""
        result = f"{name} {kind} for {op.name}" if kind == "quantize" else f"{name} {kind}"
        if result not in self.tensors:
            old = self.tensors[name]
            size = old.element_bytes if element_bytes is None else element_bytes
            self.tensors[result] = replace(old, name=result, element_bytes=size)
            self.ops.append(
                Op(name=result, kind=kind, layer=op.layer, reads=(name,), writes=(result,))
            )
        return result

    def graph(self) -> Graph:
        """Return the copy."""
        return replace(self.source, tensors=self.tensors, ops=tuple(self.ops))


def _float_islands(graph: Graph) -> Graph:
    """Put what has no int8 kernel between DEQUANTIZE and QUANTIZE."""
    editor = _Editor(graph)
    for op in graph.ops:
        kind, size = ("dequantize", FLOAT_BYTES) if op.kind in FLOAT else ("quantize", 1)
        reads = tuple(
            name
            if editor.tensors[name].element_bytes == size or editor.writer.get(name) in DECISIONS
            else editor.convert(kind, op, name, element_bytes=size)
            for name in op.reads
        )
        if op.kind in FLOAT - DECISIONS:
            for name in op.writes:
                editor.tensors[name] = replace(editor.tensors[name], element_bytes=FLOAT_BYTES)
        editor.ops.append(_reading(op, reads))
    return editor.graph()


def _requantise(graph: Graph) -> Graph:
    """Put a QUANTIZE before a join where a map is tied to a scale of its own.

    Such are the input, whose scale is that of pixels, the results of FIXED, and what PASSES make
    of both.
    """
    editor, tied = _Editor(graph), {*graph.inputs}
    for op in graph.ops:
        reads = op.reads
        if op.kind in JOINS:
            reads = tuple(editor.convert("quantize", op, n) if n in tied else n for n in reads)
        elif op.kind in FIXED or (op.kind in PASSES and tied & {*reads}):
            tied |= {*op.writes}
        editor.ops.append(_reading(op, reads))
    return editor.graph()


def _fold(graph: Graph, before: frozenset[str], after: frozenset[str]) -> Graph:
    """Let an operator of a kind in `before` take in the one of `after` that follows it."""
    ops: list[Op | None] = [*graph.ops]
    for i, j in _pairs(graph):
        first, second = ops[i], ops[j]
        if first and second and first.kind in before and second.kind in after:
            ops[j] = None
            ops[i] = replace(
                first,
                writes=second.writes,
                params=first.params + second.params,
                activation=second.kind if second.kind in ACTIVATIONS else first.activation,
            )
    return replace(graph, ops=tuple(op for op in ops if op))


def _spell_out(graph: Graph) -> Graph:
    tensors, ops = dict(graph.tensors), list[Op]()
    for op in graph.ops:
        if op.kind not in SPELLINGS:
            ops.append(op)
            continue
        shape = tensors[op.writes[0]].shape
        local = {"in": op.reads[0], "out": op.writes[0]}
        for k, (kind, reads, write, share) in enumerate(SPELLINGS[op.kind]):
            name = local.setdefault(write, f"{op.writes[0]} {write}")
            tensors.setdefault(name, Tensor(name=name, shape=shape))
            ops.append(
                Op(
                    name=f"{op.name} {kind}",
                    kind=kind,
                    layer=op.layer,
                    reads=tuple(local[r] for r in reads),
                    writes=(name,),
                    params=0 if k else op.params,
                    weight_elements=op.weight_elements if share else 0,
                )
            )
    return replace(graph, tensors=tensors, ops=tuple(ops))


STEPS = (
    _compute_once, _fold_pads, _explicit_pads, _fold_norms, _norms_alone, _spell_out,
    _fold_activations, _name_depthwise, _float_islands, _requantise,
)  # fmt: skip

# Operator -> (kind, reads, writes, whether it holds the per-channel numbers), in order.
SPELLINGS: dict[str, tuple[tuple[str, tuple[str, ...], str, bool], ...]] = {
    # A convolution before it takes in the addition and the relu6.
    "hard_sigmoid": (("relu6", ("in",), "clipped", False), ("mul", ("clipped",), "out", False)),
    "prelu": (
        ("relu", ("in",), "positive", False),
        ("mul", ("in",), "negative", False),
        ("relu", ("negative",), "rectified", False),
        ("mul", ("rectified",), "sloped", True),
        ("sub", ("positive", "sloped"), "out", False),
    ),
}
