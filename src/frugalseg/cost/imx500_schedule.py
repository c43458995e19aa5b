"""What the IMX500 does: a step for each layer, and the copies between, as a graph of buffers.

A layer wants its maps in a certain form (see `imx500_maps`); each reader that finds another one
turns the map for itself. A stride is often done by cutting the map into phases, every second (or
third, ...) row and column, and joining these as channels. A convolution in groups may be several
(see `parts_of`): 78 networks with such, ten of them estimated beforehand, were off by less than a
KiB in run time and exact in model memory. Sizes in bytes.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from math import ceil

from frugalseg.cost.graph import Graph, Op, Tensor
from frugalseg.cost.imx500_layers import ARITHMETIC, Layer, Layers, parts_of
from frugalseg.cost.imx500_maps import BLOCK, Form, Map, whole_blocks
from frugalseg.cost.imx500_weights import SMALL, even_kernel, grouped_kernel, is_folded, reads_rows

NARROW = 16  # a convolution writes as many channels, or fewer, by rows
INPUT_EXTRA = 4 * 1024
PACKING = 64 * 1024  # beside a convolution that writes by rows
MOST_SPREAD = 8  # channels of a group; of 10 and more, weights are not spread out
LABEL_BYTES = 2
MOST_AT_ONCE = 2**15  # pixels that a mean goes over; 128 x 192 were few, 256 x 256 were too many


@dataclass(slots=True)
class Schedule:
    """Steps in an order that works, the map and form of each buffer, and what stays to the end."""

    inputs: tuple[str, ...]
    steps: list[Op] = field(default_factory=list)
    buffers: dict[str, int] = field(default_factory=dict)
    maps: dict[str, Map] = field(default_factory=dict)
    forms: dict[str, Form] = field(default_factory=dict)
    results: list[str] = field(default_factory=list)

    def make(self, name: str, sides: Map, form: Form, *, element_bytes: int = 1) -> str:
        """Enter a buffer for a map."""
        self.maps[name], self.forms[name] = sides, form
        self.buffers[name] = sides.bytes(form) * element_bytes
        return name

    def step(self, name: str, reads: Iterable[str], write: str, *, scratch: int = 0) -> str:
        """Add a step."""
        beside = (f"{name}: scratch",) if scratch else ()
        self.buffers |= dict.fromkeys(beside, scratch)
        self.steps.append(Op(name=name, kind="step", reads=tuple(reads), writes=(write, *beside)))
        return write

    def turned(self, name: str, form: Form, reader: str) -> str:
        """Return a map in a form; a copy for `reader` if it has another."""
        if self.forms[name] is form:
            return name
        whose = name if name.startswith(reader) else f"{reader}: {name}"
        return self.copy(name, f"{whose}, by {form.name.lower()}", form)

    def copy(self, name: str, target: str, form: Form, sides: Map | None = None) -> str:
        """Add a step that copies a map, into another form or with other sides."""
        self.make(target, sides or self.maps[name], form)
        return self.step(target, (name,), target)

    def graph(self) -> Graph:
        """Return the steps as a graph whose tensors are the buffers."""
        return Graph(
            tensors={name: Tensor(name=name, shape=(size,)) for name, size in self.buffers.items()},
            ops=tuple(self.steps),
            inputs=self.inputs,
            outputs=tuple(self.results),
        )


def plan(net: Layers) -> Schedule:
    """Lay out the steps of a network."""
    schedule = Schedule(inputs=net.inputs)
    for name in net.inputs:
        image = net.maps[name]
        schedule.make(name, image, Form.ROWS)
        rows = image.height + image.height % 2
        schedule.buffers[name] = image.channels * rows * whole_blocks(image.width) + INPUT_EXTRA
    for layer in net.layers:
        STEPS.get(layer.op.kind, _plain)(layer, net, schedule)
        if layer.writes in net.outputs:
            _hand_out(layer, schedule)
    return schedule


def _plain(layer: Layer, net: Layers, schedule: Schedule) -> None:
    _in_form(Form.BLOCKS, layer, net, schedule)


def _in_form(form: Form, layer: Layer, net: Layers, schedule: Schedule) -> None:
    name = layer.op.name
    reads = [schedule.turned(read, form, name) for read in layer.reads]
    schedule.step(name, reads, schedule.make(layer.writes, net.maps[layer.writes], form))


def _arithmetic(layer: Layer, net: Layers, schedule: Schedule) -> None:
    """Work by rows where all maps lie so; with one number, in the form that takes least."""
    lies, sides = schedule.forms[layer.reads[0]], net.maps[layer.writes]
    if len(layer.reads) > 1 or layer.op.params > 1:
        by_rows = all(schedule.forms[read] is Form.ROWS for read in layer.reads)
        form = Form.ROWS if by_rows else Form.BLOCKS
    else:
        form = min((lies, Form.BLOCKS, Form.COLUMNS, Form.ROWS), key=sides.bytes)
    _in_form(form, layer, net, schedule)


def _softmax(layer: Layer, net: Layers, schedule: Schedule) -> None:
    _in_form(Form.ROWS, layer, net, schedule)


def _norm(layer: Layer, net: Layers, schedule: Schedule) -> None:
    read = schedule.turned(layer.reads[0], Form.BLOCKS, layer.op.name)
    made = schedule.make(layer.writes, net.maps[layer.writes], Form.BLOCKS)
    schedule.step(layer.op.name, (read,), made, scratch=PACKING)


def _mean(layer: Layer, net: Layers, schedule: Schedule) -> None:
    """Large maps are summed up by rows."""
    large = net.maps[layer.reads[0]].pixels > MOST_AT_ONCE
    read = schedule.turned(layer.reads[0], Form.ROWS if large else Form.BLOCKS, layer.op.name)
    made = schedule.make(layer.writes, net.maps[layer.writes], Form.BLOCKS)
    schedule.step(layer.op.name, (read,), made)


def _convolution(layer: Layer, net: Layers, schedule: Schedule) -> None:
    parts = parts_of(layer, net.maps)
    if len(parts) > 1:
        by = _in_turns if parts[0].is_grouped else _in_slices
        by(layer, parts, net, schedule)
    elif layer.is_grouped:
        _grouped(layer, net, schedule)
    else:
        _dense(layer, net, schedule)


def _in_slices(layer: Layer, parts: tuple[Layer, ...], net: Layers, schedule: Schedule) -> None:
    """Cut out a group, convolve it and turn what comes, then begin with the next; join at last."""
    form = _form_to_join([net.maps[part.writes] for part in parts])
    made = list[str]()
    for part in parts:
        _cut_out(layer.reads[0], part, made[-1:], net, schedule)
        _convolution(part, net, schedule)
        made.append(schedule.turned(part.writes, form, layer.op.name))
    in_order = made == [part.writes for part in parts]
    _joined(made, layer.writes, schedule, in_order=in_order)


def _cut_out(whole: str, part: Layer, before: list[str], net: Layers, schedule: Schedule) -> None:
    """Cut channels out of rows or columns, whichever take less; each part turns the whole map."""
    form, target = schedule.forms[whole], part.reads[0]
    if form is Form.BLOCKS:
        form = min((Form.ROWS, Form.COLUMNS), key=schedule.maps[whole].bytes)
        turned = schedule.make(f"{target}, by {form.name.lower()}", schedule.maps[whole], form)
        whole = schedule.step(turned, (whole, *before), turned)
    made = schedule.make(target, net.maps[target], form)
    schedule.step(target, (whole, *before), made)


def _in_turns(layer: Layer, parts: tuple[Layer, ...], net: Layers, schedule: Schedule) -> None:
    """Make the first channel of each, then the second, ...; then bring together what belongs so.

    What was made stays in blocks where these become no fewer by joining.
    """
    name, whole = layer.op.name, net.maps[layer.writes]
    form = min((Form.ROWS, Form.COLUMNS), key=whole.bytes)
    fewer = sum(net.maps[part.writes].blocks for part in parts) > whole.blocks
    made = list[str]()
    for part in parts:
        _grouped(part, net, schedule)
        made.append(schedule.turned(part.writes, form, name) if fewer else part.writes)
    joined = schedule.make(f"{name}: joined", whole, form)
    schedule.step(joined, made, joined)
    schedule.step(name, (joined,), schedule.make(layer.writes, whole, form), scratch=BLOCK)


def _dense(layer: Layer, net: Layers, schedule: Schedule) -> None:
    """Write few channels by rows; read such maps by rows, with a border added beforehand."""
    name, read, folded = layer.op.name, layer.reads[0], is_folded(layer, net)
    if folded:
        read = _folded(layer, net, schedule)
    lies = schedule.forms[read] is not Form.BLOCKS
    if lies and folded and schedule.maps[read].channels < BLOCK:
        read = schedule.turned(read, Form.ROWS, name)
    elif lies and not folded and reads_rows(layer, schedule.maps[read]):
        read = _bordered(schedule.turned(read, Form.ROWS, name), layer, net, schedule)
    else:
        read = schedule.turned(read, Form.BLOCKS, name)
    added = [schedule.turned(other, Form.BLOCKS, name) for other in layer.reads[1:]]
    sides = net.maps[layer.writes]
    packs = sides.channels <= NARROW and max(layer.window.dilation) == 1 and sides.pixels > 1
    made = schedule.make(layer.writes, sides, Form.ROWS if packs else Form.BLOCKS)
    schedule.step(name, (read, *added), made, scratch=PACKING if packs else 0)


def _without_odd_row(read: str, layer: Layer, net: Layers, schedule: Schedule) -> str:
    """An image has an even number of rows; cut the last one off if it is none."""
    if read not in net.inputs or schedule.maps[read].height % 2 == 0:
        return read
    return schedule.copy(read, f"{layer.op.name}: image without its last row", Form.ROWS)


def _bordered(read: str, layer: Layer, net: Layers, schedule: Schedule) -> str:
    """Add rows, turn, add columns, turn back."""
    sides, kernel = schedule.maps[read], layer.window.kernel
    down, across = (
        sum(ends) + even_kernel(side) - side
        for ends, side in zip(layer.window.padding, kernel, strict=True)
    )
    if not down and not across:
        return _without_odd_row(read, layer, net, schedule)
    tall = replace(sides, height=sides.height + down)
    full = replace(tall, width=sides.width + across)
    name = layer.op.name
    read = schedule.copy(read, f"{name}: taller", Form.ROWS, tall)
    read = schedule.copy(read, f"{name}: taller, by columns", Form.COLUMNS)
    read = schedule.copy(read, f"{name}: wider, by columns", Form.COLUMNS, full)
    return schedule.copy(read, f"{name}: wider", Form.ROWS)


def _folded(layer: Layer, net: Layers, schedule: Schedule) -> str:
    """Cut a map into its phases, one after the other, and join these as channels."""
    read, stride = layer.reads[0], layer.stride
    sides, made = schedule.maps[read], net.maps[layer.writes]
    read = _without_odd_row(read, layer, net, schedule)
    more = [ceil(side / stride) - 1 for side in layer.window.kernel]
    full = Map(sides.channels, stride * (made.height + more[0]), stride * (made.width + more[1]))
    by = Form.ROWS if schedule.forms[read] is not Form.BLOCKS else Form.BLOCKS
    across = Form.COLUMNS if by is Form.ROWS else Form.BLOCKS
    name = layer.op.name
    if full.height != sides.height:
        read = schedule.copy(read, f"{name}: taller", by, replace(sides, height=full.height))
    if full.width != sides.width:
        read = schedule.turned(read, across, name)
        read = schedule.copy(read, f"{name}: wider", across, full)
    part = replace(full, height=full.height // stride, width=full.width // stride)
    form = _form_to_join([part] * stride**2)
    phases = list[str]()
    for number in range(stride**2):
        at = f"{name}: phase {number}"
        phase = schedule.turned(read, across, at)
        narrow = schedule.make(f"{at}, narrow", replace(full, width=part.width), across)
        phase = schedule.step(narrow, (phase, *phases[-1:]), narrow)  # after the one before
        phase = schedule.copy(schedule.turned(phase, by, at), at, by, part)
        phases.append(schedule.turned(phase, form, name))
    return _joined(phases, f"{name}: joined", schedule, in_order=form is by)


def _form_to_join(maps: list[Map]) -> Form:
    """Find the form in which maps, and what they become together, take least."""
    whole = replace(maps[0], channels=sum(sides.channels for sides in maps))
    forms = (Form.BLOCKS, Form.COLUMNS, Form.ROWS)
    return min(forms, key=lambda form: sum(sides.bytes(form) for sides in (*maps, whole)))


def _joined(reads: list[str], target: str, schedule: Schedule, *, in_order: bool) -> str:
    """Join maps along the channels; blocks may have to be put in order then."""
    maps, form = [schedule.maps[read] for read in reads], schedule.forms[reads[0]]
    whole = replace(maps[0], channels=sum(sides.channels for sides in maps))
    if in_order or form is not Form.BLOCKS:
        return schedule.step(target, reads, schedule.make(target, whole, form))
    mixed = schedule.make(f"{target}, out of order", whole, form)
    return schedule.copy(schedule.step(mixed, reads, mixed), target, form)


def _grouped(layer: Layer, net: Layers, schedule: Schedule) -> None:
    """Weights are spread out; groups of many channels are done like dense convolutions."""
    sides = net.maps[layer.reads[0]]
    each = sides.channels // layer.op.groups
    spread = 8 * grouped_kernel(layer) ** 2 if each <= MOST_SPREAD else 0
    fills = each == 1 or (spread and max(layer.window.kernel) < SMALL)
    wide = sides.blocks if fills else sides.channels
    reads = [schedule.turned(read, Form.BLOCKS, layer.op.name) for read in layer.reads]
    made = schedule.make(layer.writes, net.maps[layer.writes], Form.BLOCKS)
    schedule.step(layer.op.name, reads, made, scratch=whole_blocks(wide * (spread + each)))


def _resize(layer: Layer, net: Layers, schedule: Schedule) -> None:
    """A copy of the map has a border of one pixel."""
    sides = net.maps[layer.reads[0]]
    read = schedule.turned(layer.reads[0], Form.BLOCKS, layer.op.name)
    made = schedule.make(layer.writes, net.maps[layer.writes], Form.BLOCKS)
    bordered = Map(sides.channels, sides.height + 2, sides.width + 2)
    scratch = bordered.bytes(Form.BLOCKS) if net.maps[layer.writes] != sides else BLOCK
    schedule.step(layer.op.name, (read,), made, scratch=scratch)


def _concatenation(layer: Layer, _net: Layers, schedule: Schedule) -> None:
    form = _form_to_join([schedule.maps[read] for read in layer.reads])
    reads = [schedule.turned(read, form, layer.op.name) for read in layer.reads]
    _joined(reads, layer.writes, schedule, in_order=reads == [*layer.reads])


def _labels(layer: Layer, net: Layers, schedule: Schedule) -> None:
    """Turn blocks to columns, even where rows would take less; copy the rest as it is."""
    name, sides = layer.reads[0], net.maps[layer.reads[0]]
    form = schedule.forms[name]
    read = name
    if form is not Form.BLOCKS:
        read = schedule.copy(name, f"{layer.op.name}: {name} again", form)
    elif sides.channels % BLOCK:
        read = schedule.turned(name, Form.COLUMNS, layer.op.name)
    made = schedule.make(layer.writes, net.maps[layer.writes], Form.ROWS, element_bytes=LABEL_BYTES)
    schedule.step(layer.op.name, (read,), made)


def _hand_out(layer: Layer, schedule: Schedule) -> None:
    """Outputs leave by channels without gaps, over a copy in blocks."""
    name = layer.writes
    sides = schedule.maps[name]
    if layer.op.kind == "arg_max":
        out = schedule.make(f"{name} out", sides, Form.ROWS, element_bytes=LABEL_BYTES)
        schedule.step(out, (name,), out)
    else:
        wide = schedule.copy(name, f"{name} handed out", Form.BLOCKS)
        out = schedule.copy(wide, f"{name} handed out, packed", Form.FLAT)
    schedule.results.append(out)


STEPS: Mapping[str, Callable[[Layer, Layers, Schedule], None]] = {
    **dict.fromkeys(ARITHMETIC, _arithmetic),
    "arg_max": _labels,
    "concatenation": _concatenation,
    "conv_2d": _convolution,
    "depthwise_conv_2d": _convolution,
    "layer_norm": _norm,
    "mean": _mean,
    "resize_bilinear": _resize,
    "resize_nearest_neighbor": _resize,
    "softmax": _softmax,
}
