"""From a graph to figures: what a network weighs, and what it needs on a device.

The size of the .tflite file is estimated as its content, which is exact, and the bookkeeping of
the format, which was fitted to files as `export` writes them (static int8, weights per channel,
tensor names of a few letters): see `FILE_BYTES` and its neighbours.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

from frugalseg.core.budget import Footprint, Verdict
from frugalseg.cost.device import Device
from frugalseg.cost.graph import Graph
from frugalseg.cost.peak import Moment, peak

FP32_BYTES = 4
BIAS_BYTES, SCALE_BYTES, ZERO_POINT_BYTES = 4, 4, 8
# Fitted to exported frugalnets of 26 k to 1.4 M weights: 0 to 0.3 % too high on them. Long class
# names, which the metadata holds, add their letters.
FILE_BYTES = 1_520  # header, signature, metadata with some class names
OP_BYTES = 200  # an operator, the tensor that it writes, and that tensor's scale
WEIGHTS_BYTES = 142  # the two tensors, weight and bias, of an operator that has both


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
    `uncounted` are operators whose multiply-accumulates are not known. `device`, `verdict` and
    `refusals`, why the device could not run it whatever its size, are there if the report is for
    a device.
    """

    params: int
    macs: int
    weight_bytes: Mapping[str, int]
    file_bytes: int
    peak_activation_bytes: int
    peak_at: str
    uncounted: Mapping[str, int]
    layers: tuple[LayerCost, ...]
    timeline: tuple[Moment, ...]
    measured: tuple[str, ...] = ()
    device: str | None = None
    verdict: Verdict | None = None
    refusals: tuple[str, ...] = ()

    @property
    def footprint(self) -> Footprint:
        """What the network needs on a device."""
        return Footprint(
            storage_bytes=self.file_bytes,
            ram_bytes=self.peak_activation_bytes,
            macs=self.macs,
            measured=frozenset({"storage_bytes"} if "file_bytes" in self.measured else ()),
        )

    @property
    def fits(self) -> bool | None:
        """Whether the network fits the device; None without one."""
        return None if self.verdict is None else bool(self.verdict) and not self.refusals

    @property
    def excess(self) -> Mapping[str, int] | None:
        """What is too much for the device, by resource; None without a device."""
        if self.verdict is None:
            return None
        return {e.resource: e.needed - e.allowed for e in self.verdict.excess}

    def for_device(self, device: Device, refusals: Sequence[str] = ()) -> Self:
        """Return this report with the verdict for a device."""
        verdict = device.check(self.footprint)
        return replace(self, device=device.name, verdict=verdict, refusals=tuple(refusals))

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON; `device`, `fits` and `excess` only with a device."""
        values = asdict(self)
        del values["device"], values["verdict"], values["refusals"]
        if self.verdict is not None:
            values |= {"device": self.device, "fits": self.fits, "excess": self.excess}
            values |= {"refusals": self.refusals}
        return values


def weigh(graph: Graph) -> WeighReport:
    """Weigh a graph as `trace` or `read_tflite` returns it."""
    largest = peak(graph)
    stored = sum(op.weight_elements for op in graph.ops)
    channels = sum(op.bias_elements for op in graph.ops)
    return WeighReport(
        params=graph.params,
        macs=graph.macs,
        weight_bytes={
            "fp32": graph.params * FP32_BYTES,
            "int8": stored + channels * (BIAS_BYTES + SCALE_BYTES),
        },
        file_bytes=file_bytes(graph),
        peak_activation_bytes=largest.bytes,
        peak_at=largest.at,
        uncounted=dict(graph.uncounted),
        layers=tuple(
            LayerCost(
                layer=op.layer,
                kind=op.kind,
                shape=graph.tensors[op.writes[0]].shape,
                params=op.params,
                macs=op.macs,
                out_bytes=sum(graph.tensors[name].bytes for name in op.writes),
            )
            for op in graph.ops
        ),
        timeline=largest.timeline,
    )


def footprint(graph: Graph) -> Footprint:
    """Estimate what the deployed network needs: .tflite file, int8 activations, MACs.

    >>> from frugalseg.cost.graph import Op, chain
    >>> conv = Op(name="conv", kind="conv_2d", reads=("a",), writes=("b",), macs=800,
    ...           weight_elements=8, bias_elements=2)
    >>> footprint(chain(conv, shapes={"a": (400,), "b": (200,)}))
    Footprint(storage_bytes=1926, ram_bytes=600, macs=800, measured=frozenset())
    """
    return Footprint(
        storage_bytes=file_bytes(graph),
        ram_bytes=peak(graph).bytes,
        macs=graph.macs,
    )


def file_bytes(graph: Graph) -> int:
    """Estimate the .tflite file.

    A weight is a byte. Weights and bias have a scale and a zero point for each output channel.
    """
    weights = sum(op.weight_elements for op in graph.ops)
    channels = sum(op.bias_elements for op in graph.ops)
    return (
        weights
        + channels * (BIAS_BYTES + 2 * (SCALE_BYTES + ZERO_POINT_BYTES))
        + sum(WEIGHTS_BYTES for op in graph.ops if op.bias_elements)
        + len(graph.ops) * OP_BYTES
        + FILE_BYTES
    )
