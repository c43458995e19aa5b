"""From a graph to figures: what a network weighs, and what it needs on a device."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from frugalseg.core.budget import Footprint, Verdict
from frugalseg.core.inputs import InputSpec
from frugalseg.cost.device import Device
from frugalseg.cost.file_size import BIAS_BYTES, OP_BYTES, SCALE_BYTES, file_bytes
from frugalseg.cost.fuse import fuse
from frugalseg.cost.graph import Graph, Op
from frugalseg.cost.memory import Memory, as_run, memory_of
from frugalseg.cost.order import best_order
from frugalseg.cost.patches import patched
from frugalseg.cost.peak import peak
from frugalseg.cost.why import Why

FP32_BYTES = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerCost:
    """One operator of the deployed network; `layer` is the module it came from."""

    layer: str
    kind: str
    shape: tuple[int, ...]
    params: int
    macs: int
    out_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WeighReport:
    """What a network weighs, estimated from the graph but for what `measured` names.

    `params` are trained numbers in use; `macs` those of convolutions and matrix products.
    `weight_bytes["fp32"]` is four bytes for each parameter. `weight_bytes["int8"]` is what is
    stored after norms are folded: a byte for each weight, and for each output channel an int32
    bias and a float scale. Of a file, `weight_bytes` is what it stores, by element type.
    `least_peak_bytes` is a bound that no order of the operators goes below, as long as no map lies
    in another one, as those of a file in bands do. `uncounted` are operators whose
    multiply-accumulates are not known.

    `memory` is counted as the device does, or as LiteRT does without one. `device`, `verdict` and
    `refusals`, why it could not run the network whatever its size, are there if the report is for
    a device; `why`, what the memory is needed for, if it was asked for.
    """

    params: int
    macs: int
    weight_bytes: Mapping[str, int]
    file_bytes: int
    peak_activation_bytes: int
    peak_at: str
    least_peak_bytes: int
    memory: Memory
    uncounted: Mapping[str, int]
    layers: tuple[LayerCost, ...]
    measured: tuple[str, ...] = ()
    device: str | None = None
    verdict: Verdict | None = None
    refusals: tuple[str, ...] = ()
    why: Why | None = None

    @property
    def footprint(self) -> Footprint:
        """What the network needs on the device."""
        return _footprint(self.macs, self.file_bytes, self.memory, self.measured)

    @property
    def fits(self) -> bool | None:
        """Whether the network fits the device; None without one."""
        return None if self.verdict is None else bool(self.verdict) and not self.refusals

    @property
    def objections(self) -> list[str]:
        """Why the network cannot run on the device; empty where it fits, or without a device."""
        broken = [str(self.verdict)] if self.verdict is not None and not self.verdict else []
        return [*broken, *self.refusals]

    @property
    def excess(self) -> Mapping[str, int] | None:
        """What is too much for the device, by resource; None without a device."""
        if self.verdict is None:
            return None
        return {e.resource: e.needed - e.allowed for e in self.verdict.excess}

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON; what was not asked for (a device, why) is left out."""
        values = asdict(self)
        del values["device"], values["verdict"], values["refusals"]
        if self.why is None:
            del values["why"]
        if self.verdict is not None:
            values |= {"device": self.device, "fits": self.fits, "excess": self.excess}
            values |= {"refusals": self.refusals}
        return values


def weigh(
    graph: Graph, spec: InputSpec, device: Device | None = None, *, file: int | None = None
) -> WeighReport:
    """Weigh a graph as `trace.record` or `read_tflite` returns it, on a device if one is named.

    `spec` is the input that the graph takes; `file` the size of its file, in bytes, if there is
    one. Raises ConfigError for a file that the device does not run.
    """
    runs = as_run(graph, device)
    fused, memory = _fused(graph, runs), memory_of(runs, device, file=file)
    largest = peak(fused)
    measured = () if file is None else ("file_bytes", "weight_bytes")
    size = file_bytes(fused) if file is None else file
    need = _footprint(fused.macs, size, memory, measured)
    return WeighReport(
        params=fused.params,
        macs=fused.macs,
        weight_bytes=_weight_bytes(fused),
        file_bytes=size,
        peak_activation_bytes=largest.bytes,
        peak_at=largest.at,
        least_peak_bytes=best_order(fused).bound_bytes,
        memory=memory,
        uncounted=dict(fused.uncounted),
        layers=tuple(map(partial(_layer, fused), fused.ops)),
        measured=measured,
        device=None if device is None else device.name,
        verdict=None if device is None else device.check(need),
        refusals=() if device is None else tuple(device.refusals(runs, spec)),
    )


def _weight_bytes(graph: Graph) -> Mapping[str, int]:
    if graph.stored:
        return graph.stored
    weights = sum(op.weight_elements for op in graph.ops)
    channels = sum(op.bias_elements for op in graph.ops)
    return {
        "fp32": graph.params * FP32_BYTES,
        "int8": weights + channels * (BIAS_BYTES + SCALE_BYTES),
    }


def _layer(graph: Graph, op: Op) -> LayerCost:
    return LayerCost(
        layer=op.layer,
        kind=op.kind,
        shape=graph.tensors[op.writes[0]].shape,
        params=op.params,
        macs=op.macs,
        out_bytes=sum(graph.tensors[name].bytes for name in op.writes),
    )


def _footprint(macs: int, file: int, memory: Memory, measured: Sequence[str] = ()) -> Footprint:
    """Combine; a network that is not kept as its file is estimated where its file is measured."""
    as_file = memory.storage_bytes is None
    return Footprint(
        storage_bytes=file if memory.storage_bytes is None else memory.storage_bytes,
        ram_bytes=memory.ram_bytes,
        macs=macs,
        measured=frozenset({"storage_bytes"} if as_file and "file_bytes" in measured else ()),
    )


def footprint(graph: Graph, device: Device | None = None) -> Footprint:
    """Estimate what the deployed network needs on a device; quicker than `weigh`.

    >>> from frugalseg.cost.graph import chain
    >>> conv = Op(name="conv", kind="conv_2d", reads=("a",), writes=("b",), macs=800,
    ...           weight_elements=8, bias_elements=2)
    >>> footprint(chain(conv, shapes={"a": (1, 4, 10, 10), "b": (1, 2, 10, 10)}))
    Footprint(storage_bytes=1926, ram_bytes=600, macs=800, measured=frozenset())
    """
    runs = as_run(graph, device)
    is_to_compile = runs is graph and graph.num_constants is None
    fused = fuse(graph) if is_to_compile else runs
    return _footprint(fused.macs, file_bytes(fused), memory_of(runs, device))


def divided_footprint(graph: Graph, device: Device) -> Footprint | None:
    """Estimate the network with parts of it in bands, so that it fits a microcontroller.

    It may do to lay maps over each other, without bands. None where nothing helps: the room that
    the device leaves beside the file is less than the picture, or no division meets it.
    """
    runs = as_run(graph, device)
    file = file_bytes(runs)
    room = device.room(file)
    if room is None or room < sum(runs.tensors[name].bytes for name in runs.inputs):
        return None
    found = patched(runs, ram_bytes=room, or_least=False)
    if found.arena_bytes > room:
        return None
    # Weights are stored once, whatever the number of bands.
    added = (len(found.graph.ops) - len(runs.ops)) * OP_BYTES
    return Footprint(storage_bytes=file + added, ram_bytes=found.arena_bytes, macs=found.macs)


def _fused(graph: Graph, runs: Graph) -> Graph:
    """Return the graph as LiteRT runs it, which `runs` is already unless a compiler gets it."""
    return as_run(graph) if runs is graph else runs
