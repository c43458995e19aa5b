from typing import Any

import pytest
import torch
from torch import nn

from frugalseg.core.errors import ConfigError
from frugalseg.core.inputs import InputSpec
from frugalseg.models.bisenet import BiSeNet, BiSeNetConfig, Fusion, Refinement
from frugalseg.trace import trace
from frugalseg.training.recipe import load_recipe

CAMVID = InputSpec(height=360, width=480)
BACKBONES = ("xception39", "resnet18")
ALLOWED = {
    "conv_2d", "depthwise_conv_2d", "max_pool_2d", "add", "mul", "mean", "logistic",
    "resize_bilinear", "concatenation",
}  # fmt: skip


def build(**settings: Any) -> BiSeNet:
    torch.manual_seed(0)
    return BiSeNet(BiSeNetConfig(num_classes=11, **settings))


def count(*parts: nn.Module) -> int:
    return sum(p.numel() for part in parts for p in part.parameters())


class TestThePaper:
    @pytest.mark.parametrize(
        ("backbone", "params", "with_heads", "gmac"),
        [
            ("xception39", 1_541_443, 1_839_705, 2.298),
            ("resnet18", 12_893_643, 13_490_145, 8.684),
        ],
    )
    def test_the_whole_network(
        self, backbone: str, params: int, with_heads: int, gmac: float
    ) -> None:
        net = build(backbone=backbone)
        graph = trace(net, CAMVID)
        assert graph.params == params
        assert count(net) == with_heads
        assert round(graph.macs / 1e9, 3) == gmac

    @pytest.mark.parametrize(
        ("backbone", "params"), [("xception39", 299_448), ("resnet18", 11_176_512)]
    )
    def test_its_backbone(self, backbone: str, params: int) -> None:
        net = build(backbone=backbone)
        assert count(net.to16, net.to32) == params

    @pytest.mark.parametrize("backbone", BACKBONES)
    def test_paths_end_at_an_eighth_and_a_32nd(self, backbone: str) -> None:
        net = build(backbone=backbone).eval()
        image = torch.randn(1, 3, 64, 96)
        sixteenth = net.to16(image)
        assert net.spatial(image).shape == (1, 128, 8, 12)
        assert sixteenth.shape[-2:] == (4, 6)
        assert net.to32(sixteenth).shape == (1, 256 if backbone == "xception39" else 512, 2, 3)

    @pytest.mark.parametrize("backbone", BACKBONES)
    def test_heads_for_training_are_at_a_16th_and_an_eighth(self, backbone: str) -> None:
        outputs = build(backbone=backbone).outputs(torch.randn(2, 3, 64, 96))
        sizes = [logits.shape[-2:] for logits in (outputs.scores, *outputs.auxiliary)]
        assert sizes == [(8, 12), (4, 6), (8, 12)]

    def test_the_recipe_mines_hard_pixels_and_weighs_all_heads_alike(self) -> None:
        loss = load_recipe("bisenet").loss
        assert (loss.name, loss.auxiliary) == ("ohem", 1.0)


class TestAttention:
    def test_refinement_scales_each_channel_by_one_gate_below_one(self) -> None:
        torch.manual_seed(0)
        part = Refinement(8, 16).eval()
        x_NChw = torch.randn(1, 8, 6, 7)
        before, after = part.conv(x_NChw), part(x_NChw)
        ratio_Cp = (after / before)[before > 1e-3].reshape(-1)
        assert ((ratio_Cp > 0) & (ratio_Cp < 1)).all()
        gate = torch.sigmoid(part.gate[0](before.mean((2, 3), keepdim=True)))
        torch.testing.assert_close(after, before * gate)

    def test_fusion_adds_the_gated_map_to_the_map(self) -> None:
        torch.manual_seed(0)
        part = Fusion(24, 32).eval()
        spatial, context = torch.randn(2, 8, 5, 6), torch.randn(2, 16, 5, 6)
        joined = part.join(torch.cat([spatial, context], 1))
        gate = part.gate(joined.mean((2, 3), keepdim=True))
        torch.testing.assert_close(part(spatial, context), joined + joined * gate)

    def test_the_coarsest_map_gets_what_a_global_mean_says(self) -> None:
        net = build().eval()
        image, met = torch.randn(1, 3, 32, 32), list[torch.Tensor]()
        net.mix16.register_forward_pre_hook(lambda _, given: met.append(given[0]))
        net.native(image)
        coarsest = net.to32(net.to16(image))  # one pixel, so that it is its own mean
        expected = net.refine32(coarsest) + net.everywhere(coarsest)
        torch.testing.assert_close(met[0], expected.expand(-1, -1, 2, 2))

    def test_every_pixel_sees_the_whole_picture(self) -> None:
        net = build().eval()
        image = torch.randn(1, 3, 256, 256, requires_grad=True)
        net.native(image)[0, :, 0, 0].sum().backward()
        assert image.grad is not None
        assert image.grad[0, :, -4:, -4:].abs().max() > 0


class TestSettings:
    @pytest.mark.parametrize("backbone", BACKBONES)
    def test_only_operators_that_have_an_int8_kernel(self, backbone: str) -> None:
        assert {op.kind for op in trace(build(backbone=backbone), CAMVID).ops} <= ALLOWED

    @pytest.mark.parametrize("backbone", BACKBONES)
    def test_widths_scale_both_paths_and_what_comes_after(self, backbone: str) -> None:
        whole, half, thin = (
            build(backbone=backbone, **settings)
            for settings in ({}, {"width": 0.5}, {"decoder_width": 0.5})
        )
        for part in ("spatial", "to32", "fusion", "head"):
            assert count(getattr(half, part)) < 0.4 * count(getattr(whole, part))
        for part in ("spatial", "to16", "to32"):
            assert count(getattr(thin, part)) == count(getattr(whole, part))
        for part in ("refine32", "mix8", "fusion", "head", "auxiliary8"):
            assert count(getattr(thin, part)) < 0.6 * count(getattr(whole, part))

    @pytest.mark.parametrize(
        ("wrong", "message"),
        [
            ({"width": 5}, "width must be 0.125 to 4.0, got 5"),
            ({"decoder_width": 0}, "decoder_width must be 0.125 to 4.0, got 0"),
            (
                {"backbone": "resnet50"},
                "backbone must be 'xception39' or 'resnet18', got 'resnet50'",
            ),
        ],
    )
    def test_others_are_refused(self, wrong: dict[str, Any], message: str) -> None:
        with pytest.raises(ConfigError, match=message):
            BiSeNetConfig(num_classes=2, **wrong)
