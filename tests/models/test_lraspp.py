from typing import Any

import pytest
import torch
from torch import nn

from frugalseg.core.errors import ConfigError
from frugalseg.core.inputs import InputSpec
from frugalseg.models.lraspp import LRASPP, LRASPPConfig
from frugalseg.models.mobilenetv3 import Block, Gate, MobileNetV3, Row
from frugalseg.trace import trace

CAMVID = InputSpec(height=360, width=480)
BACKBONES = ("mobilenetv3-large", "mobilenetv3-small")


def build(**settings: Any) -> LRASPP:
    torch.manual_seed(0)
    return LRASPP(LRASPPConfig(**{"num_classes": 3, **settings}))


class TestPublishedFigures:
    def test_figures_of_torchvisions_network_of_21_classes(self) -> None:
        graph = trace(build(num_classes=21, tail="full"), InputSpec(height=520, width=520))
        assert graph.params == 3_221_538
        assert round(graph.macs / 1e9, 3) == 2.086

    @pytest.mark.parametrize(
        ("backbone", "whole", "classifier"),
        [
            ("mobilenetv3-large", 5_483_032, 961 * 1280 + 1281 * 1000),
            ("mobilenetv3-small", 2_542_856, 577 * 1024 + 1025 * 1000),
        ],
    )
    def test_encoders_are_torchvisions_classifiers_without_their_ends(
        self, backbone: str, whole: int, classifier: int
    ) -> None:
        net = MobileNetV3(3, backbone, width=1.0, half_tail=False, swish=True)
        assert sum(p.numel() for p in net.parameters()) == whole - classifier

    @pytest.mark.parametrize(
        ("backbone", "params", "gmac"),
        [("mobilenetv3-large", 1.51e6, 9.74), ("mobilenetv3-small", 0.47e6, 2.90)],
    )
    def test_a_halved_tail_is_near_the_papers_table(
        self, backbone: str, params: float, gmac: float
    ) -> None:
        net = build(num_classes=19, backbone=backbone)
        graph = trace(net, InputSpec(height=1024, width=2048))
        assert graph.params == pytest.approx(params, rel=0.17)
        assert graph.macs / 1e9 == pytest.approx(gmac, rel=0.03)


@pytest.mark.parametrize(
    ("backbone", "params", "gmac"),
    [("mobilenetv3-large", 1_745_518, 0.826), ("mobilenetv3-small", 514_382, 0.234)],
)
def test_figures_of_ours_stay(backbone: str, params: int, gmac: float) -> None:
    graph = trace(build(num_classes=11, backbone=backbone), CAMVID)
    assert (graph.params, round(graph.macs / 1e9, 3)) == (params, gmac)


@pytest.mark.parametrize("backbone", BACKBONES)
class TestEncoder:
    def test_maps_are_an_eighth_and_a_sixteenth_of_the_picture(self, backbone: str) -> None:
        encoder = build(backbone=backbone).eval().encoder
        fine, coarse = encoder(torch.randn(1, 3, 64, 96))
        assert fine.shape == (1, encoder.c_fine, 8, 12)
        assert coarse.shape == (1, encoder.c_coarse, 4, 6)

    def test_the_last_stage_dilates_instead_of_halving(self, backbone: str) -> None:
        encoder = build(backbone=backbone).encoder
        spread = [
            layer
            for layer in encoder.modules()
            if isinstance(layer, nn.Conv2d) and layer.groups > 1 and layer.dilation == (2, 2)
        ]
        assert len(spread) == 3
        assert {layer.stride for layer in spread} == {(1, 1)}

    def test_a_full_tail_has_more_channels(self, backbone: str) -> None:
        half, full = (build(backbone=backbone, tail=t).encoder for t in ("half", "full"))
        assert (half.c_fine, 2 * half.c_coarse) == (full.c_fine, full.c_coarse)

    def test_relu_has_the_same_weights_and_no_operators_of_its_own(self, backbone: str) -> None:
        published, variant = build(backbone=backbone), build(backbone=backbone, act="relu")
        variant.load_state_dict(published.state_dict())
        kinds = [
            {op.kind for op in trace(net, InputSpec(height=64, width=96)).ops}
            for net in (published, variant)
        ]
        assert kinds[0] - kinds[1] == {"hard_swish"}


class TestBlock:
    def test_the_input_is_added_where_the_shape_stays(self) -> None:
        block: Any = Block(8, Row(3, 16, 8, True, True, 1), dilation=1, swish=True).eval()
        nn.init.zeros_(block.main[-1][0].weight)
        x_NChw = torch.randn(1, 8, 5, 7)
        assert torch.equal(block(x_NChw), x_NChw)

    def test_a_stride_that_became_a_dilation_adds_nothing(self) -> None:
        block: Any = Block(8, Row(5, 16, 8, False, False, 2), dilation=2, swish=True).eval()
        nn.init.zeros_(block.main[-1][0].weight)
        assert not block(torch.randn(1, 8, 5, 7)).any()

    @pytest.mark.parametrize(("channels", "inner"), [(16, 8), (72, 24), (672, 168)])
    def test_a_gate_squeezes_to_a_quarter_rounded_as_the_authors_do(
        self, channels: int, inner: int
    ) -> None:
        gate: Any = Gate(channels)
        assert gate.weigh[0].out_channels == inner


class TestSettings:
    def test_the_head_weighs_channels_between_encoder_and_scores(self) -> None:
        net: Any = build(head=32).eval()
        assert net.classify_coarse.in_channels == 32
        nn.init.constant_(net.weigh[0].weight, -1e3)  # gates shut, for a positive mean
        assert not net.weigh(torch.ones(1, net.encoder.c_coarse, 1, 1)).any()

    def test_width_scales_the_encoder(self) -> None:
        wide, narrow = build().encoder, build(width=0.5).encoder
        assert (2 * narrow.c_coarse, narrow.c_fine) == (wide.c_coarse, 16)

    @pytest.mark.parametrize(
        ("wrong", "told"),
        [
            ({"width": None}, "width must be 0.125 to 4"),
            ({"backbone": "mobilenetv3"}, "no backbone 'mobilenetv3'; did you mean"),
            ({"tail": "third"}, "tail must be 'half' or 'full', got 'third'"),
            ({"act": "swish"}, "act must be 'hard_swish' or 'relu'"),
            ({"head": 4}, "head must be a whole number from 8 to 512, got 4"),
        ],
    )
    def test_what_cannot_be_is_refused(self, wrong: dict[str, Any], told: str) -> None:
        with pytest.raises(ConfigError, match=told):
            build(**wrong)
