"""Channels that can only be taken away together, and taking them away.

The groups are those of `cost.channels`, over the graph with all heads, those for training too: a
sum ties its maps, a depthwise convolution, a norm and an activation keep what they read, a
concatenation lays channels side by side. What a plan leaves of a network can so be weighed before
it is made (`cost.rescale`). What is not understood stays as it is, and `Groups.fixed` says why.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from frugalseg.copying import copied
from frugalseg.core.inputs import InputSpec
from frugalseg.cost.channels import Rules
from frugalseg.cost.graph import Graph, Op
from frugalseg.models.network import Network
from frugalseg.models.reshape import put, tell
from frugalseg.trace import record

Kept = Mapping[str, NDArray[np.int64]]  # by group: the channels that stay, in order
WHOLE = "whole."
JOINED = "joined to what stays: "


class _Heads(nn.Module):
    """A network with all that it gives, heads that exist for training alone too."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.whole = network

    def native(self, image_NCHW: Tensor) -> list[Tensor]:
        outputs = self.whole.outputs(image_NCHW)
        boundary = [] if outputs.boundary is None else [outputs.boundary]
        return [outputs.scores, *outputs.auxiliary, *boundary]


@dataclass(slots=True)
class Groups:
    """The groups of a network by the name of their first maker, with their number of channels.

    `makers` are all operators that decide on a group's channels alone, as `cost.channels` names
    them; layers of which it has a part are not among them. `fixed` says of makers that decide on
    the channels of no group why these must stay; `all_channels` has their channels too. `beside`
    are groups with a part in a map that is joined from several.
    """

    graph: Graph
    rules: Rules
    channels: dict[str, int] = field(default_factory=dict)
    makers: dict[str, tuple[str, ...]] = field(default_factory=dict)
    fixed: dict[str, str] = field(default_factory=dict)
    all_channels: dict[str, int] = field(default_factory=dict)
    beside: frozenset[str] = frozenset()
    _key: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, network: Network, spec: InputSpec) -> "Groups":
        """Find the groups of a network; raises ConfigError where it cannot be traced."""
        graph = record(_Heads(network), spec)
        found = cls(graph, Rules(graph))
        reasons = dict(_reasons(graph, found.rules))
        _spread(found.rules, reasons)
        for root, makers in found.rules.makers.items():
            named = tuple(maker.removeprefix(WHOLE) for maker in makers)
            if root in reasons:
                found.fixed |= dict.fromkeys(named, reasons[root])
                found.all_channels[named[0]] = found.rules.given[root]
            elif root not in found.rules.sums:
                found._key[root] = named[0]
                found.makers[named[0]] = named
                found.channels[named[0]] = found.rules.given[root]
        found.all_channels |= found.channels
        joined = (part for root in found.rules.sums for part in found.rules.parts(root))
        found.beside = frozenset(found._key[part] for part in joined if part in found._key)
        return found

    def rounded(self, group: str, wanted: int, multiple: int) -> int:
        """Return how many channels of a group stay where at least `wanted` are to.

        That is a multiple, or all. What is joined with others loses a multiple, so that a map of
        which all parts together are a multiple still is one.
        """
        count = self.channels[group]
        if group in self.beside:
            return count - (count - wanted) // multiple * multiple
        return min(count, -(-wanted // multiple) * multiple)

    def layers(self) -> Iterator[tuple[Op, str]]:
        """Yield the operators that have weights and the name of their module, each module once."""
        seen: set[str] = set()
        for op in self.graph.ops:
            layer = op.layer.removeprefix(WHOLE)
            if op.params and op.kind in SLICES and layer not in seen:
                seen.add(layer)
                yield op, layer

    def parts_of(self, tensor: str) -> Iterator[tuple[str, slice]]:
        """Yield the groups that have a part in the channels of a tensor, and which part."""
        start = 0
        for root in self.rules.parts(self.rules.ties.of(tensor)):
            stop = start + self.rules.given[root]
            if root in self._key:
                yield self._key[root], slice(start, stop)
            start = stop

    def kept_of(self, tensor: str, kept: Kept) -> NDArray[np.int64] | None:
        """Give the channels of a tensor that stay; None if all do."""
        stays_C = np.ones(self.rules.given[self.rules.ties.of(tensor)], bool)
        for name, part in self.parts_of(tensor):
            if name in kept:
                stays_C[part] = False
                stays_C[part.start + kept[name]] = True
        return None if stays_C.all() else np.flatnonzero(stays_C)


def cut(network: Network, groups: Groups, kept: Kept) -> Network:
    """Return a copy of a network with only those channels of its groups that are kept."""
    smaller = copied(network)
    for op, layer in groups.layers():
        module = smaller.get_submodule(layer)
        made, read = (groups.kept_of(name, kept) for name in (op.writes[0], op.reads[0]))
        for name, axis, which in SLICES[op.kind](module):
            index = made if which == "made" else read
            tensor = getattr(module, name, None)
            if index is not None and tensor is not None:
                values = tensor.detach().index_select(axis, torch.from_numpy(index))
                put(module, name, values.clone())
        tell(module)
    return smaller


def _convolution(module: nn.Module) -> list[tuple[str, int, str]]:
    if isinstance(module, nn.Conv2d) and module.groups > 1:  # one filter for each channel
        return [("weight", 0, "made"), ("bias", 0, "made")]
    return [("weight", 0, "made"), ("bias", 0, "made"), ("weight", 1, "read")]


def _transposed(_module: nn.Module) -> list[tuple[str, int, str]]:
    return [("weight", 1, "made"), ("bias", 0, "made"), ("weight", 0, "read")]


def _norm(_module: nn.Module) -> list[tuple[str, int, str]]:
    return [(name, 0, "made") for name in ("weight", "bias", "running_mean", "running_var")]


def _prelu(module: nn.Module) -> list[tuple[str, int, str]]:
    assert isinstance(module, nn.PReLU)
    return [("weight", 0, "made")] if module.num_parameters > 1 else []


SLICES = {
    "conv_2d": _convolution, "depthwise_conv_2d": _convolution, "transpose_conv": _transposed,
    "fully_connected": _convolution, "batch_norm": _norm, "prelu": _prelu,
}  # fmt: skip


def _reasons(graph: Graph, rules: Rules) -> Iterator[tuple[str, str]]:
    """Say of classes of tensors why their channels must stay."""
    for name in graph.inputs:
        yield rules.ties.of(name), "the picture"
    for name in graph.outputs:
        yield rules.ties.of(name), "the scores"
    for name in rules.pinned:
        yield name, "an operator that is not understood meets it"
    for name, sums in rules.sums.items():
        if len(sums) > 1:
            yield name, "maps that are joined in several ways are added up"
    for op in graph.ops:
        if reason := _reason(op, rules):
            yield from ((rules.ties.of(name), reason) for name in (*op.reads, *op.writes))
    yield from _shared(graph, rules)


def _reason(op: Op, rules: Rules) -> str:
    """Say why the channels around an operator must stay; nothing if they need not."""
    if op.params > 1 and op.kind not in SLICES:
        return f"has weights of its own in {op.name.removeprefix(WHOLE)}"
    made, read = (rules.given[rules.ties.of(name)] for name in (op.writes[0], op.reads[0]))
    depthwise = op.groups == made == read
    if op.kind in {"conv_2d", "depthwise_conv_2d"} and op.groups > 1 and not depthwise:
        return f"grouped convolution {op.layer.removeprefix(WHOLE)}"
    return ""


def _shared(graph: Graph, rules: Rules) -> Iterator[tuple[str, str]]:
    """Say what must stay because one layer is used in several places."""
    places: dict[str, set[tuple[str, str]]] = {}
    weighted = {op.layer for op in graph.ops if op.params}  # counted where they are used first
    for op in graph.ops:
        if op.layer in weighted and op.kind in SLICES:
            around = rules.ties.of(op.reads[0]), rules.ties.of(op.writes[0])
            places.setdefault(op.layer, set()).add(around)
    for layer, used in places.items():
        if len(used) > 1:
            reason = f"{layer.removeprefix(WHOLE)} is used in several places"
            yield from ((name, reason) for pair in used for name in pair)


def _spread(rules: Rules, reasons: dict[str, str]) -> None:
    """What is joined into a map that must stay must stay as well."""
    before = -1
    while len(reasons) != before:
        before = len(reasons)
        for joined, sums in rules.sums.items():
            if joined in reasons:
                for name in (name for reads in sums for name in reads):
                    reasons.setdefault(
                        rules.ties.of(name), f"joined to what stays: {reasons[joined]}"
                    )
