"""What the converter of the IMX500 refuses in an operator that it has.

Each limit is one that its version 3.19.2 named in a message, and tells before anything is trained.
"""

from collections.abc import Iterator

from frugalseg.cost.graph import Graph, Op

MOST_DEPTHWISE_KERNEL = 12


def objections(graph: Graph) -> list[str]:
    """Say what the converter would refuse in a graph such as `trace.record` gives.

    >>> from frugalseg.cost.graph import Window, chain
    >>> conv = Op(name="conv", layer="stage16.4", kind="conv_2d", reads=("a",), writes=("b",),
    ...           window=Window(kernel=(3, 3), dilation=(8, 8), padding=((8, 8), (8, 8))))
    >>> objections(chain(conv, shapes={"a": (1, 8, 4, 12), "b": (1, 8, 4, 12)}))
    ['takes no dilation of 8 on a map of 4x12 (in stage16.4)']
    """
    return [*dict.fromkeys(told for op in graph.ops for told in _objections(graph, op))]


def _objections(graph: Graph, op: Op) -> Iterator[str]:
    where = f" (in {op.layer or 'the network'})"
    if op.spread is not None and any(map(any, op.spread.padding)):
        yield f"takes no transposed convolution with padding{where}"
    if op.window is None:
        return
    sides = graph.tensors[op.reads[0]].shape[-2:]
    if any(d > side for d, side in zip(op.window.dilation, sides, strict=True)):
        map_size = "x".join(map(str, sides))
        yield f"takes no dilation of {max(op.window.dilation)} on a map of {map_size}{where}"
    kernel = max(op.window.kernel)
    if op.kind == "depthwise_conv_2d" and kernel > MOST_DEPTHWISE_KERNEL:
        yield f"takes no depthwise kernel of {kernel}, at most {MOST_DEPTHWISE_KERNEL}{where}"
