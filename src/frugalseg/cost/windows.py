"""Where the windows of convolutions and poolings lie over a map of another size.

Of most networks that is not known: what they pad follows from the size, in their code. Those of the
zoo pad as TensorFlow's SAME does (`Graph.pads_same`), and pool as `models.pyramid` has it, so that
one recorded picture tells the windows over any other.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

from frugalseg.core.errors import ConfigError
from frugalseg.cost.channels import CONVOLUTIONS
from frugalseg.cost.fuse import same_pads
from frugalseg.cost.graph import Graph, Op, Tensor, Window

Sides = tuple[int, ...]
Pads = tuple[int, int]
MEAN = "average_pool_2d"


class Line(NamedTuple):
    """A window along one axis, and how many times it lies on the map."""

    kernel: int
    stride: int
    dilation: int
    padding: Pads
    times: int


Rule = Callable[[Line, int], Line]


def placed(op: Op, before: Sides, made: Sides, now: Sides) -> tuple[Sides, Window] | None:
    """Return the sides of what a window makes over a map of sides `now`, and the window there.

    `before` and `made` are the sides that were recorded, in a network that pads as SAME does. None
    if no rule explains them. Raises ConfigError where the window was cut to a map too small to tell
    what it is elsewhere.
    """
    if op.window is None or len(op.writes) > 1:
        return None
    lines = [_line(op.window, axis, made[axis]) for axis in (0, 1)]
    for rule in _rules(op):
        if all(rule(line, side) == line for line, side in zip(lines, before, strict=True)):
            return _window(
                op, [_moved(op, rule, *of) for of in zip(lines, before, now, strict=True)]
            )
    return None


def not_known(op: Op, why: str) -> ConfigError:
    """Say why a network has to be recorded anew."""
    return ConfigError(
        f"the network cannot be re-scaled without recording it anew: {op.name} ({op.kind}) {why}"
    )


def _moved(op: Op, rule: Rule, line: Line, before: int, now: int) -> Line:
    if now == before:
        return line
    cut = (rule is _mean and before <= line.stride < now) or (
        rule is _grid and before <= line.times
    )
    if cut:
        raise not_known(op, f"has a window cut to the {before} px over which it was recorded")
    return rule(line, now)


def _rules(op: Op) -> tuple[Rule, ...]:
    assert op.window is not None
    if op.window.rounds_up:
        return (_mean,) if op.kind == MEAN else (_at_the_end,)
    if op.kind == MEAN:
        return (_grid,)
    if op.kind not in CONVOLUTIONS:
        return ()
    blocks = op.window.kernel == op.window.stride and op.window.stride != (1, 1)
    return (_blocks,) if blocks else (_same,)


def _blocks(line: Line, side: int) -> Line:
    """Windows side by side; what is left at the end is not read."""
    return line._replace(padding=(0, 0), times=side // line.kernel)


def _same(line: Line, side: int) -> Line:
    """SAME: the odd pixel goes to the end."""
    pads = same_pads(side, line.kernel, line.stride, line.dilation)
    return line._replace(padding=pads, times=-(-side // line.stride))


def _at_the_end(line: Line, side: int) -> Line:
    """SAME for a pooling that rounds up: what is padded at the end is not said."""
    found = _same(line, side)
    return found._replace(padding=(found.padding[0],) * 2)


def _mean(line: Line, side: int) -> Line:
    """Do the same, but a mean over a map that one window covers has its kernel cut to the map."""
    if side <= line.stride:
        return line._replace(kernel=side, padding=(0, 0), times=1)
    return _at_the_end(line, side)


def _grid(line: Line, side: int) -> Line:
    """So many windows of one size that cover the map; one for each pixel if it has fewer."""
    count = min(side, line.times)
    stride = side // count
    kernel = side - (count - 1) * stride
    return line._replace(kernel=kernel, stride=stride, padding=(0, 0), times=count)


def _line(window: Window, axis: int, count: int) -> Line:
    kernel, stride, dilation = window.kernel[axis], window.stride[axis], window.dilation[axis]
    return Line(kernel, stride, dilation, window.padding[axis], count)


def _window(op: Op, lines: list[Line]) -> tuple[Sides, Window]:
    assert op.window is not None
    down, across = lines
    if op.kind == MEAN and (down.kernel, across.kernel) == (1, 1):
        raise not_known(op, "would change nothing")  # the zoo leaves it out
    window = replace(
        op.window, kernel=(down.kernel, across.kernel), stride=(down.stride, across.stride),
        padding=(down.padding, across.padding),
    )  # fmt: skip
    return (down.times, across.times), window


def with_pads_inside(graph: Graph) -> Graph:
    """Take the paddings that stand as operators of their own into the convolutions behind them."""
    readers, gone = graph.num_readers(), set[str]()
    by_result = {op.writes[0]: op for op in graph.ops if op.kind == "pad" and op.pads}
    ops = []
    for op in graph.ops:
        pad = by_result.get(op.reads[0]) if op.reads and op.kind in CONVOLUTIONS else None
        if pad and pad.pads and op.window and pad.name == _title(op) and readers[op.reads[0]] == 1:
            gone.add(pad.name)
            window = replace(op.window, padding=pad.pads)
            op = replace(op, reads=(pad.reads[0], *op.reads[1:]), window=window)  # noqa: PLW2901
        ops.append(op)
    tensors = {n: t for n, t in graph.tensors.items() if n.removesuffix(":0") not in gone}
    return replace(graph, tensors=tensors, ops=tuple(op for op in ops if op.name not in gone))


def with_pads_alone(graph: Graph) -> Graph:
    """Undo `with_pads_inside`: in PyTorch a convolution pads both sides alike, or not at all."""
    tensors, ops = dict[str, Tensor](), list[Op]()
    padded = {op.writes[0]: op for op in graph.ops if _lopsided(op)}
    for name, tensor in graph.tensors.items():
        if op := padded.get(name):
            assert op.window is not None
            one, channels, *sides = graph.tensors[op.reads[0]].shape
            more = zip(sides, op.window.padding, strict=True)
            shape = (one, channels, *(side + sum(pads) for side, pads in more))
            tensors[f"{_title(op)}:0"] = Tensor(name=f"{_title(op)}:0", shape=shape)
        tensors[name] = tensor
    for op in graph.ops:
        ops += _spelled(op) if _lopsided(op) else [op]
    return replace(graph, tensors=tensors, ops=tuple(ops))


def _lopsided(op: Op) -> bool:
    if op.kind not in CONVOLUTIONS or op.window is None:
        return False
    return any(before != after for before, after in op.window.padding)


def _spelled(op: Op) -> list[Op]:
    assert op.window is not None
    title = _title(op)
    pad = Op(
        name=title, kind="pad", layer=op.layer, reads=op.reads[:1], writes=(f"{title}:0",),
        pads=op.window.padding,
    )  # fmt: skip
    valid = replace(op.window, padding=((0, 0), (0, 0)))
    return [pad, replace(op, reads=(f"{title}:0", *op.reads[1:]), window=valid)]


def _title(op: Op) -> str:
    """Name the padding as `trace.record` does, for a layer that runs once."""
    return f"{op.layer} pad".strip()
