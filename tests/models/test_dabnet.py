from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from frugalseg.core.errors import ConfigError
from frugalseg.core.inputs import InputSpec
from frugalseg.cost.peak import peak
from frugalseg.models.cgnet import BN_EPS
from frugalseg.models.dabnet import Block, DABNet, DABNetConfig, Down
from frugalseg.models.pyramid import average_pool
from frugalseg.trace import trace


def build(**settings: Any) -> DABNet:
    torch.manual_seed(0)
    return DABNet(DABNetConfig(**{"num_classes": 3, **settings}))


def dilations(stage: Any) -> list[int]:
    return [max(layer.dilation) for block in stage for layer in block.far[::3]][::2]


class TestThePaper:
    @pytest.mark.parametrize(
        ("classes", "size", "params", "gmac"),
        [(11, "360x480", 754_571, 3.363), (19, "512x1024", 756_643, 10.220)],
    )
    def test_parameters_and_multiply_accumulates(
        self, classes: int, size: str, params: int, gmac: float
    ) -> None:
        graph = trace(build(num_classes=classes), InputSpec.parse(size))
        assert graph.params == params
        assert round(graph.macs / 1e9, 3) == gmac

    def test_scores_leave_at_an_eighth(self) -> None:
        assert build().eval().native(torch.randn(1, 3, 37, 53)).shape == (1, 3, 5, 7)

    def test_the_picture_is_joined_in_three_times(self) -> None:
        net, image_NCHW, seen = build().eval(), torch.randn(1, 3, 21, 32), list[Tensor]()
        for join in (net.join2, net.join4, net.join8):
            join.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
        net.native(image_NCHW)
        assert len(seen) == 3
        for joined in seen:
            image_NCHW = average_pool(image_NCHW, 3, 2)
            assert torch.equal(joined[:, -3:], image_NCHW)

    def test_dilations_double_after_each_third_of_the_blocks(self) -> None:
        net = build()
        assert dilations(net.stage4) == [2, 2, 2]
        assert dilations(net.stage8) == [4, 4, 8, 8, 16, 16]

    @pytest.mark.parametrize(
        ("depth", "expected"), [(1, [4]), (2, [4, 8]), (4, [4, 4, 8, 16]), (3, [4, 8, 16])]
    )
    def test_other_depths_keep_the_order(self, depth: int, expected: list[int]) -> None:
        assert dilations(build(depth8=depth).stage8) == expected


class TestBlock:
    def test_a_pair_of_asymmetric_convolutions_sees_a_dilated_square(self) -> None:
        block: Any = Block(2, 3, "relu").eval()
        for layer in block.far[::3]:
            nn.init.ones_(layer.weight)
        x_NChw = torch.ones(1, 1, 13, 13, requires_grad=True)
        block.far(x_NChw)[0, 0, 6, 6].backward()
        assert x_NChw.grad is not None
        seen = x_NChw.grad[0, 0].nonzero().tolist()
        assert seen == [[row, column] for row in (3, 6, 9) for column in (3, 6, 9)]

    def test_norm_and_activation_come_first_and_the_input_is_added_as_it_is(self) -> None:
        block: Any = Block(4, 2, "relu").eval()
        nn.init.zeros_(block.widen[-1].weight)
        x_NChw = -torch.rand(1, 4, 5, 7)
        assert torch.equal(block(x_NChw), x_NChw)


class TestDown:
    def test_new_channels_are_convolved_and_the_others_are_maxima(self) -> None:
        torch.manual_seed(0)
        down: Any = Down(5, 8, "relu").train()
        x_NCHW = torch.randn(2, 5, 8, 12)
        joined = torch.cat([down.conv[0](x_NCHW), F.max_pool2d(x_NCHW, 2)], 1)
        assert joined.shape == (2, 8, 4, 6)
        one = nn.BatchNorm2d(8, eps=BN_EPS).train()  # one norm is two, on either part
        torch.testing.assert_close(down(x_NCHW), F.relu(one(joined)))

    def test_an_odd_side_keeps_the_maximum_of_what_is_there(self) -> None:
        down: Any = Down(1, 2, "prelu").eval()
        pooled = down(torch.full((1, 1, 5, 5), -1.0))[:, 1]
        slope = down.act.weight[1]
        torch.testing.assert_close(pooled, (-slope / (1 + BN_EPS) ** 0.5).expand(1, 3, 3))

    def test_where_channels_do_not_grow_all_are_convolved(self) -> None:
        down: Any = Down(11, 8, "relu")
        assert down.pooled is None
        assert down.conv[0].out_channels == 8


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

    def test_width_scales_all_channels(self) -> None:
        assert build(width=2.0).classify.in_channels == 2 * 256 + 3

    @pytest.mark.parametrize(
        ("wrong", "told"),
        [
            ({"width": 9}, "width must be 0.125 to 4"),
            ({"act": "swish"}, "'prelu' or 'relu', got 'swish'"),
            ({"depth4": 0}, "depth4 must be a whole number from 1 to 24, got 0"),
            ({"depth8": True}, "depth8 must be a whole number"),
        ],
    )
    def test_what_cannot_be_is_refused(self, wrong: dict[str, Any], told: str) -> None:
        with pytest.raises(ConfigError, match=told):
            build(**wrong)
