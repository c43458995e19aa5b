"""What the IMX500 does in which order: a step for each layer, and the copies between.

Maps lie in blocks of 32 channels ("wide"); those of few channels may lie packed, with no channel
more than they have. Where the converter works piece by piece, how large its pieces are is known
only roughly; such steps say so. Sizes in bytes.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import ceil

from frugalseg.cost.imx500_layers import (
    BLOCK,
    NARROW,
    RESIZES,
    Layer,
    Layers,
    Map,
    whole_blocks,
)
from frugalseg.cost.imx500_weights import is_folded, stays_wide

KIB = 1024
INPUT_EXTRA = 4 * KIB
PACKING = 64 * KIB  # for packing what a convolution makes
UNPACKING = 5 * KIB  # beside 16 rows, for a convolution that reads a packed map
PIECES = 115 * KIB  # least for a convolution between packed maps
FOLDING = 2 * KIB
SMALL = 3  # side of a window
COPIED_ABOVE = 128 * 128


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that happens: buffers it needs, those it makes, and scratch memory beside them."""

    name: str
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    scratch: int = 0
    is_exact: bool = True


@dataclass(slots=True)
class Schedule:
    """Steps in order, the size of each buffer, and which are there at the start and at the end."""

    inputs: tuple[str, ...]
    steps: list[Step] = field(default_factory=list)
    buffers: dict[str, int] = field(default_factory=dict)
    results: list[str] = field(default_factory=list)

    def copy(self, source: str, target: str, size: int) -> str:
        """Add a step that copies a buffer into a new one."""
        self.buffers[target] = size
        self.steps.append(Step(target, (source,), (target,)))
        return target


def plan(net: Layers) -> Schedule:
    """Lay out the steps of a network."""
    schedule = Schedule(inputs=net.inputs)
    for name in net.inputs:
        schedule.buffers[name] = _input_bytes(net.maps[name])
    for layer in net.layers:
        schedule.buffers[layer.writes] = _stored_bytes(layer.writes, net)
        STEPS.get(layer.op.kind, _plain)(layer, net, schedule)
        if layer.writes in net.outputs:
            _hand_out(layer, net, schedule)
    return schedule


def _input_bytes(image: Map) -> int:
    rows = image.height + image.height % 2
    return image.channels * rows * whole_blocks(image.width) + INPUT_EXTRA


def _kib(size: float) -> int:
    return ceil(size / KIB) * KIB


def _wide_bytes(sides: Map) -> int:
    return sides.blocks if sides.pixels == 1 else _kib(sides.blocks * sides.pixels)


def _packed_bytes(sides: Map) -> int:
    """Few channels want whole blocks of columns instead."""
    if sides.pixels == 1:
        return sides.blocks
    width = whole_blocks(sides.width) if sides.channels <= NARROW else sides.width
    return _kib(sides.channels * sides.height * width)


def _stored_bytes(name: str, net: Layers) -> int:
    sides = net.maps[name]
    return _packed_bytes(sides) if _is_packed(name, net) else _wide_bytes(sides)


def _is_packed(name: str, net: Layers) -> bool:
    """Whether a map of few channels is kept as such; some layers only know whole blocks."""
    writer, readers = net.writer.get(name), net.readers.get(name, ())
    if net.maps[name].channels > NARROW or name in net.inputs:
        return False
    if writer and writer.op.kind in RESIZES | {"transpose_conv"}:
        return name not in net.outputs
    wide = any(
        reader.is_grouped or reader.op.kind in RESIZES or stays_wide(reader, net)
        for reader in readers
    )
    return not (wide or (writer and writer.is_grouped))


def _plain(layer: Layer, _net: Layers, schedule: Schedule) -> None:
    """Read, write, nothing else."""
    schedule.steps.append(Step(layer.op.name, layer.reads, (layer.writes,)))


def _convolution(layer: Layer, net: Layers, schedule: Schedule) -> None:
    if layer.reads[0] in net.inputs:
        _first(layer, net, schedule)
    elif layer.is_grouped:
        _grouped(layer, net, schedule)
    elif is_folded(layer, net):
        _folded(layer, net, schedule)
    else:
        _dense(layer, net, schedule)


def _dense(layer: Layer, net: Layers, schedule: Schedule) -> None:
    """Packed maps are packed and unpacked piece by piece."""
    made, spreads = net.maps[layer.writes], max(layer.window.kernel) > 1
    rows = NARROW * BLOCK * whole_blocks(made.width)
    unpacks = spreads and _is_packed(layer.reads[0], net)
    scratch = PACKING if _is_packed(layer.writes, net) else 0
    if unpacks:
        scratch = max(PIECES, 2 * (rows + UNPACKING)) if scratch else rows + UNPACKING
    schedule.steps.append(
        Step(layer.op.name, layer.reads, (layer.writes,), scratch, is_exact=not unpacks)
    )


def _first(layer: Layer, net: Layers, schedule: Schedule) -> None:
    """The picture is folded by the stride; few channels are packed from a wide map."""
    image, made = net.maps[layer.reads[0]], net.maps[layer.writes]
    if not _is_packed(layer.writes, net):
        scratch = _folded_picture_bytes(layer, image, made) if layer.stride > 1 else 0
        is_exact = image.channels * layer.stride**2 <= NARROW
        schedule.steps.append(Step(layer.op.name, layer.reads, (layer.writes,), scratch, is_exact))
        return
    wide = f"{layer.writes} wide"
    schedule.buffers[wide] = _wide_bytes(made)
    schedule.steps.append(Step(layer.op.name, layer.reads, (wide,)))
    is_exact = made.channels == NARROW or layer.writes in net.outputs
    folds = any(
        is_folded(reader, net) and max(reader.window.kernel) > 1
        for reader in net.readers.get(layer.writes, ())
    )
    packing = Step(f"{layer.op.name} packed", (wide,), (layer.writes,))
    if folds or not is_exact:  # in place, but for a piece
        packing = Step(
            packing.name,
            (wide,),
            (layer.writes,),
            PACKING - schedule.buffers[layer.writes],
            is_exact=False,
        )
    schedule.steps.append(packing)


def _folded_picture_bytes(layer: Layer, image: Map, made: Map) -> int:
    down, across = (ceil(side / layer.stride) - 1 for side in layer.window.kernel)
    width, channels = whole_blocks(made.width + across), image.channels * layer.stride**2
    channels = channels if channels <= NARROW else whole_blocks(channels)
    return _kib(channels * (made.height + down) * width)


def _grouped(layer: Layer, net: Layers, schedule: Schedule) -> None:
    """Weights are spread out; groups of many channels are done like dense convolutions."""
    channels, kernel = net.maps[layer.reads[0]].channels, max(layer.window.kernel)
    each = channels // layer.op.groups
    spread = 8 * (kernel + 1) ** 2 if each < NARROW else 0
    line = each * (NARROW if kernel > SMALL and layer.stride == 1 else 1)
    scratch = whole_blocks(channels) * (spread + line)
    schedule.steps.append(Step(layer.op.name, layer.reads, (layer.writes,), scratch))


def _folded(layer: Layer, net: Layers, schedule: Schedule) -> None:
    """Fold the pixels of a stride into channels, then go over them as if there were no stride."""
    before, made = net.maps[layer.reads[0]], net.maps[layer.writes]
    packed = _is_packed(layer.reads[0], net)
    more = int(max(layer.window.kernel) > 1)
    height, width = made.height + more, made.width + more
    channels = layer.stride**2 * (before.channels if packed else before.blocks)
    folded = f"{layer.reads[0]} folded for {layer.op.name}"
    schedule.buffers[folded] = _kib(channels * height * (whole_blocks(width) if packed else width))
    scratch = 0
    if more and packed:
        scratch = before.channels * before.width * _rows_in_work(before.height)
    elif more:
        scratch = schedule.buffers[folded] + _kib(BLOCK * height * width) + FOLDING
        scratch -= schedule.buffers[layer.reads[0]]
    schedule.steps += [
        Step(folded, layer.reads, (folded,), max(0, scratch), before.channels > NARROW),
        Step(layer.op.name, (folded,) if more else (*layer.reads, folded), (layer.writes,)),
    ]


def _rows_in_work(height: int) -> int:
    """How much of a packed map is unpacked at once: fitted to heights of 96 to 256."""
    return ceil(min(0.94 * height, max(116, 0.7 * height)))


def _resize(layer: Layer, net: Layers, schedule: Schedule) -> None:
    before, made = net.maps[layer.reads[0]], net.maps[layer.writes]
    scratch = _kib(before.blocks * (before.height + 2) * (before.width + 2))
    if not _is_packed(layer.writes, net):
        schedule.steps.append(Step(layer.op.name, layer.reads, (layer.writes,), scratch))
        return
    wide = f"{layer.writes} wide"
    schedule.buffers[wide] = _wide_bytes(made)
    schedule.steps += [
        Step(layer.op.name, layer.reads, (wide,), scratch),
        Step(f"{layer.op.name} packed", (wide,), (layer.writes,)),
    ]


def _on_packed(layer: Layer, net: Layers, schedule: Schedule) -> None:
    """Pack what the layer reads, one map after the other, then run it."""
    reads = []
    for name in layer.reads:
        sides = net.maps[name]
        if sides.pixels > 1 and sides.channels % BLOCK and not _is_packed(name, net):
            target = f"{name} packed for {layer.op.name}"
            reads.append(schedule.copy(name, target, _packed_bytes(sides)))
        else:
            reads.append(name)
    schedule.steps.append(Step(layer.op.name, tuple(reads), (layer.writes,)))


def _mean(layer: Layer, net: Layers, schedule: Schedule) -> None:
    """The mean of a large resized map needs a copy of it. Seen at 256x256, not at 128x128."""
    name = layer.reads[0]
    writer = net.writer.get(name)
    copies = writer and writer.op.kind in RESIZES and net.maps[name].pixels > COPIED_ABOVE
    scratch = schedule.buffers[name] - schedule.buffers[layer.writes] if copies else 0
    schedule.steps.append(
        Step(layer.op.name, layer.reads, (layer.writes,), scratch, is_exact=not copies)
    )


def _hand_out(layer: Layer, net: Layers, schedule: Schedule) -> None:
    """Outputs of few channels leave as they are, others as a copy."""
    name, sides = layer.writes, net.maps[layer.writes]
    if sides.pixels == 1 or layer.op.kind == "arg_max" or _is_packed(name, net):
        schedule.results.append(name)
    else:
        schedule.results.append(schedule.copy(name, f"{name} handed out", _wide_bytes(sides)))


STEPS: Mapping[str, Callable[[Layer, Layers, Schedule], None]] = {
    "arg_max": _on_packed,
    "concatenation": _on_packed,
    "conv_2d": _convolution,
    "depthwise_conv_2d": _convolution,
    "mean": _mean,
    "resize_bilinear": _resize,
    "resize_nearest_neighbor": _resize,
}
