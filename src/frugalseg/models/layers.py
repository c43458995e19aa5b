"""Layers that several networks share. All pad as TensorFlow's SAME does.

A strided layer gives ceil(H / stride) rows, as those of the papers do; where these pad one pixel on
each side, SAME pads one at the end of an even side. Symmetric padding, PyTorch's habit, costs the
exported file a PAD operator with a copy of the map, and with it peak memory.
"""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

Side = int | tuple[int, int]  # of a kernel, a stride: alike for both, or (vertical, horizontal)


def resize(x_NChw: Tensor, size: Sequence[int]) -> Tensor:
    """Resize bilinearly with half-pixel centres, as every engine does; no-op if it fits."""
    if tuple(x_NChw.shape[-2:]) == tuple(size):
        return x_NChw
    return F.interpolate(x_NChw, size=list(size), mode="bilinear", align_corners=False)


def scaled(channels: int, width: float, *, multiple: int = 8) -> int:
    """Scale a channel count to a multiple of 8; at width 1 it stays what the paper says.

    >>> scaled(13, 1.0), scaled(64, 0.5), scaled(64, 0.05), scaled(100, 1.5)
    (13, 32, 8, 152)
    """
    return channels if width == 1 else max(multiple, round(channels * width / multiple) * multiple)


class SameConv(nn.Conv2d):
    """A convolution that pads as SAME does: ceil(H / stride) rows, whatever the kernel."""

    def __init__(
        self,
        c_in: int,
        c_out: int,
        kernel: Side = 3,
        *,
        stride: Side = 1,
        dilation: Side = 1,
        groups: int = 1,
        bias: bool = False,
    ) -> None:
        super().__init__(
            c_in, c_out, kernel, stride=stride, dilation=dilation, groups=groups, bias=bias
        )

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Return (N, C_out, ceil(H / stride), ceil(W / stride))."""
        x_NCHW, padding = self.padded(x_NCHW)
        return F.conv2d(
            x_NCHW, self.weight, self.bias, self.stride, padding, self.dilation, self.groups
        )

    def padded(self, x_NCHW: Tensor) -> tuple[Tensor, tuple[int, int]]:
        """Return what the kernel goes over, and what has still to be padded on both sides."""
        (top, bottom), (left, right) = (
            _same(side, dilation * (kernel - 1), stride)
            for side, kernel, stride, dilation in zip(
                x_NCHW.shape[-2:], self.kernel_size, self.stride, self.dilation, strict=True
            )
        )
        if top == bottom and left == right:
            return x_NCHW, (top, left)
        return F.pad(x_NCHW, (left, right, top, bottom)), (0, 0)


def max_pool(x_NCHW: Tensor, kernel: int = 3, *, stride: int = 2) -> Tensor:
    """Return the maxima of windows that SAME places, (N, C, ceil(H / stride), ceil(W / stride))."""
    top, _ = _same(x_NCHW.shape[-2], kernel - 1, stride)
    left, _ = _same(x_NCHW.shape[-1], kernel - 1, stride)
    # Rounding up lets the last window stick out at the end, by what SAME would pad there.
    return F.max_pool2d(x_NCHW, kernel, stride, (top, left), ceil_mode=True)


def _same(side: int, reach: int, stride: int) -> tuple[int, int]:
    """Pixels to pad before and after; `reach` is the dilated kernel less one."""
    whole = max(0, (-(-side // stride) - 1) * stride + reach + 1 - side)
    return whole // 2, whole - whole // 2


def conv(
    c_in: int,
    c_out: int,
    kernel: int = 3,
    *,
    stride: int = 1,
    dilation: int = 1,
    groups: int = 1,
    relu: bool = True,
) -> nn.Sequential:
    """Build convolution without bias, batch norm and, unless it is linear, ReLU."""
    layers = [
        SameConv(c_in, c_out, kernel, stride=stride, dilation=dilation, groups=groups),
        nn.BatchNorm2d(c_out),
    ]
    return nn.Sequential(*layers, *([nn.ReLU(inplace=True)] if relu else []))


class BasicBlock(nn.Module):
    """Residual block of ResNet-18 (He et al. 2015, arXiv 1512.03385): two 3x3 convolutions.

    The skip is a 1x1 convolution with batch norm where the shape changes. Without `relu`, the sum
    is left as it is, as DDRNet and PIDNet leave it before their branches meet.
    """

    def __init__(self, c_in: int, c_out: int, *, stride: int = 1, relu: bool = True) -> None:
        super().__init__()
        self.main = nn.Sequential(conv(c_in, c_out, stride=stride), conv(c_out, c_out, relu=False))
        self.skip = shortcut(c_in, c_out, stride)
        self.act = nn.ReLU(inplace=True) if relu else nn.Identity()

    def forward(self, x_NChw: Tensor) -> Tensor:
        """Return (N, c_out, ceil(h / stride), ceil(w / stride))."""
        out: Tensor = self.act(self.main(x_NChw) + self.skip(x_NChw))
        return out


class Bottleneck(nn.Module):
    """Residual block of ResNet-50: 1x1 to `inner` channels, 3x3, 1x1 to `c_out`.

    The stride is that of the first 1x1 with `stride_first` (as Caffe's networks have it), else
    that of the 3x3.
    """

    def __init__(
        self,
        c_in: int,
        inner: int,
        c_out: int,
        *,
        stride: int = 1,
        dilation: int = 1,
        stride_first: bool = False,
        relu: bool = True,
    ) -> None:
        super().__init__()
        first, second = (stride, 1) if stride_first else (1, stride)
        self.main = nn.Sequential(
            conv(c_in, inner, 1, stride=first),
            conv(inner, inner, stride=second, dilation=dilation),
            conv(inner, c_out, 1, relu=False),
        )
        self.skip = shortcut(c_in, c_out, stride)
        self.act = nn.ReLU(inplace=True) if relu else nn.Identity()

    def forward(self, x_NChw: Tensor) -> Tensor:
        """Return (N, c_out, ceil(h / stride), ceil(w / stride))."""
        out: Tensor = self.act(self.main(x_NChw) + self.skip(x_NChw))
        return out


def shortcut(c_in: int, c_out: int, stride: int) -> nn.Module:
    """Build the identity, or where the shape changes a linear 1x1 convolution."""
    if stride == 1 and c_in == c_out:
        return nn.Identity()
    return conv(c_in, c_out, 1, stride=stride, relu=False)
