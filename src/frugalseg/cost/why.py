"""Why a network needs the memory that it needs: what is alive at the peak, and what would help.

Each piece of advice is a network that was changed and weighed as the device counts; nothing is
concluded from sizes alone. The savings do not add up: each is for that change by itself.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

from frugalseg.core.errors import ConfigError
from frugalseg.core.inputs import MIN_SIDE
from frugalseg.cost.channels import CONVOLUTIONS, RESIZES, groups, sides
from frugalseg.cost.device import Device
from frugalseg.cost.graph import Graph, Op, Tensor
from frugalseg.cost.imx500 import imx500_memory
from frugalseg.cost.memory import as_run, memory_of
from frugalseg.cost.order import in_best_order
from frugalseg.cost.patches import patched
from frugalseg.cost.rescale import rescale

INT32 = 4
PICTURE = 4  # axes
SMALLER = 0.1  # share of each side, for a picture one step smaller
STRIDES = (8, 16, 32, 64)
FINE = 4  # least step in channels
JOINS = frozenset({"add", "concatenation"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """A change, and the bytes of working memory that the device then needs less."""

    text: str
    ram_bytes_saved: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Why:
    """What is in memory at the peak, at operator `at`, largest first; and advice, best first.

    `alive` are names and bytes, as the device stores them; `peak_bytes` is their sum, which is
    less than the working memory by gaps and by what is there all the time.
    """

    at: str
    peak_bytes: int
    alive: tuple[tuple[str, int], ...]
    advice: tuple[Advice, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return asdict(self)


def why(graph: Graph, device: Device | None = None) -> Why:
    """Explain the peak of a graph as `trace.record` or `read_tflite` returns it.

    >>> from frugalseg.cost.graph import chain
    >>> conv = Op(name="conv", kind="conv_2d", reads=("a",), writes=("b",))
    >>> why(chain(conv, shapes={"a": (1, 3, 8, 8), "b": (1, 8, 8, 8)})).alive
    (('b', 512), ('a', 192))
    """
    memory = memory_of(as_run(graph, device), device)
    found = max(memory.timeline, key=lambda moment: moment.bytes, default=None)
    if found is None:
        return Why(at="", peak_bytes=memory.ram_bytes, alive=(), advice=())
    alive = dict(zip(found.tensors, found.sizes, strict=True))
    advice = [
        Advice(text=text, ram_bytes_saved=saved)
        for text, ram_bytes in _changes(graph, device, found.op, {*alive})
        if (saved := memory.ram_bytes - ram_bytes) > 0
    ]
    return Why(
        at=found.op,
        peak_bytes=found.bytes,
        alive=tuple(sorted(alive.items(), key=lambda pair: -pair[1])),
        advice=tuple(sorted(advice, key=lambda each: -each.ram_bytes_saved)),
    )


def _changes(
    graph: Graph, device: Device | None, at: str, alive: set[str]
) -> Iterator[tuple[str, int]]:
    """Yield changes and the working memory with each."""
    runs = as_run(graph, device)
    runtime = "litert" if device is None else device.runtime
    if runtime == "imx500":
        yield "not keeping the picture", imx500_memory(graph, input_stays=False).runtime_bytes
    else:  # of a file; what is yet to be exported has it
        yield "the best order of operators", memory_of(in_best_order(runs), device).ram_bytes
    if runtime == "tflite-micro":
        bands = patched(runs)
        more = bands.macs / max(runs.macs, 1) - 1
        yield f"execution in bands, for {more:.1%} more multiply-accumulates", bands.arena_bytes
    if graph.num_constants is not None:
        return  # what a file computes is settled
    for text, changed in _networks(graph, device, at, alive):
        yield text, memory_of(as_run(changed, device), device).ram_bytes


def _networks(
    graph: Graph, device: Device | None, at: str, alive: set[str]
) -> Iterator[tuple[str, Graph]]:
    """Yield other networks that may need less."""
    yield from _at_the_end(graph)
    yield from _without_joins(graph, at, alive)
    yield from _narrower(graph, 1 if device is None else device.channel_multiple, alive)
    if (smaller := _for_smaller_picture(graph)) is not None:
        height, width = sides(smaller.tensors[smaller.inputs[0]].shape)
        yield f"a picture of {height}x{width}", smaller


def _at_the_end(graph: Graph) -> Iterator[tuple[str, Graph]]:
    """Hand out less: ids for scores, and what was there before the last upsampling."""
    if len(graph.outputs) != 1:
        return
    end = _writer(graph, graph.outputs[0])
    takes_ids = end is not None and end.kind == "arg_max"
    scores = _writer(graph, end.reads[0]) if end is not None and takes_ids else end
    if scores is not None and scores.kind in RESIZES:
        before = _ending(graph, scores.reads[0])
        if not takes_ids:
            yield "scores before the last upsampling", before
        if (ids := _with_ids(before)) is not None:
            yield "argmax before the last upsampling", ids
    if not takes_ids and (ids := _with_ids(graph)) is not None:
        yield "argmax on the device, ids for scores", ids


def _writer(graph: Graph, name: str) -> Op | None:
    return next((op for op in graph.ops if name in op.writes), None)


def _ending(graph: Graph, name: str) -> Graph:
    return _without_dead(replace(graph, outputs=(name,)))


def _with_ids(graph: Graph) -> Graph | None:
    """Return the graph with an argmax over the classes at its end; None if there are no classes."""
    scores = graph.tensors[graph.outputs[0]]
    if len(scores.shape) != PICTURE or scores.shape[1] == 1:
        return None
    ids = Tensor(name="arg_max:0", shape=(scores.shape[0], *scores.shape[2:]), element_bytes=INT32)
    last = Op(name="arg_max", kind="arg_max", reads=(scores.name,), writes=(ids.name,))
    return replace(
        graph, tensors={**graph.tensors, ids.name: ids}, ops=(*graph.ops, last), outputs=(ids.name,)
    )


def _without_joins(graph: Graph, at: str, alive: set[str]) -> Iterator[tuple[str, Graph]]:
    """Let go of maps that are at the peak only because a later sum or concatenation reads them."""
    peak = next((i for i, op in enumerate(graph.ops) if op.name == at), -1)
    for i, op in enumerate(graph.ops):
        for held in op.reads if i > peak and op.kind in JOINS else ():
            others = tuple(name for name in op.reads if name != held)
            if held in alive and others and (changed := _without(graph, op, others)) is not None:
                yield f"without {held} in {op.name}", changed


def _without(graph: Graph, op: Op, others: tuple[str, ...]) -> Graph | None:
    """Return the graph where a sum or concatenation reads only `others`; None if it cannot be."""
    made, tensors = op.writes[0], dict(graph.tensors)
    if op.kind == "concatenation":
        readers = [o for o in graph.ops if made in o.reads]
        if made in graph.outputs or any(
            o.kind not in CONVOLUTIONS or o.groups > 1 for o in readers
        ):
            return None  # its channels are those of more than weights
        shape = tensors[made].shape
        channels = sum(tensors[name].shape[1] for name in others)
        tensors[made] = replace(tensors[made], shape=(shape[0], channels, *shape[2:]))
    elif any(tensors[name].shape != tensors[made].shape for name in others):
        return None
    ops = tuple(replace(o, reads=others) if o is op else o for o in graph.ops)
    changed = replace(graph, tensors=tensors, ops=ops)
    return _without_dead(changed if len(others) > 1 else _passing(changed, op.name, others[0]))


def _passing(graph: Graph, name: str, read: str) -> Graph:
    """Leave out an operator: its readers get what it reads."""
    made = next(op.writes[0] for op in graph.ops if op.name == name)

    def instead(names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(read if each == made else each for each in names))

    ops = tuple(replace(op, reads=instead(op.reads)) for op in graph.ops if op.name != name)
    return replace(graph, ops=ops, outputs=instead(graph.outputs))


def _without_dead(graph: Graph) -> Graph:
    """Leave out what nothing reads any more."""
    wanted, kept = {*graph.outputs}, list[Op]()
    for op in reversed(graph.ops):
        if wanted & {*op.writes}:
            wanted |= {*op.reads}
            kept.append(op)
    names = {*graph.inputs, *graph.outputs, *(n for op in kept for n in (*op.reads, *op.writes))}
    tensors = {name: tensor for name, tensor in graph.tensors.items() if name in names}
    return replace(graph, tensors=tensors, ops=tuple(reversed(kept)))


def _narrower(graph: Graph, multiple: int, alive: set[str]) -> Iterator[tuple[str, Graph]]:
    """Make the maps at the peak one step narrower; not the picture, and not the classes."""
    ends = {*graph.inputs, *graph.outputs}
    ends |= {name for op in graph.ops if op.kind == "arg_max" for name in op.reads}
    for group in groups(graph):
        fewer = _one_step_below(group.channels, multiple)
        if fewer is None or not group.tensors & alive or group.tensors & ends:
            continue
        try:
            changed = rescale(graph, channels={group.makers[0]: fewer})
        except ConfigError:
            continue
        more = f" and {len(group.makers) - 1} more" if len(group.makers) > 1 else ""
        yield f"{fewer} channels for {group.channels} in {group.makers[0]}{more}", changed


def _one_step_below(channels: int, multiple: int) -> int | None:
    """Choose fewer channels as a device stores them.

    >>> [_one_step_below(c, 32) for c in (64, 40, 32, 4)], _one_step_below(24, 1)
    ([32, 32, 16, None], 20)
    """
    step = max(multiple, FINE)
    if channels <= step:
        step = max(step // 2, FINE)
    return (channels - 1) // step * step or None


def _for_smaller_picture(graph: Graph) -> Graph | None:
    """Re-scale to sides a tenth smaller, in the smallest steps that the network allows."""
    old = graph.tensors[graph.inputs[0]].shape
    for stride in STRIDES if len(old) == PICTURE else ():
        height, width = (side - max(1, round(SMALLER * side / stride)) * stride for side in old[2:])
        if min(height, width) < MIN_SIDE:
            return None
        try:
            return rescale(graph, size=(height, width))
        except ConfigError:
            continue
    return None
