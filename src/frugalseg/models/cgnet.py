"""CGNet M3N21 (Wu, Tang, Zhang, Cao, Zhang 2018, arXiv 1811.08201), after the authors' network.

Each block sees a pixel's surroundings twice, by a depthwise 3x3 and a dilated one, and weighs the
channels of both by a mean over the whole map. The picture itself, shrunk, is joined in at 1/2 and
1/4. As the authors have it: batch norm with an epsilon of 0.001, PReLU, Kaiming's initial weights.

What is computed otherwise, parameters and multiply-accumulates being the same:

* The norm over two joined branches is two norms, one on each branch, so that each disappears into
  its depthwise convolution. A norm treats each channel by itself; the result is equal.
* The two fully connected layers of the channel weights are 1x1 convolutions on one pixel.
* Padding is SAME, and the mean that shrinks the picture is over the pixels that exist; the authors
  count zeros beyond the border.
"""

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from frugalseg.models.layers import SameConv, scaled
from frugalseg.models.network import Network
from frugalseg.models.pyramid import average_pool
from frugalseg.models.settings import check_choice, check_whole, check_width

BN_EPS = 1e-3
CHANNELS = (32, 64, 128)  # at 1/2, 1/4, 1/8
DILATIONS = (2, 4)  # at 1/4, 1/8
REDUCTIONS = (8, 16)  # of channels between the fully connected layers, at 1/4, 1/8
ACTS = ("prelu", "relu")
DEPTHS = (2, 64)
SHRINK = (3, 2)  # kernel and stride of the means that halve the picture


@dataclass(frozen=True, slots=True, kw_only=True)
class CGNetConfig:
    """Shape of a CGNet; the defaults are M3N21 of the paper.

    `width` scales all channels; `depth4` and `depth8` are the paper's M and N, the blocks at 1/4
    and 1/8. `act="relu"` is a deploy variant, to be trained as such: int8 LiteRT computes a PReLU
    in four operators with three maps in memory, a ReLU in one or in that of a convolution;
    the IMX500 has no PReLU.
    """

    num_classes: int
    channels: int = 3
    width: float = 1.0
    depth4: int = 3
    depth8: int = 21
    act: str = ACTS[0]

    def __post_init__(self) -> None:
        check_width(self.width)
        check_choice("act", self.act, ACTS)
        for name in ("depth4", "depth8"):
            check_whole(name, getattr(self, name), DEPTHS)


def activation(channels: int, act: str) -> nn.Module:
    """Build a PReLU with a slope for each channel, or a ReLU."""
    return nn.PReLU(channels) if act == "prelu" else nn.ReLU(inplace=True)


def norm_act(channels: int, act: str) -> nn.Sequential:
    """Build batch norm and activation."""
    return nn.Sequential(nn.BatchNorm2d(channels, eps=BN_EPS), activation(channels, act))


def conv_act(c_in: int, c_out: int, kernel: int, act: str, *, stride: int = 1) -> nn.Sequential:
    """Build convolution without bias, batch norm and activation."""
    return nn.Sequential(
        SameConv(c_in, c_out, kernel, stride=stride), *norm_act(c_out, act).children()
    )


class Context(nn.Module):
    """Local and surrounding features side by side: a depthwise 3x3 and a dilated one."""

    def __init__(self, channels: int, dilation: int, act: str) -> None:
        super().__init__()
        self.local = _depthwise(channels, 1)
        self.surrounding = _depthwise(channels, dilation)
        self.act = activation(2 * channels, act)

    def forward(self, x_NChw: Tensor) -> Tensor:
        """Return (N, 2 C, h, w)."""
        out: Tensor = self.act(torch.cat([self.local(x_NChw), self.surrounding(x_NChw)], 1))
        return out


class Gate(nn.Module):
    """Weighs channels by a mean over the whole map: down, ReLU, up, sigmoid."""

    def __init__(self, channels: int, reduction: int) -> None:
        super().__init__()
        inner = max(1, channels // reduction)
        self.weigh = nn.Sequential(
            nn.Conv2d(channels, inner, 1), nn.ReLU(inplace=True),
            nn.Conv2d(inner, channels, 1), nn.Sigmoid(),
        )  # fmt: skip

    def forward(self, x_NChw: Tensor) -> Tensor:
        """Keep the shape."""
        out: Tensor = x_NChw * self.weigh(x_NChw.mean((2, 3), keepdim=True))
        return out


class Block(nn.Module):
    """Context guided block: 1x1 to half the channels, both contexts, gate, plus the input."""

    def __init__(self, channels: int, dilation: int, reduction: int, act: str) -> None:
        super().__init__()
        inner = channels // 2
        self.main = nn.Sequential(
            conv_act(channels, inner, 1, act),
            Context(inner, dilation, act),
            Gate(channels, reduction),
        )

    def forward(self, x_NChw: Tensor) -> Tensor:
        """Keep the shape."""
        out: Tensor = x_NChw + self.main(x_NChw)
        return out


def down(c_in: int, c_out: int, dilation: int, reduction: int, act: str) -> nn.Sequential:
    """Build the block that halves the map: 3x3 of stride 2, both contexts, 1x1, gate."""
    return nn.Sequential(
        conv_act(c_in, c_out, 3, act, stride=2),
        Context(c_out, dilation, act),
        nn.Conv2d(2 * c_out, c_out, 1, bias=False),
        Gate(c_out, reduction),
    )


def stem(channels: int, c_out: int, act: str) -> nn.Sequential:
    """Build three 3x3 convolutions, the first with stride 2."""
    return nn.Sequential(
        conv_act(channels, c_out, 3, act, stride=2),
        *(conv_act(c_out, c_out, 3, act) for _ in range(2)),
    )


class CGNet(Network):
    """Three convolutions at 1/2, M blocks at 1/4, N at 1/8, and a 1x1 classifier."""

    pads_same = True

    def __init__(self, config: CGNetConfig) -> None:
        super().__init__()
        self.num_classes, self.channels = config.num_classes, config.channels
        act, image = config.act, config.channels
        c2, c4, c8 = (scaled(c, config.width) for c in CHANNELS)
        self.stage2 = stem(image, c2, act)
        self.join2 = norm_act(c2 + image, act)
        self.down4 = down(c2 + image, c4, DILATIONS[0], REDUCTIONS[0], act)
        block4 = partial(Block, c4, DILATIONS[0], REDUCTIONS[0], act)
        self.stage4 = nn.Sequential(*(block4() for _ in range(config.depth4 - 1)))
        self.join4 = norm_act(2 * c4 + image, act)
        self.down8 = down(2 * c4 + image, c8, DILATIONS[1], REDUCTIONS[1], act)
        block8 = partial(Block, c8, DILATIONS[1], REDUCTIONS[1], act)
        self.stage8 = nn.Sequential(*(block8() for _ in range(config.depth8 - 1)))
        self.join8 = norm_act(2 * c8, act)
        self.classify = nn.Conv2d(2 * c8, config.num_classes, 1, bias=False)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)

    def native(self, image_NCHW: Tensor) -> Tensor:
        """Return logits at an eighth, (N, classes, ceil(H / 8), ceil(W / 8))."""
        image2 = average_pool(image_NCHW, *SHRINK)
        image4 = average_pool(image2, *SHRINK)
        half = self.join2(torch.cat([self.stage2(image_NCHW), image2], 1))
        first = self.down4(half)
        quarter = self.join4(torch.cat([self.stage4(first), first, image4], 1))
        first = self.down8(quarter)
        eighth = self.join8(torch.cat([first, self.stage8(first)], 1))
        logits: Tensor = self.classify(eighth)
        return logits


def _depthwise(channels: int, dilation: int) -> nn.Sequential:
    return nn.Sequential(
        SameConv(channels, channels, dilation=dilation, groups=channels),
        nn.BatchNorm2d(channels, eps=BN_EPS),
    )
