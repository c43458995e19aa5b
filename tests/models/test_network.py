import pytest
import torch
from torch.nn import functional as F

from frugalseg.models.network import SameConv, conv1x1, conv3x3, resize


def same_padding(side: int, *, stride: int, dilation: int) -> tuple[int, int]:
    """TensorFlow's rule: as many outputs as strides fit, the odd pixel of padding at the end."""
    outputs = -(-side // stride)
    total = max((outputs - 1) * stride + 2 * dilation + 1 - side, 0)
    return total // 2, total - total // 2


@pytest.mark.parametrize("size", [(8, 12), (7, 11), (8, 11), (7, 12), (2, 2), (1, 3)])
@pytest.mark.parametrize(("stride", "dilation"), [(1, 1), (2, 1), (1, 2), (1, 8)])
def test_same_conv_pads_as_tensorflow_does(
    size: tuple[int, int], stride: int, dilation: int
) -> None:
    torch.manual_seed(0)
    conv = SameConv(3, 4, stride=stride, dilation=dilation)
    x_NCHW = torch.randn(2, 3, *size)
    rows, columns = (same_padding(side, stride=stride, dilation=dilation) for side in size)
    expected = F.conv2d(
        F.pad(x_NCHW, (*columns, *rows)), conv.weight, stride=stride, dilation=dilation
    )
    torch.testing.assert_close(conv(x_NCHW), expected)
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
    assert conv3x3(3, 4)(x_NCHW).min() == 0
    assert conv1x1(3, 4)(x_NCHW).min() == 0
    assert conv1x1(3, 4, relu=False)(x_NCHW).min() < 0
