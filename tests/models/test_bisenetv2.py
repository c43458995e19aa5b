from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from frugalseg.core.errors import ConfigError
from frugalseg.core.inputs import InputSpec
from frugalseg.models.bisenetv2 import (
    Aggregation,
    BiSeNetV2,
    BiSeNetV2Config,
    ContextEmbedding,
    GatherExpand,
)
from frugalseg.models.pyramid import average_pool
from frugalseg.trace import trace
from frugalseg.training.recipe import load_recipe

SIZE = InputSpec(height=352, width=480)


def build(**settings: Any) -> BiSeNetV2:
    torch.manual_seed(0)
    return BiSeNetV2(BiSeNetV2Config(num_classes=11, **settings))


def count(*parts: nn.Module) -> int:
    return sum(p.numel() for part in parts for p in part.parameters())


class TestThePaper:
    def test_the_network_with_the_head_that_others_report(self) -> None:
        graph = trace(build(head=1024), SIZE)
        assert graph.params == 3_350_427
        assert round(graph.macs / 1e9, 3) == 7.907

    def test_the_detail_branch_alone(self) -> None:
        assert count(build().detail) == 519_232

    def test_a_head_of_128_needs_a_third_less_of_both(self) -> None:
        graph = trace(build(), SIZE)
        assert graph.params == 2_306_587
        assert round(graph.macs / 1e9, 3) == 5.156

    def test_boosters_sit_on_each_stage_of_the_semantic_branch(self) -> None:
        net = build()
        outputs = net.outputs(torch.randn(2, 3, 64, 96))
        sizes = [logits.shape[-2:] for logits in (outputs.scores, *outputs.auxiliary)]
        assert sizes == [(8, 12), (16, 24), (8, 12), (4, 6), (2, 3)]
        assert trace(net, SIZE).params == count(net) - count(net.boosters)

    def test_weights_start_from_kaiming_normal(self) -> None:
        state = build().state_dict()
        spread = float(state["detail.1.0.weight"].std())
        assert spread == pytest.approx((2 / (64 * 9)) ** 0.5, rel=0.05)
        assert not state["head.2.bias"].any()

    def test_the_recipe_mines_hard_pixels_and_weighs_all_heads_alike(self) -> None:
        loss = load_recipe("bisenetv2").loss
        assert (loss.name, loss.auxiliary) == ("ohem", 1.0)


class TestParts:
    def test_gather_and_expansion_has_six_times_the_channels_inside(self) -> None:
        for stride, depthwise in ((1, 1), (2, 2)):
            part = GatherExpand(8, 8, stride=stride)
            inner = [m for m in part.main.modules() if isinstance(m, nn.Conv2d) and m.groups > 1]
            assert [layer.out_channels for layer in inner] == [48] * depthwise
            assert part(torch.randn(2, 8, 7, 10)).shape[-2:] == (-(-7 // stride), -(-10 // stride))

    def test_no_relu_follows_a_depthwise_convolution(self) -> None:
        for stage in (build().stage8, build().stage16, build().stage32):
            for layer in stage.modules():
                if isinstance(layer, nn.Sequential) and isinstance(layer[0], nn.Conv2d):
                    assert layer[0].groups == 1 or not isinstance(layer[-1], nn.ReLU)

    def test_context_embedding_adds_what_the_mean_says_to_each_pixel(self) -> None:
        torch.manual_seed(0)
        part = ContextEmbedding(8).eval()
        x_NChw = torch.randn(2, 8, 3, 4)
        everywhere = part.everywhere(part.norm(x_NChw.mean((2, 3), keepdim=True)))
        torch.testing.assert_close(part(x_NChw), part.mix(x_NChw + everywhere))
        assert part(x_NChw).min() < 0  # no ReLU at its end

    def test_each_branch_gates_the_other(self) -> None:
        torch.manual_seed(0)
        part = Aggregation(8).eval()
        detail, semantic = torch.randn(1, 8, 12, 16), torch.randn(1, 8, 3, 4)
        raised = F.interpolate(part.semantic8(semantic), size=(12, 16), mode="bilinear")
        left = part.detail8(detail) * torch.sigmoid(raised)
        right = average_pool(part.detail32(detail), 3, 2) * torch.sigmoid(part.semantic32(semantic))
        right = F.interpolate(right, size=(12, 16), mode="bilinear")
        torch.testing.assert_close(part(detail, semantic), part.mix(left + right))

    def test_every_pixel_sees_the_whole_picture(self) -> None:
        net = build().eval()
        image = torch.randn(1, 3, 256, 256, requires_grad=True)
        net.native(image)[0, :, 0, 0].sum().backward()
        assert image.grad is not None
        assert image.grad[0, :, -4:, -4:].abs().max() > 0


class TestSettings:
    def test_width_scales_both_branches(self) -> None:
        whole, half = build(), build(width=0.5)
        for part in ("detail", "stage32", "context", "aggregate"):
            assert count(getattr(half, part)) < 0.4 * count(getattr(whole, part))

    @pytest.mark.parametrize(
        ("wrong", "message"),
        [
            ({"width": 0.1}, "width must be 0.125 to 4.0, got 0.1"),
            ({"head": 4}, "head must be a whole number from 8 to 4096, got 4"),
            ({"head": 64.0}, "head must be a whole number from 8 to 4096, got 64.0"),
            ({"head": True}, "head must be a whole number from 8 to 4096, got True"),
        ],
    )
    def test_others_are_refused(self, wrong: dict[str, Any], message: str) -> None:
        with pytest.raises(ConfigError, match=message):
            BiSeNetV2Config(num_classes=2, **wrong)
