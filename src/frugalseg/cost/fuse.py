"""From the operators of the framework to those that LiteRT runs.

* Batch norm after a convolution disappears into it; elsewhere it is a MUL and an ADD.
* ReLU and ReLU6 disappear into the operator before, if they alone read it.
* Padding disappears if it is what TensorFlow calls SAME, else it is a PAD with a tensor of its
  own: PyTorch's symmetric padding of a strided convolution on an even side is of that kind.
* PReLU is computed as relu(x) - slope * relu(-x).
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


def fuse(graph: Graph) -> Graph:
    """Return the graph as LiteRT runs it. Fusing twice changes nothing more.

    >>> from frugalseg.cost.graph import chain
    >>> conv = Op(name="conv", kind="conv_2d", reads=("a",), writes=("b",))
    >>> relu = Op(name="relu", kind="relu", reads=("b",), writes=("c",))
    >>> fused = fuse(chain(conv, relu, shapes={"a": (1, 8), "b": (1, 8), "c": (1, 8)}))
    >>> [(op.name, op.reads, op.writes) for op in fused.ops], sorted(fused.tensors)
    ([('conv', ('a',), ('c',))], ['a', 'c'])
    """
    for step in (_fold_pads, _explicit_pads, _fold_norms, _spell_out, _fold_activations):
        graph = step(graph)
    used = {*graph.inputs, *graph.outputs}
    used |= {name for op in graph.ops for name in (*op.reads, *op.writes)}
    return replace(graph, tensors={n: t for n, t in graph.tensors.items() if n in used})


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
    """Compute what TensorFlow's SAME pads: the odd pixel goes to the end."""
    pads = []
    for axis in (0, 1):
        side, stride = shape_NCHW[2 + axis], window.stride[axis]
        reach = (window.kernel[axis] - 1) * window.dilation[axis] + 1
        total = max((-(-side // stride) - 1) * stride + reach - side, 0)
        pads.append((total // 2, total - total // 2))
    return pads[0], pads[1]


def _explicit_pads(graph: Graph) -> Graph:
    tensors, ops = dict(graph.tensors), list[Op]()
    for op in graph.ops:
        shape = tensors[op.reads[0]].shape if op.reads else ()
        if op.window and any(map(any, op.window.padding)):
            padding = op.window.padding
            if padding != _same(op.window, shape):
                (top, bottom), (left, right) = padding
                name = f"{op.writes[0]} padded"
                padded = (*shape[:2], shape[2] + top + bottom, shape[3] + left + right)
                tensors[name] = Tensor(name=name, shape=padded)
                ops.append(
                    Op(
                        name=f"{op.name} pad",
                        kind="pad",
                        layer=op.layer,
                        reads=op.reads[:1],
                        writes=(name,),
                    )
                )
                valid = replace(op.window, padding=((0, 0), (0, 0)))
                op = replace(op, reads=(name, *op.reads[1:]), window=valid)  # noqa: PLW2901
        ops.append(op)
    return replace(graph, tensors=tensors, ops=tuple(ops))


def _fold_norms(graph: Graph) -> Graph:
    return _fold(graph, CONVOLUTIONS, frozenset({"batch_norm"}))


def _fold_activations(graph: Graph) -> Graph:
    return _fold(graph, TAKES_ACTIVATION, ACTIVATIONS)


def _fold(graph: Graph, before: frozenset[str], after: frozenset[str]) -> Graph:
    """Let an operator of a kind in `before` take in the one of `after` that follows it."""
    ops: list[Op | None] = [*graph.ops]
    for i, j in _pairs(graph):
        first, second = ops[i], ops[j]
        if first and second and first.kind in before and second.kind in after:
            ops[j] = None
            ops[i] = replace(first, writes=second.writes, params=first.params + second.params)
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


# Operator -> (kind, reads, writes, whether it holds the per-channel numbers), in order.
SPELLINGS: dict[str, tuple[tuple[str, tuple[str, ...], str, bool], ...]] = {
    "batch_norm": (("mul", ("in",), "scaled", True), ("add", ("scaled",), "out", True)),
    "prelu": (
        ("relu", ("in",), "positive", False),
        ("mul", ("in",), "negative", False),
        ("relu", ("negative",), "rectified", False),
        ("mul", ("rectified",), "sloped", True),
        ("sub", ("positive", "sloped"), "out", False),
    ),
}
