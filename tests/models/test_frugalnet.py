from typing import Any

import pytest
import torch

from frugalseg.core.errors import ConfigError
from frugalseg.core.inputs import InputSpec
from frugalseg.cost.footprint import footprint
from frugalseg.models.frugalnet import FrugalNet, FrugalNetConfig
from frugalseg.trace import trace

CAMVID = InputSpec(height=360, width=480)
ALLOWED = {
    "conv_2d", "depthwise_conv_2d", "relu", "add", "concatenation", "resize_bilinear", "mean",
}  # fmt: skip


def build(width: float, depth: int) -> FrugalNet:
    return FrugalNet(FrugalNetConfig(num_classes=11, width=width, depth=depth))


@pytest.mark.parametrize(
    ("width", "depth", "most_bytes"),
    # The picture itself has 518,400 bytes; the peak is it and the first map, or the maps at 1/4.
    [(0.25, 1, 700_000), (0.5, 1, 870_000), (1.0, 2, 1_040_000), (1.5, 2, 1_560_000)],
)
def test_peak_activations_are_small(width: float, depth: int, most_bytes: int) -> None:
    need = footprint(trace(build(width, depth), CAMVID))
    assert need.ram_bytes <= most_bytes


@pytest.mark.parametrize("size", [(360, 480), (37, 53), (36, 53)])
def test_only_operators_that_every_device_runs_in_int8(size: tuple[int, int]) -> None:
    graph = trace(build(0.5, 2), InputSpec(height=size[0], width=size[1]))
    kinds = {op.kind for op in graph.ops}
    # A mixed size needs a pad in the first layers; LiteRT runs it as a copy.
    assert kinds - ALLOWED <= ({"pad"} if size == (36, 53) else set())


def test_scores_leave_at_a_quarter() -> None:
    net = build(0.25, 1).eval()
    assert net.native(torch.zeros(1, 3, 37, 53)).shape == (1, 11, 10, 14)


def test_scores_at_an_eighth_leave_the_last_join_out() -> None:
    net = FrugalNet(FrugalNetConfig(num_classes=11, width=0.25, depth=1, output_stride=8)).eval()
    assert net.native(torch.zeros(1, 3, 37, 53)).shape == (1, 11, 5, 7)
    assert not any(name.startswith("join4") for name in net.state_dict())


def test_the_auxiliary_head_exists_for_training_alone() -> None:
    net = build(0.25, 1)
    outputs = net.outputs(torch.randn(2, 3, 64, 64))
    sizes = [logits.shape[-2:] for logits in (outputs.scores, *outputs.auxiliary)]
    assert sizes == [(16, 16), (4, 4)]
    assert not any("auxiliary" in op.layer for op in trace(net, CAMVID).ops)


def test_every_pixel_sees_the_whole_picture() -> None:
    torch.manual_seed(0)
    net = build(0.5, 1).eval()
    image = torch.randn(1, 3, 128, 160, requires_grad=True)
    net.native(image)[0, 0, 0, 0].backward()
    assert image.grad is not None
    assert image.grad[0, :, -8:, -8:].abs().max() > 0


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"width": 0.1}, "width must be 0.2 to 4.0, got 0.1"),
        ({"width": float("nan")}, "width must be 0.2 to 4.0, got nan"),
        ({"width": "wide"}, "width must be 0.2 to 4.0, got 'wide'"),
        ({"depth": 0}, "depth must be a whole number from 1 to 8, got 0"),
        ({"depth": 1.5}, "depth must be a whole number from 1 to 8, got 1.5"),
        ({"output_stride": 2}, "output_stride must be 4 or 8, got 2"),
        ({"channel_multiple": 0}, "channel_multiple must be a whole number from 1 to 128, got 0"),
    ],
)
def test_settings_out_of_range_are_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        FrugalNetConfig(num_classes=2, **wrong)


def test_channels_are_multiples_of_eight_or_of_four_where_there_are_few() -> None:
    config = FrugalNetConfig(num_classes=2, width=0.35)
    assert [config.scaled(c) for c in (12, 32, 64, 128)] == [4, 12, 24, 48]
    assert FrugalNetConfig(num_classes=2, width=0.2).scaled(12) == 4


def test_channels_above_sixteen_keep_to_the_multiple_of_the_device() -> None:
    config = FrugalNetConfig(num_classes=2, width=0.75, channel_multiple=32)
    assert [config.scaled(c) for c in (12, 32, 64, 128)] == [8, 32, 64, 96]
