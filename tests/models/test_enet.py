import re
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from frugalseg.core.errors import ConfigError
from frugalseg.core.inputs import InputSpec
from frugalseg.models.enet import ENet, ENetConfig, unpool
from frugalseg.trace import trace

ENCODER = ("initial", "down1", "stage1", "down2", "stage2")


class TestThePaper:
    def test_parameters_of_the_network_and_of_its_encoder(self) -> None:
        net = ENet(ENetConfig(num_classes=11))
        assert sum(p.numel() for p in net.parameters()) == 363_791
        encoder = [p for n, p in net.named_parameters() if n.partition(".")[0] in ENCODER]
        assert sum(p.numel() for p in encoder) == 338_156

    def test_multiply_accumulates(self) -> None:
        graph = trace(ENet(ENetConfig(num_classes=11)), InputSpec(height=360, width=480))
        assert round(graph.macs / 1e9, 3) == 1.271

    def test_the_encoder_ends_at_an_eighth_with_128_channels(self) -> None:
        net = ENet(ENetConfig(num_classes=4)).eval()
        half = net.initial(torch.randn(1, 3, 48, 64))
        eighth = net.stage2(net.down2(net.stage1(net.down1(half))))
        assert (half.shape, eighth.shape) == ((1, 16, 24, 32), (1, 128, 6, 8))


class TestUnpool:
    def test_it_equals_torch_where_no_two_pixels_tie(self) -> None:
        torch.manual_seed(0)
        before_NCHW, x_NChw = torch.randn(2, 5, 12, 18), torch.randn(2, 5, 6, 9)
        _, places = F.max_pool2d(before_NCHW, 2, return_indices=True)
        assert torch.equal(unpool(x_NChw, before_NCHW), F.max_unpool2d(x_NChw, places, [2, 2]))

    def test_pixels_that_tie_both_get_the_value(self) -> None:
        before = torch.tensor([[[[1.0, 1.0], [0.0, 0.0]]]])
        assert unpool(torch.tensor([[[[5.0]]]]), before).tolist() == [[[[5, 5], [0, 0]]]]

    def test_an_odd_side_unpools_as_one_that_ends_in_a_copy(self) -> None:
        torch.manual_seed(0)
        net = ENet(ENetConfig(num_classes=3)).eval()
        x_NChw, before_NCHW = torch.randn(1, 128, 3, 4), torch.randn(1, 64, 5, 7)
        even = F.pad(before_NCHW, (0, 1, 0, 1), mode="replicate")
        cut = net.up4(x_NChw, even)[..., :5, :7]
        torch.testing.assert_close(net.up4(x_NChw, before_NCHW), cut)


class TestDeployVariant:
    def test_bilinear_has_the_same_weights_and_needs_less_memory(self) -> None:
        spec = InputSpec(height=96, width=128)
        nets = [ENet(ENetConfig(num_classes=11, unpool=u)) for u in ("indices", "bilinear")]
        nets[1].load_state_dict(nets[0].state_dict())
        kinds = [{op.kind for op in trace(net, spec).ops} for net in nets]
        assert "resize_bilinear" in kinds[1] - kinds[0]
        assert not any("greater" in kind or "select" in kind for kind in kinds[1])

    def test_relu_leaves_no_slope(self) -> None:
        nets = [ENet(ENetConfig(num_classes=3, act=act)) for act in ("prelu", "relu")]
        slopes = [sum(isinstance(m, torch.nn.PReLU) for m in net.modules()) for net in nets]
        assert slopes == [1 + 2 * 3 + 20 * 3, 0]

    @pytest.mark.parametrize(
        ("wrong", "told"),
        [
            ({"unpool": "nearest"}, "unpool must be 'indices' or 'bilinear', got 'nearest'"),
            ({"act": "silu"}, "act must be 'prelu' or 'relu', got 'silu'"),
            ({"depth": 0}, "depth must be a whole number from 1 to 4, got 0"),
            ({"decoder_depth": 1.5}, "decoder_depth must be a whole number from 1 to 4, got 1.5"),
            ({"width": 9}, "width must be 0.125 to 4.0, got 9"),
        ],
    )
    def test_another_way_is_refused(self, wrong: dict[str, Any], told: str) -> None:
        with pytest.raises(ConfigError, match=re.escape(told)):
            ENetConfig(num_classes=3, **wrong)


class TestSizes:
    def test_width_scales_all_and_depth_the_middle(self) -> None:
        def parameters(**settings: Any) -> int:
            net = ENet(ENetConfig(num_classes=11, **settings))
            return sum(p.numel() for p in net.parameters())

        assert parameters(width=0.5) < parameters() / 3
        assert parameters(depth=1) < parameters() - 100_000
        decoders = [parameters(decoder_depth=n) for n in (1, 2, 3)]
        assert decoders == sorted(decoders)
        net = ENet(ENetConfig(num_classes=3, width=0.25, decoder_depth=1)).eval()
        assert net(torch.randn(1, 3, 37, 53)).shape == (1, 3, 37, 53)


class TestFirstStage:
    def test_the_encoder_alone_scores_at_an_eighth_and_its_weights_fit_the_whole(self) -> None:
        encoder = ENet(ENetConfig(num_classes=11, part="encoder"))
        assert encoder.native(torch.randn(1, 3, 40, 64)).shape == (1, 11, 5, 8)
        # 338,156 of the encoder and a 1x1 classifier of 128 x 11 + 11.
        assert sum(p.numel() for p in encoder.parameters()) == 338_156 + 1_419
        whole = ENet(ENetConfig(num_classes=11)).state_dict()
        shared = {n for n in encoder.state_dict() if not n.startswith("classify8")}
        assert all(whole[n].shape == encoder.state_dict()[n].shape for n in shared)
