"""Quantisation-aware training: a network computes as its int8 file will, and learns through it.

After Jacob et al. 2018 (arXiv 1712.05877, section 3): weights and maps are rounded to their 8 bits
in the forward pass, and gradients pass the rounding as if it were not there, but not where a value
is out of range. What is rounded is what the exported file holds: weights with the norm after them
folded in, symmetric, one scale for each output channel; and of the maps those that are left when
operators are fused as LiteRT fuses them, with one range where the file has one scale. Ranges are
running means of the least and the largest value of a picture, as calibration takes them at export,
so that a network trained like this is exported as any other.

We depart from the paper in that norms are frozen from the first quantised step on, with dropout
off: the network is the one that is exported. Not imitated are biases (32 bits), what goes on
inside of PReLU, hard sigmoid and layer norm, and the change of scale before some joins.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from frugalseg.core.errors import ConfigError
from frugalseg.core.inputs import InputSpec
from frugalseg.cost.fuse import CONVOLUTIONS, DECISIONS, PASSES, fuse
from frugalseg.cost.graph import Graph
from frugalseg.cost.scales import joined
from frugalseg.models.network import Network
from frugalseg.trace import Call, Calls, record_calls
from frugalseg.training.recipe import Recipe
from frugalseg.training.smaller import Quantize

BITS = 8
LEAST, MOST = -128, 127
LEAST_SPAN = 1e-7  # of a map that no picture has woken: it gets 0 to 1, as at export
LEAST_SCALE = 1e-9
MEMORY = 0.98  # of running means, once they are that old
# The axis of output channels in what holds weights.
WEIGHTED = {"conv2d": 0, "linear": 0, "conv_transpose2d": 1}
# What writes in the scale of what it reads, and of these what computes new values.
MOVES = frozenset({
    "__getitem__", "chunk", "contiguous", "flatten", "max_pool2d", "pad", "permute", "reshape",
    "split", "transpose", "view",
})  # fmt: skip
MEANS = frozenset({"avg_pool2d", "interpolate"})
SCALES = {"logistic": (0.0, 1.0), "softmax": (0.0, 1.0), "tanh": (-1.0, 1.0)}  # set by the kernels
NORM = "batch_norm"


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """What of a network is quantised.

    `maps` are the calls whose results are maps of the file, by name; `groups` say for each which
    maps it shares its range with; `fixed` are ranges that kernels set. `weights` are the layers
    that have some, `folded` the norms that go into them.
    """

    maps: Mapping[Call, str]
    groups: Mapping[str, tuple[str, ...]]
    fixed: Mapping[str, tuple[float, float]]
    weights: frozenset[str]
    folded: Mapping[str, str]


def places_of(network: Network, spec: InputSpec) -> Places:
    """Find what is quantised; raises ConfigError for weights in operators that are not known."""
    graph, calls = record_calls(network, spec)
    made_by = {name: call for call, name in calls.items()}
    layers = {op.writes[0]: op for op in graph.ops if op.kind in CONVOLUTIONS | {"fully_connected"}}
    if strange := sorted(
        {op.name for name, op in layers.items() if made_by[name].function not in WEIGHTED}
    ):
        raise ConfigError(f"quantize.name=qat does not know the weights of {', '.join(strange)}")
    fused = fuse(graph)
    ops, same = [], dict[str, str]()
    for op in fused.ops:
        if op.kind in {"quantize", "dequantize"}:
            same[op.writes[0]] = same.get(op.reads[0], op.reads[0])
        else:
            ops.append((op.kind, {same.get(n, n) for n in op.reads}, {*op.writes}))
    groups = {
        name: tuple(sorted(group)) for group in joined(ops, {*fused.inputs}) for name in group
    }
    kinds = {name: kind for kind, _, writes in ops for name in writes}
    names = {name for name, kind in kinds.items() if kind not in PASSES | DECISIONS}
    return Places(
        maps={call: name for call, name in calls.items() if name in names},
        groups={name: groups.get(name, (name,)) for name in names},
        fixed={name: SCALES[kinds[name]] for name in names if kinds[name] in SCALES},
        weights=frozenset(made_by[name].layer for name in layers),
        folded=_folded(graph),
    )


def _folded(graph: Graph) -> dict[str, str]:
    """Tell for layers with weights which norm alone reads what they make."""
    readers, writer = graph.num_readers(), {name: op for op in graph.ops for name in op.writes}
    folded = {}
    for op in graph.ops:
        if op.kind == NORM and readers[op.reads[0]] == 1:
            before = writer.get(op.reads[0])
            if before is not None and before.kind in CONVOLUTIONS:
                folded[before.layer] = op.layer
    return folded


class Quantiser:
    """Runs networks of one architecture as int8, and keeps the ranges of their maps."""

    def __init__(self, wish: Quantize, network: Network, spec: InputSpec) -> None:
        self.wish, self.places = wish, places_of(network, spec)
        if unknown := sorted({*wish.bits} - self.places.weights):
            raise ConfigError(f"quantize.bits: no layer with weights is called {unknown}")
        self.ranges: dict[str, Tensor] = {}  # least, largest, from how many batches

    @contextmanager
    def on(self, network: Network, *, learn: bool = False) -> Iterator[None]:
        """Let one forward pass of the network compute in int8; with `learn`, ranges move."""
        with _Int8(self, network, learn):
            yield

    def look(self, name: str, map_NChw: Tensor) -> None:
        """Take a batch into the range of a map: the mean over its pictures."""
        every = tuple(range(1, map_NChw.ndim))
        seen = map_NChw.detach().amin(every).mean(), map_NChw.detach().amax(every).mean()
        now = torch.stack([*seen, torch.ones_like(seen[0])])
        old = self.ranges.get(name)
        if old is not None:
            decay = torch.clamp(old[2] / (old[2] + 1), max=MEMORY)
            now = torch.cat([old[:2].lerp(now[:2], 1 - decay), old[2:] + 1])
        self.ranges[name] = now

    def bounds(self, name: str) -> tuple[Tensor, Tensor] | None:
        """Return the range of all maps that share one; None where no batch was seen."""
        if name in self.places.fixed:
            low, high = self.places.fixed[name]
            return torch.tensor(low), torch.tensor(high)
        seen = [self.ranges[other] for other in self.places.groups[name] if other in self.ranges]
        if not seen:
            return None
        both = torch.stack(seen)
        return both[:, 0].min(), both[:, 1].max()

    def restore(self, ranges: Mapping[str, Tensor], device: torch.device) -> None:
        """Go on from the ranges of another process."""
        self.ranges = {name: tensor.to(device) for name, tensor in ranges.items()}


def quantiser_of(recipe: Recipe, network: Network, spec: InputSpec) -> Quantiser | None:
    """Return what the recipe asks for; raises ConfigError where it does not go with the rest."""
    if recipe.quantize.name == "none":
        return None
    if recipe.compile:
        raise ConfigError("quantize.name=qat looks into the network: leave out compile")
    if recipe.precision not in ("auto", "32-true"):
        raise ConfigError(
            f"quantize.name=qat rounds in fp32: leave out precision={recipe.precision}"
        )
    if recipe.sparsity.name != "none":
        raise ConfigError(
            "quantize.name=qat freezes the norms that sparsity presses: train with one, prune, then"
            " with the other"
        )
    return Quantiser(recipe.quantize, network, spec)


class _Int8(Calls):
    """One pass of one network."""

    def __init__(self, quantiser: Quantiser, network: Network, learn: bool) -> None:
        super().__init__(network)
        self.quantiser, self.places, self.learn = quantiser, quantiser.places, learn
        self.modules = dict(network.named_modules())
        self.norms = {*self.places.folded.values()}
        self.names: dict[int, tuple[Tensor, str]] = {}  # by id; held, so that no id comes twice

    def called(self, call: Call, func: Any, args: Any, kwargs: Any) -> Any:
        """Round weights before, and results after."""
        if call.function in WEIGHTED and call.layer in self.places.weights:
            args = self._rounded(call, *args)
        gone = call.function == NORM and call.layer in self.norms
        made = args[0] if gone else func(*args, **kwargs)
        if call in self.places.maps:
            return self._map(self.places.maps[call], made, self.learn)
        if call.function in MOVES | MEANS and id(args[0]) in self.names:
            name = self.names[id(args[0])][1]
            if call.function in MEANS:
                return self._map(name, made, learn=False)
            for part in made if isinstance(made, tuple | list) else (made,):
                self.names[id(part)] = part, name
        return made

    def _map(self, name: str, made: Tensor, learn: bool) -> Tensor:
        if learn:
            self.quantiser.look(name, made)
        bounds = self.quantiser.bounds(name)
        if bounds is not None:
            made = round_map(made, *bounds)
        self.names[id(made)] = made, name
        return made

    def _rounded(
        self, call: Call, x_NChw: Tensor, weight: Tensor, bias_C: Tensor | None = None, *rest: Any
    ) -> tuple[Any, ...]:
        axis = WEIGHTED[call.function]
        if call.layer in self.places.folded:
            norm = self.modules[self.places.folded[call.layer]]
            weight, bias_C = fold(weight, bias_C, norm, axis)
        bits = self.quantiser.wish.bits.get(call.layer, BITS)
        return (x_NChw, round_weight(weight, axis, bits), bias_C, *rest)


def fold(
    weight: Tensor, bias_C: Tensor | None, norm: nn.Module, axis: int
) -> tuple[Tensor, Tensor]:
    """Return weight and bias that do what the norm, as it is in evaluation, does after them."""
    assert isinstance(norm, nn.BatchNorm2d)
    assert norm.running_var is not None
    assert norm.running_mean is not None
    factor_C = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
    shape = [1] * weight.ndim
    shape[axis] = -1
    moved_C = -norm.running_mean if bias_C is None else bias_C - norm.running_mean
    return weight * factor_C.view(shape), norm.bias + moved_C * factor_C


def round_weight(weight: Tensor, axis: int, bits: int = BITS) -> Tensor:
    """Round weights to so many bits, symmetric, with one scale for each channel of an axis.

    >>> round_weight(torch.tensor([[7.0, 2.4], [0.7, -0.1]]), 0, 4)
    tensor([[ 7.0000,  2.0000],
            [ 0.7000, -0.1000]])
    """
    most = 2 ** (bits - 1) - 1
    others = [i for i in range(weight.ndim) if i != axis]
    scale_C = (weight.detach().abs().amax(others) / most).clamp(min=LEAST_SCALE)
    zero_C = torch.zeros_like(scale_C, dtype=torch.int32)
    return torch.fake_quantize_per_channel_affine(weight, scale_C, zero_C, axis, -most, most)


def round_map(map_NChw: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Round a map to 8 bits of the range from `low` to `high`, which is made to hold 0.

    >>> round_map(torch.tensor([-9.0, 0.4, 0.6, 300.0]), torch.tensor(0.0), torch.tensor(255.0))
    tensor([  0.,   0.,   1., 255.])
    """
    low, high = low.clamp(max=0), high.clamp(min=0)
    high = torch.where(high - low < LEAST_SPAN, torch.ones_like(high), high)
    scale = (high - low) / (MOST - LEAST)
    zero = (LEAST - low / scale).round().clamp(LEAST, MOST).int()
    device = map_NChw.device
    return torch.fake_quantize_per_tensor_affine(
        map_NChw, scale.to(device), zero.to(device), LEAST, MOST
    )


class Int8(Network):
    """A network that computes as its int8 file will, for scoring it."""

    def __init__(self, network: Network, quantiser: Quantiser) -> None:
        super().__init__()
        self.network, self.quantiser = network, quantiser
        self.num_classes, self.channels = network.num_classes, network.channels

    def native(self, image_NCHW: Tensor) -> Tensor:
        """Return logits at the native size, (N, classes, h, w)."""
        with self.quantiser.on(self.network):
            return self.network.native(image_NCHW)
