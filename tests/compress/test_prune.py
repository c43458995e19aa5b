"""Plans for pruning: what goes, what it comes to, and that a plan is data."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from frugalseg.compress.goal import Goal
from frugalseg.compress.groups import Groups
from frugalseg.compress.importance import IMPORTANCES
from frugalseg.compress.prune import PrunePlan, apply_prune, plan_prune
from frugalseg.core.budget import Budget
from frugalseg.core.errors import ConfigError, OverBudgetError
from frugalseg.core.inputs import InputSpec
from frugalseg.cost.device import Limits, load_device
from frugalseg.cost.footprint import footprint
from frugalseg.models.catalog import MODELS, Architecture
from frugalseg.models.network import Network
from frugalseg.trace import record

SPEC = InputSpec(height=64, width=96)
SMALL = Architecture(name="frugalnet", settings={"num_classes": 3, "width": 0.5, "depth": 1})


def built(architecture: Architecture = SMALL) -> Network:
    torch.manual_seed(0)
    network = architecture.build().eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.1, 1.5)
    return network


def losses(network: Network) -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    image = torch.randn(2, 3, 64, 96, generator=generator)
    return [network.native(image).square().mean() for _ in range(2)]


def plan_of(network: Network, goal: Goal, importance: str = "magnitude", **more: Any) -> PrunePlan:
    scores = IMPORTANCES[importance](network, Groups.of(network, SPEC), losses)
    return plan_prune(network, "frugalnet", SPEC, (importance, scores), goal, **more)


def parameters(share: float) -> Goal:
    return Goal(budget=Budget(), parameters=int(share * record(built(), SPEC).params))


@pytest.mark.parametrize("importance", sorted(IMPORTANCES))
def test_a_plan_keeps_to_its_limit_and_tells_the_truth(importance: str) -> None:
    network = built()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    plan = plan_of(network, parameters(0.5), importance)
    smaller, architecture = apply_prune(network, SMALL, SPEC, plan)
    graph = record(smaller, SPEC)
    whole = record(network, SPEC)
    assert 0.4 * whole.params < graph.params <= 0.5 * whole.params
    assert plan.after["parameters"] == graph.params
    assert plan.after["macs"] == graph.macs < plan.before["macs"] == whole.macs
    assert plan.after["storage_bytes"] == footprint(graph).storage_bytes
    assert plan.after["ram_bytes"] == footprint(graph).ram_bytes
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    again = architecture.build()
    again.load_state_dict(smaller.state_dict())


@pytest.mark.parametrize(
    "goal",
    [
        Goal(budget=Budget(macs=3_000_000)),
        Goal(budget=Budget(storage_bytes=80_000)),
        Goal(budget=Budget(ram_bytes=30_000)),
        Goal(
            budget=Budget(),
            device=load_device("mcu-256k").model_copy(
                update={"limits": Limits(total_bytes=150_000)}
            ),
        ),
    ],
)
def test_each_limit_holds(goal: Goal) -> None:
    network = built()
    assert not goal.check(record(network, SPEC))
    smaller, _ = apply_prune(network, SMALL, SPEC, plan_of(network, goal))
    assert goal.check(record(smaller, SPEC))


def test_nothing_goes_where_the_limits_hold_already() -> None:
    assert plan_of(built(), parameters(1.0)).kept == {}


def test_the_least_of_a_group_goes_first() -> None:
    network = built()
    group = max(Groups.of(network, SPEC).channels, key=lambda g: g.startswith("stage8"))
    scores = {group: np.arange(float(Groups.of(network, SPEC).channels[group]))}
    plan = plan_prune(network, "frugalnet", SPEC, ("mine", scores), parameters(0.97))
    places = plan.kept[group]
    assert places == tuple(range(plan.channels[group] - len(places), plan.channels[group]))


def test_channels_stay_in_multiples() -> None:
    plan = plan_of(built(), parameters(0.6), multiple=8)
    assert plan.kept
    for group, places in plan.kept.items():
        assert len(places) % 8 == 0 or len(places) == plan.channels[group]


def test_what_cannot_be_reached_ends_with_the_smallest_there_is() -> None:
    with pytest.raises(
        OverBudgetError, match=r"as far as it goes, frugalnet is too much: macs .* 1,000"
    ):
        plan_of(built(), Goal(budget=Budget(macs=1_000)))


def test_a_plan_is_data() -> None:
    plan = plan_of(built(), parameters(0.5))
    assert PrunePlan.from_dict(json.loads(json.dumps(plan.to_dict()))) == plan
    with pytest.raises(ConfigError, match="not a plan"):
        PrunePlan.from_dict({"kept": 3})


def test_a_plan_is_replayed_on_a_fresh_network_and_refused_by_another() -> None:
    plan = plan_of(built(), parameters(0.5))
    smaller, _ = apply_prune(SMALL.build(), SMALL, SPEC, plan)
    assert record(smaller, SPEC).params == plan.after["parameters"]
    wider = replace(SMALL, settings={**SMALL.settings, "width": 0.75})
    with pytest.raises(
        ConfigError, match=r"another network:\n .* makes \d+ channels, \d+ in the plan"
    ):
        apply_prune(wider.build(), wider, SPEC, plan)
    more = replace(SMALL, settings={**SMALL.settings, "num_classes": 12})
    with pytest.raises(ConfigError, match="classify conv_2d makes 12 channels, 3 in the plan"):
        apply_prune(more.build(), more, SPEC, plan)
    enet = Architecture(name="enet", settings={"num_classes": 3})
    with pytest.raises(ConfigError, match="it is a enet, the plan is for a frugalnet"):
        apply_prune(enet.build(), enet, SPEC, plan)


def test_a_pruned_network_is_pruned_again() -> None:
    first = plan_of(built(), parameters(0.6))
    network, architecture = apply_prune(built(), SMALL, SPEC, first)
    second = plan_of(network, parameters(0.4))
    smaller, architecture = apply_prune(network, architecture, SPEC, second)
    assert record(architecture.build(), SPEC).params == second.after["parameters"]
    assert second.before["parameters"] == first.after["parameters"]
    assert record(smaller, SPEC).params <= parameters(0.4).parameters  # type: ignore[operator]


@pytest.mark.parametrize("name", sorted(MODELS))
def test_every_network_can_lose_a_tenth(name: str) -> None:
    architecture = Architecture(name=name, settings={"num_classes": 5})
    network = built(architecture)
    params = record(network, SPEC).params
    scores = IMPORTANCES["magnitude"](network, Groups.of(network, SPEC), losses)
    goal = Goal(budget=Budget(), parameters=int(0.9 * params))
    plan = plan_prune(network, name, SPEC, ("magnitude", scores), goal)
    smaller, _ = apply_prune(network, architecture, SPEC, plan)
    assert 0.85 * params < record(smaller, SPEC).params <= 0.9 * params


def test_taylor_finds_the_channels_that_nothing_depends_on() -> None:
    network = built()
    groups = Groups.of(network, SPEC)
    group = next(g for g, count in groups.channels.items() if g.startswith("stage8") and count > 8)
    layer = network.get_submodule(group.partition(" ")[0])
    assert isinstance(layer, nn.Conv2d)
    for op, name in groups.layers():
        module = network.get_submodule(name)
        read = [name for name, _ in groups.parts_of(op.reads[0])]
        if read == [group] and isinstance(module, nn.Conv2d):
            with torch.no_grad():
                module.weight[:, :3] = 0  # nobody looks at the first three
    scores = IMPORTANCES["taylor"](network, groups, losses)[group]
    assert scores[:3].max() < scores[3:].min()


def test_what_a_device_cannot_run_is_refused_before_anything_is_planned() -> None:
    architecture = Architecture(name="segformer", settings={"num_classes": 3})
    network = architecture.build()
    goal = Goal(budget=Budget(), device=load_device("mcu-4mb"))
    scores = IMPORTANCES["magnitude"](network, Groups.of(network, SPEC), losses)
    with pytest.raises(ConfigError, match="gelu"):
        plan_prune(network, "segformer", SPEC, ("magnitude", scores), goal)


def test_importances_that_are_no_numbers_are_refused() -> None:
    network = built()
    scores = IMPORTANCES["magnitude"](network, Groups.of(network, SPEC), losses)
    group = next(iter(scores))
    scores[group][0] = np.nan
    with pytest.raises(ConfigError, match="is no number"):
        plan_prune(network, "frugalnet", SPEC, ("magnitude", scores), parameters(0.5))


@pytest.mark.parametrize("importance", ["magnitude", "fpgm"])
def test_groups_of_several_layers_lose_channels_too(importance: str) -> None:
    network = built()
    makers = Groups.of(network, SPEC).makers
    plan = plan_of(network, parameters(0.4), importance)
    assert any(len(makers[group]) > 1 for group in plan.kept)


@pytest.mark.parametrize(
    "kept", [{"no such": (0, 1)}, {"GROUP": ()}, {"GROUP": (0, 0, 1)}, {"GROUP": (0, 9_999)}]
)
def test_a_plan_that_was_worked_on_is_refused(kept: dict[str, Any]) -> None:
    network = built()
    plan = plan_of(network, parameters(0.5))
    group = next(iter(plan.kept))
    odd = {name.replace("GROUP", group): places for name, places in kept.items()}
    with pytest.raises(ConfigError, match="keeps none, some twice, or channels that are not there"):
        apply_prune(network, SMALL, SPEC, replace(plan, kept=odd))
