import math

import pytest
import torch
from torch.nn import functional as F

from frugalseg.models.layers import (
    BasicBlock,
    Bottleneck,
    SameConv,
    conv,
    max_pool,
    resize,
    scaled,
)


def same_padding(side: int, *, kernel: int, stride: int, dilation: int) -> tuple[int, int]:
    """TensorFlow's rule: as many outputs as strides fit, the odd pixel of padding at the end."""
    outputs = -(-side // stride)
    total = max((outputs - 1) * stride + (kernel - 1) * dilation + 1 - side, 0)
    return total // 2, total - total // 2


@pytest.mark.parametrize("size", [(8, 12), (7, 11), (8, 11), (7, 12), (2, 2), (1, 3)])
@pytest.mark.parametrize(
    ("kernel", "stride", "dilation"),
    [(3, 1, 1), (3, 2, 1), (3, 1, 2), (3, 1, 8), (1, 2, 1), (7, 2, 1), (5, 4, 1), (3, 8, 1)],
)
def test_same_conv_pads_as_tensorflow_does(
    size: tuple[int, int], kernel: int, stride: int, dilation: int
) -> None:
    torch.manual_seed(0)
    layer = SameConv(3, 4, kernel, stride=stride, dilation=dilation)
    x_NCHW = torch.randn(2, 3, *size)
    rows, columns = (
        same_padding(side, kernel=kernel, stride=stride, dilation=dilation) for side in size
    )
    expected = F.conv2d(
        F.pad(x_NCHW, (*columns, *rows)), layer.weight, stride=stride, dilation=dilation
    )
    torch.testing.assert_close(layer(x_NCHW), expected)
    assert expected.shape[-2:] == tuple(-(-side // stride) for side in size)


def test_depthwise_same_conv_keeps_channels_apart() -> None:
    conv = SameConv(4, 4, stride=2, groups=4)
    x_NCHW = torch.zeros(1, 4, 8, 8)
    x_NCHW[:, 1] = 1
    assert conv(x_NCHW).abs().amax((0, 2, 3)).gt(0).tolist() == [False, True, False, False]


def test_resize_uses_half_pixel_centres_and_is_nothing_at_the_same_size() -> None:
    row = torch.tensor([[[[0.0, 4.0]]]])
    assert resize(row, (1, 4)).flatten().tolist() == [0.0, 1.0, 3.0, 4.0]
    assert resize(row, (1, 2)) is row


def test_blocks_end_in_relu_unless_they_are_linear() -> None:
    x_NCHW = torch.randn(2, 3, 8, 8)
    assert conv(3, 4)(x_NCHW).min() == 0
    assert conv(3, 4, 1)(x_NCHW).min() == 0
    assert conv(3, 4, 1, relu=False)(x_NCHW).min() < 0


@pytest.mark.parametrize("size", [(8, 12), (7, 11), (8, 11), (1, 3)])
@pytest.mark.parametrize("kernel", [2, 3])
def test_max_pool_places_its_windows_as_tensorflow_does(size: tuple[int, int], kernel: int) -> None:
    torch.manual_seed(0)
    x_NCHW = torch.randn(2, 3, *size)
    rows, columns = (same_padding(side, kernel=kernel, stride=2, dilation=1) for side in size)
    padded = F.pad(x_NCHW, (*columns, *rows), value=-math.inf)
    assert torch.equal(max_pool(x_NCHW, kernel), F.max_pool2d(padded, kernel, 2))


@pytest.mark.parametrize("relu", [True, False])
def test_residual_blocks_start_from_their_skip(relu: bool) -> None:
    torch.manual_seed(0)
    x_NCHW = torch.randn(2, 8, 6, 6)
    for block in (BasicBlock(8, 8, relu=relu), Bottleneck(8, 4, 8, relu=relu)):
        for norm in (m for m in block.main.modules() if isinstance(m, torch.nn.BatchNorm2d)):
            torch.nn.init.zeros_(norm.weight)
        torch.testing.assert_close(block(x_NCHW), x_NCHW.relu() if relu else x_NCHW)


@pytest.mark.parametrize("stride_first", [True, False])
def test_a_bottleneck_strides_where_it_is_told_to(stride_first: bool) -> None:
    block = Bottleneck(8, 4, 16, stride=2, dilation=2, stride_first=stride_first)
    strides = [layer.stride for layer in block.main.modules() if isinstance(layer, SameConv)]
    assert strides == ([(2, 2), (1, 1), (1, 1)] if stride_first else [(1, 1), (2, 2), (1, 1)])
    assert block(torch.randn(2, 8, 7, 9)).shape == (2, 16, 4, 5)
    assert BasicBlock(8, 16, stride=2)(torch.randn(2, 8, 7, 9)).shape == (2, 16, 4, 5)


def test_channels_scale_to_multiples_of_eight_but_not_at_width_one() -> None:
    assert [scaled(c, 1.0) for c in (13, 64)] == [13, 64]
    assert [scaled(c, 0.25) for c in (13, 64, 100)] == [8, 16, 24]
    assert scaled(13, 0.5, multiple=4) == 8
