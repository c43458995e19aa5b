"""RegSeg (Gao 2021, arXiv 2111.09957), the variant that the author calls exp48_decoder26.

A backbone in the manner of RegNetY that stops at 1/16 and sees far by dilation alone: in most of
its blocks one half of the channels is convolved with dilation 1, the other with up to 14. The
decoder is light and joins 1/16, 1/8 and 1/4.

Departures: strided convolutions pad as SAME does (see `layers`). The mean over 2x2 pixels in a
shortcut takes at the end of an odd side the pixels that are there, as the author's does.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from frugalseg.models.layers import conv, resize, scaled
from frugalseg.models.network import Network
from frugalseg.models.pyramid import average_pool
from frugalseg.models.settings import check_whole, check_width

GROUP = 16  # channels of a group in a 3x3 convolution
CHANNELS = (32, 48, 128, 256, 320)  # at 1/2, 1/4, 1/8, 1/16, and of the last block
WHOLE = 0  # stands for "not in halves" among the dilations below
DILATIONS = (WHOLE, 2, 4, 4, 4, 4, 14, 14, 14, 14, 14, 14, 14)
BLOCKS8 = 3
SHARED, SIDE, MIXED = 128, 8, 64  # decoder: at 1/16 and 1/8, from 1/4, and after each join


@dataclass(frozen=True, slots=True, kw_only=True)
class RegSegConfig:
    """Shape of a RegSeg: `width` scales all channels, `decoder_width` the decoder's once more.

    No block dilates by more than `dilation`: where a map at 1/16 has fewer rows, the others see
    nothing but padding, and some devices refuse it.
    """

    num_classes: int
    channels: int = 3
    width: float = 1.0
    decoder_width: float = 1.0
    dilation: int = DILATIONS[-1]

    def __post_init__(self) -> None:
        check_width(self.width)
        check_width(self.decoder_width, "decoder_width")
        check_whole("dilation", self.dilation, (1, DILATIONS[-1]))


class Gate(nn.Module):
    """Squeeze and excitation: scale each channel by what the means of all say."""

    def __init__(self, channels: int, inner: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(channels, inner, 1), nn.ReLU(), nn.Conv2d(inner, channels, 1), nn.Sigmoid()
        )

    def forward(self, x_NChw: Tensor) -> Tensor:
        """Keep the shape."""
        out: Tensor = x_NChw * self.layers(x_NChw.mean((2, 3), keepdim=True))
        return out


class Halves(nn.Module):
    """Grouped 3x3 convolutions, one half of the channels without dilation, the other with.

    The author has one norm and one ReLU for both halves; one for each does the same.
    """

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        half = channels // 2
        self.near = conv(half, half, groups=half // GROUP)
        self.far = conv(half, half, dilation=dilation, groups=half // GROUP)

    def forward(self, x_NChw: Tensor) -> Tensor:
        """Keep the shape."""
        half = x_NChw.shape[1] // 2  # two slices, since that is what a file has
        return torch.cat([self.near(x_NChw[:, :half]), self.far(x_NChw[:, half:])], 1)


class Block(nn.Module):
    """The paper's D block: 1x1, grouped 3x3, gate, 1x1, added to the input.

    With a dilation, the 3x3 is in halves, and there is no stride.
    """

    def __init__(self, c_in: int, c_out: int, *, stride: int = 1, dilation: int = WHOLE) -> None:
        super().__init__()
        self.stride = stride
        middle = (
            Halves(c_out, dilation)
            if dilation
            else conv(c_out, c_out, stride=stride, groups=c_out // GROUP)
        )
        self.main = nn.Sequential(
            conv(c_in, c_out, 1),
            middle,
            Gate(c_out, c_in // 4),
            conv(c_out, c_out, 1, relu=False),
        )
        same = stride == 1 and c_in == c_out
        self.skip = nn.Identity() if same else conv(c_in, c_out, 1, relu=False)
        self.act = nn.ReLU(inplace=True)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Return (N, c_out, ceil(H / stride), ceil(W / stride))."""
        small = x_NCHW if self.stride == 1 else average_pool(x_NCHW, 2, self.stride)
        out: Tensor = self.act(self.main(x_NCHW) + self.skip(small))
        return out


class RegSeg(Network):
    """Dilated backbone to 1/16; scores at 1/4."""

    pads_same = True

    def __init__(self, config: RegSegConfig) -> None:
        super().__init__()
        self.num_classes, self.channels = config.num_classes, config.channels
        # Halves of whole groups from 1/16 on.
        c2, c4, c8 = (scaled(c, config.width, multiple=GROUP) for c in CHANNELS[:3])
        c16, last = (scaled(c, config.width, multiple=2 * GROUP) for c in CHANNELS[3:])
        shared, side, mixed = (
            scaled(c, config.width * config.decoder_width) for c in (SHARED, SIDE, MIXED)
        )
        *far, farthest = (min(d, config.dilation) for d in DILATIONS)
        self.stage2 = conv(config.channels, c2, stride=2)
        self.stage4 = Block(c2, c4, stride=2)
        self.stage8 = nn.Sequential(
            Block(c4, c8, stride=2), *(Block(c8, c8) for _ in range(BLOCKS8 - 1))
        )
        self.stage16 = nn.Sequential(
            Block(c8, c16, stride=2),
            *(Block(c16, c16, dilation=d) for d in far),
            Block(c16, last, dilation=farthest),
        )
        self.head16 = conv(last, shared, 1)
        self.head8 = conv(c8, shared, 1)
        self.head4 = conv(c4, side, 1)
        self.join8 = conv(shared, mixed)
        self.join4 = conv(mixed + side, mixed)
        self.classify = nn.Conv2d(mixed, config.num_classes, 1)

    def native(self, image_NCHW: Tensor) -> Tensor:
        """Return logits at 1/4, (N, classes, ceil(H / 4), ceil(W / 4))."""
        quarter = self.stage4(self.stage2(image_NCHW))
        eighth = self.stage8(quarter)
        fine, finest = self.head8(eighth), self.head4(quarter)
        coarse = self.head16(self.stage16(eighth))
        joined = self.join8(fine + resize(coarse, fine.shape[-2:]))
        joined = torch.cat([resize(joined, finest.shape[-2:]), finest], 1)
        logits: Tensor = self.classify(self.join4(joined))
        return logits
