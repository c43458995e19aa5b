from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from frugalseg.core.errors import ConfigError
from frugalseg.core.inputs import InputSpec
from frugalseg.models.regseg import Block, Gate, Halves, RegSeg, RegSegConfig
from frugalseg.trace import trace

CAMVID = InputSpec(height=360, width=480)
SMALL = InputSpec(height=96, width=128)
ALLOWED = {
    "add", "average_pool_2d", "concatenation", "conv_2d", "logistic", "mean", "mul",
    "resize_bilinear", "slice",
}  # fmt: skip


def build(**settings: Any) -> RegSeg:
    torch.manual_seed(0)
    return RegSeg(RegSegConfig(num_classes=11, **settings))


def empty(**settings: Any) -> RegSeg:
    """Build one without numbers, which takes no time."""
    with torch.device("meta"):
        return build(**settings)


def count(net: nn.Module) -> int:
    return sum(p.numel() for p in net.parameters())


def dilations(net: nn.Module) -> list[int]:
    far = [m.far for m in net.modules() if isinstance(m, Halves)]
    return [m.dilation[0] for part in far for m in part if isinstance(m, nn.Conv2d)]


class TestThePaper:
    def test_parameters_and_multiply_accumulates(self) -> None:
        net = empty()
        graph = trace(net, CAMVID)
        assert graph.params == count(net) == 3_334_431
        assert round(graph.macs / 1e9, 3) == 3.193

    def test_scores_are_at_a_quarter(self) -> None:
        assert build(width=0.5).eval().native(torch.randn(1, 3, 96, 128)).shape == (1, 11, 24, 32)

    def test_twelve_of_the_18_blocks_dilate(self) -> None:
        assert dilations(empty()) == [2, 4, 4, 4, 4, 14, 14, 14, 14, 14, 14, 14]
        assert sum(isinstance(m, Block) for m in empty().modules()) == 18

    @pytest.mark.parametrize("width", [0.3, 1.0, 1.5])
    def test_groups_have_16_channels(self, width: float) -> None:
        net = empty(width=width)
        wide = [m for m in net.modules() if isinstance(m, nn.Conv2d) and m.groups > 1]
        assert {m.in_channels // m.groups for m in wide} == {16}


class TestBlocks:
    def test_one_half_sees_near_and_the_other_far(self) -> None:
        torch.manual_seed(0)
        net, seen = Halves(32, 4).eval(), []
        for half in (slice(16), slice(16, 32)):
            impulse = torch.zeros(1, 32, 13, 13)
            impulse[:, half, 6, 6] = 1
            changed = (net(impulse) - net(torch.zeros_like(impulse))).abs().sum((0, 1)) > 0
            seen.append(changed.any(1).nonzero().flatten().tolist())
        assert seen == [[5, 6, 7], [2, 6, 10]]

    def test_the_shortcut_averages_the_pixels_that_an_odd_side_has(self) -> None:
        net, x_NCHW = Block(32, 48, stride=2).eval(), torch.randn(2, 32, 5, 8)
        small = F.avg_pool2d(x_NCHW, 2, 2, ceil_mode=True)
        expected = F.relu(net.main(x_NCHW) + net.skip(small))
        torch.testing.assert_close(net(x_NCHW), expected)

    def test_the_gate_scales_channels_between_0_and_1(self) -> None:
        net, x_NChw = Gate(8, 4), torch.rand(2, 8, 5, 7) + 0.5
        share = net(x_NChw) / x_NChw
        assert share.min() > 0
        assert share.max() < 1
        torch.testing.assert_close(share, share[..., :1, :1].expand_as(share))


class TestDevice:
    def test_operators_are_those_that_devices_have(self) -> None:
        assert {op.kind for op in trace(empty(), SMALL).ops} <= ALLOWED

    def test_less_dilation_takes_the_same_weights(self) -> None:
        near = build(width=0.25, dilation=1)
        near.load_state_dict(build(width=0.25).state_dict())
        assert {*dilations(near)} == {1}
        assert {*dilations(empty(dilation=6))} == {2, 4, 6}


class TestSettings:
    @pytest.mark.parametrize("width", [0.125, 0.3, 1.5])
    def test_any_width_keeps_whole_groups(self, width: float) -> None:
        assert build(width=width).eval()(torch.randn(1, 3, 33, 48)).shape == (1, 11, 33, 48)

    def test_the_decoder_can_be_made_smaller_by_itself(self) -> None:
        small, usual = empty(decoder_width=0.5), empty()
        assert count(small.stage16) == count(usual.stage16)
        assert count(small.join8) < count(usual.join8)

    @pytest.mark.parametrize("wrong", [{"width": 5}, {"decoder_width": 0}, {"dilation": 15}])
    def test_what_cannot_be_is_refused(self, wrong: dict[str, Any]) -> None:
        with pytest.raises(ConfigError, match=f"{next(iter(wrong))} must be"):
            RegSegConfig(num_classes=3, **wrong)
