"""The layers of a network as Sony's converter receives them: after the maker's quantiser.

The quantiser folds norms into convolutions, a convolution without activation into the 1x1 one
that follows it (unless that makes weights more), and `x + conv(x)` into the convolution. An
activation behind a convolution, a matrix product or an arithmetic operator is part of it.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from math import ceil, prod

from frugalseg.cost.graph import Graph, Op, Window

BLOCK = 32  # channels that the processor handles at once
NARROW = 16  # a map of up to as many channels can lie without padding channels
CONVOLUTIONS = frozenset({"conv_2d", "depthwise_conv_2d"})
MATRIX = CONVOLUTIONS | {"transpose_conv", "fully_connected"}
ARITHMETIC = frozenset({"add", "sub", "mul", "div", "maximum", "minimum"})
ACTIVATIONS = frozenset({
    "clamp", "gelu", "hard_sigmoid", "hard_swish", "leaky_relu", "logistic", "relu", "relu6",
    "silu", "tanh",
})  # fmt: skip
RECTIFIERS = frozenset({
    "arg_max", "hard_sigmoid", "hard_swish", "logistic", "relu", "relu6", "silu", "softmax",
})  # fmt: skip
KEEPS_SIGN = frozenset({
    "average_pool_2d", "concatenation", "max_pool_2d", "mean", "resize_bilinear",
    "resize_nearest_neighbor", "slice", "split",
})  # fmt: skip
RESIZES = frozenset({"resize_bilinear", "resize_nearest_neighbor"})
POINT = Window(kernel=(1, 1))


@dataclass(frozen=True, slots=True)
class Map:
    """Sides of an activation. A vector is a map of one pixel."""

    channels: int
    height: int
    width: int

    @property
    def pixels(self) -> int:
        """Height times width."""
        return self.height * self.width

    @property
    def blocks(self) -> int:
        """Channels with those that fill the last block of 32."""
        return whole_blocks(self.channels)


@dataclass(frozen=True, slots=True)
class Layer:
    """An operator with what is fused into it. `activation` is empty where there is none."""

    op: Op
    reads: tuple[str, ...]
    writes: str
    activation: str = ""

    @property
    def window(self) -> Window:
        """Geometry; of one pixel where there is none."""
        return self.op.window or POINT

    @property
    def stride(self) -> int:
        """Step of the window, the larger one if they differ."""
        return max(self.window.stride)

    @property
    def is_dense(self) -> bool:
        """Whether it is a convolution of all channels with all."""
        return self.op.kind == "conv_2d" and self.op.groups == 1

    @property
    def is_grouped(self) -> bool:
        """Whether it is a convolution in groups, or of each channel by itself."""
        return self.op.kind in CONVOLUTIONS and self.op.groups > 1


@dataclass(frozen=True, slots=True)
class Layers:
    """A network of such layers, in the order in which they run."""

    layers: tuple[Layer, ...]
    maps: Mapping[str, Map]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    writer: Mapping[str, Layer]
    readers: Mapping[str, tuple[Layer, ...]]
    signed: frozenset[str]  # maps with negative numbers to speak of


def whole_blocks(channels: int) -> int:
    """Round a number of channels up to whole blocks.

    >>> whole_blocks(24), whole_blocks(64)
    (32, 64)
    """
    return ceil(channels / BLOCK) * BLOCK


def lower(graph: Graph) -> Layers:
    """Rewrite the operators of a graph such as `trace.record` gives."""
    maps = {name: _map(tensor.shape) for name, tensor in graph.tensors.items()}
    layers = [Layer(op, op.reads, op.writes[0]) for op in graph.ops]
    for merge in (_with_norm, _with_point, _with_residual, _with_activation):
        layers = _merge_neighbours(layers, graph.outputs, lambda a, b: merge(a, b, maps))  # noqa: B023
    readers: dict[str, tuple[Layer, ...]] = {}
    for layer in layers:
        for name in dict.fromkeys(layer.reads):
            readers[name] = (*readers.get(name, ()), layer)
    return Layers(
        layers=tuple(layers),
        maps=maps,
        inputs=graph.inputs,
        outputs=graph.outputs,
        writer={layer.writes: layer for layer in layers},
        readers=readers,
        signed=_signed(layers, graph.inputs),
    )


def _map(shape: tuple[int, ...]) -> Map:
    match shape:
        case (_, channels, height, width):
            return Map(channels, height, width)
        case (_, height, width):
            return Map(1, height, width)
    return Map(prod(shape), 1, 1)


def _merge_neighbours(
    layers: list[Layer],
    outputs: tuple[str, ...],
    merge: Callable[[Layer, Layer], Layer | None],
) -> list[Layer]:
    """Let `merge` join each layer with the one that alone reads what it wrote."""
    num_readers = Counter((*(name for layer in layers for name in set(layer.reads)), *outputs))
    kept: list[Layer] = []
    place: dict[str, int] = {}
    for layer in layers:
        for name in layer.reads:
            if name in place and num_readers[name] == 1:
                merged = merge(kept[place[name]], layer)
                if merged:
                    kept[place[name]] = merged
                    place[layer.writes] = place[name]
                    break
        else:
            place[layer.writes] = len(kept)
            kept.append(layer)
    return kept


def _with_norm(layer: Layer, after: Layer, _maps: Mapping[str, Map]) -> Layer | None:
    fits = layer.op.kind in MATRIX and after.op.kind == "batch_norm"
    return replace(layer, writes=after.writes) if fits else None


def _with_point(layer: Layer, after: Layer, maps: Mapping[str, Map]) -> Layer | None:
    plain = layer.is_dense and after.is_dense and after.window == POINT
    if not plain or layer.stride > 1 or max(layer.window.dilation) > 1:
        return None
    before, between, behind = (
        maps[name].channels for name in (layer.reads[0], layer.writes, after.writes)
    )
    taps = prod(layer.window.kernel)
    if taps * before * behind > between * (taps * before + behind):
        return None
    return replace(layer, writes=after.writes)


def _with_residual(layer: Layer, after: Layer, _maps: Mapping[str, Map]) -> Layer | None:
    fits = layer.op.kind in CONVOLUTIONS and after.op.kind == "add"
    if fits and set(after.reads) == {layer.reads[0], layer.writes}:
        return replace(layer, writes=after.writes)
    return None


def _with_activation(layer: Layer, after: Layer, _maps: Mapping[str, Map]) -> Layer | None:
    kind = after.op.kind
    takes = ACTIVATIONS if layer.op.kind in MATRIX else {"relu", "relu6"}
    if layer.activation or layer.op.kind not in MATRIX | ARITHMETIC or kind not in takes:
        return None
    return replace(layer, writes=after.writes, activation=kind)


def _signed(layers: list[Layer], inputs: tuple[str, ...]) -> frozenset[str]:
    signed = {*inputs}
    for layer in layers:
        last = layer.activation or layer.op.kind
        from_signed = any(name in signed for name in layer.reads)
        passes = last in KEEPS_SIGN or last in {"add", "mul"}
        if last not in RECTIFIERS and (from_signed or not passes):
            signed.add(layer.writes)
    return frozenset(signed)
