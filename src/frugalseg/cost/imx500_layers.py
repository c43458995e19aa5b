"""The layers of a network as Sony's converter receives them: after the maker's quantiser.

Padding is done by the convolution behind it. The quantiser folds norms into convolutions, a
convolution without activation into the 1x1 one that follows it (unless that makes weights more),
and `x + conv(x)` into the convolution. An activation behind a convolution, a matrix product or an
arithmetic operator is part of it; so is a sum behind a convolution without activation.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from math import prod

from frugalseg.cost.graph import Graph, Op, Window
from frugalseg.cost.imx500_maps import Map

CONVOLUTIONS = frozenset({"conv_2d", "depthwise_conv_2d"})
MATRIX = CONVOLUTIONS | {"transpose_conv", "fully_connected"}
ARITHMETIC = frozenset({"add", "sub", "mul", "div", "maximum", "minimum"})
ACTIVATIONS = frozenset({
    "clamp", "gelu", "hard_sigmoid", "hard_swish", "leaky_relu", "logistic", "relu", "relu6",
    "silu", "tanh",
})  # fmt: skip
RESIZES = frozenset({"resize_bilinear", "resize_nearest_neighbor"})
KNOWN = CONVOLUTIONS | ARITHMETIC | ACTIVATIONS | RESIZES | frozenset({
    "arg_max", "average_pool_2d", "concatenation", "fully_connected", "layer_norm", "max_pool_2d",
    "mean", "softmax",
})  # fmt: skip
PRODUCTS = frozenset({"attention", "batch_matmul"})
BY_VALUE = ARITHMETIC | ACTIVATIONS | {"layer_norm", "rsqrt", "softmax", "sqrt"}
RECTIFIERS = frozenset({
    "arg_max", "hard_sigmoid", "hard_swish", "logistic", "relu", "relu6", "silu", "softmax",
})  # fmt: skip
KEEPS_SIGN = frozenset({
    "average_pool_2d", "concatenation", "max_pool_2d", "mean", "resize_bilinear",
    "resize_nearest_neighbor", "slice", "split",
})  # fmt: skip
POINT = Window(kernel=(1, 1))
PICTURE_AXES = 4
TOGETHER = frozenset({2, 4, 8})  # groups, or channels of one, for which all are done at once
OFF = {
    "batch_matmul": "run time up to 2 % too low in 6 networks, 17 % in a SegFormer",
    "mul": "of two maps: run time up to 10 % too low in 2 of 3 AttendSegs",
    **dict.fromkeys(
        CONVOLUTIONS, "in groups, of one pixel with a stride: run time 13 % too low in a network"
    ),
}


@dataclass(frozen=True, slots=True)
class Layer:
    """An operator with what is fused into it. `activation` is empty where there is none.

    `adds` is what a convolution adds to its result, the second of what it reads.
    """

    op: Op
    reads: tuple[str, ...]
    writes: str
    activation: str = ""
    adds: bool = False

    @property
    def can_add(self) -> bool:
        """Whether it is a convolution to whose result nothing happens yet."""
        return self.op.kind in CONVOLUTIONS and not self.activation and not self.adds

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


def lower(graph: Graph) -> Layers:
    """Rewrite the operators of a graph such as `trace.record` gives."""
    maps = _maps(graph)
    layers = [Layer(op, op.reads, op.writes[0]) for op in graph.ops]
    for merge in (_padded, _with_norm, _with_point, _with_residual, _with_activation):
        layers = _merge_neighbours(layers, graph.outputs, lambda a, b: merge(a, b, maps))  # noqa: B023
    layers = _with_additions(layers, graph.outputs, maps)
    maps |= [pair for layer in layers for pair in _maps_of_parts(layer, maps)]
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


def doubts(net: Layers) -> tuple[str, ...]:
    """Name the kinds of operators that were not measured, or not enough, and how many there are.

    Where some were measured, it is said what was wrong with the estimate.
    """
    kinds = Counter(layer.op.kind for layer in net.layers if not _is_known(layer, net.maps))
    return tuple(
        f"{kind} ({count}{f', {OFF[kind]}' if kind in OFF else ''})"
        for kind, count in kinds.items()
    )


def are_parted(channels: int, groups: int) -> bool:
    """Whether so many groups of channels are convolved one by one.

    >>> are_parted(80, 5), are_parted(80, 20), are_parted(80, 8), are_parted(80, 80)
    (True, False, False, False)
    """
    each = channels // groups
    return each > 1 and not {each, groups} & TOGETHER


def parts_of(layer: Layer, maps: Mapping[str, Map]) -> tuple[Layer, ...]:
    """Return the convolutions by which the converter does one in groups; most are their only part.

    Where groups are done one by one, each reads a slice of its own. Where all are done at once but
    make several channels of each, one in groups makes the first of these, one the second, and so
    on.
    """
    if not layer.is_grouped:
        return (layer,)
    read, op = layer.reads[0], layer.op
    sliced = are_parted(maps[read].channels, op.groups)
    count = op.groups if sliced else maps[layer.writes].channels // maps[read].channels
    if count <= 1:
        return (layer,)
    return tuple(
        replace(
            layer,
            op=replace(op, name=f"{op.name}: part {n}", groups=1 if sliced else op.groups),
            reads=(f"{layer.writes}: part {n}, read",) if sliced else layer.reads,
            writes=f"{layer.writes}: part {n}",
        )
        for n in range(count)
    )


def _maps_of_parts(layer: Layer, maps: Mapping[str, Map]) -> Iterator[tuple[str, Map]]:
    parts = parts_of(layer, maps)
    for part in parts:
        for whole, name in zip(
            (layer.writes, *layer.reads), (part.writes, *part.reads), strict=True
        ):
            if name != whole:
                yield name, replace(maps[whole], channels=maps[whole].channels // len(parts))


def _is_known(layer: Layer, maps: Mapping[str, Map]) -> bool:
    if layer.is_grouped:
        return layer.stride == 1 or max(layer.window.kernel) > 1
    if layer.op.kind == "mul":
        return len(layer.reads) == 1 or any(maps[name].pixels == 1 for name in layer.reads)
    if layer.op.kind == "transpose_conv":
        spread = layer.op.spread or layer.window
        return spread.kernel >= spread.stride and not any(map(any, spread.padding))
    return layer.op.kind in KNOWN


def _map(shape: tuple[int, ...]) -> Map:
    match shape:
        case (_, channels, height, width):
            return Map(channels, height, width)
        case (_, height, width):
            return Map(1, height, width)
    return Map(prod(shape), 1, 1)


def _maps(graph: Graph) -> dict[str, Map]:
    """Return the map behind each tensor.

    A network may turn a map so that its channels come last, for a norm or for attention; what is
    computed value by value then still has the sides of what it reads. Of a product of matrices
    the columns are the channels; a convolution behind it reads those of all heads together.
    """
    maps = {name: _map(tensor.shape) for name, tensor in graph.tensors.items()}
    for op in graph.ops:
        made, shape = op.writes[0], graph.tensors[op.writes[0]].shape
        if op.kind in PRODUCTS:
            *heads, pixels, channels = shape
            maps[made] = Map(channels, prod(heads), pixels)
        elif op.kind in BY_VALUE:
            alike = [name for name in op.reads if _size(maps[name]) == prod(shape)]
            maps[made] = maps[alike[0]] if alike else maps[made]
        elif op.kind in CONVOLUTIONS and op.window and _lacks_an_axis(op.reads[0], graph):
            seen = op.weight_elements * op.groups // (prod(op.window.kernel) * shape[1])
            maps[op.reads[0]] = Map(seen, 1, _size(maps[op.reads[0]]) // seen)
    return maps


def _lacks_an_axis(name: str, graph: Graph) -> bool:
    return len(graph.tensors[name].shape) < PICTURE_AXES


def _size(sides: Map) -> int:
    return sides.channels * sides.pixels


def _merge_neighbours(
    layers: list[Layer],
    outputs: tuple[str, ...],
    merge: Callable[[Layer, Layer], Layer | None],
) -> list[Layer]:
    """Let `merge` join each layer with the one that alone reads what it wrote."""
    num_readers = _num_readers(layers, outputs)
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


def _num_readers(layers: list[Layer], outputs: tuple[str, ...]) -> Counter[str]:
    return Counter((*(name for layer in layers for name in set(layer.reads)), *outputs))


def _with_additions(
    layers: list[Layer], outputs: tuple[str, ...], maps: Mapping[str, Map]
) -> list[Layer]:
    """Let convolutions without activation add what is added to their result alone.

    Where both sides of a sum could, the one that came first does, and runs later for it.
    """
    num_readers, kept = _num_readers(layers, outputs), dict[str, Layer]()
    for layer in layers:
        kept[layer.writes] = layer
        if layer.op.kind != "add" or len({maps[name] for name in layer.reads}) > 1:
            continue
        able = [
            name
            for name in kept
            if name in layer.reads
            and num_readers[name] == 1
            and kept[name].can_add
            and len(parts_of(kept[name], maps)) == 1
        ]
        if able:
            conv = kept.pop(able[0])
            others = tuple(name for name in layer.reads if name != able[0])
            kept[layer.writes] = replace(layer, op=conv.op, reads=(*conv.reads, *others), adds=True)
    return list(kept.values())


def _padded(layer: Layer, after: Layer, _maps: Mapping[str, Map]) -> Layer | None:
    pads, window = layer.op.pads, after.op.window
    if layer.op.kind != "pad" or not pads or not window or after.op.kind not in CONVOLUTIONS:
        return None
    (top, bottom), (left, right) = window.padding
    down, across = pads
    padding = ((top + down[0], bottom + down[1]), (left + across[0], right + across[1]))
    op = replace(after.op, window=replace(window, padding=padding))
    return replace(after, op=op, reads=(layer.reads[0], *after.reads[1:]))


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
