"""Channels, ranks and bits planned together: what they come to, and that they are data."""

import json
from dataclasses import replace
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import torch
from torch import nn

from frugalseg.compress.candidates import BITS, CHANNELS, RANK, Candidates
from frugalseg.compress.decompose import decomposed
from frugalseg.compress.goal import Goal
from frugalseg.compress.groups import Groups
from frugalseg.compress.importance import IMPORTANCES
from frugalseg.compress.joint import Evidence, JointPlan, apply_joint, plan_joint
from frugalseg.compress.losses import Losses
from frugalseg.compress.relief import Relief
from frugalseg.compress.sensitivity import Change, divergence_from, in_order
from frugalseg.copying import copied
from frugalseg.core.budget import Budget
from frugalseg.core.errors import ConfigError, OverBudgetError
from frugalseg.core.inputs import InputSpec
from frugalseg.core.progress import silent
from frugalseg.cost.device import load_device
from frugalseg.cost.file_size import file_bytes
from frugalseg.models.catalog import Architecture
from frugalseg.models.factors import weight_of
from frugalseg.models.network import Network
from frugalseg.trace import record, trace
from frugalseg.training.quantise import round_weight

SPEC = InputSpec(height=32, width=48)
SMALL = Architecture(name="frugalnet", settings={"num_classes": 3, "width": 0.5, "depth": 1})


def built() -> Network:
    torch.manual_seed(0)
    network = SMALL.build().eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d) and module.running_mean is not None:
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.running_mean, -0.5, 0.5)
    return network


@pytest.fixture(scope="module")
def network() -> Network:
    """A network as after training. Do not change it."""
    return built()


@pytest.fixture(scope="module")
def evidence(network: Network) -> Evidence:
    scores = IMPORTANCES["magnitude"](network, Groups.of(network, SPEC), lambda _: [])
    images_NCHW = torch.randn(2, 3, *SPEC.size, generator=torch.Generator().manual_seed(1))
    return Evidence(importance="magnitude", scores=scores, images_NCHW=images_NCHW)


def bytes_of(network: Network) -> int:
    return file_bytes(trace(network, SPEC))


def share(network: Network, part: float) -> Goal:
    return Goal(budget=Budget(storage_bytes=int(part * bytes_of(network))))


@pytest.fixture(scope="module")
def plan(network: Network, evidence: Evidence) -> JointPlan:
    return plan_joint(network, "frugalnet", SPEC, share(network, 0.4), evidence)


def test_the_plan_says_what_the_network_comes_to(network: Network, plan: JointPlan) -> None:
    smaller, architecture = apply_joint(network, SMALL, SPEC, plan)
    weights = {op.layer: op.weight_elements for op in record(smaller, SPEC).ops}
    spared = sum(weights[layer] // 2 for layer in plan.bits.bits)
    assert plan.after["storage_bytes"] == bytes_of(smaller) - spared
    assert plan.after["storage_bytes"] <= 0.4 * plan.before["storage_bytes"]
    again = architecture.build()
    again.load_state_dict(smaller.state_dict())
    image = torch.randn(1, 3, *SPEC.size)
    assert torch.equal(again.eval().native(image), smaller.eval().native(image))


def test_the_factors_of_a_layer_have_the_bits_that_the_layer_was_to_have(
    network: Network, evidence: Evidence
) -> None:
    goal = Goal(budget=Budget())
    all_ = Candidates(network, SPEC, goal, evidence.scores)
    name = "stage16.1.spread.0"
    rank = Change(kind=RANK, name=name, amount=("channel", 0.25), saves=1, loses=1)
    bits = Change(kind=BITS, name=name, amount=(4,), saves=1, loses=1)
    other = Change(kind=BITS, name="classify", amount=(4,), saves=1, loses=1)
    assert all_.made([rank, other]).bits == {"classify": 4}
    made = all_.made([rank, bits])
    assert made.bits == {f"{name}.0": 4, f"{name}.1": 4}
    factors = decomposed(network.get_submodule(name), made.ranks[name])
    for factor, rounded in zip(
        factors.children(), made.network().get_submodule(name).children(), strict=True
    ):
        assert torch.equal(weight_of(rounded), round_weight(weight_of(factor), 0, 4))
        assert not torch.equal(weight_of(rounded), weight_of(factor))


def test_what_can_be_spared_of_the_changes_is_not_made(
    network: Network, evidence: Evidence
) -> None:
    """The last change saves more than was missing: those before it need not go as far."""
    bits = {
        name: Change(kind=BITS, name=name, amount=(4,), saves=1, loses=price)
        for price, name in enumerate(("classify", "stage16.0.0", "context", "join8.mix.0"))
    }
    all_ = Candidates(network, SPEC, share(network, 0.999), evidence.scores)
    every = all_.made([*bits.values()])
    small = bits["classify"]
    assert all_.meets(every)
    assert not all_.meets(all_.made([small]))
    left = all_.without_spare(every)
    assert all_.meets(left)
    assert [change.name for change in left.changes] == ["stage16.0.0"]
    further = Change(kind=CHANNELS, name="stage16.0.0 conv_2d", amount=(8,), saves=2, loses=9)
    first = replace(further, amount=(16,), saves=1, loses=3)
    left = all_.without_spare(all_.made([first, further]))
    assert left.changes == [first]


def test_the_network_is_not_changed(network: Network, plan: JointPlan) -> None:
    apply_joint(network, SMALL, SPEC, plan)
    fresh = built().state_dict()
    assert all(torch.equal(values, fresh[name]) for name, values in network.state_dict().items())


def test_a_plan_is_data_and_is_for_one_network(network: Network, plan: JointPlan) -> None:
    read = JointPlan.from_dict(json.loads(json.dumps(plan.to_dict())))
    assert read.to_dict() == plan.to_dict()
    one, _ = apply_joint(network, SMALL, SPEC, plan)
    other, _ = apply_joint(built(), SMALL, SPEC, read)
    assert all(torch.equal(v, other.state_dict()[n]) for n, v in one.state_dict().items())
    wide = replace(SMALL, settings={**SMALL.settings, "width": 0.75})
    with pytest.raises(ConfigError, match="made for another network"):
        apply_joint(wide.build(), wide, SPEC, read)
    with pytest.raises(ConfigError, match="not a plan"):
        JointPlan.from_dict({"prune": {}})


def test_what_it_moves_is_measured_with_all_changes_at_once(
    network: Network, evidence: Evidence, plan: JointPlan
) -> None:
    """The bits of the plan are rounded here as in a file: less than 1 in 15 of a weight's range."""
    smaller, _ = apply_joint(network, SMALL, SPEC, plan)
    for layer in plan.bits.bits:
        weight = smaller.get_submodule(layer).weight
        assert isinstance(weight, torch.Tensor)
        steps = weight.data.abs().flatten(1).amax(1).reshape(-1, *[1] * (weight.ndim - 1)) / 7
        weight.data = (weight.data / steps).round() * steps
    moved = divergence_from(network, evidence.images_NCHW)
    assert moved(network) == 0
    assert moved(smaller) == pytest.approx(plan.measured, rel=1e-3)


def test_planning_that_was_cut_off_goes_on_where_it_was(
    network: Network, evidence: Evidence, plan: JointPlan, tmp_path: Path
) -> None:
    path, goal, stages = tmp_path / "measured.jsonl", share(network, 0.4), list[str]()

    def interrupted(stage: str, done: float, total: float, note: str = "") -> None:
        stages.append(stage)
        if stage == "measuring ranks" and done > 2:
            raise KeyboardInterrupt

    first = replace(evidence, losses=Losses(path))
    with pytest.raises(KeyboardInterrupt):
        plan_joint(network, "frugalnet", SPEC, goal, first, progress=interrupted)
    lines = path.read_text().splitlines()
    assert len(lines) > 10
    path.write_text("\n".join(lines)[:-5])  # the last line was being written
    kept = Losses(path)
    with mock.patch.object(kept, "of", wraps=kept.of) as asked:
        again = plan_joint(network, "frugalnet", SPEC, goal, replace(evidence, losses=kept))
    assert again.to_dict() == plan.to_dict()
    after = path.read_text().splitlines()
    assert len(after) == 1 + asked.call_count
    assert after[: len(lines) - 1] == lines[:-1]


def test_a_network_without_sound_scores_is_refused(network: Network, evidence: Evidence) -> None:
    broken = copied(network)
    norm = next(m for m in broken.modules() if isinstance(m, nn.BatchNorm2d))
    with torch.no_grad():
        norm.bias[0] = torch.nan
    with pytest.raises(ConfigError, match="no numbers: is it sound"):
        plan_joint(broken, "frugalnet", SPEC, share(network, 0.5), evidence)
    scores = {group: np.full_like(s, np.nan) for group, s in evidence.scores.items()}
    goal, blind = share(network, 0.5), replace(evidence, scores=scores)
    with pytest.raises(ConfigError, match="is no number: is the network sound"):
        plan_joint(network, "frugalnet", SPEC, goal, blind)


def test_losses_of_something_else_are_measured_anew(tmp_path: Path) -> None:
    path = tmp_path / "measured.jsonl"
    assert Losses(path, {"checkpoint": "a"}).of(CHANNELS, "stem", (3,), lambda: 0.5) == 0.5
    assert Losses(path, {"checkpoint": "a"}).of(CHANNELS, "stem", (3,), lambda: 0.7) == 0.5
    assert Losses(path, {"checkpoint": "b"}).of(CHANNELS, "stem", (3,), lambda: 0.7) == 0.7
    path.write_bytes(b"\xff\x00")
    assert Losses(path, {"checkpoint": "b"}).of(CHANNELS, "stem", (3,), lambda: 0.9) == 0.9


def test_together_moves_the_scores_no_more_than_channels_alone(
    network: Network, evidence: Evidence, plan: JointPlan
) -> None:
    goal = share(network, 0.4)
    candidates = Candidates(network, SPEC, goal, evidence.scores)
    images_NCHW = evidence.images_NCHW
    moved = divergence_from(network, images_NCHW)
    order = in_order(candidates.changes(images_NCHW, moved, Losses(), silent))
    assert {change.kind for change in order} == {CHANNELS, RANK, BITS}
    alone = candidates.least_of([change for change in order if change.kind == CHANNELS])
    assert goal.check(alone.graph)
    assert plan.measured <= divergence_from(network, evidence.images_NCHW)(alone.network())


def test_memory_is_a_limit_too(network: Network, evidence: Evidence) -> None:
    whole = Goal(budget=Budget(storage_bytes=1)).figures(record(network, SPEC))
    goal = Goal(budget=Budget(ram_bytes=int(0.7 * whole["ram_bytes"])))
    plan = plan_joint(network, "frugalnet", SPEC, goal, evidence)
    assert plan.after["ram_bytes"] <= 0.7 * whole["ram_bytes"]
    assert plan.prune.kept
    assert not plan.bits.bits  # they would save no memory


def test_an_imx500_gets_no_weights_of_4_bits_and_whole_multiples(
    network: Network, evidence: Evidence
) -> None:
    device = load_device("imx500").model_copy(update={"channel_multiple": 4})
    goal = Goal(budget=Budget(storage_bytes=bytes_of(network) // 2), device=device)
    candidates = Candidates(network, SPEC, goal, evidence.scores)
    assert not candidates.four_bits
    made = candidates.made([
        Change(kind=CHANNELS, name=group, amount=(1,), saves=1, loses=1)
        for group in candidates.importance
    ])  # fmt: skip
    assert made.kept
    assert all(len(places) % 4 == 0 for places in made.kept.values())


def test_a_network_that_keeps_to_its_limits_stays(network: Network, evidence: Evidence) -> None:
    plan = plan_joint(network, "frugalnet", SPEC, share(network, 1.0), evidence)
    assert (plan.before, plan.measured, plan.predicted) == (plan.after, 0, 0)
    assert plan.rows() == []


def test_what_no_plan_reaches_is_told_with_the_smallest(
    network: Network, evidence: Evidence
) -> None:
    goal = Goal(budget=Budget(storage_bytes=5_000))
    with pytest.raises(OverBudgetError, match=r"small as it gets, .* [\d,]+ bytes of 5,000"):
        plan_joint(network, "frugalnet", SPEC, goal, evidence)


def test_relief_counts_each_limit_that_is_broken_alike(network: Network) -> None:
    whole = record(network, SPEC)
    figures = Goal(budget=Budget(storage_bytes=1)).figures(whole)
    budget = Budget(storage_bytes=figures["storage_bytes"] // 2, macs=figures["macs"] // 2)
    relief = Relief(whole, Goal(budget=budget))
    assert relief.of(whole) == 0
    assert relief.of_layer({"macs": 0.5, "storage_bytes": 0.5}) == pytest.approx(1, rel=1e-3)
    half = relief.of_bytes(figures["storage_bytes"] // 2)
    assert half == pytest.approx(0.5, rel=1e-3)


def test_steps_come_in_the_order_of_their_price() -> None:
    rng = np.random.default_rng(3)
    changes = [
        Change(kind=BITS, name=name, amount=(4,), saves=float(saves), loses=float(loses))
        for name in "abcd"
        for saves, loses in zip(rng.uniform(0, 1, 5), rng.uniform(0, 1, 5), strict=True)
    ]
    last: dict[str, Change] = {}
    prices = []
    for change in in_order(changes):
        before = last.get(change.name)
        saved, lost = (before.saves, before.loses) if before else (0.0, 0.0)
        assert change.saves > saved
        prices.append((change.loses - lost) / (change.saves - saved))
        last[change.name] = change
    assert prices == sorted(prices)
    assert {*last} == {*"abcd"}
