from typing import Any

import pytest
import torch

from frugalseg.core.errors import ConfigError
from frugalseg.core.inputs import InputSpec
from frugalseg.models.edgesegnet import EdgeSegNet, EdgeSegNetConfig
from frugalseg.models.layers import max_pool
from frugalseg.trace import trace

SQUARE = InputSpec(height=512, width=512)


def build(**settings: Any) -> EdgeSegNet:
    torch.manual_seed(0)
    return EdgeSegNet(EdgeSegNetConfig(**{"num_classes": 32} | settings))


class TestTheSpecification:
    def test_parameters(self) -> None:
        net = build()
        assert trace(net, SQUARE).params == 4_327_920
        assert sum(p.numel() for p in net.parameters()) == 4_327_920

    def test_multiply_accumulates_as_published_and_with_scores_at_a_quarter(self) -> None:
        macs = [trace(build(output_stride=stride), SQUARE).macs for stride in (1, 4)]
        assert [round(count / 1e9, 2) for count in macs] == [41.03, 39.33]
        assert macs[0] - macs[1] == 217 * 32 * (512**2 - 128**2)

    def test_maps_at_a_quarter_an_eighth_and_a_sixteenth(self) -> None:
        net, image = build(width=0.125).eval(), torch.randn(1, 3, 64, 96)
        half = net.stem(image)
        assert half.shape[-2:] == (32, 48)
        assert net.sixteenth(half).shape[-2:] == (4, 6)
        assert net.eighth(max_pool(half)).shape[-2:] == (8, 12)


def test_classifying_before_or_after_resizing_is_the_same() -> None:
    late, early = (build(output_stride=s, width=0.125).eval() for s in (1, 4))
    early.load_state_dict(late.state_dict())
    image = torch.randn(1, 3, 37, 53)
    assert late.native(image).shape == (1, 32, 37, 53)
    assert early.native(image).shape == (1, 32, 10, 14)
    torch.testing.assert_close(early(image), late(image), atol=1e-5, rtol=1e-4)


def test_width_and_decoder_scale_channels() -> None:
    net = build(width=0.5, decoder_width=0.5)
    assert (net.stem.out_channels, net.classify.in_channels) == (8, 56)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"width": 0.1}, "width must be 0.125 to 4.0, got 0.1"),
        ({"decoder_width": None}, "decoder_width must be 0.125 to 4.0, got None"),
        ({"output_stride": 2}, "output_stride must be 1 or 4, got 2"),
    ],
)
def test_settings_out_of_range_are_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        EdgeSegNetConfig(num_classes=2, **wrong)
