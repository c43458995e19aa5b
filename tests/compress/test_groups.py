"""Channels are taken away so that the rest computes what it did."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from frugalseg.compress.groups import Groups, Kept, cut
from frugalseg.core.inputs import InputSpec
from frugalseg.models.catalog import MODELS, Architecture
from frugalseg.models.network import Network
from frugalseg.models.reshape import reshape, shapes_of

SPEC = InputSpec(height=64, width=96)


def built(name: str) -> Network:
    torch.manual_seed(0)
    network = Architecture(name=name, settings={"num_classes": 5}).build().eval()
    for module in network.modules():  # as after some training
        if isinstance(module, nn.BatchNorm2d) and module.running_mean is not None:
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.5, 0.5)
            nn.init.uniform_(module.running_mean, -0.5, 0.5)
    return network


def some(groups: Groups) -> Kept:
    """Keep two thirds of each group, at random."""
    numbers = np.random.default_rng(0)
    return {
        name: np.sort(numbers.choice(count, max(1, 2 * count // 3), replace=False))
        for name, count in groups.channels.items()
    }


def silence(network: Network, groups: Groups, kept: Kept) -> None:
    """Let nothing that reads a channel that goes see anything of it."""
    for op, layer in groups.layers():
        module = network.get_submodule(layer)
        index = groups.kept_of(op.reads[0], kept)
        if index is None or op.kind not in {"conv_2d", "transpose_conv"}:
            continue
        assert isinstance(module, nn.Conv2d | nn.ConvTranspose2d)
        axis = 1 if op.kind == "conv_2d" else 0
        gone = torch.from_numpy(np.setdiff1d(np.arange(module.weight.shape[axis]), index))
        with torch.no_grad():
            module.weight.index_fill_(axis, gone, 0.0)


def everything(network: Network, image: Tensor) -> list[Tensor]:
    outputs = network.outputs(image)
    boundary = [] if outputs.boundary is None else [outputs.boundary]
    return [outputs.scores, *outputs.auxiliary, *boundary]


@pytest.mark.parametrize("name", sorted(MODELS))
def test_a_network_without_channels_that_nobody_reads_computes_the_same(name: str) -> None:
    network = built(name)
    groups = Groups.of(network, SPEC)
    kept = some(groups)
    assert len(kept) > 3
    smaller = cut(network, groups, kept)
    assert sum(p.numel() for p in smaller.parameters()) < 0.9 * sum(
        p.numel() for p in network.parameters()
    )
    silence(network, groups, kept)
    image = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        wanted, found = everything(network, image), everything(smaller, image)
    for one, other in zip(wanted, found, strict=True):
        torch.testing.assert_close(other, one, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", sorted(MODELS))
def test_a_smaller_network_is_built_again_from_its_shapes(name: str) -> None:
    network = built(name)
    groups = Groups.of(network, SPEC)
    smaller = cut(network, groups, some(groups))
    full = shapes_of(network)
    again = built(name)
    reshape(again, {n: s for n, s in shapes_of(smaller).items() if s != full[n]})
    again.load_state_dict(smaller.state_dict())
    image = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        torch.testing.assert_close(again.native(image), smaller.native(image), rtol=0, atol=0)


def test_what_stays_says_why() -> None:
    fixed = Groups.of(built("pidnet"), SPEC).fixed
    assert "the scores" in fixed.values()
    assert any("grouped convolution" in reason for reason in fixed.values())


@pytest.mark.parametrize("name", ["enet", "cgnet"])
def test_what_grows_by_joining_can_be_cut_everywhere(name: str) -> None:
    """ENet adds zeros to its maps, CGNet adds maps that are joined to others that are."""
    groups = Groups.of(built(name), SPEC)
    assert {*groups.fixed.values()} == {"the picture", "the scores"}


def test_each_group_has_its_part_of_a_layer_that_makes_several() -> None:
    groups = Groups.of(built("enet"), SPEC)
    wide = next(op for op, layer in groups.layers() if layer == "down2.main.6")
    assert list(groups.parts_of(wide.writes[0])) == [
        ("initial.conv conv_2d", slice(0, 13)),  # three channels more are the picture's
        ("down1 pad", slice(16, 64)),
        ("down2 pad", slice(64, 128)),
    ]


class Twice(Network):
    """One convolution over two maps."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.other = nn.Conv2d(3, 8, 1), nn.Conv2d(3, 8, 1)
        self.both = nn.Conv2d(8, 8, 1)
        self.last = nn.Conv2d(16, 5, 1)

    def native(self, image_NCHW: Tensor) -> Tensor:
        maps = [self.both(self.one(image_NCHW)), self.both(self.other(image_NCHW))]
        scores: Tensor = self.last(torch.cat(maps, dim=1))
        return scores


def test_what_is_around_a_layer_used_twice_stays() -> None:
    groups = Groups.of(Twice(), SPEC)
    assert not groups.channels
    assert groups.fixed["one conv_2d"] == "both is used in several places"


def test_a_trunk_of_joined_parts_stays_a_multiple() -> None:
    """ENet's is 13 channels, 3 of the picture and 48 of zeros: they lose multiples of 8 each."""
    groups = Groups.of(built("enet"), SPEC)
    left = [groups.rounded(name, 2, 8) for name in ("initial.conv conv_2d", "down1 pad")]
    assert left == [5, 8]
    assert groups.rounded("down1.main.0 conv_2d", 2, 8) == 8
    assert groups.rounded("down1.main.0 conv_2d", 9, 24) == 16
