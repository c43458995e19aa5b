"""AttendSeg, after the abstract (Wen, Famouri, Hryniowski, Wong 2021, arXiv 2104.14623).

Published: self-attention of light attention condensers, weights of 8 bit, and ratios to a RefineNet
with ResNet-101 (over 27 times fewer multiply-accumulates, 72 times fewer parameters, 288 times less
weight memory). With the 85.69 M parameters and 202.2 GMAC of that network at 512x512 and 32
classes, at most 1.19 M, 7.49 GMAC and 1.19 MB. The layers came out of a search by machine; no table
of them was published. Scores of this network are its own, not the paper's.

Our reading, within those bounds:

* The frame is that of EdgeSegNet, by the same group: maps at 1/4, 1/8 and 1/16 that are added
  from the coarsest on, resized bilinearly, and refined after each sum by two 3x3 convolutions.
* A block is an attention condenser, then a depthwise 3x3 and a 1x1 convolution, as a residual.
* The condenser is the visual one of AttendNets (arXiv 2009.14385): a 1x1 mixes channels down, a
  2x2 max pooling condenses, a grouped 3x3 and a 1x1 embed, a bilinear resize expands, a 1x1 mixes
  channels up, a sigmoid makes the attention A. What comes out is V + S * V * A with one learned
  scale S for each condenser (TinySpeech, arXiv 2008.04245, has V * A * S with a residual as well;
  other readings of it leave the product out).
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from frugalseg.models.layers import SameConv, conv, max_pool, resize, scaled
from frugalseg.models.network import Network
from frugalseg.models.settings import check_whole, check_width

STEM = 24  # channels at 1/2, at width 1
CHANNELS = (64, 120, 168)  # at 1/4, 1/8, 1/16
BLOCKS = (2, 4, 4)
REFINED = 88  # channels of the decoder
DEPTHS = (1, 4)
CONDENSED = 4  # the embedding has a quarter of the channels
GROUPS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class AttendSegConfig:
    """Shape of an AttendSeg.

    `width` scales channels, `decoder_width` once more those of the decoder; `depth` multiplies the
    number of blocks. Depth 1 and width 1 are what the published bounds hold for.
    """

    num_classes: int
    channels: int = 3
    width: float = 1.0
    decoder_width: float = 1.0
    depth: int = 1

    def __post_init__(self) -> None:
        check_width(self.width)
        check_width(self.decoder_width, "decoder_width")
        check_whole("depth", self.depth, DEPTHS)


class Condenser(nn.Module):
    """Visual attention condenser: V + S * V * A, where A is found at half the size."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = max(GROUPS, channels // CONDENSED // GROUPS * GROUPS)
        self.down = conv(channels, inner, 1)
        self.embed = nn.Sequential(conv(inner, inner, groups=GROUPS), conv(inner, inner, 1))
        self.up = SameConv(inner, channels, 1, bias=True)
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, x_NChw: Tensor) -> Tensor:
        """Keep the shape."""
        embedded = self.embed(max_pool(self.down(x_NChw), 2))
        attention = torch.sigmoid(self.up(resize(embedded, x_NChw.shape[-2:])))
        return x_NChw + x_NChw * (attention * self.scale)


class Block(nn.Module):
    """Condenser, depthwise 3x3 and 1x1, added to the input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.attend = Condenser(channels)
        self.main = nn.Sequential(
            conv(channels, channels, groups=channels), conv(channels, channels, 1, relu=False)
        )
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x_NChw: Tensor) -> Tensor:
        """Keep the shape."""
        out: Tensor = self.relu(x_NChw + self.main(self.attend(x_NChw)))
        return out


class Refine(nn.Module):
    """1x1, plus the coarser map, then a residual of a condenser and two 3x3 convolutions."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.enter = conv(c_in, c_out, 1, relu=False)
        self.relu = nn.ReLU(inplace=True)
        self.main = nn.Sequential(
            Condenser(c_out), conv(c_out, c_out), conv(c_out, c_out, relu=False)
        )

    def forward(self, fine_NChw: Tensor, coarse_NChw: Tensor | None) -> Tensor:
        """Return (N, c_out, h, w), the size of the fine map."""
        entered = self.enter(fine_NChw)
        if coarse_NChw is not None:
            entered = entered + resize(coarse_NChw, entered.shape[-2:])
        entered = self.relu(entered)
        out: Tensor = self.relu(entered + self.main(entered))
        return out


class AttendSeg(Network):
    """Three stages of condenser blocks, joined from the coarsest to the finest."""

    pads_same = True

    def __init__(self, config: AttendSegConfig) -> None:
        super().__init__()
        self.num_classes, self.channels = config.num_classes, config.channels
        stem = scaled(STEM, config.width)
        widths = [scaled(c, config.width) for c in CHANNELS]
        refined = scaled(REFINED, config.width * config.decoder_width)
        self.stem = conv(config.channels, stem, stride=2)
        self.stages = nn.ModuleList(
            nn.Sequential(
                conv(c_in, c_out, stride=2), *(Block(c_out) for _ in range(blocks * config.depth))
            )
            for c_in, c_out, blocks in zip((stem, *widths), widths, BLOCKS, strict=False)
        )
        self.refine = nn.ModuleList(Refine(c, refined) for c in widths)
        self.mix = conv(refined, refined)
        self.classify = SameConv(refined, config.num_classes, 1, bias=True)

    def native(self, image_NCHW: Tensor) -> Tensor:
        """Return logits at a quarter, (N, classes, ceil(H / 4), ceil(W / 4))."""
        maps = []
        x_NChw = self.stem(image_NCHW)
        for stage in self.stages:
            x_NChw = stage(x_NChw)
            maps.append(x_NChw)
        joined: Tensor | None = None
        for refine, fine in zip(reversed(self.refine), reversed(maps), strict=True):
            joined = refine(fine, joined)
        logits: Tensor = self.classify(self.mix(joined))
        return logits
