"""Training that presses scales of norms towards zero."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from frugalseg.core.errors import ConfigError
from frugalseg.core.inputs import InputSpec
from frugalseg.data.dataset import Dataset
from frugalseg.models.catalog import Architecture
from frugalseg.training.loop import Training
from frugalseg.training.recipe import Recipe, recipe_from
from frugalseg.training.smaller import Sparsity
from frugalseg.training.sparsity import Pressure, pressure


def training(recipe: Recipe, dataset: Dataset, spec: InputSpec) -> Training:
    torch.manual_seed(0)
    settings = recipe.model.settings | {"num_classes": dataset.labels.num_classes}
    network = Architecture(name="frugalnet", settings=settings).build()
    return Training(network, dataset, recipe, spec, None)


def scales(run: Training) -> Tensor:
    norms = [m for m in run.network.modules() if isinstance(m, nn.BatchNorm2d)]
    return torch.cat([norm.weight.detach().abs() for norm in norms])


def pressed(small: Recipe, **wish: Any) -> Recipe:
    return recipe_from(small.model_dump() | {"length": {"steps": 30}, "sparsity": wish})


@pytest.mark.parametrize("name", ["bn", "cap"])
def test_scales_get_smaller(dataset: Dataset, spec: InputSpec, small: Recipe, name: str) -> None:
    free = training(pressed(small), dataset, spec)
    list(free.steps())
    run = training(pressed(small, name=name, weight=0.05), dataset, spec)
    list(run.steps())
    assert float(scales(run).mean()) < float(scales(free).mean())


def test_every_scale_is_pressed_alike_without_context() -> None:
    norm = nn.BatchNorm2d(3)
    nn.init.constant_(norm.weight, -2.0)
    loss = Pressure(Sparsity(name="bn", weight=0.5), norm).loss()
    loss.backward()
    assert loss.item() == pytest.approx(3.0)
    assert norm.weight.grad is not None
    assert norm.weight.grad.tolist() == [-0.5, -0.5, -0.5]


@pytest.mark.parametrize("loud", [0.1, 1.0, 5.0])
def test_a_channel_that_has_nothing_to_do_with_the_others_is_pressed_most(loud: float) -> None:
    generator = torch.Generator().manual_seed(0)
    shared = torch.rand(2, 1, 8, 8, generator=generator)
    shared[..., 4:] = 0
    alone = loud * torch.rand(2, 1, 8, 8, generator=generator)
    alone[..., :4] = 0  # where the others see nothing
    found_C = pressure(torch.cat([shared, 0.9 * shared, 1.1 * shared, alone], dim=1))
    assert int(found_C.argmax()) == 3
    assert float(found_C.mean()) == pytest.approx(1.0)


def test_channels_that_are_all_alike_are_pressed_alike() -> None:
    assert pressure(torch.ones(2, 4, 6, 6)).tolist() == [1.0] * 4


def test_large_maps_are_averaged_before_they_are_compared() -> None:
    large = torch.rand(1, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    assert pressure(large).shape == (3,)


def test_a_run_that_is_cut_off_goes_on_to_the_bit(
    dataset: Dataset, spec: InputSpec, small: Recipe
) -> None:
    recipe = recipe_from(small.model_dump() | {"sparsity": {"name": "cap", "weight": 0.01}})
    whole = training(recipe, dataset, spec)
    list(whole.steps())
    first = training(recipe, dataset, spec)
    next(iter(first.steps()))
    second = training(recipe, dataset, spec).restore(
        {n: t.clone() for n, t in first.state().items()}, first.averaged.state_dict(), 1, 0.1
    )
    list(second.steps())
    assert torch.equal(scales(second), scales(whole))


def test_an_unknown_way_is_refused(small: Recipe) -> None:
    with pytest.raises(ConfigError, match="sparsity"):
        pressed(small, name="lasso")


def test_context_is_taken_in_full_precision() -> None:
    norm = nn.BatchNorm2d(4).train()
    image = 20 * torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    seen = Pressure(Sparsity(name="cap"), norm)
    norm(image)
    wanted_C = seen.by_context[norm]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        norm(image)
    assert torch.equal(seen.by_context[norm], wanted_C)
