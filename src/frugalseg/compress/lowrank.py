"""Low rank: layers are written as smaller ones, where that makes them smaller.

svd     one threshold for all layers: each gets the lowest rank that keeps this share of the squared
        norm of its weights, in the cheaper of both matrix schemes
tucker  the same threshold for Tucker-2 of k x k convolutions (Kim et al. 2016, arXiv 1511.06530,
        whose ranks are found otherwise), half of the loss for each of both ranks
bsr     by the accuracy of the truncated network, in a beam search: see `compress.beam`

A layer is written as smaller ones only if that lowers what the goal limits (bytes, MACs,
parameters) and raises none of these; bytes are counted with what a file stores for an operator.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import Any, Self

from torch import nn

from frugalseg.compress.beam import Beam, Ranks, Rung, search
from frugalseg.compress.decompose import Spectra, Truncated, decomposed
from frugalseg.compress.goal import Goal, least
from frugalseg.compress.layers import ADDED_UP, Layer, layers_of
from frugalseg.copying import copied
from frugalseg.core.errors import ConfigError, OverBudgetError, listed, unknown
from frugalseg.core.inputs import InputSpec
from frugalseg.cost.graph import Graph
from frugalseg.models.catalog import Architecture
from frugalseg.models.factors import Rank, factorise, weight_of
from frugalseg.models.network import Network
from frugalseg.models.reshape import shapes_of
from frugalseg.trace import record

SCHEMES = {"svd": ("channel", "spatial"), "tucker": ("tucker",), "bsr": ("channel", "spatial")}
STEPS = 14  # of the search for the threshold
RUNGS = 4  # that the ladder of a layer has, more or less, if it has as many ranks


@dataclass(frozen=True, slots=True, kw_only=True)
class LowRankPlan:
    """Which layers become smaller ones, of which ranks, and what that comes to: data.

    `weights` are the shapes of all weights of layers before; `before` and `after` the figures of
    the network. `fixed` says why how many other layers stay whole. `score` is the accuracy with
    which a beam search ended, before any training.
    """

    network: str
    method: str
    weights: Mapping[str, tuple[int, ...]]
    ranks: Mapping[str, Rank]
    before: Mapping[str, int]
    after: Mapping[str, int]
    fixed: Mapping[str, int] = field(default_factory=dict)
    score: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Read what `to_dict` wrote; raises ConfigError where it is no plan."""
        try:
            counts = {
                key: {str(name): int(count) for name, count in values[key].items()}
                for key in ("before", "after", "fixed")
            }
            lists = {
                key: {str(name): tuple(numbers) for name, numbers in values[key].items()}
                for key in ("weights", "ranks")
            }
            return cls(**{**values, **counts, **lists})
        except (TypeError, KeyError, ValueError, AttributeError) as wrong:
            raise ConfigError(f"not a plan of ranks: {wrong!r}") from wrong

    def rows(self) -> list[tuple[str, str, str]]:
        """List the layers that change, as rows of (layer, its weights before, its ranks after)."""
        return [
            (name, _x(self.weights[f"{name}.weight"]), " ".join(map(str, rank)))
            for name, rank in self.ranks.items()
        ]


def plan_lowrank(
    network: Network, name: str, spec: InputSpec, goal: Goal, method: str | Beam = "svd"
) -> LowRankPlan:
    """Choose the ranks of layers, "svd", "tucker" or by a beam search, until the goal is met.

    The network is not changed. Of each rank at least a tenth stays, and a multiple of the channels
    that the device stores. Raises OverBudgetError where even that is not enough, with the smallest
    network that there is, and ConfigError for weights that are no numbers and for a device that
    cannot run the network.
    """
    named = "bsr" if isinstance(method, Beam) else method
    if named not in SCHEMES or (named == "bsr" and method == "bsr"):
        raise unknown("way to choose ranks", named, SCHEMES.keys() - {"bsr"})
    whole = record(network, spec)
    goal.refuse(whole, spec)
    layers, stay = layers_of(network, whole, SCHEMES[named], goal)
    problem = _Problem(network, spec, goal, layers, whole)
    ranks = problem.by_threshold()
    graph = problem.weighed(ranks)
    if not (verdict := goal.check(graph)):
        raise OverBudgetError(
            f"factorised as far as it goes ({len(ranks)} of {len(layers)} layers), {name} is too"
            f" much: {verdict}",
            verdict,
        )
    score = None
    if isinstance(method, Beam) and ranks and (found := problem.by_beam(method)) is not None:
        ranks, score = found
        graph = problem.weighed(ranks)
    return LowRankPlan(
        network=name,
        method=named,
        weights=weight_shapes(network),
        ranks={name: ranks[name] for name in layers if name in ranks},
        before=problem.figures,
        after=goal.figures(graph),
        fixed=dict(stay),
        score=score,
    )


def apply_lowrank(
    network: Network, architecture: Architecture, _spec: InputSpec, plan: LowRankPlan
) -> tuple[Network, Architecture]:
    """Return a copy with the layers that the plan factorises, and what it is as data.

    The factors are those of the network's own weights, nearest at these ranks. Raises ConfigError,
    with the differences, for a network that the plan was not made for.
    """
    if told := list(_differences(network, architecture, plan)):
        raise ConfigError(f"the plan was made for another network{listed(told)}")
    made = replace(architecture, ranks={**architecture.ranks, **plan.ranks})
    smaller = copied(network)
    for name, rank in plan.ranks.items():
        try:
            smaller.set_submodule(name, decomposed(network.get_submodule(name), rank))
        except (ConfigError, AttributeError) as wrong:
            raise ConfigError(f"the plan cannot be followed: {name} as {rank}: {wrong}") from wrong
    return smaller, made


class _Problem:
    """A network, its layers and their spectra, and the goal that ranks are chosen for."""

    def __init__(
        self,
        network: Network,
        spec: InputSpec,
        goal: Goal,
        layers: Mapping[str, Layer],
        whole: Graph,
    ) -> None:
        self.network, self.spec, self.goal, self.layers = network, spec, goal, layers
        self.whole, self.figures = whole, goal.figures(whole)
        self.spectra = Spectra({n: weight_of(network.get_submodule(n)) for n in layers})
        self.skeleton = copied(network).to("meta")

    def weighed(self, ranks: Ranks) -> Graph:
        """Return the graph of the network with these ranks; no weights are computed for it."""
        smaller = copied(self.skeleton)
        factorise(smaller, ranks)
        return record(smaller, self.spec)

    def meets(self, ranks: Ranks) -> bool:
        """Say whether the network with these ranks meets the goal, by tracing it."""
        return bool(self.goal.check(self.weighed(ranks)))

    def nearly(self, ranks: Ranks) -> bool:
        """The same for limits that layers add up to, in no time, but for padding of factors.

        Of other limits, such as memory, nothing is said.
        """
        for figure, limit in self.goal.limits().items():
            saved = [self.layers[n].saved(rank).get(figure, 0.0) for n, rank in ranks.items()]
            if figure in ADDED_UP and self.figures[figure] * (1 - sum(saved)) > limit:
                return False
        return True

    def by_threshold(self) -> Ranks:
        """Let each layer lose the same share of its squared norm: the least that will do."""
        if self.goal.check(self.whole):
            return {}
        if self.goal.limits().keys() <= ADDED_UP:
            ranks = least(self._of_share, self.nearly, STEPS)
            if self.meets(ranks):
                return ranks
        return least(self._of_share, self.meets, STEPS)

    def _of_share(self, share: float) -> Ranks:
        ranks = {}
        for name, layer in self.layers.items():
            # The square: finer where little is lost.
            tried = [self._at(layer, scheme, share**2) for scheme in layer.fulls]
            best = max(tried, key=layer.saving)
            if layer.saving(best) > 0:
                ranks[name] = best
        return ranks

    def by_beam(self, beam: Beam) -> tuple[Ranks, float] | None:
        """Choose ranks by the accuracy that they leave."""
        excess = self.goal.check(self.whole).excess
        step = sum((e.needed - e.allowed) / e.needed for e in excess) / beam.steps
        ladders = {name: list(self._ladder(layer, step)) for name, layer in self.layers.items()}
        truncated = Truncated(self.network, self.spectra)

        def score(ranks: Ranks) -> float:
            return beam.score(truncated.at(ranks))

        found = search(ladders, step, score, lambda r: self.nearly(r) and self.meets(r), beam)
        if found is None:
            return None
        filled = self._filled(found[0])
        return max((filled, score(filled)), found, key=lambda one: one[1])

    def _filled(self, ranks: Ranks) -> Ranks:
        """Raise ranks by what the last step went too far, where most of the norm is won for it."""
        filled = ranks
        while True:
            raised = ({**filled, name: rank} for name, rank in self._above(filled))
            more = next(filter(self.nearly, raised), None)
            if more is None:
                return filled if self.meets(filled) else ranks
            filled = more

    def _above(self, ranks: Ranks) -> list[tuple[str, Rank]]:
        """List the next rank of each layer that still saves something, the dearest norm last."""
        prices: list[tuple[float, str, Rank]] = []
        for name, rank in ranks.items():
            scheme, number, layer = str(rank[0]), int(rank[1]), self.layers[name]
            more = layer.rounded(scheme, [number + 1], self.goal.multiple)
            won = self.spectra.kept(name, scheme)[0][[number - 1, int(more[1]) - 1]]
            if more != rank and layer.saving(more) > 0 and won[1] > won[0]:
                costs = (layer.saving(rank) - layer.saving(more)) / (won[1] - won[0])
                prices.append((costs, name, more))
        return [(name, more) for _, name, more in sorted(prices)]

    def _at(self, layer: Layer, scheme: str, lost: float) -> Rank:
        kept = self.spectra.kept(layer.name, scheme)
        wanted = [1 - lost / len(kept)] * len(kept)
        ranks = [
            int((shares < least).sum()) + 1 for shares, least in zip(kept, wanted, strict=True)
        ]
        return layer.rounded(scheme, ranks, self.goal.multiple)

    def _ladder(self, layer: Layer, step: float) -> Iterator[Rung]:
        """Yield ranks of which each saves a step more than that before it, down to the least.

        The step is smaller in a layer that saves little in all, so that it too has some rungs.
        """
        scheme = max(layer.fulls, key=partial(self._kept_at_half, layer))
        kept = self.spectra.kept(layer.name, scheme)[0]
        lowest, saved = layer.least(scheme, self.goal.multiple), 0.0
        step = min(step, layer.saving(lowest) / RUNGS)
        for number in range(layer.fulls[scheme][0], 0, -1):
            rank = layer.rounded(scheme, [number], self.goal.multiple)
            saves = layer.saving(rank)
            if saves > saved and (saves >= saved + step or rank == lowest):
                yield Rung(rank=rank, saves=saves, loses=float(1 - kept[int(rank[1]) - 1]))
                saved = saves
            if rank == lowest:
                return

    def _kept_at_half(self, layer: Layer, scheme: str) -> float:
        """Say how much of its norm a layer keeps in a scheme that costs half of it, or more."""
        half = sum(layer.cost(None).values()) / 2
        kept = self.spectra.kept(layer.name, scheme)[0]
        fitting = [
            n for n in range(1, len(kept) + 1) if sum(layer.cost((scheme, n)).values()) <= half
        ]
        return float(kept[max(fitting, default=1) - 1])


def weight_shapes(network: nn.Module) -> dict[str, tuple[int, ...]]:
    """Return the shapes of all weights of layers."""
    return {name: shape for name, shape in shapes_of(network).items() if len(shape) > 1}


def _differences(network: Network, architecture: Architecture, plan: LowRankPlan) -> Iterator[str]:
    if architecture.name != plan.network:
        yield f"it is a {architecture.name}, the plan is for a {plan.network}"
    own = weight_shapes(network)
    for name in sorted({*own, *plan.weights}):
        here, planned = (_x(shapes.get(name)) for shapes in (own, plan.weights))
        if here != planned:
            yield f"{name} is {here}, {planned} in the plan"


def _x(shape: tuple[int, ...] | None) -> str:
    return "none" if shape is None else "x".join(map(str, shape))
