"""MobileNetV3, small and large (Howard et al. 2019, arXiv 1905.02244), as encoders.

For segmentation the last stage keeps 1/16: its stride becomes a dilation of 2 in the depthwise
convolutions. With a halved tail (the paper's network for segmentation) its channels are half.
Padding is SAME and batch norm has an epsilon of 0.001, as the authors have it. Its momentum is 0.1,
theirs 0.01: variances of deep layers lie far below 1, which a short training would not reach.
"""

from typing import NamedTuple

from torch import Tensor, nn

from frugalseg.models.layers import SameConv, scaled

BN_EPS = 1e-3
SQUEEZE = 4  # expanded channels for each one inside a gate
STEM = 16
TAIL_EXPANSION = 6  # channels of the last convolution for each one of the last block


class Row(NamedTuple):
    """One line of the paper's tables 1 and 2: an inverted residual block."""

    kernel: int
    expanded: int
    out: int
    gated: bool
    swish: bool
    stride: int


LARGE = (
    Row(3, 16, 16, False, False, 1),
    Row(3, 64, 24, False, False, 2),
    Row(3, 72, 24, False, False, 1),
    Row(5, 72, 40, True, False, 2),
    Row(5, 120, 40, True, False, 1),
    Row(5, 120, 40, True, False, 1),
    Row(3, 240, 80, False, True, 2),
    Row(3, 200, 80, False, True, 1),
    Row(3, 184, 80, False, True, 1),
    Row(3, 184, 80, False, True, 1),
    Row(3, 480, 112, True, True, 1),
    Row(3, 672, 112, True, True, 1),
    Row(5, 672, 160, True, True, 2),
    Row(5, 960, 160, True, True, 1),
    Row(5, 960, 160, True, True, 1),
)
SMALL = (
    Row(3, 16, 16, True, False, 2),
    Row(3, 72, 24, False, False, 2),
    Row(3, 88, 24, False, False, 1),
    Row(5, 96, 40, True, True, 2),
    Row(5, 240, 40, True, True, 1),
    Row(5, 240, 40, True, True, 1),
    Row(5, 120, 48, True, True, 1),
    Row(5, 144, 48, True, True, 1),
    Row(5, 288, 96, True, True, 2),
    Row(5, 576, 96, True, True, 1),
    Row(5, 576, 96, True, True, 1),
)
BACKBONES = {"mobilenetv3-large": LARGE, "mobilenetv3-small": SMALL}
TAIL = 3  # blocks of the last stage
EIGHTH = 8


def divisible(channels: float) -> int:
    """Round to a multiple of 8, but not by more than a tenth down, as the authors do.

    >>> [divisible(c) for c in (4, 18, 36, 60, 120)]
    [8, 24, 40, 64, 120]
    """
    near = max(8, int(channels + 4) // 8 * 8)
    return near if near >= 0.9 * channels else near + 8


def normed(conv: SameConv, act: nn.Module | None = None) -> nn.Sequential:
    """Put batch norm and, unless it is linear, an activation after a convolution."""
    norm = nn.BatchNorm2d(conv.out_channels, eps=BN_EPS)
    return nn.Sequential(conv, norm, *([] if act is None else [act]))


class Gate(nn.Module):
    """Squeeze and excite: weighs channels by a mean over the whole map, with a hard sigmoid."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = divisible(channels / SQUEEZE)
        self.weigh = nn.Sequential(
            nn.Conv2d(channels, inner, 1), nn.ReLU(inplace=True),
            nn.Conv2d(inner, channels, 1), nn.Hardsigmoid(),
        )  # fmt: skip

    def forward(self, x_NChw: Tensor) -> Tensor:
        """Keep the shape."""
        out: Tensor = x_NChw * self.weigh(x_NChw.mean((2, 3), keepdim=True))
        return out


class Block(nn.Module):
    """1x1 to more channels, depthwise, gate, linear 1x1; plus the input where the shape stays."""

    def __init__(self, c_in: int, row: Row, *, dilation: int, swish: bool) -> None:
        super().__init__()
        inner, stride = row.expanded, 1 if dilation > 1 else row.stride
        swish = swish and row.swish
        spread = SameConv(inner, inner, row.kernel, stride=stride, dilation=dilation, groups=inner)
        self.main = nn.Sequential(
            *([] if inner == c_in else [normed(SameConv(c_in, inner, 1), _act(swish))]),
            normed(spread, _act(swish)),
            *([Gate(inner)] if row.gated else []),
            normed(SameConv(inner, row.out, 1)),
        )
        self.adds = row.stride == 1 and c_in == row.out

    def forward(self, x_NChw: Tensor) -> Tensor:
        """Return (N, out, ceil(h / stride), ceil(w / stride))."""
        out: Tensor = self.main(x_NChw)
        return x_NChw + out if self.adds else out


class MobileNetV3(nn.Module):
    """Encoder that gives the first block's map at 1/8 and the last convolution's at 1/16."""

    def __init__(
        self, channels: int, backbone: str, *, width: float, half_tail: bool, swish: bool
    ) -> None:
        super().__init__()
        rows = [_scaled(row, width) for row in BACKBONES[backbone]]
        if half_tail:
            rows = [*rows[:-TAIL], *_halved(rows[-TAIL:])]
        c_in, stride, first = scaled(STEM, width), 2, len(rows) - TAIL
        self.stem = normed(SameConv(channels, c_in, stride=2), _act(swish))
        fine, coarse = list[nn.Module](), list[nn.Module]()
        for i, row in enumerate(rows):
            block = Block(c_in, row, dilation=2 if i >= first else 1, swish=swish)
            (coarse if stride >= EIGHTH else fine).append(block)
            c_in, stride = row.out, stride * row.stride
            if stride == EIGHTH and row.stride > 1:
                self.c_fine = row.out
        self.c_coarse = TAIL_EXPANSION * c_in
        self.fine = nn.Sequential(*fine)
        self.coarse = nn.Sequential(*coarse, normed(SameConv(c_in, self.c_coarse, 1), _act(swish)))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, image_NCHW: Tensor) -> tuple[Tensor, Tensor]:
        """Return maps at 1/8 and at 1/16, of `c_fine` and `c_coarse` channels."""
        eighth = self.fine(self.stem(image_NCHW))
        return eighth, self.coarse(eighth)


def _act(swish: bool) -> nn.Module:
    return nn.Hardswish() if swish else nn.ReLU(inplace=True)


def _scaled(row: Row, width: float) -> Row:
    return row._replace(expanded=scaled(row.expanded, width), out=scaled(row.out, width))


def _halved(rows: list[Row]) -> list[Row]:
    """Halve what the tail makes; its first block still expands what comes before it in full."""
    first, *rest = (row._replace(out=row.out // 2) for row in rows)
    return [first, *(row._replace(expanded=row.expanded // 2) for row in rest)]
