from typing import Any

import pytest
import torch
from torch.nn import functional as F

from frugalseg.core.errors import ConfigError
from frugalseg.core.inputs import InputSpec
from frugalseg.models.icnet import BINS, ICNet, ICNetConfig, pyramid_sum
from frugalseg.models.pyramid import window
from frugalseg.trace import trace
from frugalseg.training.recipe import load_recipe

CAMVID = InputSpec(height=360, width=480)
ALLOWED = {"conv_2d", "max_pool_2d", "average_pool_2d", "add", "resize_bilinear", "mean"}


def build(**settings: Any) -> ICNet:
    torch.manual_seed(0)
    return ICNet(ICNetConfig(num_classes=11, **settings))


class TestThePaper:
    def test_the_deployed_network(self) -> None:
        graph = trace(build(), CAMVID)
        assert graph.params == 6_698_955
        assert round(graph.macs / 1e9, 3) == 2.548

    def test_the_one_before_pruning_has_twice_the_width(self) -> None:
        # 26.5 M in the paper.
        assert trace(build(width=2.0), CAMVID).params == 26_732_427

    def test_guidance_has_a_classifier_for_each_fusion(self) -> None:
        net = build()
        extra = sum(p.numel() for p in net.parameters()) - trace(net, CAMVID).params
        assert extra == 2 * (128 * 11 + 11)

    def test_branches_end_at_a_32nd_and_an_eighth_and_scores_at_a_quarter(self) -> None:
        graph = trace(build(), CAMVID)
        shapes = {op.layer: graph.tensors[op.writes[0]].shape for op in graph.ops}
        # The picture of 181x241 gives maps of 91x121, 46x61 and 23x31.
        assert shapes["narrow.0"] == (1, 256, 12, 16)
        assert shapes["fusion24.fine.0"][-2:] == (23, 31)
        assert shapes["fusion12.fine.0"][-2:] == (45, 60)
        assert shapes["classify"] == (1, 11, 90, 120)

    def test_the_last_stages_and_both_fusions_are_dilated(self) -> None:
        windows = {op.layer: op.window for op in trace(build(), CAMVID).ops}
        dilated = {
            layer: w.dilation[0] for layer, w in windows.items() if w and max(w.dilation) > 1
        }
        wanted = {f"stage4.{i}.main.1.0": 2 for i in range(6)}
        wanted |= {f"stage5.{i}.main.1.0": 4 for i in range(3)}
        assert dilated == {**wanted, "fusion24.coarse.0": 2, "fusion12.coarse.0": 2}


class TestGuidance:
    def test_scores_of_the_heads_are_at_a_16th_and_an_eighth(self) -> None:
        outputs = build().eval().outputs(torch.randn(2, 3, 96, 128))
        assert outputs.scores.shape[-2:] == (24, 32)
        assert [logits.shape[-2:] for logits in outputs.auxiliary] == [(7, 9), (12, 16)]

    def test_it_sees_the_coarse_map_before_the_finer_one_joins(self) -> None:
        net = build().eval()
        image = torch.randn(1, 3, 64, 64)
        before = net.outputs(image)
        for parameter in net.fine.parameters():
            parameter.data.zero_()
        after = net.outputs(image)
        assert torch.equal(before.auxiliary[1], after.auxiliary[1])
        assert not torch.equal(before.scores, after.scores)

    def test_the_recipe_shrinks_the_labels(self) -> None:
        loss = load_recipe("icnet").loss
        assert (loss.auxiliary, loss.shrink_labels) == (0.4, True)


class TestPyramid:
    @pytest.mark.parametrize(
        ("sides", "bins", "kernels", "strides"),
        [
            # What the authors list for 1025x2049 pixels.
            ((33, 65), 1, (33, 65), (33, 65)),
            ((33, 65), 2, (17, 33), (16, 32)),
            ((33, 65), 6, (8, 15), (5, 10)),
        ],
    )
    def test_windows_of_the_authors(
        self,
        sides: tuple[int, int],
        bins: int,
        kernels: tuple[int, int],
        strides: tuple[int, int],
    ) -> None:
        assert [window(side, bins) for side in sides] == list(zip(kernels, strides, strict=True))

    @pytest.mark.parametrize("bins", BINS)
    @pytest.mark.parametrize("side", [1, 2, 3, 5, 6, 7, 11, 12, 15, 33])
    def test_windows_cover_a_side_to_its_end(self, side: int, bins: int) -> None:
        kernel, stride = window(side, bins)
        count = min(bins, side)
        assert (count - 1) * stride + kernel == side
        assert stride <= kernel

    def test_it_adds_four_means_to_the_map(self) -> None:
        x_NChw = torch.randn(2, 3, 6, 12)
        means = [F.adaptive_avg_pool2d(x_NChw, bins) for bins in BINS]
        expected = x_NChw + sum(
            F.interpolate(mean, size=(6, 12), mode="bilinear", align_corners=False)
            for mean in means
        )
        torch.testing.assert_close(pyramid_sum(x_NChw), expected)

    def test_a_constant_map_grows_fivefold_at_any_size(self) -> None:
        for size in ((1, 1), (1, 2), (4, 7), (13, 5)):
            ones = torch.ones(1, 2, *size)
            torch.testing.assert_close(pyramid_sum(ones), 5 * ones)


def test_only_operators_that_every_device_runs_in_int8() -> None:
    assert {op.kind for op in trace(build(), CAMVID).ops} <= ALLOWED


def test_widths_scale_the_encoder_and_the_decoder() -> None:
    def shares(**settings: Any) -> tuple[int, int]:
        net = build(**settings)
        decoder = (net.narrow, net.fusion24, net.fusion12, net.classify)
        whole = trace(net, CAMVID).params
        small = sum(p.numel() for part in decoder for p in part.parameters())
        return whole - small, small

    encoder, decoder = shares()
    half = shares(width=0.5)
    assert half[0] < encoder / 3
    assert half[1] < decoder / 3
    thin = shares(decoder_width=0.5)
    assert thin[0] == encoder
    assert thin[1] < decoder * 0.6


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"width": 0.1}, "width must be 0.125 to 4.0, got 0.1"),
        ({"decoder_width": "wide"}, "decoder_width must be 0.125 to 4.0, got 'wide'"),
    ],
)
def test_settings_out_of_range_are_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ICNetConfig(num_classes=2, **wrong)
