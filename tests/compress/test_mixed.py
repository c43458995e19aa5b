from dataclasses import replace

import pytest
import torch

from frugalseg.compress.mixed import BitsPlan, apply_bits, plan_bits, sensitivity, weights_of
from frugalseg.core.errors import ConfigError, OverBudgetError
from frugalseg.core.inputs import InputSpec
from frugalseg.models.catalog import Architecture
from frugalseg.models.network import Network

SPEC = InputSpec(height=32, width=48)


@pytest.fixture(scope="module")
def network() -> Network:
    torch.manual_seed(0)
    settings = {"num_classes": 3, "width": 0.25, "depth": 1}
    network = Architecture(name="frugalnet", settings=settings).build().train()
    with torch.no_grad():
        network.outputs(torch.randn(4, 3, *SPEC.size))
    return network.eval()


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return torch.randn(2, 3, *SPEC.size, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def whole(network: Network, images: torch.Tensor) -> BitsPlan:
    measure = sensitivity(network, SPEC, images)
    loss = {layer: measure(layer) for layer in weights_of(network, SPEC)}
    return plan_bits(network, "frugalnet", SPEC, loss, None)


def test_every_layer_has_a_count_and_a_loss(network: Network, whole: BitsPlan) -> None:
    counts = {n: p.numel() for n, p in network.named_parameters() if p.ndim == 4}
    assert {*whole.weights} == {n.removesuffix(".weight") for n in counts} - {"auxiliary"}
    assert all(counts[f"{layer}.weight"] == count for layer, count in whole.weights.items())
    assert whole.loss.keys() == whole.bits.keys() == whole.weights.keys()
    assert {*whole.bits.values()} == {4}
    assert whole.before - whole.after == sum(n // 2 for n in whole.weights.values())
    assert sum(loss > 0 for loss in whole.loss.values()) > len(whole.loss) / 2


def test_a_layer_that_4_bits_spoil_is_more_sensitive(
    network: Network, images: torch.Tensor, whole: BitsPlan
) -> None:
    layer = max(whole.weights, key=lambda name: whole.weights[name])
    spoilt = Architecture(
        name="frugalnet", settings={"num_classes": 3, "width": 0.25, "depth": 1}
    ).build()
    spoilt.load_state_dict(network.state_dict())
    weight = dict(spoilt.named_parameters())[f"{layer}.weight"]
    with torch.no_grad():  # one weight so large that all others of its channel round to nothing
        weight[:, 0, 0, 0] *= 40
    assert sensitivity(spoilt.eval(), SPEC, images)(layer) > whole.loss[layer]


def test_the_goal_is_met_with_what_is_worth_most(network: Network, whole: BitsPlan) -> None:
    goal = (whole.before + whole.after) // 2
    plan = plan_bits(network, "frugalnet", SPEC, whole.loss, goal)
    assert plan.after <= goal < plan.after + max(plan.weights.values())
    assert plan.before - plan.after == sum(plan.weights[n] // 2 for n in plan.bits)
    worth = {n: (whole.weights[n] // 2) / max(whole.loss[n], 1e-9) for n in whole.weights}
    assert min(worth[n] for n in plan.bits) >= max(worth[n] for n in worth.keys() - plan.bits)
    assert not plan_bits(network, "frugalnet", SPEC, whole.loss, whole.before).bits


def test_less_than_4_bits_everywhere_is_refused(network: Network, whole: BitsPlan) -> None:
    with pytest.raises(OverBudgetError, match="4 bits everywhere"):
        plan_bits(network, "frugalnet", SPEC, whole.loss, whole.after - 1)


def test_a_plan_is_data_and_another_network_is_refused(network: Network, whole: BitsPlan) -> None:
    again = BitsPlan.from_dict(whole.to_dict())
    assert again == whole
    assert apply_bits(network, "frugalnet", SPEC, again) == whole.bits
    other = Architecture(name="frugalnet", settings={"num_classes": 4, "width": 0.25, "depth": 2})
    with pytest.raises(ConfigError, match=r"another network:\n .*no weights"):
        apply_bits(
            network, "frugalnet", SPEC, replace(whole, weights={"ghost": 1, **whole.weights})
        )
    with pytest.raises(ConfigError, match=r"another network:\n .*in the plan"):
        apply_bits(other.build().eval(), "frugalnet", SPEC, whole)
    with pytest.raises(ConfigError, match="the plan is for a enet"):
        apply_bits(network, "frugalnet", SPEC, replace(whole, network="enet"))
    with pytest.raises(ConfigError, match="to have 3 bits"):
        apply_bits(network, "frugalnet", SPEC, replace(whole, bits={"classify": 3}))
    with pytest.raises(ConfigError, match="not a plan"):
        BitsPlan.from_dict({"bits": {}})


def test_transposed_convolutions_keep_8_bits() -> None:
    enet = Architecture(name="enet", settings={"num_classes": 3, "width": 0.25}).build().eval()
    assert "classify" not in weights_of(enet, SPEC)
