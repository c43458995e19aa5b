"""The memory of TensorFlow Lite Micro: one arena, its head for activations, its tail for the rest.

Head: each tensor that an operator writes, and the scratch buffers of kernels, rounded up to 16
bytes and placed by the greedy planner. An operator's time is its position; the input lives from
time 0, an output to the end. A reshape copies here: it has a tensor of its own.

Tail, allocated once: the interpreter, a structure for each tensor and for each operator, options
from the file, the kernels' own data and per-channel multipliers, and the tensors handed to users.

While it plans, the interpreter keeps its lists where the head will be. A network of very many
small tensors needs more for them than for its activations: see `Arena.least_bytes`.

All sizes of structures were measured on a 64-bit host, with files of one to five equal operators
and the recording interpreter of the Python package tflite_micro (0.dev20261023182759), whose
kernels are the reference ones. Targets of 32 bits have shorter pointers and so a smaller tail;
kernels optimised for a processor (CMSIS-NN, Xtensa) may ask for scratch buffers that are not
counted here. The head differs in nothing but those.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from math import prod
from typing import NamedTuple

from frugalseg.cost.graph import Graph, Op
from frugalseg.cost.planner import Need, height, plan

Sides = tuple[int, ...]
ALIGN = 16  # bytes; of what is planned, and of what kernels allocate
INT32 = 4
INTERPRETER = 488  # allocators, planner and the tables of one subgraph
ZERO_POINTS = 8  # of an input or output as the user sees it
PLANNED = 40  # what the planner keeps of a buffer
SPARE_REQUESTS = 13  # for scratch buffers: 12 that a kernel may ask for, and one for alignment


@dataclass(frozen=True, slots=True, kw_only=True)
class Buffer:
    """A buffer in the head: a tensor or a kernel's scratch space; `first` and `last` are times.

    Time 0 is before the first operator, which runs at time 1.
    """

    name: str
    bytes: int
    first: int
    last: int
    offset: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Arena:
    """What the interpreter takes of the arena, in bytes.

    `planning_bytes` is what it takes, tail included, while it plans. `buffers` says what lies
    where in the head, and when. `unknown` are operators whose kernels were not measured: they are
    counted without data of their own.
    """

    head_bytes: int
    tail_bytes: int
    planning_bytes: int
    buffers: tuple[Buffer, ...]
    unknown: tuple[str, ...] = ()

    @property
    def total_bytes(self) -> int:
        """Head and tail: what the interpreter reports once it is set up."""
        return self.head_bytes + self.tail_bytes

    @property
    def least_bytes(self) -> int:
        """The smallest arena, a multiple of 16 that starts at one, in which it can be set up."""
        return _up(max(self.total_bytes, self.planning_bytes), ALIGN)


class Structures(NamedTuple):
    """Sizes of the interpreter's structures, in bytes."""

    pointer: int
    tensor: int  # an entry of the list of tensors: data, shape, type
    node: int  # an entry of the list of operators
    user_tensor: int  # an input or output as the user sees it
    quantisation: int  # where its scales and zero points are
    life: int  # the size and the times of a tensor, for the planner
    request: int  # what a kernel asks for as scratch


def structures(pointer: int) -> Structures:
    """Compute sizes for a target whose pointers have so many bytes. With 8 they were measured.

    >>> structures(8)[1:5], structures(4)[1:5]
    ((24, 64, 64, 24), (12, 32, 40, 12))
    """

    def padded(pointers: int, numbers: int) -> int:
        return _up(pointers * pointer + numbers * INT32, pointer)

    return Structures(
        pointer, tensor=padded(2, 1), node=padded(7, 1),
        user_tensor=padded(4, 4) + 2 * padded(0, 1),
        quantisation=padded(2, 1), life=padded(2, 4), request=padded(1, 2),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Kernel:
    """What an operator allocates: options (size, alignment) from the file, data of its kernel."""

    data: int
    options: int = 0
    align: int = 4


def arena(graph: Graph, *, pointer_bytes: int = 8) -> Arena:
    """Compute the arena that a graph needs, as `trace` or `read_tflite(views=False)` returns it.

    With `pointer_bytes=4` the tail is an upper bound for a 32-bit target with the same kernels:
    computed from the structures' fields, not measured.

    >>> from frugalseg.cost.graph import Op, chain
    >>> relu = Op(name="relu", kind="relu", reads=("a",), writes=("b",))
    >>> found = arena(chain(relu, shapes={"a": (1, 16, 16, 16), "b": (1, 16, 16, 16)}))
    >>> found.head_bytes, found.tail_bytes, [(b.name, b.offset) for b in found.buffers]
    (8192, 864, [('a', 4096), ('b', 0)])
    """
    sizes = structures(pointer_bytes)
    scratch = [_scratch(graph, op) for op in graph.ops]
    num_scratch = sum(map(len, scratch))
    named = [*_tensors(graph), *_scratch_needs(graph, scratch)]
    needs = [need for _, need in named]
    offsets = plan(needs)
    tail = _tail(graph, num_scratch, sizes)
    lists = _up((num_scratch + SPARE_REQUESTS) * sizes.request, ALIGN)
    lists += _up((num_tensors(graph) + num_scratch) * sizes.life, ALIGN)
    return Arena(
        head_bytes=height(needs, offsets),
        tail_bytes=_with_ends(graph, tail, sizes),
        planning_bytes=_up(tail, ALIGN) + lists + _up(len(needs) * PLANNED, ALIGN),
        buffers=tuple(
            Buffer(name=name, bytes=need.bytes, first=need.first, last=need.last, offset=at)
            for (name, need), at in zip(named, offsets, strict=True)
        ),
        unknown=tuple(sorted({op.kind for op in graph.ops} - {*KERNELS})),
    )


def _tensors(graph: Graph) -> Iterator[tuple[str, Need]]:
    """Lifetimes of tensors, in the order of the file: the planner prefers the last of equals."""
    first = dict.fromkeys(graph.inputs, 0)
    last = dict.fromkeys(graph.inputs, 0)
    for time, op in enumerate(graph.ops, 1):
        first |= dict.fromkeys(op.writes, time)
        last |= dict.fromkeys((*op.reads, *op.writes), time)
    last |= dict.fromkeys(graph.outputs, len(graph.ops))
    for name, tensor in graph.tensors.items():
        if tensor.bytes:
            need = Need(
                bytes=_up(tensor.bytes, ALIGN),
                first=first.get(name, -1),
                last=last.get(name, -1),
                offset=graph.offsets.get(name),
            )
            yield name, need


def _scratch_needs(graph: Graph, scratch: list[tuple[int, ...]]) -> Iterator[tuple[str, Need]]:
    for time, (op, sizes) in enumerate(zip(graph.ops, scratch, strict=True), 1):
        for size in sizes:
            yield f"{op.name} scratch", Need(bytes=_up(size, ALIGN), first=time, last=time)


def _scratch(graph: Graph, op: Op) -> tuple[int, ...]:
    """Sizes of the scratch buffers of an operator, in the order in which its kernel asks."""
    source, result = graph.tensors[(*op.reads, *op.writes)[0]], graph.tensors[op.writes[0]]
    sums = () if source.element_bytes == INT32 else (prod(result.shape) * INT32,)
    axes = (len(source.shape) * INT32, INT32)
    match op.kind:
        case "transpose_conv":
            return sums
        case "mean" | "sum":
            return (*sums, *axes)
        case "reduce_max":
            return axes
        case "mirror_pad":
            return (axes[0], axes[0])
    return ()


def _tail(graph: Graph, num_scratch: int, sizes: Structures) -> int:
    """Repeat the allocations up to the plan: each starts at a multiple of its alignment."""
    kernels = [KERNELS.get(op.kind, Kernel(0)) for op in graph.ops]
    size = INTERPRETER + num_tensors(graph) * sizes.tensor + len(graph.ops) * sizes.node
    for kernel in kernels:
        size = _up(size + kernel.options, kernel.align)
    for kernel in kernels:
        if kernel.data:
            size = _up(size + kernel.data, ALIGN)
    for op in graph.ops:
        for part in _prepared(graph, op, sizes):
            size = _up(size + part, ALIGN)
    return _up(size + num_scratch * sizes.pointer, sizes.pointer)


def _with_ends(graph: Graph, size: int, sizes: Structures) -> int:
    """Add the inputs and outputs as the user sees them, which come after the plan."""
    for ends in (graph.inputs, graph.outputs):
        size = _up(size + len(ends) * sizes.pointer, ALIGN)
        for name in ends:
            quantised = graph.tensors[name].element_bytes < INT32
            size += sizes.user_tensor
            size += sizes.quantisation + ZERO_POINTS if quantised else 0
    return size


def _prepared(graph: Graph, op: Op, sizes: Structures) -> tuple[int, ...]:
    """What a kernel allocates once it knows its tensors."""
    if op.kind in PER_CHANNEL:
        channels = op.bias_elements or graph.tensors[op.writes[0]].shape[-1]
        return (channels * INT32,) * 2
    if op.kind == "batch_matmul":  # a transposed copy of the second factor, with its shape
        factor = graph.tensors[op.reads[-1]]
        return (sizes.tensor, (len(factor.shape) + 1) * INT32, factor.bytes)
    return ()


def num_tensors(graph: Graph) -> int:
    """Count the tensors of the file; for a traced graph, those that export will write."""
    if graph.num_constants is not None:
        return len(graph.tensors) + graph.num_constants
    weights = sum(bool(op.weight_elements) + bool(op.bias_elements) for op in graph.ops)
    return len(graph.tensors) + weights + len(set(_settings(graph)))


def _settings(graph: Graph) -> Iterator[object]:
    """Constants that are no weights; a file holds one tensor for equal ones."""
    for op in graph.ops:
        if op.kind in SETTINGS:
            yield from SETTINGS[op.kind](op, graph.tensors[op.writes[0]].shape)


def _factor(op: Op, _shape: Sides) -> tuple[object, ...]:
    return ("factor",) if len(op.reads) == 1 and not op.weight_elements else ()


def _size(_op: Op, shape_NCHW: Sides) -> tuple[object, ...]:
    return (shape_NCHW[2:],)


def _shape(_op: Op, shape_NCHW: Sides) -> tuple[object, ...]:
    return ((shape_NCHW[0], *shape_NCHW[2:], *shape_NCHW[1:2]),)


def _axes(_op: Op, _shape: Sides) -> tuple[object, ...]:
    return ((1, 2),)


def _pads(op: Op, _shape: Sides) -> tuple[object, ...]:
    return (("pads", op.pads or op.writes),)


def _up(size: int, to: int) -> int:
    return -(-size // to) * to


# What tells the constants of an operator from those of another; for graphs of PyTorch's layout.
SETTINGS: Mapping[str, Callable[[Op, Sides], tuple[object, ...]]] = {
    "mean": _axes,
    "mirror_pad": _pads,
    "mul": _factor,
    "pad": _pads,
    "padv2": lambda op, shape: (*_pads(op, shape), ("value", op.writes)),
    "reduce_max": _axes,
    "resize_bilinear": _size,
    "resize_nearest_neighbor": _size,
    "select_v2": lambda op, _: (("value", op.writes),),
    "slice": lambda op, shape: (("begin", op.writes), *_shape(op, shape)),
    "sum": _axes,
    "transpose": lambda *_: ("channels first", "channels last"),
    "transpose_conv": _shape,
}

PER_CHANNEL = frozenset({"conv_2d", "depthwise_conv_2d", "fully_connected", "transpose_conv"})
KERNELS: Mapping[str, Kernel] = {
    "abs": Kernel(28),
    "add": Kernel(60, 8),
    "arg_max": Kernel(0, 4),
    "average_pool_2d": Kernel(32, 40),
    "batch_matmul": Kernel(96, 3, 1),
    "broadcast_to": Kernel(0),
    "cast": Kernel(0, 8),
    "concatenation": Kernel(80, 8),
    "conv_2d": Kernel(80, 28),
    "cos": Kernel(0),
    "depth_to_space": Kernel(20, 4),
    "depthwise_conv_2d": Kernel(80, 28),
    "dequantize": Kernel(32),
    "div": Kernel(28, 4),
    "elu": Kernel(256),
    "equal": Kernel(32),
    "exp": Kernel(0),
    "expand_dims": Kernel(0),
    "floor": Kernel(0),
    "fully_connected": Kernel(72, 32),
    "gather": Kernel(20, 8),
    "greater": Kernel(32),
    "greater_equal": Kernel(32),
    "hard_swish": Kernel(20),
    "leaky_relu": Kernel(24, 4),
    "less": Kernel(32),
    "less_equal": Kernel(32),
    "log": Kernel(0),
    "logistic": Kernel(16),
    "max_pool_2d": Kernel(32, 40),
    "maximum": Kernel(0),
    "mean": Kernel(44, 1, 1),
    "minimum": Kernel(0),
    "mirror_pad": Kernel(20, 4),
    "mul": Kernel(36, 4),
    "neg": Kernel(0),
    "pack": Kernel(0, 8),
    "pad": Kernel(56),
    "padv2": Kernel(56),
    "prelu": Kernel(28),
    "quantize": Kernel(32),
    "reduce_max": Kernel(44, 1, 1),
    "relu": Kernel(28),
    "relu6": Kernel(8),
    "reshape": Kernel(0, 36),
    "resize_bilinear": Kernel(0, 2, 1),
    "resize_nearest_neighbor": Kernel(0, 2, 1),
    "rsqrt": Kernel(28),
    "select_v2": Kernel(1),
    "sin": Kernel(0),
    "slice": Kernel(0),
    "softmax": Kernel(80, 4),
    "space_to_depth": Kernel(20, 4),
    "split": Kernel(0, 4),
    "split_v": Kernel(0, 4),
    "sqrt": Kernel(0),
    "square": Kernel(0),
    "squared_difference": Kernel(112),
    "squeeze": Kernel(0, 36),
    "strided_slice": Kernel(84, 24),
    "sub": Kernel(52, 8),
    "sum": Kernel(44, 1, 1),
    "tanh": Kernel(16),
    "transpose": Kernel(0),
    "transpose_conv": Kernel(88, 20),
}
