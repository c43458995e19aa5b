"""The layers of a network that can be written as smaller ones, and what each of them costs."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, prod

from torch import nn

from frugalseg.compress.goal import Goal
from frugalseg.cost.file_size import layer_bytes
from frugalseg.cost.graph import Graph
from frugalseg.models.factors import SCHEMES, Factors, Rank, most, weight_of, why_whole

LEAST_SHARE = 0.1  # of a full rank that always stays
ADDED_UP = frozenset({"storage_bytes", "macs", "parameters"})  # figures that layers add up to
PART_OF = {"total_bytes": "storage_bytes"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """A layer of the deployed network.

    `shape` is that of its weights, `fulls` are its full ranks by scheme, and `pixels` those of the
    maps that it makes, over all places where it is used. `counts` are the figures that count, each
    with one over what the whole network has of it.
    """

    name: str
    shape: tuple[int, ...]
    stride: tuple[int, int]
    pixels: int
    fulls: Mapping[str, tuple[int, ...]]
    counts: Mapping[str, float]

    def cost(self, rank: Rank | None) -> dict[str, float]:
        """Say what it costs of each figure that counts, as shares; whole without a rank."""
        parts = [(prod(self.shape), self.shape[0], 1)] if rank is None else self._parts(rank)
        found = {
            "storage_bytes": sum(layer_bytes(weights, made) for weights, made, _ in parts),
            "macs": sum(weights * self.pixels * more for weights, _, more in parts),
            "parameters": sum(weights for weights, _, _ in parts),
        }
        return {figure: share * found[figure] for figure, share in self.counts.items()}

    def saving(self, rank: Rank) -> float:
        """Say what a rank saves of all figures that count; 0 where it adds to one of them."""
        saved = self.saved(rank).values()
        return sum(saved) if min(saved) >= 0 else 0.0

    def saved(self, rank: Rank) -> dict[str, float]:
        """Say what a rank saves of each figure that counts, as a share."""
        before, after = self.cost(None), self.cost(rank)
        return {figure: before[figure] - after[figure] for figure in before}

    def least(self, scheme: str, multiple: int) -> Rank:
        """Return the lowest rank that a layer may get."""
        return self.rounded(scheme, [1 for _ in self.fulls[scheme]], multiple)

    def rounded(self, scheme: str, ranks: Sequence[int], multiple: int) -> Rank:
        """Return ranks as multiples, but not below the least nor above the full ones."""
        return scheme, *(
            min(full, -(-max(rank, ceil(LEAST_SHARE * full)) // multiple) * multiple)
            for rank, full in zip(ranks, self.fulls[scheme], strict=True)
        )

    def _parts(self, rank: Rank) -> list[tuple[int, int, int]]:
        """List weights, channels made and pixels, in those of the last, of each smaller layer."""
        scheme, *ranks = rank
        c_out, c_in, *kernel = self.shape
        kernel = kernel or [1, 1]
        channels = [c_in, *map(int, ranks), c_out]
        later = [1, 1]  # the strides of what comes after
        parts = []
        for i, axes in reversed([*enumerate(SCHEMES[str(scheme)])]):
            size = prod(side for side, axis in zip(kernel, axes, strict=True) if axis)
            parts.append((channels[i] * channels[i + 1] * size, channels[i + 1], prod(later)))
            strides = zip(later, self.stride, axes, strict=True)
            later = [n * (stride if axis else 1) for n, stride, axis in strides]
        return parts[::-1]


def layers_of(
    network: nn.Module, graph: Graph, schemes: Sequence[str], goal: Goal
) -> tuple[dict[str, Layer], Counter[str]]:
    """Return the layers that some rank makes smaller, and why how many others stay whole.

    `graph` is what is deployed. Of `schemes`, a layer has those that are any use: one alone where
    its kernel is a point.
    """
    modules = dict(network.named_modules())
    whole = goal.figures(graph)
    named = {PART_OF.get(limit, limit) for limit in goal.limits()}
    counts = {f: 1 / max(1, whole[f]) for f in sorted(named & ADDED_UP) or ["storage_bytes"]}
    macs: Counter[str] = Counter()
    for op in graph.ops:
        if op.macs and op.weight_elements:
            macs[op.layer] += op.macs
    found: dict[str, Layer] = {}
    stay: Counter[str] = Counter()
    for name, count in macs.items():
        parent = modules[name.rpartition(".")[0]]
        reason = "a factor already" if isinstance(parent, Factors) else why_whole(modules[name])
        layer = None if reason else _layer(name, modules[name], count, schemes, counts)
        if layer is not None and _helps(layer):
            found[name] = layer
        else:
            stay[reason or "no rank makes it smaller"] += 1
    return found, stay


def _layer(
    name: str, module: nn.Module, macs: int, schemes: Sequence[str], counts: Mapping[str, float]
) -> Layer:
    shape = tuple(weight_of(module).shape)
    flat = prod(shape[2:]) == 1
    own = ["channel"] if flat else schemes
    stride = module.stride if isinstance(module, nn.Conv2d) else (1, 1)
    return Layer(
        name=name, shape=shape, stride=(stride[0], stride[1]),
        pixels=macs // prod(shape), counts=counts,
        fulls={scheme: most(module, scheme) for scheme in own},
    )  # fmt: skip


def _helps(layer: Layer) -> bool:
    return any(layer.saving(layer.least(scheme, 1)) > 0 for scheme in layer.fulls)
