"""Peak activation memory: the largest sum of tensors that are alive at one operator.

A tensor is alive from the operator that writes it to the last one that reads it; the input of
the network from the start to its last reader, its outputs to the end. What an operator reads
and what it writes exist together. Weights, and the scratch space of kernels, are not counted.
What a device really sets aside is the affair of `cost.memory`.
"""

from dataclasses import dataclass

from frugalseg.cost.graph import Graph


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """What is alive while one operator runs; `sizes` are the bytes of each of the `tensors`."""

    op: str
    bytes: int
    tensors: tuple[str, ...]
    sizes: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Peak:
    """The largest moment, and all of them in order."""

    bytes: int
    at: str
    timeline: tuple[Moment, ...]


def peak(graph: Graph) -> Peak:
    """Find the operator that needs most activation memory.

    >>> from frugalseg.cost.graph import Op, chain
    >>> wide = Op(name="wide", kind="conv_2d", reads=("image",), writes=("map",))
    >>> head = Op(name="head", kind="conv_2d", reads=("map",), writes=("mask",))
    >>> shapes = {"image": (100,), "map": (300,), "mask": (50,)}
    >>> found = peak(chain(wide, head, shapes=shapes))
    >>> found.bytes, found.at
    (400, 'wide')
    """
    last_read = {name: i for i, op in enumerate(graph.ops) for name in op.reads}
    last_read |= dict.fromkeys(graph.outputs, len(graph.ops))
    alive = {name for name in graph.inputs if name in last_read}
    size = {name: tensor.bytes for name, tensor in graph.tensors.items()}
    timeline = []
    for i, op in enumerate(graph.ops):
        alive |= {*op.writes}
        names = tuple(sorted(alive))
        sizes = tuple(size[name] for name in names)
        timeline.append(Moment(op=op.name, bytes=sum(sizes), tensors=names, sizes=sizes))
        alive -= {name for name in (*op.reads, *op.writes) if last_read.get(name, -1) <= i}
    largest = max(timeline, key=lambda moment: moment.bytes, default=None)
    if largest is None:
        through = sum(graph.tensors[name].bytes for name in {*graph.inputs, *graph.outputs})
        return Peak(bytes=through, at="", timeline=())
    return Peak(bytes=largest.bytes, at=largest.op, timeline=tuple(timeline))
