"""The same network for another picture or with other channels, from one recorded graph.

Every shape follows from those before it, so that no framework is asked: a search looks at
thousands of networks after it has recorded a few. What it cannot know it refuses:

* Networks pad by the remainder that a stride leaves of a side, or cut it off again. That is in
  the code, not in the graph. So the remainder must be the one of the recorded picture.
* A resize that was given a size goes to that of the map it meets in a sum or a concatenation;
  if it meets none, its whole factor is kept.
* Operators whose geometry is not known must not be reached by the change.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from math import prod

from frugalseg.core.errors import ConfigError
from frugalseg.cost.channels import (
    ALIKE,
    CONVOLUTIONS,
    RESIZES,
    Ties,
    channel_counts,
    channels_of,
    sides,
)
from frugalseg.cost.graph import Graph, Op, Tensor, Window

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
    counts = channel_counts(graph, channels)
    image = graph.tensors[graph.inputs[0]]
    new_sides = _all_sides(graph, sides(image.shape) if size is None else size)
    tensors = {
        name: _resized(tensor, counts[name], new_sides[name])
        for name, tensor in graph.tensors.items()
    }
    ops = tuple(_reweighed(op, graph.tensors, tensors) for op in graph.ops)
    return replace(graph, tensors=tensors, ops=ops)


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


def _all_sides(graph: Graph, size: Sides) -> dict[str, Sides]:
    """Propagate height and width from the picture through the operators."""
    old = {name: sides(tensor.shape) for name, tensor in graph.tensors.items()}
    if size == old[graph.inputs[0]]:
        return old
    new, ties = {graph.inputs[0]: size}, _ties(graph, old)
    for op in graph.ops:
        reads = [new[name] for name in op.reads]
        if op.kind in RESIZES:
            result = _target(op, old, new, ties)
        elif op.reads and all(new[name] == old[name] for name in op.reads):
            new |= {name: old[name] for name in op.writes}
            continue
        else:
            before = [old[name] for name in op.reads]
            rule = _rule(op, before, old[op.writes[0]], less=_makes_less(op, graph))
            result = rule(op, before, reads)
        if min(result) < 1:
            raise ConfigError(f"{op.name} would have nothing left of a picture of {_x(size)}")
        new[op.writes[0]] = result
    return new


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


def _target(op: Op, old: Mapping[str, Sides], new: Mapping[str, Sides], ties: Ties) -> Sides:
    """Say where a resize goes."""
    source = new[op.reads[0]]
    if op.factor is not None:
        return tuple(int(side * factor) for side, factor in zip(source, op.factor, strict=True))
    tied = ties.of(op.writes[0])
    met = next((new[name] for name in new if ties.of(name) == tied), None)
    if met is None:
        met = _by_whole_factor(op, old, new)
    if met == source:  # a network may leave out what changes nothing
        raise _unknown(op, "would change nothing")
    return met


def _by_whole_factor(op: Op, old: Mapping[str, Sides], new: Mapping[str, Sides]) -> Sides:
    (image, size), result = next(iter(new.items())), []
    for axis in (0, 1):
        made, before, now = old[op.writes[0]][axis], old[op.reads[0]][axis], new[op.reads[0]][axis]
        follows = now != before or size[axis] == old[image][axis]
        if made % before or not follows:
            raise _unknown(op, "goes to a size that no other map tells")
        result.append(now * made // before)
    return tuple(result)


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
        raise _unknown(op, "has a geometry that is not known")
    return rule


def _windowed(op: Op, before: list[Sides], now: list[Sides]) -> Sides:
    assert op.window is not None
    result = []
    for axis, (was, side) in enumerate(zip(before[0], now[0], strict=True)):
        stride, padding = op.window.stride[axis], sum(op.window.padding[axis])
        if (side - was) % stride:
            raise _unknown(
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
        raise _unknown(op, f"would join maps of {', '.join(map(_x, sorted(found)))}")
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


def _reweighed(op: Op, old: Mapping[str, Tensor], new: Mapping[str, Tensor]) -> Op:
    """Return the operator with what it stores and computes for its new shapes."""
    names = (*op.reads, *op.writes)
    if not op.reads or all(new[name] is old[name] for name in names):
        return op
    if op.kind in CONVOLUTIONS:
        return _convolution(op, old, new)
    if op.kind == "fully_connected":
        return _matrix(op, old, new)
    if op.macs:
        raise _unknown(op, "computes with what it reads in a way that is not known")
    was, now = (channels_of(tensors[op.writes[0]].shape) for tensors in (old, new))
    return replace(
        op,
        weight_elements=_numbers(op, op.weight_elements, was, now),
        params=_numbers(op, op.params, was, now),
    )


def _numbers(op: Op, count: int, was: int, now: int) -> int:
    """Count what an operator holds for each channel, or once for all of them."""
    if count == 0 or (was == now and count in {1, was, 2 * was}):
        return count
    if was > 1 and count in {was, 2 * was}:
        return count // was * now
    if was > 1 and count == 1:
        return 1
    raise _unknown(op, f"holds {count} numbers for {was} channels")


def _convolution(op: Op, old: Mapping[str, Tensor], new: Mapping[str, Tensor]) -> Op:
    (was_in, was), (now_in, now) = (_in_and_out(op, tensors) for tensors in (old, new))
    if was_in == was == 1 < now_in * now:
        raise _unknown(op, "has one channel, so that it cannot be told whether it mixes channels")
    depthwise = op.kind == "depthwise_conv_2d" and op.groups == was_in
    groups = now_in if depthwise else op.groups
    if now_in % groups or now % groups:
        raise _unknown(op, f"has {groups} groups, but {now_in} channels to read and {now} to write")
    weights = op.weight_elements * op.groups // (was_in * was) * now_in * now // groups
    transposed = op.kind == "transpose_conv"
    entered = new[op.reads[0] if transposed else op.writes[0]].shape
    single = "depthwise_conv_2d" if groups == now_in > 1 else "conv_2d"
    return replace(
        op,
        kind=op.kind if transposed else single,
        macs=prod(entered) * weights // (now_in if transposed else now),
        params=_params(op, op.weight_elements, was, weights, now),
        weight_elements=weights,
        bias_elements=now,
        groups=groups,
    )


def _matrix(op: Op, old: Mapping[str, Tensor], new: Mapping[str, Tensor]) -> Op:
    (was_in, was), (now_in, now) = (_in_and_out(op, tensors) for tensors in (old, new))
    if op.weight_elements not in {was_in * was, (was_in + 1) * was}:
        raise _unknown(op, f"stores {op.weight_elements} numbers for {was_in} times {was} channels")
    bias = now if op.weight_elements > was_in * was else 0
    return replace(
        op,
        macs=op.macs // (was_in * was) * now_in * now,
        params=_params(op, was_in * was, was, now_in * now, now),
        weight_elements=now_in * now + bias,
    )


def _in_and_out(op: Op, tensors: Mapping[str, Tensor]) -> tuple[int, int]:
    return channels_of(tensors[op.reads[0]].shape), channels_of(tensors[op.writes[0]].shape)


def _params(op: Op, weights: int, bias: int, now_weights: int, now_bias: int) -> int:
    """Count what is trained: weights, bias, both or nothing, if others counted it."""
    known = {
        weights + bias: now_weights + now_bias, bias: now_bias, weights: now_weights, 0: 0,
    }  # fmt: skip
    if op.params not in known:
        raise _unknown(op, f"trains {op.params} numbers, for {weights} weights and {bias} biases")
    return known[op.params]


def _unknown(op: Op, why: str) -> ConfigError:
    return ConfigError(
        f"the network cannot be re-scaled without recording it anew: {op.name} ({op.kind}) {why}"
    )


def _x(sides: Sides) -> str:
    return "x".join(map(str, sides))
