from typing import Any

import pytest
import torch
from torch import nn

from frugalseg.core.errors import ConfigError
from frugalseg.core.inputs import InputSpec
from frugalseg.models.drbanet import EIBM, ELPPM, DRBANet, DRBANetConfig
from frugalseg.trace import trace
from frugalseg.training.recipe import load_recipe

CAMVID = InputSpec(height=360, width=480)
SMALL = InputSpec(height=192, width=256)
ALLOWED = {"add", "average_pool_2d", "conv_2d", "depthwise_conv_2d", "mean", "resize_bilinear"}


def build(**settings: Any) -> DRBANet:
    torch.manual_seed(0)
    return DRBANet(DRBANetConfig(num_classes=11, **settings))


def empty(**settings: Any) -> DRBANet:
    """Build one without numbers, which takes no time."""
    with torch.device("meta"):
        return build(**settings)


def count(*parts: nn.Module) -> int:
    return sum(p.numel() for part in parts for p in part.parameters())


class TestOurReading:
    def test_parameters_and_multiply_accumulates(self) -> None:
        net = empty()
        graph = trace(net, CAMVID)
        assert graph.params == count(net) - count(net.boundary) == 1_747_403
        assert round(graph.macs / 1e9, 3) == 1.396

    def test_scores_and_boundaries_are_at_an_eighth(self) -> None:
        outputs = build(width=0.5).eval().outputs(torch.randn(1, 3, 128, 192))
        assert outputs.boundary is not None
        assert outputs.scores.shape == (1, 11, 16, 24)
        assert outputs.boundary.shape == (1, 1, 16, 24)
        assert outputs.auxiliary == ()

    def test_the_boundary_head_sees_the_high_resolution_branch(self) -> None:
        net = build(width=0.5).train()
        boundary = net.outputs(torch.randn(2, 3, 64, 64)).boundary
        assert boundary is not None
        boundary.square().mean().backward()
        unseen = {n.partition(".")[0] for n, p in net.named_parameters() if p.grad is None}
        assert unseen == {"low64", "pyramid", "high3", "down2", "classify"}

    def test_its_recipe_weighs_boundaries_as_pidnet_does(self) -> None:
        assert load_recipe("drbanet").loss.boundary == load_recipe("pidnet").loss.boundary


class TestBlocks:
    def test_a_dilated_block_sees_further(self) -> None:
        net, impulse = EIBM(4, 4, 3, dilation=4).eval(), torch.zeros(1, 4, 11, 11)
        impulse[..., 5, 5] = 1
        changed = (net(impulse) - net(torch.zeros_like(impulse))).abs().sum((0, 1)) > 1e-6
        assert changed.any(1).nonzero().flatten().tolist() == [1, 5, 9]

    def test_a_block_adds_its_input_if_it_fits(self) -> None:
        assert EIBM(4, 4, 3).adds
        assert not EIBM(4, 8, 3).adds
        assert not EIBM(4, 4, 3, stride=2).adds

    def test_the_pyramid_sees_all_of_the_map(self) -> None:
        net, x_NChw = ELPPM(8, 8, 8).eval(), torch.randn(1, 8, 40, 40)
        other = x_NChw.clone()
        other[..., 39, 39] += 1000
        assert not torch.equal(net(x_NChw)[..., 0, 0], net(other)[..., 0, 0])


class TestDevice:
    def test_operators_are_few_and_no_norm_is_left(self) -> None:
        assert {op.kind for op in trace(empty(), SMALL).ops} <= ALLOWED


class TestSettings:
    def test_each_setting_changes_the_size(self) -> None:
        usual = count(empty())
        for small in ({"width": 0.5}, {"depth": 1}, {"expansion": 2}, {"head": 16}):
            assert count(empty(**small)) < usual

    @pytest.mark.parametrize("wrong", [{"width": 5}, {"depth": 0}, {"expansion": 7}, {"head": 2}])
    def test_what_cannot_be_is_refused(self, wrong: dict[str, Any]) -> None:
        with pytest.raises(ConfigError, match=f"{next(iter(wrong))} must be"):
            DRBANetConfig(num_classes=3, **wrong)
