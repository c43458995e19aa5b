"""Training that presses matrices towards ranks."""

from typing import Any

import pytest
import torch
from torch import nn

from frugalseg.core.errors import ConfigError
from frugalseg.core.inputs import InputSpec
from frugalseg.data.dataset import Dataset
from frugalseg.models.catalog import Architecture
from frugalseg.models.factors import unfold, weight_of
from frugalseg.training.loop import Training
from frugalseg.training.low_rank import RankPressure, stable_rank
from frugalseg.training.recipe import Recipe, recipe_from
from frugalseg.training.smaller import LowRank

RANKS: dict[str, tuple[str, int]] = {
    "stage16.0.0": ("channel", 4),
    "stage16.1.spread.0": ("spatial", 3),
}


def training(small: Recipe, dataset: Dataset, spec: InputSpec, **wish: Any) -> Training:
    recipe = recipe_from(small.model_dump() | {"low_rank": wish})
    torch.manual_seed(0)
    settings = recipe.model.settings | {"num_classes": dataset.labels.num_classes}
    network = Architecture(name="frugalnet", settings=settings).build()
    return Training(network, dataset, recipe, spec, None)


def tails(run: Training) -> list[float]:
    return [
        float(stable_rank(unfold(weight_of(run.network.get_submodule(n)).detach(), str(s)), int(r)))
        for n, (s, r) in RANKS.items()
    ]


def test_singular_values_beyond_the_rank_get_smaller(
    dataset: Dataset, spec: InputSpec, small: Recipe
) -> None:
    longer = recipe_from(small.model_dump() | {"length": {"steps": 20}, "optimizer": {"lr": 0.02}})
    free = training(longer, dataset, spec)
    pressed = training(longer, dataset, spec, ranks=RANKS, weight=3.0)
    list(free.steps())
    list(pressed.steps())
    for was, now in zip(tails(free), tails(pressed), strict=True):
        assert now < 0.8 * was


def test_the_pressure_is_that_of_the_paper_and_its_gradient_presses_the_tail() -> None:
    layer = nn.Linear(4, 4, bias=False)
    values = torch.tensor([4.0, 2.0, 1.0, 0.5])
    left = torch.linalg.qr(torch.randn(4, 4))[0]
    right = torch.linalg.qr(torch.randn(4, 4))[0]
    layer.weight.data = left * values @ right
    pressure = RankPressure(LowRank(ranks={"0": ["channel", 2]}, weight=2.0), nn.Sequential(layer))
    loss = pressure.loss(0, 0.5)
    assert loss.item() == pytest.approx(2.0 * 0.5 * 1.5 / 6.0, rel=1e-4)
    loss.backward()
    assert layer.weight.grad is not None
    slopes = (left.T @ layer.weight.grad @ right.T).diag()  # by singular value
    torch.testing.assert_close(
        slopes, torch.tensor([-1.5, -1.5, 6.0, 6.0]) / 36, rtol=1e-3, atol=1e-5
    )


def test_it_rises_over_the_run_and_rests_between() -> None:
    network = nn.Sequential(nn.Linear(6, 6))
    pressure = RankPressure(LowRank(ranks={"0": ["channel", 2]}, every=3), network)
    assert pressure.loss(0, 0.0).item() == 0.0
    whole = pressure.loss(3, 1.0).item()
    assert pressure.loss(3, 0.5).item() == pytest.approx(whole / 2)
    assert pressure.loss(4, 1.0).item() == 0.0
    each = RankPressure(LowRank(ranks={"0": ["channel", 2]}), network)
    assert each.loss(3, 1.0).item() == pytest.approx(whole / 3)


def test_weights_of_zero_press_nothing_and_no_numbers_are_told() -> None:
    network = nn.Sequential(nn.Linear(3, 3))
    pressure = RankPressure(LowRank(ranks={"0": ["channel", 1]}), network)
    nn.init.zeros_(weight_of(network[0]))
    assert pressure.loss(0, 1.0).item() == 0.0
    nn.init.constant_(weight_of(network[0]), torch.nan)
    assert pressure.loss(0, 1.0).isnan()


def test_a_run_that_is_cut_off_goes_on_to_the_bit(
    dataset: Dataset, spec: InputSpec, small: Recipe
) -> None:
    wish = {"ranks": RANKS, "weight": 0.1, "every": 2}
    whole = training(small, dataset, spec, **wish)
    list(whole.steps())
    first = training(small, dataset, spec, **wish)
    next(iter(first.steps()))
    second = training(small, dataset, spec, **wish).restore(
        {n: t.clone() for n, t in first.state().items()}, first.averaged.state_dict(), 1, 0.1
    )
    list(second.steps())
    assert tails(second) == tails(whole)


@pytest.mark.parametrize(
    ("ranks", "says"),
    [
        ({"none": ["channel", 1]}, "no layer 'none'"),
        ({"stage16.0.0": ["tucker", 1, 1]}, "tucker is no rank of a matrix"),
        ({"stage16.0.0": ["channel", 999]}, "takes ranks from 1"),
        ({"stage2.1": ["channel", 1]}, "a BatchNorm2d is no convolution"),
    ],
)
def test_ranks_that_cannot_be_are_refused(
    dataset: Dataset, spec: InputSpec, small: Recipe, ranks: dict[str, Any], says: str
) -> None:
    with pytest.raises(ConfigError, match=says):
        training(small, dataset, spec, ranks=ranks)
