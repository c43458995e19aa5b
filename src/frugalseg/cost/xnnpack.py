"""Resident memory of LiteRT with XNNPACK: what loading a file and running it add to the process.

LiteRT gives runs of operators to XNNPACK and keeps the rest (KEPT) for itself. Alive are then

* the file, read or mapped: all of it is looked at;
* packed weights: XNNPACK's own copy, channels rounded up to its tiles, with bias and scale;
* pointers: for each pixel that a convolution, a pooling or a resize writes, where to read;
* the workspace: maps inside a run, planned anew for each run, in memory that the runs share. A sum
  may overwrite its first input, and a pad before convolutions needs no map of its own;
* the arena: maps between runs, and the network's input and output, which nothing overwrites;
* structures: a constant, and a part for each operator, for each that has weights, and each channel.

All rules but the last were found by tracing the allocations of ai-edge-litert 2.3.0 for 88 int8
networks on Linux x86-64 (AVX-512 with VNNI, glibc), beside XNNPACK's public source: the arena is
exact for 82 of them, the workspace within 128 bytes for 74. The constants of the last were fitted
to what was resident at the peak (benchmarks/measure_rss.py, 0.4 to 33 MB): the whole is 2.3 % off
in the mean (rms), 9 % at most, for files whose dilated convolutions are not seen. Tiles differ
between processors; on Arm nothing was measured. A second thread adds some 10 KB, left out here.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from math import isqrt, prod
from typing import NamedTuple

from frugalseg.cost.graph import Graph, Op
from frugalseg.cost.planner import Need, height, plan

POINTER, SCALE, BIAS, FLOAT_BYTES = 8, 4, 4, 4
LINE = 64  # bytes; alignment of packed weights and of the arena
VALUE, GUARD = 16, 16  # alignment of a map in the workspace, and what may be read past its end
ROWS, CHANNELS, DEPTH = 7, 16, 8  # a tile of a matrix product: pixels, outputs, inputs
DEPTHWISE_CHANNELS, DEPTHWISE_TAPS = 32, (9, 25)
CORNERS = 4  # pixels around a point, for a resize; as many bytes are their weights
KERNELS = frozenset({1, 2, 3, 4, 5, 7, 9, 15, 16, 21, 25, 49})  # taps that are looked for in files
GROUPS = (1, 2, 4, 8, 16, 32)
# Fitted, in bytes: what is resident beyond the parts above.
PROCESS, OPERATOR, WEIGHED, CHANNEL = 90_500, 2_760, 2_250, 29

# int8 operators that XNNPACK was seen to take, and not to take.
TAKEN = frozenset({
    "add", "concatenation", "conv_2d", "depthwise_conv_2d", "dequantize", "fully_connected",
    "logistic", "max_pool_2d", "mean", "mul", "pad", "quantize", "resize_bilinear", "slice", "sub",
    "transpose", "transpose_conv",
})  # fmt: skip
KEPT = frozenset({
    "average_pool_2d", "greater_equal", "hard_swish", "mirror_pad", "padv2", "relu", "relu6",
    "resize_nearest_neighbor", "select_v2",
})  # fmt: skip
IN_PLACE = frozenset({"add", "quantize"})
CONVOLUTIONS = frozenset({"conv_2d", "depthwise_conv_2d"})

Run = tuple[int, ...]
Sides = tuple[int, int, int]
Pair = tuple[int, int]


class Span(NamedTuple):
    """When a tensor is written first and read last."""

    first: int
    last: int


class Shape(NamedTuple):
    """Geometry of an operator: (height, width, channels), (vertical, horizontal)."""

    source: Sides
    result: Sides
    kernel: Pair
    stride: Pair
    dilated: bool = False

    @property
    def pixels(self) -> int:
        """Pixels of the result."""
        return self.result[0] * self.result[1]


def resident(graph: Graph, file_bytes: int) -> Mapping[str, int]:
    """Estimate what a network adds to the resident memory of a process, by part, in bytes.

    The graph is as `fuse` or `read_tflite` returns it.

    >>> from frugalseg.cost.graph import chain
    >>> conv = Op(name="conv", kind="conv_2d", reads=("a",), writes=("b",), weight_elements=32,
    ...           bias_elements=8)
    >>> graph = chain(conv, shapes={"a": (1, 4, 64, 64), "b": (1, 8, 64, 64)})
    >>> parts = resident(graph, 2_000)
    >>> parts["file"], parts["packed weights"], parts["pointers"], parts["arena"]
    (2000, 256, 0, 49216)
    """
    runs = _runs(graph)
    packed = [_packed(graph, graph.ops[i]) for run in runs if _taken(graph, run) for i in run]
    return {
        "file": file_bytes,
        "packed weights": sum(weights for weights, _ in packed),
        "pointers": sum(pointers for _, pointers in packed),
        **_maps(graph, runs),
        "structures": PROCESS
        + OPERATOR * len(graph.ops)
        + WEIGHED * sum(bool(op.bias_elements) for op in graph.ops)
        + CHANNEL * sum(op.bias_elements for op in graph.ops),
    }


def unknown(graph: Graph) -> tuple[str, ...]:
    """Name the operators that were not measured; in float hardly any was."""
    kinds = {op.kind for op in graph.ops}
    floats = {
        f"{op.kind} in float"
        for op in graph.ops
        if op.kind in (TAKEN | KEPT) - {"dequantize"}
        and graph.tensors[op.writes[0]].element_bytes == FLOAT_BYTES
    }
    return tuple(sorted(kinds - TAKEN - KEPT | floats))


def _runs(graph: Graph) -> list[Run]:
    """Divide the operators as LiteRT does: all that can run and XNNPACK takes, then the others."""
    ready, left, runs = {*graph.inputs}, list(range(len(graph.ops))), list[Run]()
    taken = bool(left) and graph.ops[0].kind in TAKEN
    while left:
        run, later = list[int](), list[int]()
        for i in left:
            op = graph.ops[i]
            if (op.kind in TAKEN) == taken and ready.issuperset(op.reads):
                run.append(i)
                ready |= {*op.writes}
            else:
                later.append(i)
        if run:
            runs.append(tuple(run))
        left, taken = later, not taken
    return runs


def _taken(graph: Graph, run: Run) -> bool:
    return graph.ops[run[0]].kind in TAKEN


def _maps(graph: Graph, runs: list[Run]) -> dict[str, int]:
    """Size of the workspace, for maps inside a run, and of the arena, for those between runs."""
    time, home, now = dict[int, int](), dict[str, int](), 0
    inner: dict[int, set[str]] = {}  # first operator of a run -> what is read and written in it
    for run in runs:
        whole = _taken(graph, run)
        time |= {i: now + k * (not whole) for k, i in enumerate(run)}
        now += 1 if whole else len(run)
        if whole:
            inner[run[0]] = {name for i in run for name in graph.ops[i].writes}
            home |= dict.fromkeys(inner[run[0]], run[0])
    for i, op in enumerate(graph.ops):
        for name in op.reads:
            if name in home and time[i] != time[home[name]]:
                inner[home[name]].discard(name)
    ends = {*graph.inputs, *graph.outputs}
    inside = {name for names in inner.values() for name in names} - ends
    between = [
        Need(
            bytes=_up(graph.tensors[name].bytes, LINE),
            first=span.first,
            last=now if name in ends else span.last,
        )
        for name, span in _spans(graph, time).items()
        if name not in inside
    ]
    workspaces = (_workspace(graph, run, inside) for run in runs if _taken(graph, run))
    return {"workspace": max(workspaces, default=0), "arena": _height(between) + LINE}


def _spans(graph: Graph, time: Mapping[int, int]) -> dict[str, Span]:
    """When tensors are alive, for operators at the times given."""
    spans = {name: Span(0, 0) for name in graph.inputs}
    for i, now in time.items():
        spans |= dict.fromkeys(graph.ops[i].writes, Span(now, now))
        for name in graph.ops[i].reads:
            if name in spans:
                spans[name] = Span(spans[name].first, max(spans[name].last, now))
    return spans


def _workspace(graph: Graph, run: Run, inside: set[str]) -> int:
    """Plan the maps inside a run."""
    spans = _spans(graph, {i: k for k, i in enumerate(run)})
    spans = {name: span for name, span in spans.items() if name in inside}
    held: dict[str, str] = {}  # map -> the one whose memory it overwrites
    padded = _absorbed_pads(graph, run)
    for time, op in enumerate(graph.ops[i] for i in run):
        into, over = op.writes[0], held.get((*op.reads, "")[0], (*op.reads, "")[0])
        if into in padded & spans.keys():
            last = spans.pop(into).last
            if over in spans:
                spans[over] = Span(spans[over].first, max(spans[over].last, last))
        if op.kind not in IN_PLACE or not {into, over} <= spans.keys():
            continue
        same_size = graph.tensors[into].bytes == graph.tensors[over].bytes
        if same_size and spans[over].last == time:
            spans[over] = Span(spans[over].first, spans.pop(into).last)
            held[into] = over
    return _height(
        [
            Need(bytes=_up(graph.tensors[name].bytes, VALUE) + GUARD, first=s.first, last=s.last)
            for name, s in spans.items()
        ]
    )


def _absorbed_pads(graph: Graph, run: Run) -> set[str]:
    """Name the results of pads that only convolutions read, which do the padding themselves."""
    ops = [graph.ops[i] for i in run]
    padded = {op.writes[0] for op in ops if op.kind == "pad"}
    return padded - {name for op in ops if op.kind not in CONVOLUTIONS for name in op.reads}


def _height(needs: list[Need]) -> int:
    """Plan with the first of equals before the others."""
    backwards = needs[::-1]
    return height(backwards, plan(backwards))


def _packed(graph: Graph, op: Op) -> tuple[int, int]:
    """Compute the bytes of packed weights and of pointers."""
    if op.kind not in PACKED:
        return 0, 0
    op = _with_weights(graph, op)
    weights, pointers = PACKED[op.kind](_shape(graph, op), op)
    return _up(weights, LINE), pointers * POINTER


def _with_weights(graph: Graph, op: Op) -> Op:
    """Give a band the weights that the first band was counted with: XNNPACK packs them again."""
    if op.kind not in CONVOLUTIONS or op.weight_elements:
        return op
    high, wide, _ = _sides(graph, op.writes[0])
    return replace(op, weight_elements=op.macs // (high * wide))


def _shape(graph: Graph, op: Op) -> Shape:
    """Tell the geometry of an operator; a file's is told from sizes, dilation is not seen there."""
    source, result = _sides(graph, op.reads[0]), _sides(graph, op.writes[0])
    if op.window:
        window = op.window
        return Shape(source, result, window.kernel, window.stride, max(window.dilation) > 1)
    stride = (round(source[0] / result[0]), round(source[1] / result[1]))
    if op.kind == "max_pool_2d":
        left = tuple(a - (b - 1) * s for a, b, s in zip(source, result, stride, strict=False))
        return Shape(source, result, (max(left[0], stride[0]), max(left[1], stride[1])), stride)
    taps = _taps(op, source[2], result[2])
    side = isqrt(taps)
    return Shape(source, result, (side, side) if side * side == taps else (taps, 1), stride)


def _taps(op: Op, num_in: int, num_out: int) -> int:
    """Tell the size of a kernel from how many weights there are, the number of groups unknown."""
    if op.kind == "depthwise_conv_2d":
        return max(op.weight_elements // num_out, 1)
    for groups in GROUPS:
        taps, rest = divmod(op.weight_elements * groups, num_in * num_out)
        whole = rest == 0 or op.kind == "transpose_conv"  # that stores a few numbers more
        if whole and taps in KERNELS:
            return taps
    return max(op.weight_elements // (num_in * num_out), 1)


def _sides(graph: Graph, name: str) -> Sides:
    """Height, width, channels: a file has channels last, a traced graph first."""
    shape = graph.tensors[name].shape
    if len(shape) != len(("batch", "height", "width", "channels")):
        return 1, 1, shape[-1]
    _, a, b, c = shape
    return (b, c, a) if graph.num_constants is None else (a, b, c)


def _matrix(shape: Shape, op: Op) -> tuple[int, int]:
    """Convolution as a product of matrices; one of 1x1 and stride 1 needs no pointers."""
    pixels, taps = shape.pixels, prod(shape.kernel)
    num_out = op.bias_elements or shape.result[2]
    per_output = max(op.weight_elements // (num_out * taps), 1)
    weights = (taps * _up(per_output, DEPTH) + BIAS + SCALE) * _up(num_out, CHANNELS)
    if taps == 1 and shape.stride == (1, 1):
        return weights, 0
    return weights, _up(pixels, min(ROWS, pixels)) * taps


def _depthwise(shape: Shape, op: Op) -> tuple[int, int]:
    taps = prod(shape.kernel)
    if shape.source[2] == 1:
        return _matrix(shape, op)
    tile = next((tile for tile in DEPTHWISE_TAPS if tile >= taps), taps)
    weights = (tile + BIAS + SCALE) * _up(shape.result[2], DEPTHWISE_CHANNELS)
    return weights, tile - taps + _window_pointers(shape)


def _transposed(shape: Shape, op: Op) -> tuple[int, int]:
    """One convolution for each offset; of the pointers set aside, that share is used."""
    (high, wide, num_in), (higher, wider, num_out) = shape.source, shape.result
    taps = max(op.weight_elements // (num_in * num_out), 1)
    offsets = max(round(higher / high) * round(wider / wide), 1)
    weights = taps * _up(num_in, DEPTH) + offsets * (BIAS + SCALE)
    return weights * _up(num_out, CHANNELS), taps * shape.pixels // offsets


def _pooling(shape: Shape, _op: Op) -> tuple[int, int]:
    return 0, prod(shape.kernel) - 1 + _window_pointers(shape)


def _window_pointers(shape: Shape) -> int:
    """Neighbours in a row share the columns in which their windows overlap."""
    (high, wide), step = shape.kernel, shape.kernel[1]
    if not shape.dilated:
        step = min(step, shape.stride[1])
    return shape.result[0] * (high * wide + (shape.result[1] - 1) * step * high)


def _resize(shape: Shape, _op: Op) -> tuple[int, int]:
    return shape.pixels * CORNERS, shape.pixels * CORNERS


def _up(size: int, to: int) -> int:
    return -(-size // to) * to


PACKED: Mapping[str, Callable[[Shape, Op], tuple[int, int]]] = {
    "conv_2d": _matrix,
    "depthwise_conv_2d": _depthwise,
    "fully_connected": _matrix,
    "max_pool_2d": _pooling,
    "resize_bilinear": _resize,
    "transpose_conv": _transposed,
}
