from typing import Any

import pytest
import torch
from torch.nn import functional as F

from frugalseg.core.errors import ConfigError
from frugalseg.core.inputs import InputSpec
from frugalseg.cost.footprint import weigh
from frugalseg.models.attendseg import AttendSeg, AttendSegConfig, Condenser
from frugalseg.models.layers import resize
from frugalseg.trace import trace

SQUARE = InputSpec(height=512, width=512)


def build(**settings: Any) -> AttendSeg:
    torch.manual_seed(0)
    return AttendSeg(AttendSegConfig(**{"num_classes": 32} | settings))


class TestTheAbstract:
    def test_it_keeps_within_what_the_ratios_allow(self) -> None:
        net = build()
        graph = trace(net, SQUARE)
        assert graph.params == sum(p.numel() for p in net.parameters()) <= 1_190_000
        assert graph.macs <= 7_490_000_000
        assert weigh(graph, SQUARE).weight_bytes["int8"] <= 1_190_000

    def test_it_makes_use_of_them(self) -> None:
        graph = trace(build(), SQUARE)
        assert (graph.params, round(graph.macs / 1e9, 2)) == (1_120_161, 5.94)

    def test_every_block_and_every_refinement_has_a_condenser(self) -> None:
        assert sum(isinstance(m, Condenser) for m in build().modules()) == (2 + 4 + 4) + 3


class TestCondenser:
    def test_attention_scales_each_value_from_none_of_s_to_all_of_it(self) -> None:
        torch.manual_seed(0)
        layer, x_NChw = Condenser(16).eval(), torch.randn(2, 16, 7, 9)
        with torch.no_grad():
            layer.scale.fill_(0.5)
        share = (layer(x_NChw) - x_NChw) / x_NChw
        assert 0 < share.min() < share.max() < 0.5
        with torch.no_grad():
            layer.scale.fill_(0)
        assert torch.equal(layer(x_NChw), x_NChw)

    def test_attention_is_found_at_half_the_size(self) -> None:
        torch.manual_seed(0)
        layer, x_NChw = Condenser(16).eval(), torch.randn(1, 16, 8, 12)
        condensed = F.max_pool2d(layer.down(x_NChw), 2)
        attention = layer.up(resize(layer.embed(condensed), (8, 12))).sigmoid()
        torch.testing.assert_close(layer(x_NChw), x_NChw * (1 + attention))


def test_scores_leave_at_a_quarter() -> None:
    assert build(width=0.125).eval().native(torch.zeros(1, 3, 37, 53)).shape == (1, 32, 10, 14)


def test_width_decoder_and_depth_change_the_shape() -> None:
    net = build(width=0.5, decoder_width=0.5, depth=2)
    widths = [len(net.get_parameter(f"stages.{i}.0.0.weight")) for i in range(3)]
    blocks = [sum(isinstance(m, Condenser) for m in stage.modules()) for stage in net.stages]
    assert (widths, blocks) == ([32, 64, 80], [4, 8, 8])
    assert net.classify.in_channels == 24


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"width": 9}, "width must be 0.125 to 4.0, got 9"),
        ({"decoder_width": 0}, "decoder_width must be 0.125 to 4.0, got 0"),
        ({"depth": 0}, "depth must be a whole number from 1 to 4, got 0"),
        ({"depth": True}, "depth must be a whole number from 1 to 4, got True"),
    ],
)
def test_settings_out_of_range_are_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        AttendSegConfig(num_classes=2, **wrong)
