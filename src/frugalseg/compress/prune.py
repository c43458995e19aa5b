"""Pruning: whole channels are taken away, so that file, memory and time really shrink."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from frugalseg.compress.goal import Goal, least
from frugalseg.compress.groups import Groups, Kept, cut
from frugalseg.compress.importance import Importance, best_of, check_importance
from frugalseg.core.errors import ConfigError, OverBudgetError, listed
from frugalseg.core.inputs import InputSpec
from frugalseg.cost.graph import Graph
from frugalseg.cost.rescale import rescale
from frugalseg.models.catalog import Architecture
from frugalseg.models.network import Network
from frugalseg.models.reshape import shapes_of
from frugalseg.trace import record

LEAST_SHARE = 0.1  # of a group's channels that always stay
STEPS = 24  # of the search for how much has to go: finer than a channel of any network here


@dataclass(frozen=True, slots=True, kw_only=True)
class PrunePlan:
    """Which channels of which groups stay, and what that comes to: data, for any fresh network.

    `channels` are those of all groups before, and of what must stay; `before` and `after` the
    figures of the network. `fixed` says why that must stay, and how many operators make it.
    """

    network: str
    importance: str
    channels: Mapping[str, int]
    kept: Mapping[str, tuple[int, ...]]
    before: Mapping[str, int]
    after: Mapping[str, int]
    fixed: Mapping[str, int] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Read what `to_dict` wrote; raises ConfigError where it is no plan."""
        try:
            kept = {name: tuple(map(int, places)) for name, places in values["kept"].items()}
            counts = {
                key: {str(name): int(count) for name, count in values[key].items()}
                for key in ("channels", "before", "after", "fixed")
            }
            return cls(**{**values, **counts, "kept": kept})
        except (TypeError, KeyError, ValueError, AttributeError) as wrong:
            raise ConfigError(f"not a plan for pruning: {wrong!r}") from wrong

    def rows(self) -> list[tuple[str, str, str]]:
        """List the groups that lose channels, as rows of (group, channels before, after)."""
        return [
            (group, f"{self.channels[group]}", f"{len(places)}")
            for group, places in self.kept.items()
        ]


def plan_prune(
    network: Network,
    name: str,
    spec: InputSpec,
    importance: tuple[str, Importance],
    goal: Goal,
    *,
    multiple: int = 1,
) -> PrunePlan:
    """Choose the channels that go: those that matter least of all groups, until the goal is met.

    The network is not changed. Of each group at least a tenth stays, and a multiple of `multiple`
    channels where it has so many (see `Groups.rounded`). Raises OverBudgetError where even that is
    not enough, with the smallest network that there is, and ConfigError for a device that cannot
    run the network.
    """
    groups, whole = Groups.of(network, spec), record(network, spec)
    goal.refuse(whole, spec)
    check_importance(*importance)
    scores = {group: importance[1][group] for group in groups.channels if group in importance[1]}
    every = np.sort(np.concatenate([np.zeros(0), *scores.values()]))

    def of_share(share: float) -> tuple[Kept, Graph]:
        gone = int(share * len(every))
        threshold = every[gone - 1] if gone else -np.inf
        kept = {g: _stay(groups, g, scores[g], threshold, multiple) for g in scores}
        kept = {g: places for g, places in kept.items() if len(places) < groups.channels[g]}
        return kept, weighed(network, whole, groups, kept, spec)

    kept, graph = least(of_share, lambda tried: bool(goal.check(tried[1])), STEPS)
    if verdict := goal.check(graph):
        return PrunePlan(
            network=name,
            importance=importance[0],
            channels=dict(groups.all_channels),
            kept={group: tuple(places.tolist()) for group, places in kept.items()},
            before=goal.figures(whole),
            after=goal.figures(graph),
            fixed=dict(Counter(groups.fixed.values()) + Counter(_unscored(groups, scores))),
        )
    stays = len(groups.channels) - len(scores)
    note = f" ({importance[0]} says nothing of {stays} of the groups)" if stays else ""
    raise OverBudgetError(f"pruned as far as it goes{note}, {name} is too much: {verdict}", verdict)


def apply_prune(
    network: Network, architecture: Architecture, spec: InputSpec, plan: PrunePlan
) -> tuple[Network, Architecture]:
    """Return a copy with the channels that the plan keeps, and what it is as data.

    Raises ConfigError, with the differences, for a network that the plan was not made for.
    """
    groups = Groups.of(network, spec)
    if told := list(_differences(architecture, groups, plan)):
        raise ConfigError(f"the plan was made for another network{listed(told)}")
    smaller = cut(network, groups, {g: np.array(k, np.int64) for g, k in plan.kept.items()})
    whole = architecture.whole_shapes()
    full = shapes_of(replace(architecture, shapes=whole).build())
    shapes = {name: shape for name, shape in shapes_of(smaller).items() if shape != full[name]}
    return smaller, replace(architecture, shapes={**whole, **shapes})


def weighed(network: Network, whole: Graph, groups: Groups, kept: Kept, spec: InputSpec) -> Graph:
    """Return the graph of the network as a plan leaves it, without making it if that can be."""
    there = {op.name for op in whole.ops}
    counts = {
        maker: len(places)
        for group, places in kept.items()
        for maker in groups.makers[group]
        if maker in there
    }
    try:
        return rescale(whole, channels=counts)
    except ConfigError:  # an operator whose geometry is not known
        return record(cut(network, groups, kept), spec)


def _stay(
    groups: Groups, group: str, scores_C: NDArray[np.float64], threshold: float, multiple: int
) -> NDArray[np.int64]:
    """Choose the channels above the threshold, and the best of the rest up to what has to stay."""
    least = int(np.ceil(LEAST_SHARE * len(scores_C)))
    wanted = max(int((scores_C > threshold).sum()), least, 1)
    return best_of(scores_C, groups.rounded(group, wanted, multiple))


def _unscored(groups: Groups, scores: Importance) -> Iterator[str]:
    """Say once for each group without a score why it stays."""
    yield from ("this importance says nothing of it" for g in groups.channels if g not in scores)


def _differences(architecture: Architecture, groups: Groups, plan: PrunePlan) -> Iterator[str]:
    if architecture.name != plan.network:
        yield f"it is a {architecture.name}, the plan is for a {plan.network}"
    for name in sorted({*groups.all_channels, *plan.channels}):
        own, planned = groups.all_channels.get(name), plan.channels.get(name)
        if own != planned:
            yield f"{name} makes {own or 'no such'} channels, {planned or 'none'} in the plan"
    for name, places in plan.kept.items():
        count = groups.channels.get(name, 0)
        if not places or sorted({*places}) != [*places] or not 0 <= places[0] <= places[-1] < count:
            yield f"{name}: keeps none, some twice, or channels that are not there"
