"""The same network for another picture or with other channels, from one recorded graph.

Every shape follows from those before it, so that no framework is asked: a search looks at
thousands of networks after it has recorded a few. What it cannot know it refuses:

* Networks pad by the remainder that a stride leaves of a side, or cut it off again. That is in
  the code, not in the graph. So the remainder must be the one of the recorded picture, unless the
  network says that it pads as SAME does (`Graph.pads_same`). Such a one can be made smaller.
* A resize that was given a size goes to that of the map it meets in a sum or a concatenation;
  if it meets none, its whole factor is kept, or its part of the picture in a network of SAME.
* Operators whose geometry is not known must not be reached by the change.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from math import prod

from frugalseg.core.errors import ConfigError
from frugalseg.cost.channels import (
    ALIKE,
    RESIZES,
    Ties,
    channel_counts,
    sides,
)
from frugalseg.cost.graph import Graph, Op, Tensor, Window
from frugalseg.cost.reweigh import reweighed
from frugalseg.cost.sequences import rolls_up, unrolled
from frugalseg.cost.windows import not_known, placed, with_pads_alone, with_pads_inside

Sides = tuple[int, ...]
OF_CHANNELS = frozenset({"mean", "slice", "sum"})  # where they are not of a side
NOTHING: Mapping[str, int] = {}


def rescale(
    graph: Graph, *, size: tuple[int, int] | None = None, channels: Mapping[str, int] = NOTHING
) -> Graph:
    """Return the graph of the same network for a picture of `size`, with other `channels`.

    `graph` is one as `trace.record` gives it, and the result is what it would give for the other
    network. `channels` says how many an operator makes, by its name; `groups` lists which must
    agree. Raises ConfigError for what cannot be known without recording the network anew.

    >>> from frugalseg.cost.graph import chain
    >>> half = Op(name="half", kind="conv_2d", reads=("a",), writes=("b",), macs=864,
    ...           weight_elements=216, bias_elements=8,
    ...           window=Window(kernel=(3, 3), stride=(2, 2), padding=((1, 1), (1, 1))))
    >>> net = chain(half, shapes={"a": (1, 3, 4, 4), "b": (1, 8, 2, 2)})
    >>> wider = rescale(net, size=(8, 8), channels={"half": 16})
    >>> wider.tensors["b"].shape, wider.macs
    ((1, 16, 4, 4), 6912)
    """
    if graph.num_constants is not None:
        raise ConfigError("a .tflite file is what it is: only a network can be re-scaled")
    if len(graph.inputs) != 1:
        raise ConfigError(f"a network of one input can be re-scaled, not of {len(graph.inputs)}")
    old_size = sides(graph.tensors[graph.inputs[0]].shape)
    new_size: Sides = size or old_size
    if not graph.pads_same or new_size == old_size:
        return _rescaled(graph, new_size, channels)
    if any(side > old for side, old in zip(new_size, old_size, strict=True)):
        raise ConfigError(
            f"a network cannot be re-scaled from {_x(old_size)} to {_x(new_size)} without recording"
            " it anew: over a small picture it may leave out what would change nothing there"
        )
    return with_pads_alone(_rescaled(with_pads_inside(graph), new_size, channels))


def _rescaled(graph: Graph, size: Sides, channels: Mapping[str, int]) -> Graph:
    counts = channel_counts(graph, channels)
    new_sides, windows = _all_sides(graph, size)
    tensors = {
        name: _resized(tensor, counts[name], new_sides[name])
        for name, tensor in graph.tensors.items()
    }
    ops = (replace(op, window=windows.get(op.name, op.window)) for op in graph.ops)
    return replace(
        graph, tensors=tensors, ops=tuple(reweighed(op, graph.tensors, tensors) for op in ops)
    )


def _resized(tensor: Tensor, channels: int, sides: Sides) -> Tensor:
    match tensor.shape:
        case (one, _, _, _):
            shape: Sides = (one, channels, *sides)
        case (one, _):
            shape = (one, channels)
        case (*ahead, _, _):
            shape = (*ahead, *sides)
        case _:
            shape = tensor.shape
    return tensor if shape == tensor.shape else replace(tensor, shape=shape)


def _all_sides(graph: Graph, size: Sides) -> tuple[dict[str, Sides], dict[str, Window | None]]:
    """Propagate height and width from the picture through the operators; and find new windows."""
    old = {name: sides(tensor.shape) for name, tensor in graph.tensors.items()}
    windows: dict[str, Window | None] = {}
    if size == old[graph.inputs[0]]:
        return old, windows
    new, ties = {graph.inputs[0]: size}, _ties(graph, old)
    for op in graph.ops:
        before, now = ([of[name] for name in op.reads] for of in (old, new))
        if op.kind in RESIZES:
            result = _target(op, old, new, ties, same=graph.pads_same)
        elif before and before == now:
            new |= {name: old[name] for name in op.writes}
            continue
        elif found := _in_the_zoo(op, old, new, ties) if graph.pads_same else None:
            result, windows[op.name] = found
        else:
            rule = _rule(op, before, old[op.writes[0]], less=_makes_less(op, graph))
            result = rule(op, before, now)
        if min(result) < 1:
            raise ConfigError(f"{op.name} would have nothing left of a picture of {_x(size)}")
        new[op.writes[0]] = result
    return new, windows


def _in_the_zoo(
    op: Op, old: Mapping[str, Sides], new: Mapping[str, Sides], ties: Ties
) -> tuple[Sides, Window | None] | None:
    """Return what is known of networks of the zoo alone: attention, and where windows lie."""
    before, now = ([of[name] for name in op.reads] for of in (old, new))
    made = old[op.writes[0]]
    if rolls_up(op, before[0], made) and (met := _met(op, new, ties)):
        return met, op.window
    if sequence := unrolled(op, before, made, now):
        return sequence, None
    return placed(op, before[0], made, now[0])


def _ties(graph: Graph, old: Mapping[str, Sides]) -> Ties:
    """Tie the tensors that have the same sides whatever the size of the picture."""
    ties = Ties(graph.tensors)
    for op in graph.ops:
        made = op.writes[0]
        joins = op.kind in ALIKE or op.kind in {"concatenation", "arg_max"}
        if joins or (op.window and _keeps_sides(op.window)):
            ties.join((made, *(name for name in op.reads if old[name] == old[made])))
    return ties


def _keeps_sides(window: Window) -> bool:
    return window.stride == (1, 1) and all(
        sum(pads) == (kernel - 1) * dilation
        for pads, kernel, dilation in zip(
            window.padding, window.kernel, window.dilation, strict=True
        )
    )


def _target(
    op: Op, old: Mapping[str, Sides], new: Mapping[str, Sides], ties: Ties, *, same: bool
) -> Sides:
    """Say where a resize goes."""
    source = new[op.reads[0]]
    if op.factor is not None:
        return tuple(int(side * factor) for side, factor in zip(source, op.factor, strict=True))
    met = _met(op, new, ties)
    if met is None:
        met = _as_part(op, old, new, same=same)
    if met == source:  # a network may leave out what changes nothing
        raise not_known(op, "would change nothing")
    return met


def _met(op: Op, new: Mapping[str, Sides], ties: Ties) -> Sides | None:
    """Return the sides of a map that is known already, and that an operator's result meets."""
    tied = ties.of(op.writes[0])
    return next((new[name] for name in new if ties.of(name) == tied), None)


Part = Callable[[int, int], int]


def _ceil(side: int, times: int) -> int:
    return -(-side // times)


def _one_more(side: int, times: int) -> int:
    return side // times + 1


def _as_part(op: Op, old: Mapping[str, Sides], new: Mapping[str, Sides], *, same: bool) -> Sides:
    """Say where a resize goes that meets no map: what explains the record must agree on it."""
    made, image, read = old[op.writes[0]], next(iter(new)), op.reads[0]
    found = {tuple(sides) for sides in [_by_whole_factor(old[read], made, new[read])] if sides}
    parts: tuple[tuple[str, Part], ...] = ((image, _ceil), (image, _one_more), (read, _ceil))
    for name, part in parts if same else ():
        times = [max(1, round(b / m)) for b, m in zip(old[name], made, strict=True)]
        if tuple(map(part, old[name], times)) == made:
            found.add(tuple(map(part, new[name], times)))
    follows = all(
        new[read][axis] != old[read][axis] or new[image][axis] == old[image][axis]
        for axis in (0, 1)
    )
    if len(found) != 1 or not (same or follows):
        raise not_known(op, "goes to a size that no other map tells")
    return found.pop()


def _by_whole_factor(before: Sides, made: Sides, now: Sides) -> Sides | None:
    if any(to % side for to, side in zip(made, before, strict=True)):
        return None
    return tuple(n * to // side for n, to, side in zip(now, made, before, strict=True))


Rule = Callable[[Op, list[Sides], list[Sides]], Sides]


def _makes_less(op: Op, graph: Graph) -> bool:
    made, *reads = (prod(graph.tensors[name].shape) for name in (op.writes[0], *op.reads))
    return bool(reads) and made < max(reads)


def _rule(op: Op, before: list[Sides], made: Sides, *, less: bool) -> Rule:
    """Choose the rule for the sides of an operator: one that explains what was recorded."""
    rule: Rule | None = None
    if op.window:
        rule = _windowed
    elif op.spread:
        rule = _spread
    elif op.kind in ALIKE or op.kind in {"concatenation", "arg_max"}:
        rule = _joined
    elif op.kind in {"pad", "mirror_pad"}:
        rule = _padded(made)
    elif op.kind == "mean" and made == (1, 1):
        rule = _to_one
    elif op.kind in OF_CHANNELS and less:
        rule = _pixelwise
    if rule is None or len(op.writes) > 1 or rule(op, before, before) != made:
        raise not_known(op, "has a geometry that is not known")
    return rule


def _windowed(op: Op, before: list[Sides], now: list[Sides]) -> Sides:
    assert op.window is not None
    result = []
    for axis, (was, side) in enumerate(zip(before[0], now[0], strict=True)):
        stride, padding = op.window.stride[axis], sum(op.window.padding[axis])
        if (side - was) % stride:
            raise not_known(
                op,
                f"may be padded in another way: it goes over {side} px by steps of {stride}, and"
                f" over {was} px where it was recorded",
            )
        room = side + padding - _reach(op.window, axis)
        result.append((-(-room // stride) if op.window.rounds_up else room // stride) + 1)
    return tuple(result)


def _reach(window: Window, axis: int) -> int:
    return (window.kernel[axis] - 1) * window.dilation[axis] + 1


def _spread(op: Op, _before: list[Sides], now: list[Sides]) -> Sides:
    window = op.spread
    assert window is not None
    return tuple(
        (side - 1) * window.stride[axis] + _reach(window, axis) - sum(window.padding[axis])
        for axis, side in enumerate(now[0])
    )


def _joined(op: Op, before: list[Sides], now: list[Sides]) -> Sides:
    """Maps of one size; beside them perhaps single pixels that count for all of it."""
    largest = max(before, key=prod)
    found = {side for was, side in zip(before, now, strict=True) if was == largest}
    if len(found) != 1 or any(side not in {largest, (1, 1)} for side in before):
        raise not_known(op, f"would join maps of {', '.join(map(_x, sorted(found)))}")
    return found.pop()


def _padded(made: Sides) -> Rule:
    def rule(_op: Op, before: list[Sides], now: list[Sides]) -> Sides:
        more = (to - side for to, side in zip(made, before[0], strict=True))
        return tuple(side + pad for side, pad in zip(now[0], more, strict=True))

    return rule


def _to_one(_op: Op, _before: list[Sides], _now: list[Sides]) -> Sides:
    return (1, 1)


def _pixelwise(_op: Op, _before: list[Sides], now: list[Sides]) -> Sides:
    """Sums or parts of the channels: less is made, and yet no side got shorter."""
    return now[0]


def _x(sides: Sides) -> str:
    return "x".join(map(str, sides))
