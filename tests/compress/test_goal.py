"""What a smaller network has to keep to."""

import pytest

from frugalseg.compress.goal import Goal
from frugalseg.core.budget import Budget
from frugalseg.core.inputs import InputSpec
from frugalseg.cost.device import load_device
from frugalseg.cost.graph import Graph
from frugalseg.models.catalog import Architecture
from frugalseg.trace import record

MEMORY = ("storage_bytes", "ram_bytes")


@pytest.fixture(scope="module")
def whole() -> Graph:
    network = Architecture(name="frugalnet", settings={"num_classes": 3}).build().eval()
    return record(network, InputSpec(height=64, width=64))


def test_half_of_the_way_is_the_mean_of_the_ratios(whole: Graph) -> None:
    macs = Goal(budget=Budget()).figures(whole)["macs"]
    goal = Goal(budget=Budget(macs=macs // 4, storage_bytes=10**9), parameters=whole.params // 9)
    half = goal.toward(whole, 0.5)
    assert half.limits()["macs"] == pytest.approx(macs / 2, rel=1e-3)
    assert half.parameters == pytest.approx(whole.params / 3, rel=1e-3)
    assert half.limits()["storage_bytes"] == 10**9  # it keeps to that already
    assert goal.toward(whole, 1.0) == goal


def test_what_a_device_reserves_is_no_part_of_the_ratio() -> None:
    network = Architecture(name="frugalnet", settings={"num_classes": 3}).build().eval()
    large = record(network, InputSpec(height=256, width=256))
    goal = Goal(budget=Budget(), device=load_device("esp32-s3"))
    need, allowed = goal.figures(large)["ram_bytes"], goal.limits()["ram_bytes"]
    assert need > allowed
    half = goal.toward(large, 0.5).limits()["ram_bytes"]
    assert half == pytest.approx((need * allowed) ** 0.5, rel=1e-3)


def test_the_limits_of_a_device_come_nearer_too(whole: Graph) -> None:
    device = load_device("mcu-512k")
    goal = Goal(budget=Budget(), device=device)
    assert not goal.check(whole)
    half, need = goal.toward(whole, 0.5), sum(goal.figures(whole)[n] for n in MEMORY)
    allowed = goal.limits()["total_bytes"]
    assert half.limits()["total_bytes"] == pytest.approx((need * allowed) ** 0.5, rel=1e-3)
    assert half.multiple == goal.multiple
    assert goal.toward(whole, 1.0).limits() == goal.limits()
