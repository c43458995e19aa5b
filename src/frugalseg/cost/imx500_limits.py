"""What the converter of the IMX500 refuses in an operator that it has.

Each limit is one that its version 3.19.2 named in a message, and tells before anything is trained.
That on groups it does not name: it crashes in its last step, of which its memory report knows
nothing. The rule was found by converting forty networks in full.
"""

from collections.abc import Iterator

from frugalseg.cost.graph import Graph, Op, Window
from frugalseg.cost.imx500_layers import TOGETHER, are_parted

MOST_DEPTHWISE_KERNEL = 12


def objections(graph: Graph) -> Iterator[tuple[Op, str]]:
    """Yield what the converter would refuse in a graph such as `trace.record` gives, and where.

    >>> from frugalseg.cost.graph import Window, chain
    >>> conv = Op(name="conv", kind="conv_2d", reads=("a",), writes=("b",),
    ...           window=Window(kernel=(3, 3), dilation=(8, 8), padding=((8, 8), (8, 8))))
    >>> net = chain(conv, shapes={"a": (1, 8, 4, 12), "b": (1, 8, 4, 12)})
    >>> [(op.name, told) for op, told in objections(net)]
    [('conv', 'takes no dilation of 8 on a map of 4x12')]
    """
    for op in graph.ops:
        for told in (*_spreading(op), *_in_groups(op, graph), *_through_window(op, graph)):
            yield op, told


def _spreading(op: Op) -> Iterator[str]:
    if op.spread is not None and any(map(any, op.spread.padding)):
        yield "takes no transposed convolution with padding"
    if op.spread is not None and op.groups > 1:
        yield "takes no transposed convolution in groups"


def _through_window(op: Op, graph: Graph) -> Iterator[str]:
    if op.window is None:
        return
    sides = graph.tensors[op.reads[0]].shape[-2:]
    if _rounds_up(op.window, sides):
        yield "takes no pooling that rounds its size up (ceil_mode)"
    if any(d > side for d, side in zip(op.window.dilation, sides, strict=True)):
        on = "x".join(map(str, sides))
        yield f"takes no dilation of {max(op.window.dilation)} on a map of {on}"
    kernel = max(op.window.kernel)
    if op.kind == "depthwise_conv_2d" and kernel > MOST_DEPTHWISE_KERNEL:
        yield f"takes no depthwise kernel of {kernel}, at most {MOST_DEPTHWISE_KERNEL}"


def _in_groups(op: Op, graph: Graph) -> Iterator[str]:
    """Say what is wrong with a convolution in groups; those that are done one by one pass."""
    if op.kind != "conv_2d" or op.groups == 1:
        return
    read, made = (graph.tensors[name].shape[1] for name in (op.reads[0], op.writes[0]))
    each = read // op.groups
    if made % read:
        yield f"takes no convolution in groups that makes {made} channels of {read}, only multiples"
    if made == read and each not in TOGETHER and not are_parted(read, op.groups):
        yield f"takes no {op.groups} groups of {each} channels; groups of 2, 4 or 8 channels pass"


def _rounds_up(window: Window, sides: tuple[int, ...]) -> bool:
    """Say whether the last window sticks out; export leaves out what changes nothing."""
    return window.rounds_up and any(
        (side + sum(pads) - (kernel - 1) * dilation - 1) % stride
        for side, pads, kernel, dilation, stride in zip(
            sides, window.padding, window.kernel, window.dilation, window.stride, strict=True
        )
    )
