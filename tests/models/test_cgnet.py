from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from frugalseg.core.errors import ConfigError
from frugalseg.core.inputs import InputSpec
from frugalseg.cost.peak import peak
from frugalseg.models.cgnet import BN_EPS, CGNet, CGNetConfig, Context, Gate
from frugalseg.models.pyramid import average_pool
from frugalseg.trace import trace


def build(**settings: Any) -> CGNet:
    torch.manual_seed(0)
    return CGNet(CGNetConfig(**{"num_classes": 3, **settings}))


class TestThePaper:
    @pytest.mark.parametrize(
        ("classes", "size", "params", "gmac"),
        [(11, "360x480", 494_258, 2.223), (19, "512x1024", 496_306, 6.762)],
    )
    def test_parameters_and_multiply_accumulates(
        self, classes: int, size: str, params: int, gmac: float
    ) -> None:
        graph = trace(build(num_classes=classes), InputSpec.parse(size))
        assert graph.params == params
        assert round(graph.macs / 1e9, 3) == gmac

    def test_scores_leave_at_an_eighth(self) -> None:
        assert build().eval().native(torch.randn(1, 3, 37, 53)).shape == (1, 3, 5, 7)

    def test_the_picture_is_joined_in_at_a_half_and_a_quarter(self) -> None:
        net, image_NCHW, seen = build().eval(), torch.randn(1, 3, 21, 32), list[Tensor]()
        for join in (net.join2, net.join4):
            join.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
        net.native(image_NCHW)
        half = average_pool(image_NCHW, 3, 2)
        for joined, expected in zip(seen, (half, average_pool(half, 3, 2)), strict=True):
            assert torch.equal(joined[:, -3:], expected)


class TestContext:
    def test_two_norms_are_the_one_norm_of_both_branches(self) -> None:
        torch.manual_seed(0)
        context: Any = Context(4, 2, "prelu").train()
        x_NChw = torch.randn(2, 4, 9, 11)
        joined = torch.cat([context.local[0](x_NChw), context.surrounding[0](x_NChw)], 1)
        one = nn.BatchNorm2d(8, eps=BN_EPS).train()
        torch.testing.assert_close(context(x_NChw), context.act(one(joined)))

    @pytest.mark.parametrize(("channel", "reach"), [(0, 1), (1, 4)])
    def test_one_branch_is_local_and_the_other_looks_further(
        self, channel: int, reach: int
    ) -> None:
        context: Any = Context(1, 4, "relu").eval()
        for branch in (context.local, context.surrounding):
            nn.init.ones_(branch[0].weight)
        x_NChw = torch.ones(1, 1, 17, 17, requires_grad=True)
        context(x_NChw)[0, channel, 8, 8].backward()
        assert rows_seen(x_NChw) == [8 - reach, 8, 8 + reach]


def rows_seen(x_NChw: Tensor) -> list[int]:
    assert x_NChw.grad is not None
    seen_h = x_NChw.grad.abs().sum((0, 1, 3)).nonzero()
    return [int(row) for row in seen_h]


def test_a_gate_weighs_channels_by_their_mean_alone() -> None:
    torch.manual_seed(0)
    gate: Any = Gate(8, 4).eval()
    down, up = gate.weigh[0], gate.weigh[2]
    assert down.out_channels == 2
    x_NChw = torch.rand(1, 8, 4, 6)
    hidden = F.relu(down.bias + down.weight[:, :, 0, 0] @ x_NChw.mean((0, 2, 3)))
    weights = torch.sigmoid(up.bias + up.weight[:, :, 0, 0] @ hidden)
    torch.testing.assert_close(gate(x_NChw), x_NChw * weights[:, None, None])


class TestSettings:
    def test_relu_has_the_same_weights_but_for_the_slopes_and_needs_less_memory(self) -> None:
        spec = InputSpec(height=96, width=128)
        published, variant = build(), build(act="relu")
        missing, extra = variant.load_state_dict(published.state_dict(), strict=False)
        slopes = sum(isinstance(module, nn.PReLU) for module in published.modules())
        assert (missing, len(extra)) == ([], slopes)
        graphs = [trace(net, spec) for net in (published, variant)]
        assert graphs[0].macs == graphs[1].macs
        subs = [sum(op.kind == "sub" for op in graph.ops) for graph in graphs]
        assert subs[0] - subs[1] == slopes
        assert peak(graphs[1]).bytes < 0.7 * peak(graphs[0]).bytes

    def test_depths_count_the_blocks_with_the_one_that_halves(self) -> None:
        net = build(depth4=2, depth8=5)
        assert (len(net.stage4), len(net.stage8)) == (1, 4)

    def test_width_scales_all_channels(self) -> None:
        net = build(width=0.5)
        assert net.classify.in_channels == 128
        assert net.join2[0].num_features == 16 + 3

    @pytest.mark.parametrize(
        ("wrong", "told"),
        [
            ({"width": 0}, "width must be 0.125 to 4"),
            ({"act": "gelu"}, "'prelu' or 'relu', got 'gelu'"),
            ({"depth4": 1}, "depth4 must be a whole number from 2 to 64, got 1"),
            ({"depth8": 2.5}, "depth8 must be a whole number"),
        ],
    )
    def test_what_cannot_be_is_refused(self, wrong: dict[str, Any], told: str) -> None:
        with pytest.raises(ConfigError, match=told):
            build(**wrong)
