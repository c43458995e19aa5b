"""Graph: the operators of a network in the order in which they run, and the tensors between."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod


@dataclass(frozen=True, slots=True, kw_only=True)
class Tensor:
    """An activation. Views of it (reshape, permute) share its memory and have no entry.

    >>> Tensor(name="map", shape=(1, 16, 24, 32)).bytes
    12288
    """

    name: str
    shape: tuple[int, ...]
    element_bytes: int = 1

    @property
    def bytes(self) -> int:
        """Size in memory."""
        return prod(self.shape) * self.element_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Geometry of a convolution or a pooling, each entry for (vertical, horizontal).

    `padding` is ((top, bottom), (left, right)). `rounds_up` says that a last window that only
    partly lies on the map counts as well.
    """

    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    padding: tuple[tuple[int, int], tuple[int, int]] = ((0, 0), (0, 0))
    rounds_up: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Op:
    """One operator.

    `kind` is the name of the TFLite operator in small letters, also for a graph that comes from
    elsewhere; what has no such operator keeps its own name. `layer` is the module it came from.
    `params` counts trained numbers at the first operator that uses them; `weight_elements` and
    `bias_elements` what the deployed file stores for this operator. `activation` is what `fuse` let
    it take in ("relu", "relu6"). `groups` are those of a convolution. `window`, `spread`,
    `pads` and `factor` are there where the source told them. `spread` is the window over which a
    transposed convolution lays each pixel, its padding what is then cut off. `pads` is ((top,
    bottom), (left, right)). `factor` is that of a resize, None where it was given a size.
    """

    name: str
    kind: str
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    layer: str = ""
    macs: int = 0
    params: int = 0
    weight_elements: int = 0
    bias_elements: int = 0
    activation: str = ""
    groups: int = 1
    window: Window | None = None
    spread: Window | None = None
    pads: tuple[tuple[int, int], tuple[int, int]] | None = None
    factor: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    """Operators in execution order. `uncounted` says which could not be weighed, how often.

    `stored` is what a file holds for its operators, in bytes by element type ("int8", "fp32");
    empty where the graph is not that of a file. `num_constants` counts the tensors that hold
    this, weights and shapes alike; None where the graph is not that of a file. `offsets` are the
    places in the arena, in bytes, of tensors for which the file or the plan has set one.
    `pads_same` says that the network pads as SAME does whatever the size of the picture.
    """

    tensors: Mapping[str, Tensor] = field(hash=False)
    ops: tuple[Op, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    uncounted: Mapping[str, int] = field(default_factory=dict, hash=False)
    stored: Mapping[str, int] = field(default_factory=dict, hash=False)
    num_constants: int | None = None
    offsets: Mapping[str, int] = field(default_factory=dict, hash=False)
    pads_same: bool = False

    @property
    def macs(self) -> int:
        """Multiply-accumulates of convolutions and matrix products."""
        return sum(op.macs for op in self.ops)

    @property
    def params(self) -> int:
        """Trained numbers that the operators use."""
        return sum(op.params for op in self.ops)

    def num_readers(self) -> dict[str, int]:
        """Count for each tensor who needs it: operators that read it, and the outside world."""
        counts = dict.fromkeys(self.tensors, 0)
        for name in (*(name for op in self.ops for name in set(op.reads)), *self.outputs):
            counts[name] += 1
        return counts


def chain(*ops: Op, shapes: Mapping[str, tuple[int, ...]]) -> Graph:
    """Build a graph by hand: what no operator writes is input, what none reads is output.

    >>> relu = Op(name="relu", kind="relu", reads=("a",), writes=("b",))
    >>> chain(relu, shapes={"a": (1, 2), "b": (1, 2)}).outputs
    ('b',)
    """
    read = {name for op in ops for name in op.reads}
    written = {name for op in ops for name in op.writes}
    return Graph(
        tensors={name: Tensor(name=name, shape=shape) for name, shape in shapes.items()},
        ops=ops,
        inputs=tuple(name for name in shapes if name not in written),
        outputs=tuple(name for name in shapes if name in written and name not in read),
    )
