"""Which rows of its inputs an operator reads to compute some rows of its result.

Two questions differ. `Reach.needed`: which rows of a map does one have to know? `Reach.fed`: an
operator is run on a band of rows with its padding as it is in the file, as if the band were a
whole map; from which band do exactly the rows that are wanted come out? At the inner border of a
band it pads where there are rows in truth, so that some rows of its result are wrong: bands
overlap, and these rows are not used. Rows that are right are the same to the bit, since the same
kernel adds the same numbers.
"""

from dataclasses import dataclass

from frugalseg.cost.graph import Graph, Op

PICTURE = 4  # axes of a batch of pictures; without channels it has one less
POINTWISE = frozenset({
    "abs", "add", "arg_max", "cast", "concatenation", "dequantize", "elu", "greater",
    "greater_equal", "hard_swish", "leaky_relu", "less", "less_equal", "logistic", "maximum",
    "minimum", "mul", "neg", "prelu", "quantize", "relu", "relu6", "select_v2", "sub", "tanh",
})  # fmt: skip
RESIZES = frozenset({"resize_bilinear", "resize_nearest_neighbor"})
WINDOWED = frozenset({"average_pool_2d", "conv_2d", "depthwise_conv_2d", "max_pool_2d"})


@dataclass(frozen=True, slots=True, order=True)
class Rows:
    """Rows `first` to `end` of a map, without `end`.

    >>> Rows(2, 5) | Rows(4, 9), Rows(2, 9).holds(Rows(2, 5)), len(Rows(2, 5))
    (Rows(first=2, end=9), True, 3)
    """

    first: int
    end: int

    def __or__(self, other: "Rows") -> "Rows":
        return Rows(min(self.first, other.first), max(self.end, other.end))

    def __len__(self) -> int:
        return self.end - self.first

    def holds(self, other: "Rows") -> bool:
        """Whether all rows of the other are among these."""
        return self.first <= other.first and other.end <= self.end


def num_rows(graph: Graph, name: str) -> int | None:
    """Return the height of a map of one picture; None of what is no such map."""
    shape = graph.tensors[name].shape
    if len(shape) not in {PICTURE, PICTURE - 1} or shape[0] != 1:
        return None
    return shape[row_axis(graph, name)]


def row_axis(graph: Graph, name: str) -> int:
    """Return the axis of the rows: a traced graph has channels before it, a file behind."""
    traced = graph.num_constants is None
    return 2 if traced and len(graph.tensors[name].shape) == PICTURE else 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """How far an operator looks up and down. `maps` are the inputs that it reads by rows.

    `reach` are the rows under its window, `above` those that it pads at the top; `factor` is that
    of a resize. `pads` says that it pads where its input ends.
    """

    maps: tuple[str, ...]
    source: int  # rows of the maps
    height: int  # rows of the result
    reach: int = 1
    stride: int = 1
    above: int = 0
    factor: int = 1
    pads: bool = False

    def needed(self, rows: Rows) -> Rows:
        """Return the rows that one must know to compute `rows` rightly.

        >>> Reach(maps=("a",), source=9, height=9, reach=3, above=1, pads=True).needed(Rows(4, 6))
        Rows(first=3, end=7)
        """
        if self.factor > 1:  # half-pixel centres: (row + 1/2) / factor - 1/2, and the next
            first = (2 * rows.first + 1 - self.factor) // (2 * self.factor)
            last = (2 * rows.end - 1 - self.factor) // (2 * self.factor)
            return Rows(max(0, first), min(self.source, last + 2))
        first = rows.first * self.stride - self.above
        last = (rows.end - 1) * self.stride - self.above
        return Rows(max(0, first), min(self.source, last + self.reach))

    def fed(self, rows: Rows) -> Rows | None:
        """Return the band from which exactly `rows` come out; None if there is none.

        >>> Reach(maps=("a",), source=9, height=9, reach=3, above=1, pads=True).fed(Rows(4, 6))
        Rows(first=4, end=6)
        """
        if self.factor > 1:
            aligned = rows.first % self.factor == 0 and rows.end % self.factor == 0
            return Rows(rows.first // self.factor, rows.end // self.factor) if aligned else None
        start, inner = rows.first * self.stride - self.above, (len(rows) - 1) * self.stride
        if not self.pads:
            return Rows(start, start + inner + self.reach)
        for height in range(inner + self.stride, inner, -1):  # it pads by height, less at the top
            first = start + max(0, inner + self.reach - height) // 2
            if first >= 0 and first + height <= self.source:
                return Rows(first, first + height)
        return None


def reach_of(graph: Graph, op: Op) -> Reach | None:
    """Describe an operator of which each row depends on near rows; None of any other.

    What is not known here is None too, and so is what is no map of more than one row.
    """
    height = num_rows(graph, op.writes[0])
    heights = {name: num_rows(graph, name) for name in op.reads}
    if height is None or height == 1 or len(op.writes) != 1 or not op.reads:
        return None
    source = heights[op.reads[0]]
    if op.kind in POINTWISE:
        maps = tuple(name for name in op.reads if heights[name] == height)
        fits = maps and {*heights.values()} <= {1, height}
        return Reach(maps=maps, source=height, height=height) if fits else None
    factor = height // source if source and height % source == 0 else 0
    # int8 kernels count in 1/1024 of a row: for other factors it matters where a band starts.
    if op.kind in RESIZES and source and factor.bit_count() == 1:
        return Reach(maps=op.reads, source=source, height=height, factor=factor)
    if op.kind in WINDOWED and op.window and source:
        window, above = op.window, op.window.padding[0]
        reach, stride = (window.kernel[0] - 1) * window.dilation[0] + 1, window.stride[0]
        return Reach(
            maps=op.reads, source=source, height=height, reach=reach, stride=stride,
            above=above[0], pads=any(above) or reach <= stride,
        )  # fmt: skip
    return None
