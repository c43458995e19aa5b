"""All ways to make a network smaller. Each has a plan, which is data, and what follows it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from frugalseg.compress.joint import JointPlan, apply_joint
from frugalseg.compress.lowrank import LowRankPlan, apply_lowrank
from frugalseg.compress.prune import PrunePlan, apply_prune
from frugalseg.core.inputs import InputSpec
from frugalseg.models.catalog import Architecture
from frugalseg.models.network import Network

Plan = JointPlan | PrunePlan | LowRankPlan
Apply = Callable[[Network, Architecture, InputSpec, Any], tuple[Network, Architecture]]


@dataclass(frozen=True, slots=True)
class Entry:
    """The kind of plan, and what makes a smaller copy by one. Plans can follow each other."""

    plan: type[JointPlan] | type[PrunePlan] | type[LowRankPlan]
    apply: Apply


METHODS: Mapping[str, Entry] = MappingProxyType(
    {
        "joint": Entry(JointPlan, apply_joint),
        "prune": Entry(PrunePlan, apply_prune),
        "svd": Entry(LowRankPlan, apply_lowrank),
        "tucker": Entry(LowRankPlan, apply_lowrank),
        "bsr": Entry(LowRankPlan, apply_lowrank),
    }
)
