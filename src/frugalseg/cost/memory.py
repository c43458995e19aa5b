"""What a network needs to be kept and to run, as the runtime of a device counts it."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from frugalseg.core.errors import ConfigError
from frugalseg.cost.device import Device
from frugalseg.cost.file_size import file_bytes
from frugalseg.cost.fuse import fuse
from frugalseg.cost.graph import Graph
from frugalseg.cost.imx500 import imx500_memory
from frugalseg.cost.order import in_best_order
from frugalseg.cost.peak import Moment, peak
from frugalseg.cost.tflm import Arena, Buffer, arena
from frugalseg.cost.xnnpack import resident, unknown

FP32_BYTES = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Working memory over the course of inference, and at its peak.

    `parts` are what `ram_bytes` is the sum of. `storage_bytes` is there only where the network is
    not kept as its file. `doubts` are operators near the peak whose need is known only roughly.
    """

    ram_bytes: int
    at: str
    timeline: tuple[Moment, ...]
    parts: Mapping[str, int] = field(default_factory=dict)
    storage_bytes: int | None = None
    doubts: tuple[str, ...] = ()


def memory_of(graph: Graph, device: Device | None = None, *, file: int | None = None) -> Memory:
    """Count the memory of a graph as the device runs it (`as_run`); without one, what is alive.

    `file` is the size of its file in bytes, if there is one. Raises ConfigError for a .tflite file
    on a device that runs none.
    """
    if device is None:
        return _live(graph)
    return MODELS[device.runtime](graph, file_bytes(graph) if file is None else file)


def as_run(graph: Graph, device: Device | None = None) -> Graph:
    """Return the graph as the device runs it: fused as in LiteRT, unless a compiler does that.

    Its operators then stand in the order in which `export` writes them; those of a file stay.
    """
    compiled = device is not None and device.runtime == "imx500"
    return graph if compiled or graph.num_constants is not None else in_best_order(fuse(graph))


def _live(graph: Graph) -> Memory:
    """Activations alive at the same time; what a runtime adds is not known without a device."""
    largest = peak(graph)
    return Memory(ram_bytes=largest.bytes, at=largest.at, timeline=largest.timeline)


def _litert(graph: Graph, file: int) -> Memory:
    """What a process needs beyond the empty interpreter; the timeline is of activations alone."""
    parts = dict(resident(graph, file))
    if graph.stored.get("fp32", 0) > graph.stored.get("int8", 0):
        parts["packed weights"] *= FP32_BYTES
    largest = peak(graph)
    return Memory(
        ram_bytes=sum(parts.values()),
        parts=parts,
        at=largest.at,
        timeline=largest.timeline,
        doubts=unknown(graph),
    )


def _tflite_micro(graph: Graph, _file: int) -> Memory:
    found = arena(graph)
    timeline = tuple(_moments(graph, found))
    return Memory(
        ram_bytes=found.least_bytes,
        parts={"arena head": found.head_bytes, "arena tail": found.tail_bytes},
        at=max(timeline, key=lambda moment: moment.bytes).op if timeline else "",
        timeline=timeline,
        doubts=found.unknown,
    )


def _moments(graph: Graph, found: Arena) -> list[Moment]:
    """Say what of the head is in use at each operator; buffers may lie within each other."""
    moments, alive = [], [buffer for buffer in found.buffers if buffer.first <= 0]
    begins: dict[int, list[Buffer]] = {}
    for buffer in found.buffers:
        begins.setdefault(buffer.first, []).append(buffer)
    for time, op in enumerate(graph.ops, 1):
        alive = [b for b in (*alive, *begins.get(time, ())) if b.last >= time]
        named = sorted(alive, key=lambda buffer: buffer.name)
        sizes = tuple(buffer.bytes for buffer in named)
        names = tuple(buffer.name for buffer in named)
        moments.append(Moment(op=op.name, bytes=_covered(alive), tensors=names, sizes=sizes))
    return moments


def _covered(buffers: Iterable[Buffer]) -> int:
    """Count the bytes that lie in any of the buffers."""
    total, end = 0, 0
    for start, stop in sorted((b.offset, b.offset + b.bytes) for b in buffers):
        total += max(0, stop - max(start, end))
        end = max(end, stop)
    return total


def _imx500(graph: Graph, _file: int) -> Memory:
    if graph.num_constants is not None:
        raise ConfigError(
            "this device runs no .tflite file: weigh the network or its checkpoint instead"
        )
    found = imx500_memory(graph)
    return Memory(
        ram_bytes=found.runtime_bytes,
        storage_bytes=found.model_bytes,
        at=found.at,
        timeline=found.timeline,
        doubts=found.doubts,
    )


MODELS: Mapping[str, Callable[[Graph, int], Memory]] = {
    "litert": _litert,
    "tflite-micro": _tflite_micro,
    "imx500": _imx500,
}
