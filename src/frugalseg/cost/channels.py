"""Which maps of a network must have equally many channels, and which operators decide how many.

A convolution decides the channels that it makes. What follows it (norms, activations, pooling,
a depthwise convolution) keeps them; a sum ties those of its maps together; a concatenation has
what its maps have together, and a map that is padded with channels of zeros what it had and these.
Where two that are joined of parts alike are added up, each part is tied to the other's.
Whatever is not understood pins the channels around it.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from frugalseg.core.errors import ConfigError, unknown
from frugalseg.cost.graph import Graph, Op

CONVOLUTIONS = frozenset({"conv_2d", "depthwise_conv_2d", "transpose_conv"})
# The result has the shape of what is read; if maps are read, of the largest.
ALIKE = frozenset({
    "abs", "add", "batch_norm", "cast", "clamp", "cos", "div", "elu", "equal", "exp", "floor",
    "gelu", "greater", "greater_equal", "hard_sigmoid", "hard_swish", "leaky_relu", "less",
    "less_equal", "log", "logistic", "maximum", "minimum", "mul", "neg", "pow", "prelu", "relu",
    "relu6", "rsqrt", "select_v2", "silu", "sin", "softmax", "sqrt", "square", "sub", "tanh",
})  # fmt: skip
RESIZES = frozenset({"resize_bilinear", "resize_nearest_neighbor"})
POOLS = frozenset({"average_pool_2d", "max_pool_2d"})
PADS = frozenset({"mirror_pad", "pad"})
PICTURE, VECTOR = 4, 2  # axes


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """A number of channels, which `makers` decide: operators, or an input.

    `tensors` are the maps that have it, and those that are joined from such.
    """

    makers: tuple[str, ...]
    tensors: frozenset[str]
    channels: int


class Ties:
    """Names that must agree, class by class."""

    def __init__(self, names: Iterable[str]) -> None:
        self._above = {name: name for name in names}

    def of(self, name: str) -> str:
        """Return the one that stands for the class of `name`."""
        above = self._above
        while above[name] != name:
            above[name] = name = above[above[name]]
        return name

    def join(self, names: Iterable[str]) -> None:
        """Tie names together."""
        first, *others = names
        for other in others:
            self._above[self.of(other)] = self.of(first)


def groups(graph: Graph) -> tuple[Group, ...]:
    """List the groups whose channels can be chosen, in the order of the network.

    >>> from frugalseg.cost.graph import chain
    >>> wide = Op(name="wide", kind="conv_2d", reads=("a",), writes=("b",), weight_elements=24)
    >>> again = Op(name="again", kind="conv_2d", reads=("b",), writes=("c",), weight_elements=64)
    >>> add = Op(name="add", kind="add", reads=("b", "c"), writes=("d",))
    >>> shapes = {"a": (1, 3, 4, 4), "b": (1, 8, 4, 4), "c": (1, 8, 4, 4), "d": (1, 8, 4, 4)}
    >>> [(group.makers, group.channels) for group in groups(chain(wide, again, add, shapes=shapes))]
    [(('a',), 3), (('wide', 'again'), 8)]
    """
    rules = Rules(graph)
    members: dict[str, set[str]] = {}
    for name in graph.tensors:
        for part in rules.parts(rules.ties.of(name)):
            members.setdefault(part, set()).add(name)
    return tuple(
        Group(
            makers=tuple(makers),
            tensors=frozenset(members.get(root, ())),
            channels=rules.given[root],
        )
        for root, makers in rules.makers.items()
        if root not in rules.pinned and root not in rules.sums
    )


def channel_counts(graph: Graph, wanted: Mapping[str, int]) -> dict[str, int]:
    """Count the channels of each tensor if makers (see `Group`) get those that are `wanted`.

    Raises ConfigError for a name that makes nothing, and for counts that cannot be.
    """
    rules = Rules(graph)
    counts = rules.wanted(wanted)
    return {name: rules.count(rules.ties.of(name), counts) for name in graph.tensors}


@dataclass(slots=True)
class Rules:
    """The rules of a graph, by the name that stands for a class of tensors.

    `sums` are the maps whose channels a class is the sum of, each so many times. Zeros that an
    operator pads stand among them under the name of that operator, which decides how many.
    """

    graph: Graph
    ties: Ties = field(init=False)
    given: dict[str, int] = field(init=False)
    makers: dict[str, list[str]] = field(default_factory=dict)
    sums: dict[str, list[tuple[str, ...]]] = field(default_factory=dict)
    pinned: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        graph = self.graph
        self.given = {name: channels_of(tensor.shape) for name, tensor in graph.tensors.items()}
        padded = {op.name: more for op in graph.ops if (more := _padded(op, self.given))}
        self.given |= padded
        self.ties = Ties(self.given)
        makers: list[tuple[str, str]] = [(name, name) for name in graph.inputs]
        pinned: set[str] = set()
        sums: list[tuple[str, tuple[str, ...]]] = []
        for op in graph.ops:
            if op.name in padded:
                makers.append((op.name, op.name))
                sums.append((op.writes[0], (op.reads[0], op.name)))
            elif makes_channels(op, self.given):
                makers.append((op.name, op.writes[0]))
            elif op.kind == "concatenation" and self._is_sum(op):
                sums.append((op.writes[0], op.reads))
            elif _is_depthwise(op, self.given) and (times := self._times(op)) > 1:
                sums.append((op.writes[0], op.reads[:1] * times))
            else:
                pinned |= self._tie(op)
        while self._sum_up(sums):
            pass
        for name, made in makers:
            self.makers.setdefault(self.ties.of(made), []).append(name)
        self.pinned = {self.ties.of(name) for name in pinned}

    def _sum_up(self, sums: Iterable[tuple[str, tuple[str, ...]]]) -> bool:
        """Note the sums of each class, tie what lies at the same place in two of one.

        Return whether there was anything to tie, after which the sums have to be noted again.
        """
        self.sums.clear()
        tied = False
        for made, names in sums:
            reads = tuple(map(self.ties.of, names))
            if {*reads} == {self.ties.of(made)}:
                continue
            others = self.sums.setdefault(self.ties.of(made), [])
            if reads in others:
                continue
            counts = [self.given[name] for name in reads]
            for like in others:
                if counts == [self.given[name] for name in like]:
                    tied = True
                    for pair in zip(like, reads, strict=True):
                        self.ties.join(pair)
            others.append(reads)
        return tied

    def parts(self, root: str) -> Iterator[str]:
        """Yield the classes that a class is joined from, in order; itself if from none."""
        if root not in self.sums:
            yield root
            return
        for name in self.sums[root][0]:
            yield from self.parts(self.ties.of(name))

    def wanted(self, wanted: Mapping[str, int]) -> dict[str, int]:
        """Translate from makers to classes."""
        class_of = {name: root for root, names in self.makers.items() for name in names}
        counts: dict[str, int] = {}
        for name, channels in wanted.items():
            if name not in class_of:
                raise unknown("operator that decides on channels", name, class_of)
            root = class_of[name]
            fixed = root in self.pinned or root in self.sums
            if (fixed and channels != self.given[root]) or channels < 1:
                raise ConfigError(f"{name} makes {self.given[root]} channels, cannot {channels}")
            if counts.setdefault(root, channels) != channels:
                raise ConfigError(
                    f"{', '.join(self.makers[root])} must make equally many channels,"
                    f" got {counts[root]} and {channels}"
                )
        return counts

    def count(self, root: str, counts: dict[str, int]) -> int:
        """Return the channels of a class; `counts` holds those that are known."""
        if root not in counts:
            counts[root] = self.given[root]  # also what a ring of sums falls back to
            totals = {
                sum(self.count(self.ties.of(name), counts) for name in reads)
                for reads in self.sums.get(root, ())
            }
            if len(totals) > 1 or (root in self.pinned and totals - {self.given[root]}):
                raise ConfigError(f"the channels of {root} would be {sorted(totals)}")
            counts[root] = next(iter(totals), self.given[root])
        return counts[root]

    def _times(self, op: Op) -> int:
        return self.given[op.writes[0]] // self.given[op.reads[0]]

    def _is_sum(self, op: Op) -> bool:
        shapes = [self.graph.tensors[name].shape for name in (*op.reads, *op.writes)]
        same_sides = len({sides(shape) for shape in shapes}) == 1
        total = sum(self.given[name] for name in op.reads)
        return same_sides and total == self.given[op.writes[0]]

    def _tie(self, op: Op) -> set[str]:
        """Tie what an operator reads to what it writes; return what it pins."""
        made, reads = op.writes[0], op.reads
        if op.kind in ALIKE:
            whole = [name for name in reads if self.given[name] == self.given[made]]
            self.ties.join((made, *whole))
            return {*reads} - {*whole}
        if op.kind == "arg_max":
            return {made}
        one_to_one = len(op.writes) == 1 and len(reads) == 1
        keeps = op.kind in RESIZES | POOLS | PADS | {"mean", "depthwise_conv_2d"}
        if one_to_one and keeps and self.given[made] == self.given[reads[0]]:
            self.ties.join((made, reads[0]))
            return set()
        return {*reads, *op.writes}


def makes_channels(op: Op, channels: Mapping[str, int]) -> bool:
    """Tell whether the number of channels that an operator makes is free to be chosen."""
    if op.kind == "fully_connected":
        made, read = channels[op.writes[0]], channels[op.reads[0]]
        return op.weight_elements in {read * made, (read + 1) * made}
    return op.kind in CONVOLUTIONS and not _is_depthwise(op, channels)


def _padded(op: Op, channels: Mapping[str, int]) -> int:
    """Count the channels of zeros that an operator adds, taken to lie behind those it reads."""
    return max(0, channels[op.writes[0]] - channels[op.reads[0]]) if op.kind == "pad" else 0


def _is_depthwise(op: Op, channels: Mapping[str, int]) -> bool:
    return op.kind == "depthwise_conv_2d" and op.groups == channels[op.reads[0]]


def channels_of(shape: tuple[int, ...]) -> int:
    """Channels of a picture or a vector; 1 of what has none.

    >>> channels_of((1, 8, 4, 4)), channels_of((1, 4, 4))
    (8, 1)
    """
    return shape[1] if len(shape) in {PICTURE, VECTOR} else 1


def sides(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Height and width; those of a vector are 1.

    >>> sides((1, 8, 4, 6)), sides((1, 4, 6)), sides((1, 8))
    ((4, 6), (4, 6), (1, 1))
    """
    return (1, 1) if len(shape) == VECTOR else shape[-2:]
