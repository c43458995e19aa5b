"""Plans of ranks: what they come to, that they are data, and that they go with other plans."""

import json
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from frugalseg.compress.beam import Beam
from frugalseg.compress.decompose import decomposed
from frugalseg.compress.goal import Goal
from frugalseg.compress.groups import Groups
from frugalseg.compress.importance import IMPORTANCES
from frugalseg.compress.layers import layers_of
from frugalseg.compress.lowrank import LowRankPlan, apply_lowrank, plan_lowrank
from frugalseg.compress.prune import apply_prune, plan_prune
from frugalseg.core.budget import Budget
from frugalseg.core.errors import ConfigError, OverBudgetError
from frugalseg.core.inputs import InputSpec
from frugalseg.cost.device import Limits, load_device
from frugalseg.cost.footprint import footprint
from frugalseg.export.lowering import lower
from frugalseg.models.catalog import MODELS, Architecture
from frugalseg.models.factors import Factors, Rank, most, weight_of, why_whole
from frugalseg.models.network import Network
from frugalseg.trace import record

SPEC = InputSpec(height=64, width=96)
SMALL = Architecture(name="frugalnet", settings={"num_classes": 3, "width": 0.5, "depth": 1})


def built(architecture: Architecture = SMALL) -> Network:
    """Build a network whose norms have seen something."""
    torch.manual_seed(0)
    network = architecture.build().eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d) and module.running_mean is not None:
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.running_mean, -0.5, 0.5)
    return network


@pytest.fixture(scope="module")
def network() -> Network:
    """A network whose matrices lean to a few directions, as after training. Do not change it."""
    leaning = built()
    for module in leaning.modules():
        if not why_whole(module):
            weight = weight_of(module)
            left, values, right = torch.linalg.svd(weight.detach().flatten(1), full_matrices=False)
            values *= 0.95 ** torch.arange(len(values))
            weight.data = (left * values @ right).reshape(weight.shape)
    return leaning


def narrow(name: str) -> Architecture:
    width = {"width": 0.25} if "width" in MODELS[name].settings else {}
    return Architecture(name=name, settings={"num_classes": 5, **width})


def everything(network: Network, image: torch.Tensor) -> list[torch.Tensor]:
    outputs = network.outputs(image)
    boundary = [] if outputs.boundary is None else [outputs.boundary]
    return [outputs.scores, *outputs.auxiliary, *boundary]


def share(figure: str, part: float, network: Network | None = None) -> Goal:
    whole = record(network or SMALL.build(), SPEC)
    if figure == "parameters":
        return Goal(budget=Budget(), parameters=int(part * whole.params))
    return Goal(budget=Budget(**{figure: int(part * getattr(footprint(whole), figure))}))


def nearness(network: Network) -> Beam:
    """Score by how near the scores are to those of the whole network, coarsely."""
    image = torch.randn(2, 3, 64, 96, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        wanted = network.native(image)
    varied = wanted.var((0, 2, 3), keepdim=True)

    def score(other: Network) -> float:
        with torch.no_grad():
            far = ((other.native(image) - wanted).square() / varied).mean()
        return 1 - round(float(far), 4)

    return Beam(score=score, kept=2, children=4, steps=5)


@pytest.mark.parametrize("name", sorted(MODELS))
def test_every_network_at_full_ranks_computes_the_same_and_is_built_again(name: str) -> None:
    architecture = narrow(name)
    network, factored = built(architecture), built(architecture)
    layers = [n for n, m in network.named_modules() if n and not why_whole(m)]
    ranks: dict[str, Rank] = {}
    for number, layer in enumerate(layers):
        scheme = ("channel", "spatial", "tucker")[number % 3]
        module = network.get_submodule(layer)
        ranks[layer] = [scheme, *most(module, scheme)]
        factored.set_submodule(layer, decomposed(module, ranks[layer]))
    again = replace(architecture, ranks=ranks).build().eval()
    again.load_state_dict(factored.state_dict())
    image = torch.randn(1, 3, 61, 92) if name not in {"segformer"} else torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        wanted, found = everything(network, image), everything(again, image)
    for one, other in zip(wanted, found, strict=True):
        scale = float(one.abs().max())
        torch.testing.assert_close(other / scale, one / scale, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("method", "figure"),
    [
        ("svd", "storage_bytes"), ("svd", "macs"),
        ("tucker", "parameters"), ("tucker", "macs"), ("bsr", "storage_bytes"),
    ],
)  # fmt: skip
def test_a_plan_keeps_to_its_limit_and_tells_the_truth(
    network: Network, method: str, figure: str
) -> None:
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    goal = share(figure, 0.8)
    plan = plan_lowrank(
        network, "frugalnet", SPEC, goal, nearness(network) if method == "bsr" else method
    )
    smaller, architecture = apply_lowrank(network, SMALL, SPEC, plan)
    graph = record(smaller, SPEC)
    assert goal.check(graph)
    assert plan.method == method
    assert plan.after == goal.figures(graph)
    assert plan.before == goal.figures(record(network, SPEC))
    assert 0.65 * plan.before[figure] < plan.after[figure]  # not more than has to go
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    again = architecture.build().eval()
    again.load_state_dict(smaller.state_dict())
    image = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        torch.testing.assert_close(again.native(image), smaller.native(image), rtol=0, atol=0)


def test_the_beam_loses_less_than_the_threshold(network: Network) -> None:
    beam, goal = nearness(network), share("storage_bytes", 0.8)
    by_beam = plan_lowrank(network, "frugalnet", SPEC, goal, beam)
    by_threshold = plan_lowrank(network, "frugalnet", SPEC, goal, "svd")
    assert by_beam.score is not None
    left = [apply_lowrank(network, SMALL, SPEC, plan)[0] for plan in (by_beam, by_threshold)]
    assert beam.score(left[0]) > beam.score(left[1])
    assert beam.score(left[0]) == pytest.approx(by_beam.score, rel=0.05)


def test_a_last_step_that_goes_too_far_is_made_good(network: Network) -> None:
    goal = share("storage_bytes", 0.8)
    one_step = replace(nearness(network), steps=1)  # all of a layer at once
    plan = plan_lowrank(network, "frugalnet", SPEC, goal, one_step)
    assert goal.budget.storage_bytes is not None
    assert 0 <= goal.budget.storage_bytes - plan.after["storage_bytes"] < 500


def test_only_layers_that_get_smaller_are_factorised(network: Network) -> None:
    plan = plan_lowrank(network, "frugalnet", SPEC, share("storage_bytes", 0.75))
    smaller, _ = apply_lowrank(network, SMALL, SPEC, plan)
    one, other = (footprint(record(net, SPEC)).storage_bytes for net in (network, smaller))
    for name in plan.ranks:
        alone, _ = apply_lowrank(
            network, SMALL, SPEC, replace(plan, ranks={name: plan.ranks[name]})
        )
        assert footprint(record(alone, SPEC)).storage_bytes < one
    assert other < one
    assert plan.fixed["no rank makes it smaller"] > 0


@pytest.mark.parametrize("scheme", ["channel", "spatial", "tucker"])
def test_what_a_layer_saves_is_known_without_tracing(network: Network, scheme: str) -> None:
    whole = record(network, SPEC)
    goal = Goal(budget=Budget(storage_bytes=10**6, macs=10**9), parameters=10**6)
    layers, _ = layers_of(network, whole, [scheme], goal)
    strided, dilated = layers["stage16.0.0"], layers["stage16.3.spread.0"]
    plan = plan_lowrank(network, "frugalnet", SPEC, goal)
    ranks = {layer.name: layer.least(scheme, 1) for layer in (strided, dilated)}
    smaller, _ = apply_lowrank(network, SMALL, SPEC, replace(plan, ranks=ranks))
    before, after = goal.figures(whole), goal.figures(record(smaller, SPEC))
    for figure in ("storage_bytes", "macs", "parameters"):
        saved = sum(layers[name].saved(rank)[figure] for name, rank in ranks.items())
        assert before[figure] * (1 - saved) == pytest.approx(after[figure], abs=1)


def test_ranks_are_multiples_of_what_the_device_stores(network: Network) -> None:
    device = load_device("mcu-256k").model_copy(
        update={"limits": Limits(total_bytes=165_000), "channel_multiple": 4}
    )
    goal = Goal(budget=Budget(), device=device)
    plan = plan_lowrank(network, "frugalnet", SPEC, goal)
    assert plan.ranks
    for name, (scheme, rank) in plan.ranks.items():
        full = most(network.get_submodule(name), str(scheme))[0]
        assert int(rank) % 4 == 0 or rank == full
    assert goal.check(record(apply_lowrank(network, SMALL, SPEC, plan)[0], SPEC))


def test_nothing_is_factorised_where_the_limits_hold_already(network: Network) -> None:
    plan = plan_lowrank(network, "frugalnet", SPEC, share("macs", 1.0), nearness(network))
    assert plan.ranks == {}
    assert plan.score is None
    same, architecture = apply_lowrank(network, SMALL, SPEC, plan)
    assert architecture == SMALL
    assert same is not network


@pytest.mark.parametrize("method", ["svd", "tucker", "bsr"])
def test_what_cannot_be_reached_ends_with_the_smallest_there_is(
    network: Network, method: str
) -> None:
    goal = Goal(budget=Budget(macs=1_000))
    with pytest.raises(OverBudgetError, match=r"as far as it goes \(.* macs needs .* of 1,000"):
        plan_lowrank(
            network, "frugalnet", SPEC, goal, nearness(network) if method == "bsr" else method
        )


def test_a_plan_is_data(network: Network) -> None:
    plan = plan_lowrank(network, "frugalnet", SPEC, share("macs", 0.8))
    assert LowRankPlan.from_dict(json.loads(json.dumps(plan.to_dict()))) == plan
    with pytest.raises(ConfigError, match="not a plan of ranks"):
        LowRankPlan.from_dict({"ranks": 3})


def test_a_plan_is_replayed_on_a_fresh_network_and_refused_by_another(network: Network) -> None:
    plan = plan_lowrank(network, "frugalnet", SPEC, share("macs", 0.8))
    smaller, _ = apply_lowrank(SMALL.build(), SMALL, SPEC, plan)
    assert record(smaller, SPEC).macs == plan.after["macs"]
    wider = replace(SMALL, settings={**SMALL.settings, "width": 0.75})
    with pytest.raises(ConfigError, match=r"another network:\n .* is \d+x.*, \d+x.* in the plan"):
        apply_lowrank(wider.build(), wider, SPEC, plan)
    deeper = replace(SMALL, settings={**SMALL.settings, "depth": 2})
    with pytest.raises(ConfigError, match="none in the plan"):
        apply_lowrank(deeper.build(), deeper, SPEC, plan)
    enet = Architecture(name="enet", settings={"num_classes": 3})
    with pytest.raises(ConfigError, match="it is a enet, the plan is for a frugalnet"):
        apply_lowrank(enet.build(), enet, SPEC, plan)


@pytest.mark.parametrize(
    "ranks", [{"no such": ("channel", 2)}, {"classify": ("channel", 99)}, {"relu": ("channel", 1)}]
)
def test_a_plan_that_was_worked_on_is_refused(network: Network, ranks: dict[str, Any]) -> None:
    plan = plan_lowrank(network, "frugalnet", SPEC, share("macs", 0.8))
    with pytest.raises(ConfigError, match="cannot be followed"):
        apply_lowrank(network, SMALL, SPEC, replace(plan, ranks=ranks))


@pytest.mark.parametrize("method", ["svd", "tucker"])
def test_weights_that_are_no_numbers_are_refused(network: Network, method: str) -> None:
    plan = plan_lowrank(network, "frugalnet", SPEC, share("macs", 0.8), method)
    damaged = built()
    weight_of(damaged.get_submodule("stage16.0.0")).data[0] = torch.nan
    with pytest.raises(ConfigError, match=r"weights of stage16\.0\.0 are no numbers"):
        plan_lowrank(damaged, "frugalnet", SPEC, share("macs", 0.8), method)
    with pytest.raises(ConfigError, match=r"stage16\.0\.0 as .* no numbers"):
        apply_lowrank(damaged, SMALL, SPEC, plan)


def test_an_unknown_way_is_refused(network: Network) -> None:
    for method in ("cp", "bsr"):  # a beam search needs to be told what to score by
        with pytest.raises(ConfigError, match="no way to choose ranks"):
            plan_lowrank(network, "frugalnet", SPEC, share("macs", 0.8), method)


def pruned(network: Network, architecture: Architecture, part: float) -> Any:
    scores = IMPORTANCES["magnitude"](network, Groups.of(network, SPEC), lambda _: [])
    goal = share("macs", part, network)
    plan = plan_prune(network, "frugalnet", SPEC, ("magnitude", scores), goal)
    return apply_prune(network, architecture, SPEC, plan)


def factorised(network: Network, architecture: Architecture, part: float) -> Any:
    plan = plan_lowrank(network, "frugalnet", SPEC, share("macs", part, network))
    return apply_lowrank(network, architecture, SPEC, plan)


@pytest.mark.parametrize("ways", [(pruned, factorised), (factorised, pruned)])
def test_pruning_and_low_rank_go_together_in_either_order(network: Network, ways: Any) -> None:
    architecture = SMALL
    for way in ways:
        network, architecture = way(network, architecture, 0.8)
    assert architecture.shapes
    assert architecture.ranks
    again = Architecture(**json.loads(json.dumps(architecture.to_dict()))).build().eval()
    again.load_state_dict(network.state_dict())
    image = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        torch.testing.assert_close(again.native(image), network.native(image), rtol=0, atol=0)
    assert record(again, SPEC).macs <= 0.8 * 0.8 * record(SMALL.build(), SPEC).macs


def test_what_is_factorised_is_not_factorised_again(network: Network) -> None:
    first = {"stage16.0.0": ("channel", 4), "stage16.1.spread.0": ("spatial", 4)}
    plan = replace(plan_lowrank(network, "frugalnet", SPEC, share("macs", 0.9)), ranks=first)
    once, architecture = apply_lowrank(network, SMALL, SPEC, plan)
    plan = plan_lowrank(once, "frugalnet", SPEC, share("macs", 0.9, once))
    assert plan.fixed["a factor already"] == 4
    _, twice = apply_lowrank(once, architecture, SPEC, plan)
    assert first.items() < twice.ranks.items()


def test_norms_are_folded_into_the_last_factor_for_a_file(network: Network) -> None:
    smaller, _ = factorised(network, SMALL, 0.8)
    lowered = lower(smaller)
    assert any(isinstance(module, Factors) for module in lowered.modules())
    assert not any(isinstance(module, nn.BatchNorm2d) for module in lowered.modules())
    assert not [m for m in lowered.modules() if isinstance(m, nn.Conv2d) and m.groups > 1]
    image = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        torch.testing.assert_close(
            lowered.native(image), smaller.native(image), rtol=1e-3, atol=1e-4
        )
