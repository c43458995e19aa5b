from dataclasses import replace

import pytest

from frugalseg.core.budget import Footprint
from frugalseg.core.errors import OverBudgetError
from frugalseg.core.inputs import InputSpec
from frugalseg.cost.device import Device, Limits
from frugalseg.cost.footprint import footprint
from frugalseg.models.catalog import Architecture
from frugalseg.search.ladder import LADDER, choose
from frugalseg.trace import trace

SPEC = InputSpec(height=96, width=128)


def device(margin: float = 0.0, **limits: int) -> Device:
    return Device(
        name="board", title="A board", runtime="litert", memory="separate",
        budget=Limits(**limits), margin=margin,
    )  # fmt: skip


def params(width: float, depth: int) -> int:
    settings = {"num_classes": 11, "width": width, "depth": depth}
    net = Architecture(name="frugalnet", settings=settings).build()
    return sum(p.numel() for p in net.parameters())


def estimate(width: float, depth: int) -> Footprint:
    settings = {"num_classes": 5, "width": width, "depth": depth}
    return footprint(trace(Architecture(name="frugalnet", settings=settings).build(), SPEC))


def test_the_ladder_rises_from_under_30_thousand_to_over_1_4_million_parameters() -> None:
    counts = [params(*step) for step in LADDER]
    assert counts == sorted(set(counts))
    assert counts[0] < 30_000
    assert counts[-1] > 1_400_000


def test_without_limits_the_largest_is_taken() -> None:
    choice = choose(device(), SPEC, 5)
    assert (choice.architecture.settings["width"], choice.architecture.settings["depth"]) == (
        LADDER[-1]
    )
    assert choice.larger is None
    assert choice.reason == "the largest frugalnet there is fits"


@pytest.mark.parametrize("storage_bytes", [100_000, 300_000, 800_000])
def test_the_choice_fits_and_the_next_larger_one_does_not(storage_bytes: int) -> None:
    board = device(storage_bytes=storage_bytes, margin=0.1)
    choice = choose(board, SPEC, 5)
    assert choice.footprint.storage_bytes <= storage_bytes * 0.9
    assert choice.larger is not None
    assert choice.larger.excess[0].allowed == int(storage_bytes * 0.9)
    step = (choice.architecture.settings["width"], choice.architecture.settings["depth"])
    following = LADDER[LADDER.index(step) + 1]
    assert not board.design_budget.check(estimate(*following))
    assert "the next larger one does not fit with the margin: storage needs" in choice.reason


def test_the_network_takes_what_the_input_gives() -> None:
    choice = choose(device(storage_bytes=100_000), replace(SPEC, channels=1), 7)
    net = choice.architecture.build()
    assert (net.channels, net.num_classes) == (1, 7)


def test_where_nothing_fits_a_smaller_picture_that_does_is_named() -> None:
    with pytest.raises(OverBudgetError, match="no frugalnet fits board at 96x128") as caught:
        choose(device(ram_bytes=600_000), SPEC, 5)
    assert not caught.value.verdict
    named = InputSpec.parse(str(caught.value).partition("--size ")[2].partition(",")[0])
    assert choose(device(ram_bytes=600_000), named, 5).larger is not None


def test_where_no_size_helps_that_is_said() -> None:
    with pytest.raises(OverBudgetError, match="No input down to a quarter of that makes it fit"):
        choose(device(storage_bytes=10_000), SPEC, 5)
