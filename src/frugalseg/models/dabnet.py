"""DABNet (Li, Yun, Kim, Kim 2019, arXiv 1907.11357), after the authors' network.

A block splits a depthwise 3x3 into 3x1 and 1x3, twice side by side, the second pair dilated. Norm
and PReLU stand before the first convolution of a block. The picture itself, shrunk, is joined
in at 1/2, 1/4 and 1/8. As the authors have it: no bias anywhere, batch norm with an epsilon of
0.001.

Departures: padding is SAME, and the mean that shrinks the picture is over the pixels that exist;
the authors count zeros beyond the border. The same sizes, parameters and multiply-accumulates.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from frugalseg.models.cgnet import (
    ACTS,
    BN_EPS,
    SHRINK,
    activation,
    conv_act,
    norm_act,
    stem,
)
from frugalseg.models.layers import SameConv, max_pool, scaled
from frugalseg.models.network import Network
from frugalseg.models.pyramid import average_pool
from frugalseg.models.settings import check_choice, check_whole, check_width

CHANNELS = (32, 64, 128)  # at 1/2, 1/4, 1/8
DILATION_4 = 2
DILATIONS_8 = (4, 8, 16)  # a third of the blocks each
DEPTHS = (1, 24)


@dataclass(frozen=True, slots=True, kw_only=True)
class DABNetConfig:
    """Shape of a DABNet; the defaults are the paper's.

    `width` scales all channels; `depth4` and `depth8` are the numbers of blocks at 1/4 and 1/8.
    `act="relu"` is a deploy variant, to be trained as such: int8 LiteRT computes a PReLU in four
    operators with three maps in memory, a ReLU in one or in that of a convolution;
    the IMX500 has no PReLU.
    """

    num_classes: int
    channels: int = 3
    width: float = 1.0
    depth4: int = 3
    depth8: int = 6
    act: str = "prelu"

    def __post_init__(self) -> None:
        check_width(self.width)
        check_choice("act", self.act, ACTS)
        for name in ("depth4", "depth8"):
            check_whole(name, getattr(self, name), DEPTHS)


class Block(nn.Module):
    """3x3 to half the channels, two pairs of 3x1 and 1x3 added, 1x1 back, plus the input."""

    def __init__(self, channels: int, dilation: int, act: str) -> None:
        super().__init__()
        inner = channels // 2
        self.narrow = nn.Sequential(norm_act(channels, act), conv_act(channels, inner, 3, act))
        self.near = _pair(inner, 1, act)
        self.far = _pair(inner, dilation, act)
        self.widen = nn.Sequential(norm_act(inner, act), nn.Conv2d(inner, channels, 1, bias=False))

    def forward(self, x_NChw: Tensor) -> Tensor:
        """Keep the shape."""
        narrow = self.narrow(x_NChw)
        out: Tensor = x_NChw + self.widen(self.near(narrow) + self.far(narrow))
        return out


class Down(nn.Module):
    """3x3 of stride 2; where channels grow, 2x2 maxima of the input are some of them.

    Each part has a norm of its own, which for the convolution then costs nothing; a norm treats
    each channel by itself.
    """

    def __init__(self, c_in: int, c_out: int, act: str) -> None:
        super().__init__()
        pools = c_in < c_out
        made = c_out - c_in if pools else c_out
        self.conv = nn.Sequential(SameConv(c_in, made, stride=2), nn.BatchNorm2d(made, eps=BN_EPS))
        self.pooled = nn.BatchNorm2d(c_in, eps=BN_EPS) if pools else None
        self.act = activation(c_out, act)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Return (N, c_out, ceil(H / 2), ceil(W / 2))."""
        parts = [self.conv(x_NCHW)]
        if self.pooled is not None:
            parts.append(self.pooled(max_pool(x_NCHW, 2)))
        out: Tensor = self.act(torch.cat(parts, 1) if len(parts) > 1 else parts[0])
        return out


class DABNet(Network):
    """Three convolutions at 1/2, blocks at 1/4 and 1/8, and a 1x1 classifier."""

    pads_same = True

    def __init__(self, config: DABNetConfig) -> None:
        super().__init__()
        self.num_classes, self.channels = config.num_classes, config.channels
        act, image = config.act, config.channels
        c2, c4, c8 = (scaled(c, config.width) for c in CHANNELS)
        self.stage2 = stem(image, c2, act)
        self.join2 = norm_act(c2 + image, act)
        self.down4 = Down(c2 + image, c4, act)
        self.stage4 = nn.Sequential(*(Block(c4, DILATION_4, act) for _ in range(config.depth4)))
        self.join4 = norm_act(2 * c4 + image, act)
        self.down8 = Down(2 * c4 + image, c8, act)
        dilations = [
            DILATIONS_8[i * len(DILATIONS_8) // config.depth8] for i in range(config.depth8)
        ]
        self.stage8 = nn.Sequential(*(Block(c8, dilation, act) for dilation in dilations))
        self.join8 = norm_act(2 * c8 + image, act)
        self.classify = nn.Conv2d(2 * c8 + image, config.num_classes, 1, bias=False)

    def native(self, image_NCHW: Tensor) -> Tensor:
        """Return logits at an eighth, (N, classes, ceil(H / 8), ceil(W / 8))."""
        image2 = average_pool(image_NCHW, *SHRINK)
        image4 = average_pool(image2, *SHRINK)
        image8 = average_pool(image4, *SHRINK)
        half = self.join2(torch.cat([self.stage2(image_NCHW), image2], 1))
        first = self.down4(half)
        quarter = self.join4(torch.cat([self.stage4(first), first, image4], 1))
        first = self.down8(quarter)
        eighth = self.join8(torch.cat([self.stage8(first), first, image8], 1))
        logits: Tensor = self.classify(eighth)
        return logits


def _pair(channels: int, dilation: int, act: str) -> nn.Sequential:
    layers: list[nn.Module] = []
    for kernel, reach in (((3, 1), (dilation, 0)), ((1, 3), (0, dilation))):
        layers += [
            nn.Conv2d(
                channels, channels, kernel, padding=reach, dilation=dilation, groups=channels,
                bias=False,
            ),
            *norm_act(channels, act).children(),
        ]  # fmt: skip
    return nn.Sequential(*layers)
