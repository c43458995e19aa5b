"""What the converter of the IMX500 refuses in an operator that it has.

Each limit is one that its version 3.19.2 named in a message, and tells before anything is trained.
"""

from collections.abc import Iterator

from frugalseg.cost.graph import Graph, Op, Window

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
        if op.spread is not None and any(map(any, op.spread.padding)):
            yield op, "takes no transposed convolution with padding"
        if op.spread is not None and op.groups > 1:
            yield op, "takes no transposed convolution in groups"
        if op.window is None:
            continue
        sides = graph.tensors[op.reads[0]].shape[-2:]
        if _rounds_up(op.window, sides):
            yield op, "takes no pooling that rounds its size up (ceil_mode)"
        if any(d > side for d, side in zip(op.window.dilation, sides, strict=True)):
            on = "x".join(map(str, sides))
            yield op, f"takes no dilation of {max(op.window.dilation)} on a map of {on}"
        kernel = max(op.window.kernel)
        if op.kind == "depthwise_conv_2d" and kernel > MOST_DEPTHWISE_KERNEL:
            yield op, f"takes no depthwise kernel of {kernel}, at most {MOST_DEPTHWISE_KERNEL}"


def _rounds_up(window: Window, sides: tuple[int, ...]) -> bool:
    """Say whether the last window sticks out; export leaves out what changes nothing."""
    return window.rounds_up and any(
        (side + sum(pads) - (kernel - 1) * dilation - 1) % stride
        for side, pads, kernel, dilation, stride in zip(
            sides, window.padding, window.kernel, window.dilation, window.stride, strict=True
        )
    )
