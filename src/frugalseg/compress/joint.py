"""Channels, ranks and bits of weights planned together, to meet all limits at the least loss.

What each change alone moves the scores by is measured (`compress.sensitivity`): fewer channels in a
group, a layer as two smaller ones, weights of 4 bits in a layer. The changes that cost least for
what they save are taken until the network, weighed as a whole, keeps to its limits. That is done
with all kinds of changes and with some of them left out; the network that moves the scores least,
with all its changes at once and before any training, is the plan.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from torch import Tensor

from frugalseg.compress.candidates import BITS, CHANNELS, RANK, Candidates, Made, whole_of
from frugalseg.compress.goal import Goal
from frugalseg.compress.importance import Importance, check_importance
from frugalseg.compress.losses import Losses
from frugalseg.compress.lowrank import LowRankPlan, apply_lowrank, weight_shapes
from frugalseg.compress.mixed import BitsPlan, weights_in
from frugalseg.compress.prune import PrunePlan, apply_prune
from frugalseg.compress.sensitivity import Change, divergence_from, in_order
from frugalseg.core.errors import ConfigError, OverBudgetError
from frugalseg.core.inputs import InputSpec
from frugalseg.core.progress import Progress, silent
from frugalseg.models.catalog import Architecture
from frugalseg.models.network import Network
from frugalseg.trace import record

MIXES = ((CHANNELS,), (CHANNELS, RANK), (CHANNELS, BITS), (CHANNELS, RANK, BITS))


@dataclass(frozen=True, slots=True, kw_only=True)
class JointPlan:
    """What is done to a network: channels first, then ranks of what is left, then bits: data.

    `predicted` is what the changes, each measured alone, move the scores by together, and
    `measured` what they really do, before any training: nats a pixel.
    """

    network: str
    prune: PrunePlan
    low_rank: LowRankPlan
    bits: BitsPlan
    before: Mapping[str, int]
    after: Mapping[str, int]
    predicted: float
    measured: float
    fixed: Mapping[str, int] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Read what `to_dict` wrote; raises ConfigError where it is no plan."""
        try:
            parts = {
                "prune": PrunePlan.from_dict(values["prune"]),
                "low_rank": LowRankPlan.from_dict(values["low_rank"]),
                "bits": BitsPlan.from_dict(values["bits"]),
            }
            losses = {key: float(values[key]) for key in ("predicted", "measured")}
            return cls(**{**values, **parts, **losses})
        except (TypeError, KeyError, ValueError) as wrong:
            raise ConfigError(f"not a joint plan: {wrong!r}") from wrong

    def rows(self) -> list[tuple[str, str, str]]:
        """List what changes, as rows of (what, before, after)."""
        changed = [
            *self.prune.rows(),
            *self.low_rank.rows(),
            *((layer, "8 bits", f"{bits} bits") for layer, bits in self.bits.bits.items()),
        ]
        moved = f"{self.measured:.3f} (predicted {self.predicted:.3f})"
        return [("scores move by, nats a pixel", "0", moved), *changed] if changed else []


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """By what a plan is made: which channels of a group matter, and normalised pictures.

    `losses` keep what is measured, so that planning that was cut off goes on.
    """

    importance: str
    scores: Importance
    images_NCHW: Tensor
    losses: Losses = field(default_factory=Losses)


def plan_joint(
    network: Network,
    name: str,
    spec: InputSpec,
    goal: Goal,
    evidence: Evidence,
    *,
    progress: Progress = silent,
) -> JointPlan:
    """Choose what to do until the goal is met; the network is not changed.

    An IMX500 gets no weights of 4 bits: its maker's tool quantises.
    Raises OverBudgetError where all changes are not enough, with the smallest network that there
    is, and ConfigError for a device that cannot run the network and for one whose scores are no
    numbers.
    """
    check_importance(evidence.importance, evidence.scores)
    all_ = Candidates(network, spec, goal, evidence.scores)
    goal.refuse(all_.whole, spec)
    images_NCHW = evidence.images_NCHW
    moved, order = divergence_from(network, images_NCHW), list[Change]()
    if not goal.check(all_.whole):
        order = in_order(all_.changes(images_NCHW, moved, evidence.losses, progress))
    mixes = {tuple(change for change in order if change.kind in mix) for mix in MIXES}
    tried = [all_.least_of(changes) for changes in sorted(mixes, key=len)]
    fitting = [made for made in tried if all_.meets(made)]
    if not fitting:
        verdict = goal.check(tried[-1].graph, spared=tried[-1].spared)
        raise OverBudgetError(f"as small as it gets, {name} is too much: {verdict}", verdict)
    measured = [(moved(made.network()), made) for made in fitting]
    best = min(measured, key=lambda pair: pair[0])
    fewer = all_.without_spare(best[1])
    if fewer is not best[1]:
        best = min(best, (moved(fewer.network()), fewer), key=lambda pair: pair[0])
    return _written(all_, best[1], best[0], (name, evidence.importance))


def _written(all_: Candidates, made: Made, measured: float, names: tuple[str, str]) -> JointPlan:
    """Write down what some changes are."""
    name, importance = names
    goal, pruned = all_.goal, made.prune()
    graphs = (all_.whole, record(pruned, all_.spec), made.graph)
    figures = [goal.figures(graph) for graph in graphs]
    after = goal.figures(made.graph, spared=made.spared)
    weights = weights_in(made.graph)
    return JointPlan(
        network=name,
        prune=PrunePlan(
            network=name, importance=importance, channels=dict(all_.groups.all_channels),
            kept={group: tuple(places.tolist()) for group, places in made.kept.items()},
            before=figures[0], after=figures[1],
        ),
        low_rank=LowRankPlan(
            network=name, method="joint", weights=weight_shapes(pruned),
            ranks=dict(made.ranks), before=figures[1], after=figures[2],
        ),
        bits=BitsPlan(
            network=name, weights=weights, bits=dict(made.bits),
            loss={
                n: made.taken[BITS, whole_of(n, made.ranks)].loses if n in made.bits else 0.0
                for n in weights
            },
            before=figures[2]["storage_bytes"], after=after["storage_bytes"],
        ),
        before=figures[0], after=after, measured=measured,
        predicted=sum(change.loses for change in made.taken.values()),
        fixed=all_.stays(),
    )  # fmt: skip


def apply_joint(
    network: Network, architecture: Architecture, spec: InputSpec, plan: JointPlan
) -> tuple[Network, Architecture]:
    """Return a copy with the channels and ranks of the plan; its bits are for training and export.

    Raises ConfigError, with the differences, for a network that the plan was not made for.
    """
    network, architecture = apply_prune(network, architecture, spec, plan.prune)
    return apply_lowrank(network, architecture, spec, plan.low_rank)
