from typing import Any

import pytest
import torch
from torch.nn import functional as F

from frugalseg.core.errors import ConfigError
from frugalseg.core.inputs import InputSpec
from frugalseg.models.segformer import (
    Attention,
    ChannelNorm,
    ConcatHead,
    DropPath,
    SegFormer,
    SegFormerConfig,
    SumHead,
)
from frugalseg.trace import trace

CAMVID = InputSpec(height=360, width=480)


def build(**settings: Any) -> SegFormer:
    torch.manual_seed(0)
    return SegFormer(SegFormerConfig(num_classes=11, **settings))


class TestThePaper:
    @pytest.mark.parametrize(
        ("size", "params", "encoder", "gmac"),
        [
            ("b0", 3_716_971, 3_319_392, 4.938),
            ("b1", 13_680_075, 13_151_424, 9.725),
            ("b2", 27_355_083, 24_196_288, 39.259),
        ],
    )
    def test_parameters_and_multiply_accumulates(
        self, size: str, params: int, encoder: int, gmac: float
    ) -> None:
        net = build(size=size)
        graph = trace(net, CAMVID)
        assert graph.params == params == sum(p.numel() for p in net.parameters())
        assert sum(p.numel() for p in net.stages.parameters()) == encoder
        assert round(graph.macs / 1e9, 3) == gmac

    def test_four_maps_from_a_quarter_to_a_thirty_second(self) -> None:
        x_NCHW, shapes = torch.randn(1, 3, 96, 128), []
        with torch.no_grad():
            for stage in build().eval().stages:
                x_NCHW = stage(x_NCHW)
                shapes.append(tuple(x_NCHW.shape[1:]))
        assert shapes == [(32, 24, 32), (64, 12, 16), (160, 6, 8), (256, 3, 4)]

    def test_every_pixel_sees_the_whole_picture(self) -> None:
        image = torch.randn(1, 3, 128, 160, requires_grad=True)
        build().eval().native(image)[0, 0, 0, 0].backward()
        assert image.grad is not None
        assert image.grad[0, :, -8:, -8:].abs().max() > 0


def test_layer_norm_spelled_out_is_that_of_training() -> None:
    torch.manual_seed(0)
    norm, x_NCHW = ChannelNorm(24), torch.randn(2, 24, 5, 7) * 3 + 1
    torch.nn.init.normal_(norm.weight)
    torch.nn.init.normal_(norm.bias)
    spelled = norm.eval()(x_NCHW)
    torch.testing.assert_close(spelled, norm.train()(x_NCHW), atol=1e-5, rtol=1e-4)
    mean_NHW = ((spelled - norm.bias[:, None, None]) / norm.weight[:, None, None]).mean(1)
    torch.testing.assert_close(mean_NHW, torch.zeros(2, 5, 7), atol=1e-4, rtol=0)


class TestAttention:
    @pytest.mark.parametrize(("shrink", "keys"), [(1, 63), (2, 12), (4, 2)])
    def test_it_is_scaled_dot_product_attention_over_whole_windows(
        self, shrink: int, keys: int
    ) -> None:
        torch.manual_seed(0)
        layer, x_NChw = Attention(16, 2, shrink).eval(), torch.randn(3, 16, 7, 9)
        seen_NChw = layer.reduce(x_NChw)
        assert seen_NChw.shape[2] * seen_NChw.shape[3] == keys

        def heads(map_NChw: torch.Tensor) -> torch.Tensor:
            return map_NChw.reshape(3, 2, 8, -1).transpose(2, 3)

        pair = (heads(layer.key(seen_NChw)), heads(layer.value(seen_NChw)))
        mixed = F.scaled_dot_product_attention(heads(layer.query(x_NChw)), *pair)
        expected = layer.project(mixed.transpose(2, 3).reshape(3, 16, 7, 9))
        torch.testing.assert_close(layer(x_NChw), expected, atol=1e-5, rtol=1e-4)

    def test_a_map_smaller_than_a_window_is_one_window(self) -> None:
        layer, x_NChw = Attention(8, 1, 8).eval(), torch.randn(1, 8, 3, 11)
        padded = F.pad(x_NChw, (0, 0, 0, 5))
        torch.testing.assert_close(layer(x_NChw), layer(padded)[:, :, :3], atol=1e-5, rtol=1e-4)


class TestDropPath:
    def test_a_picture_loses_the_branch_whole_or_keeps_it_scaled(self) -> None:
        torch.manual_seed(0)
        out_N = DropPath(0.25).train()(torch.ones(4_000, 2, 1, 3)).flatten(1)
        assert (out_N == out_N[:, :1]).all()
        assert out_N[:, 0].unique().tolist() == pytest.approx([0, 1 / 0.75])
        assert (out_N[:, 0] == 0).float().mean() == pytest.approx(0.25, abs=0.03)

    def test_the_generator_of_torch_decides(self) -> None:
        drop, x_NChw = DropPath(0.5).train(), torch.ones(32, 1, 1, 1)
        outs = []
        for seed in (1, 1, 2):
            torch.manual_seed(seed)
            outs.append(drop(x_NChw))
        assert torch.equal(outs[0], outs[1])
        assert not torch.equal(outs[0], outs[2])

    def test_nothing_is_dropped_in_evaluation(self) -> None:
        assert DropPath(0.5).eval()(torch.ones(50, 1, 1, 1)).eq(1).all()

    def test_deeper_blocks_are_dropped_more_often(self) -> None:
        rates = [m.rate for m in build().modules() if isinstance(m, DropPath)]
        assert rates == sorted(rates)
        assert (rates[0], rates[-1]) == pytest.approx((0, 0.1))


class TestSumHead:
    def test_it_can_compute_what_the_papers_head_computes(self) -> None:
        """Linear maps and resizing commute, so each pair of linear layers is one."""
        torch.manual_seed(0)
        widths, inner = [4, 6], 8
        concat, added = ConcatHead(widths, inner).eval(), SumHead(widths, inner).eval()
        old, new = concat.state_dict(), added.state_dict()
        for i, mix in enumerate(old["mix.0.weight"][:, :, 0, 0].split(inner, dim=1)[::-1]):
            both = mix @ old[f"project.{i}.weight"][:, :, 0, 0]
            new[f"project.{i}.0.weight"] = both[:, :, None, None]
            new[f"project.{i}.1.bias"] = mix @ old[f"project.{i}.bias"]
        added.load_state_dict(new)
        maps = [torch.randn(2, 4, 9, 7), torch.randn(2, 6, 5, 4)]
        torch.testing.assert_close(added(maps), concat(maps), atol=1e-5, rtol=1e-4)

    def test_it_halves_the_work_and_needs_no_join(self) -> None:
        graphs = [trace(build(head=head), CAMVID) for head in ("concat", "sum")]
        assert [round(graph.macs / 1e9, 2) for graph in graphs] == [4.94, 2.11]
        joins = [[op for op in graph.ops if op.kind == "concatenation"] for graph in graphs]
        assert [len(found) for found in joins] == [1, 0]


def test_relu_takes_the_same_weights_and_needs_no_operator_of_its_own() -> None:
    plain, variant = build(), build(act="relu")
    variant.load_state_dict(plain.state_dict())
    spec = InputSpec(height=48, width=64)
    kinds, fewer = ({op.kind for op in trace(net, spec).ops} for net in (plain, variant))
    assert kinds - fewer == {"gelu"}
    assert fewer <= kinds


def test_width_and_decoder_scale_channels() -> None:
    narrow = build(width=0.25, decoder_width=2.0)
    widths = [len(narrow.get_parameter(f"stages.{i}.0.weight")) for i in range(4)]
    assert widths == [8, 16, 40, 64]
    assert narrow.classify.in_channels == 128


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"size": "b6"}, "size must be one of b0, b1, b2, got 'b6'"),
        ({"width": 5}, "width must be 0.125 to 4.0, got 5"),
        ({"decoder_width": "wide"}, "decoder_width must be 0.125 to 4.0, got 'wide'"),
        ({"act": "swish"}, "act must be 'gelu' or 'relu', got 'swish'"),
        ({"head": "mean"}, "head must be 'concat' or 'sum', got 'mean'"),
    ],
)
def test_settings_out_of_range_are_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        SegFormerConfig(num_classes=2, **wrong)
