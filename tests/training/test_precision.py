"""Dilated depthwise convolutions stay in fp32 where others compute in bfloat16."""

import torch
from torch import nn

from frugalseg.core.inputs import InputSpec
from frugalseg.data.dataset import Dataset
from frugalseg.models.catalog import Architecture
from frugalseg.training.loop import Training
from frugalseg.training.precision import spare_dilated
from frugalseg.training.recipe import Recipe


def test_what_is_dilated_and_depthwise_is_spared() -> None:
    network = nn.Sequential(
        nn.Conv2d(8, 8, 3, padding=2, dilation=2, groups=8),
        nn.Conv2d(8, 8, 3, padding=1, groups=8),
        nn.Conv2d(8, 8, 3, padding=2, dilation=2, groups=2),
        nn.Conv2d(8, 8, 3, padding=2, dilation=2),
    )
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    x_NChw = torch.randn(2, 8, 12, 16).to(memory_format=torch.channels_last)
    layer = network[0]
    assert isinstance(layer, nn.Conv2d)
    whole = layer(x_NChw)
    [wanted] = torch.autograd.grad(whole.square().sum(), [layer.weight])
    spare_dilated(network)
    with torch.autocast("cpu", torch.bfloat16):
        kinds = [layer(x_NChw).dtype for layer in network]
        found = layer(x_NChw)
    [gradient] = torch.autograd.grad(found.square().sum(), [layer.weight])
    assert kinds == [torch.float32, torch.bfloat16, torch.bfloat16, torch.bfloat16]
    assert torch.equal(found, whole)
    assert torch.equal(gradient, wanted)


def test_a_run_in_bf16_spares_them_and_its_average_is_a_plain_network(
    dataset: Dataset, small: Recipe, spec: InputSpec
) -> None:
    recipe = small.model_copy(update={"precision": "bf16-mixed"})
    network = Architecture(name="dabnet", settings={"num_classes": 3, "width": 0.25}).build()
    run = Training(network, dataset, recipe, spec, None)
    dilated = [m for m in network.modules() if isinstance(m, nn.Conv2d) and max(m.dilation) > 1]
    assert dilated
    assert all("forward" in vars(module) for module in dilated)
    assert not any("forward" in vars(module) for module in run.averaged.modules())
