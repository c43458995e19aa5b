"""Layers as smaller ones: the same function at full rank, and built again from data."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from frugalseg.compress.decompose import decomposed
from frugalseg.core.errors import ConfigError
from frugalseg.models.catalog import Architecture
from frugalseg.models.factors import (
    SCHEMES,
    Factors,
    factorise,
    fold,
    most,
    read_rank,
    unfold,
    weight_of,
)
from frugalseg.models.layers import SameConv

SMALL = Architecture(name="frugalnet", settings={"num_classes": 3, "width": 0.5, "depth": 1})
LAYERS = {
    "plain": nn.Conv2d(6, 10, 3, padding=1),
    "strided": nn.Conv2d(6, 10, 3, stride=2, padding=1, bias=False),
    "dilated": nn.Conv2d(6, 4, 3, padding=2, dilation=2),
    "long": nn.Conv2d(6, 5, (3, 5), stride=(2, 1), padding=(0, 2), dilation=(1, 2)),
    "upright": nn.Conv2d(6, 6, (5, 1), padding=(2, 0)),
    "valid": nn.Conv2d(6, 7, 3, padding="valid"),
    "point": nn.Conv2d(6, 10, 1),
    "point, strided": SameConv(6, 10, 1, stride=2),
    "same": SameConv(6, 10, 3, bias=True),
    "same, strided": SameConv(6, 10, 3, stride=2),
    "same, far": SameConv(6, 10, 5, stride=2, dilation=2, bias=True),
}


@pytest.mark.parametrize("scheme", sorted(SCHEMES))
@pytest.mark.parametrize("name", sorted(LAYERS))
def test_a_layer_at_full_rank_computes_the_same(name: str, scheme: str) -> None:
    layer = LAYERS[name]
    factors = decomposed(layer, (scheme, *most(layer, scheme)))
    for size in ((16, 24), (17, 23)):
        x_NCHW = torch.randn(2, 6, *size, generator=torch.Generator().manual_seed(0))
        torch.testing.assert_close(factors(x_NCHW), layer(x_NCHW), rtol=1e-4, atol=1e-5)


def test_a_linear_layer_at_full_rank_computes_the_same() -> None:
    layer = nn.Linear(12, 7)
    x_NC = torch.randn(3, 12)
    torch.testing.assert_close(decomposed(layer, ("channel", 7))(x_NC), layer(x_NC))
    with pytest.raises(ConfigError, match="no scheme 'spatial'"):
        decomposed(layer, ("spatial", 2))


def test_the_smaller_layers_are_those_of_the_papers() -> None:
    layer = nn.Conv2d(6, 10, 3, stride=2, padding=1, dilation=3)
    shapes = {
        scheme: [tuple(weight_of(part).shape) for part in decomposed(layer, (scheme, *ranks))]
        for scheme, ranks in (("channel", [4]), ("spatial", [4]), ("tucker", [3, 4]))
    }
    assert shapes == {
        "channel": [(4, 6, 3, 3), (10, 4, 1, 1)],
        "spatial": [(4, 6, 3, 1), (10, 4, 1, 3)],
        "tucker": [(3, 6, 1, 1), (4, 3, 3, 3), (10, 4, 1, 1)],
    }


@pytest.mark.parametrize("scheme", ["channel", "spatial"])
def test_what_is_left_is_the_nearest_of_its_rank(scheme: str) -> None:
    layer = nn.Conv2d(6, 10, 3, bias=False)
    x_NCHW = torch.randn(2, 6, 9, 9)
    left, values, right = torch.linalg.svd(unfold(layer.weight, scheme), full_matrices=False)
    nearest = fold(left[:, :3] * values[:3] @ right[:3], scheme, layer.weight.shape)
    wanted = torch.nn.functional.conv2d(x_NCHW, nearest)
    torch.testing.assert_close(decomposed(layer, (scheme, 3))(x_NCHW), wanted, rtol=1e-4, atol=1e-5)


def test_tucker_finds_weights_of_low_rank_again() -> None:
    layer = nn.Conv2d(8, 12, 3, bias=False)
    core, first, last = torch.randn(4, 3, 3, 3), torch.randn(8, 3), torch.randn(12, 4)
    with torch.no_grad():
        layer.weight.copy_(torch.einsum("baxy,ia,ob->oixy", core, first, last))
    x_NCHW = torch.randn(2, 8, 7, 7)
    factors = decomposed(layer, ("tucker", 3, 4))
    torch.testing.assert_close(factors(x_NCHW), layer(x_NCHW), rtol=1e-4, atol=1e-3)


def test_a_network_with_factors_is_built_again_from_data() -> None:
    ranks: dict[str, list[str | int]] = {
        "stage16.1.spread.0": ["spatial", 5], "classify": ["channel", 2],
    }  # fmt: skip
    data = Architecture(name=SMALL.name, settings=SMALL.settings, ranks=ranks).to_dict()
    assert data["ranks"] == ranks
    network = Architecture(**data).build()
    assert isinstance(network.get_submodule("classify"), Factors)
    assert weight_of(network.get_submodule("stage16.1.spread.0.1")).shape == (32, 5, 1, 3)
    assert network.native(torch.zeros(1, 3, 32, 48)).shape == (1, 3, 8, 12)


@pytest.mark.parametrize(
    ("rank", "says"),
    [
        ({"classify": ["channel", 0]}, "takes ranks from 1 to 3"),
        ({"classify": ["channel", 4]}, "takes ranks from 1 to 3"),
        ({"classify": ["channel", True]}, "takes ranks from 1 to 3"),
        ({"classify": ["channel", 1, 1]}, "takes ranks from 1 to 3"),
        ({"classify": ["tucker", 1]}, "takes ranks from 1 to 3 and 3"),
        ({"classify": ["cp", 1]}, "no scheme 'cp'"),
        ({"classify": []}, "no scheme ''"),
        ({"classify.0": ["channel", 1]}, "no layer 'classify.0'"),
        ({"": ["channel", 1]}, "no layer ''"),
        ({"stage2.1": ["channel", 1]}, "a BatchNorm2d is no convolution"),
    ],
)
def test_ranks_that_cannot_be_are_refused(rank: dict[str, list[str | int]], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        factorise(SMALL.build(), rank)


@pytest.mark.parametrize("what", ["shapes", "ranks"])
@pytest.mark.parametrize("odd", [{"classify": 5}, {"classify": "channel"}, [3], "none", None])
def test_what_is_no_list_by_name_is_refused(what: str, odd: Any) -> None:
    with pytest.raises(ConfigError, match=f"{what} must be lists by name"):
        replace(SMALL, **{what: odd}).build()


@pytest.mark.parametrize(
    ("layer", "says"),
    [
        (nn.Conv2d(8, 8, 3, groups=8), "grouped or depthwise"),
        (nn.Conv2d(8, 8, 3, groups=2), "grouped or depthwise"),
        (nn.ConvTranspose2d(8, 8, 3), "transposed"),
        (nn.Conv2d(8, 8, 3, padding=1, padding_mode="reflect"), "pads with reflect"),
    ],
)
def test_other_layers_stay_whole_and_say_why(layer: nn.Module, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        read_rank(layer, ("channel", 2))
