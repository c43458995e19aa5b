from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from frugalseg.core.errors import ConfigError
from frugalseg.core.inputs import InputSpec
from frugalseg.models.ddrnet import DDRNet, DDRNetConfig, stage
from frugalseg.models.pyramid import DAPPM, PAPPM, average_pool
from frugalseg.trace import trace

CAMVID = InputSpec(height=360, width=480)
SMALL = InputSpec(height=192, width=256)
ALLOWED = {
    "add", "average_pool_2d", "concatenation", "conv_2d", "depthwise_conv_2d", "mean", "mul",
    "relu", "resize_bilinear", "sub",
}  # fmt: skip


def build(**settings: Any) -> DDRNet:
    torch.manual_seed(0)
    return DDRNet(DDRNetConfig(num_classes=11, **settings))


def empty(**settings: Any) -> DDRNet:
    """Build one without numbers, which takes no time."""
    with torch.device("meta"):
        return build(**settings)


def count(*parts: nn.Module) -> int:
    return sum(p.numel() for part in parts for p in part.parameters())


class TestThePaper:
    @pytest.mark.parametrize(
        ("width", "params", "gmac"), [(1.0, 5_695_467, 3.036), (2.0, 20_147_915, 11.964)]
    )
    def test_the_network_without_its_head_for_training(
        self, width: float, params: int, gmac: float
    ) -> None:
        net = empty(width=width)
        graph = trace(net, CAMVID)
        assert graph.params == params == count(net) - count(net.auxiliary)
        assert round(graph.macs / 1e9, 3) == gmac

    def test_branches_are_at_an_eighth_and_a_64th(self) -> None:
        net, sizes = build(width=0.5).eval(), {}
        for name in ("stage8", "detail3", "context64", "pyramid"):
            layer = getattr(net, name)
            layer.register_forward_hook(lambda _m, _x, y, n=name: sizes.update({n: y.shape[1:]}))
        assert net.native(torch.randn(1, 3, 128, 192)).shape == (1, 11, 16, 24)
        assert sizes == {
            "stage8": (32, 16, 24), "detail3": (64, 16, 24), "context64": (256, 2, 3),
            "pyramid": (64, 2, 3),
        }  # fmt: skip

    def test_the_auxiliary_head_sees_the_first_meeting_of_the_branches_and_no_more(self) -> None:
        net = build(width=0.25).train()
        net.outputs(torch.randn(2, 3, 64, 64)).auxiliary[0].square().mean().backward()
        reached = {n.partition(".")[0] for n, p in net.named_parameters() if p.grad is not None}
        assert reached == {"stage4", "stage8", "context16", "detail1", "up1", "auxiliary"}

    def test_the_last_block_of_a_stage_is_linear_only_where_it_is_told(self) -> None:
        x_NChw = torch.randn(2, 8, 6, 6)
        assert stage(8, 8, 2)(x_NChw).min() == 0
        assert stage(8, 8, 2, relu=False)(x_NChw).min() < 0


class TestDevice:
    def test_operators_are_those_that_devices_have(self) -> None:
        kinds = [op.kind for op in trace(empty(), SMALL).ops]
        assert {*kinds} <= ALLOWED
        assert kinds.count("average_pool_2d") == 3
        assert kinds.count("mean") == 1


class TestSettings:
    def test_below_width_1_the_pyramid_narrows_with_the_rest_and_above_it_stays(self) -> None:
        made = []
        for width, channels in ((0.5, 256), (1.0, 512), (2.0, 1024)):
            x_NChw = torch.empty(2, channels, 2, 3, device="meta")
            made.append(empty(width=width).pyramid.scales[0](x_NChw).shape[1])
        assert made == [64, 128, 128]

    def test_depth_and_head_change_the_size(self) -> None:
        small, usual, deep = (count(empty(**s)) for s in ({"head": 16}, {}, {"depth": 3}))
        assert small < usual < deep

    @pytest.mark.parametrize(
        ("wrong", "told"),
        [
            ({"width": 9}, "width must be 0.125 to 4"),
            ({"depth": 0}, "depth must be a whole number from 1 to 8, got 0"),
            ({"depth": 2.0}, "depth must be a whole number"),
            ({"head": True}, "head must be a whole number from 8 to 1024, got True"),
        ],
    )
    def test_what_cannot_be_is_refused(self, wrong: dict[str, Any], told: str) -> None:
        with pytest.raises(ConfigError, match=told):
            DDRNetConfig(num_classes=3, **wrong)


def mean_of_windows(x_NCHW: Tensor, kernel: int, stride: int) -> Tensor:
    """Average pixel by pixel what a window that TensorFlow's SAME places covers of the map."""

    def spans(side: int) -> list[slice]:
        outputs = -(-side // stride)
        before = max((outputs - 1) * stride + kernel - side, 0) // 2
        starts = [i * stride - before for i in range(outputs)]
        return [slice(max(s, 0), min(s + kernel, side)) for s in starts]

    rows, columns = (spans(side) for side in x_NCHW.shape[-2:])
    means = [[x_NCHW[..., r, c].mean((2, 3)) for c in columns] for r in rows]
    return torch.stack([torch.stack(row, -1) for row in means], -2)


class TestAveragePool:
    @pytest.mark.parametrize("size", [(1, 1), (2, 3), (6, 8), (9, 16), (17, 10), (24, 33)])
    @pytest.mark.parametrize(("kernel", "stride"), [(2, 2), (5, 2), (9, 4), (17, 8)])
    def test_means_are_over_the_pixels_of_same_windows(
        self, size: tuple[int, int], kernel: int, stride: int
    ) -> None:
        x_NCHW = torch.randn(2, 3, *size)
        expected = mean_of_windows(x_NCHW, kernel, stride)
        assert expected.shape[-2:] == tuple(-(-side // stride) for side in size)
        torch.testing.assert_close(average_pool(x_NCHW, kernel, stride), expected)


class TestPyramids:
    """Against the authors' hierarchies, on a map on which their windows and ours agree."""

    def scales(self, net: DAPPM | PAPPM, x_NChw: Tensor) -> list[Tensor]:
        pooled = [
            F.avg_pool2d(x_NChw, k, s, k // 2, count_include_pad=False)
            for k, s in ((5, 2), (9, 4), (17, 8))
        ]
        maps = [x_NChw, *pooled, F.adaptive_avg_pool2d(x_NChw, 1)]
        return [
            F.interpolate(layer(m), x_NChw.shape[-2:], mode="bilinear")
            for layer, m in zip(net.scales, maps, strict=True)
        ]

    def test_dappm_mixes_each_scale_with_the_one_before(self) -> None:
        net, x_NChw = DAPPM(16, 8, 12).eval(), torch.randn(2, 16, 9, 17)
        own, *rest = self.scales(net, x_NChw)
        maps = [own]
        for mix, scale in zip(net.mix, rest, strict=True):
            maps.append(mix(scale + maps[-1]))
        expected = net.join(torch.cat(maps, 1)) + net.skip(x_NChw)
        torch.testing.assert_close(net(x_NChw), expected)

    def test_pappm_mixes_all_with_the_finest(self) -> None:
        net, x_NChw = PAPPM(16, 8, 12).eval(), torch.randn(2, 16, 9, 17)
        own, *rest = self.scales(net, x_NChw)
        mixed = net.mix(torch.cat([own + scale for scale in rest], 1))
        expected = net.join(torch.cat([own, mixed], 1)) + net.skip(x_NChw)
        torch.testing.assert_close(net(x_NChw), expected)
        assert net.mix[2].groups == 4
