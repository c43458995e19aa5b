"""SegFormer B0, B1, B2 (Xie et al. 2021, arXiv 2105.15203): a small transformer, and 1x1 layers.

Followed is the authors' own code where it and the paper differ. A linear layer is written as a 1x1
convolution, which is the same on a map, and keeps sequences to the one place that needs them.

Departures:

* Padding is SAME; the paper's patches of 7x7 and 3x3 lie up to two pixels elsewhere.
* Keys and values come from a map that is shrunk by whole windows, as in the paper; where the map
  is smaller than one window, it is padded with zeros to one.
* Training is from scratch, where published scores start from ImageNet weights.

On a device, everything is int8: GELU and softmax have kernels in LiteRT, and layer norm is spelled
out in the operators of a file. B0s trained for some 200 steps on CamVid at 96x128 lose 0.01 points
of mIoU by it there and 0.02 at 360x480 (measured on 51 and 13 pictures), so that no variant is
needed for accuracy. `head="sum"` is there for memory, `act="relu"` for devices without GELU.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from frugalseg.core.errors import ConfigError
from frugalseg.models.layers import SameConv, conv, resize, scaled
from frugalseg.models.network import Network
from frugalseg.models.settings import check_choice, check_width

HEADS = (1, 2, 5, 8)  # of the stages at 1/4, 1/8, 1/16, 1/32
PATCH, STRIDE = (7, 3, 3, 3), (4, 2, 2, 2)
SHRINK = (8, 4, 2, 1)  # window over which keys and values are taken together
EXPAND = 4
EPS, EMBED_EPS = 1e-6, 1e-5  # of blocks and stages; after patches and reduced keys
DROP_PATH = 0.1
DROPOUT = 0.1
STD = 0.02


class Size(NamedTuple):
    """Channels of one head of attention, blocks of each stage, channels of the decoder."""

    per_head: int
    depths: tuple[int, int, int, int]
    decoder: int


SIZES = {
    "b0": Size(32, (2, 2, 2, 2), 256),
    "b1": Size(64, (2, 2, 2, 2), 256),
    "b2": Size(64, (3, 4, 6, 3), 768),
}
HEAD_KINDS = ("concat", "sum")
ACTS = {"gelu": nn.GELU, "relu": nn.ReLU}


@dataclass(frozen=True, slots=True, kw_only=True)
class SegFormerConfig:
    """Shape of a SegFormer: `size` is "b0", "b1" or "b2".

    `width` scales the channels of each head of attention and of the decoder, `decoder_width` the
    decoder's once more. `head="sum"` is a deploy variant: instead of joining four maps to one of
    four times the channels and mixing that at 1/4 (the paper), each map gets one linear layer
    where it is small, and is resized and added. What both can compute is the same, but the weights
    are others. `act="relu"` is for devices without a GELU, such as those of TensorFlow Lite Micro.
    The names of weights stay, but they should be trained with it: it is another function.
    """

    num_classes: int
    channels: int = 3
    size: str = "b0"
    width: float = 1.0
    decoder_width: float = 1.0
    head: str = "concat"
    act: str = "gelu"

    def __post_init__(self) -> None:
        if self.size not in SIZES:
            raise ConfigError(f"size must be one of {', '.join(SIZES)}, got {self.size!r}")
        check_width(self.width)
        check_width(self.decoder_width, "decoder_width")
        check_choice("head", self.head, HEAD_KINDS)
        check_choice("act", self.act, ACTS)


class ChannelNorm(nn.LayerNorm):
    """Layer norm over the channels of each pixel.

    In evaluation it is written with the operators that a file has for it, so that a trace sees
    them too.
    """

    def __init__(self, channels: int, eps: float = EPS) -> None:
        super().__init__(channels, eps=eps)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Keep the shape."""
        if self.training:
            return super().forward(x_NCHW.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        centred = x_NCHW - x_NCHW.mean(1, keepdim=True)
        variance = (centred * centred).mean(1, keepdim=True)
        normed = centred * torch.rsqrt(variance + self.eps)
        # With four axes, the converter knows how to change their layout with that of the map.
        return normed * self.weight.view(1, -1, 1, 1) + self.bias.view(1, -1, 1, 1)


class Attention(nn.Module):
    """Each pixel looks at all windows of the map."""

    def __init__(self, channels: int, heads: int, shrink: int) -> None:
        super().__init__()
        self.heads, self.shrink = heads, shrink
        self.factor = (channels // heads) ** -0.5
        self.query, self.key, self.value, self.project = (
            _linear(channels, channels) for _ in range(4)
        )
        self.reduce = (
            nn.Identity()
            if shrink == 1
            else nn.Sequential(
                nn.Conv2d(channels, channels, shrink, stride=shrink),
                ChannelNorm(channels, EMBED_EPS),
            )
        )

    def forward(self, x_NChw: Tensor) -> Tensor:
        """Keep the shape."""
        seen = self.reduce(_at_least(x_NChw, self.shrink))
        query = self._sequence(self.query(x_NChw))
        # The factor of the scores is put on the keys, of which there are few.
        key, value = self._sequence(self.key(seen)) * self.factor, self._sequence(self.value(seen))
        weights = torch.softmax(query @ key.transpose(-1, -2), -1)
        mixed_NhwC = (weights @ value).transpose(1, 2).reshape(x_NChw.permute(0, 2, 3, 1).shape)
        out: Tensor = self.project(mixed_NhwC.permute(0, 3, 1, 2))
        return out

    def _sequence(self, x_NChw: Tensor) -> Tensor:
        """Return (N, heads, h * w, C / heads)."""
        batch, channels, height, width = x_NChw.shape
        split = (batch, height * width, self.heads, channels // self.heads)
        return x_NChw.permute(0, 2, 3, 1).reshape(split).transpose(1, 2)


def _at_least(x_NChw: Tensor, side: int) -> Tensor:
    height, width = x_NChw.shape[-2:]
    if min(height, width) >= side:
        return x_NChw
    return F.pad(x_NChw, (0, max(0, side - width), 0, max(0, side - height)))


class Block(nn.Module):
    """Attention, then two linear layers with a depthwise 3x3 between; each added to its input."""

    def __init__(self, channels: int, heads: int, shrink: int, *, drop: float, act: str) -> None:
        super().__init__()
        inner = EXPAND * channels
        self.attend = nn.Sequential(
            ChannelNorm(channels), Attention(channels, heads, shrink), DropPath(drop)
        )
        self.mix = nn.Sequential(
            ChannelNorm(channels),
            _linear(channels, inner),
            SameConv(inner, inner, groups=inner, bias=True),
            ACTS[act](),
            _linear(inner, channels),
            DropPath(drop),
        )

    def forward(self, x_NChw: Tensor) -> Tensor:
        """Keep the shape."""
        x_NChw = x_NChw + self.attend(x_NChw)
        out: Tensor = x_NChw + self.mix(x_NChw)
        return out


class DropPath(nn.Module):
    """Leaves a branch out for some pictures of a batch in training (Huang et al. 2016)."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x_NChw: Tensor) -> Tensor:
        """Return zero for a picture with probability `rate`, else the input, scaled up for it."""
        if not self.training or self.rate == 0:
            return x_NChw
        kept_N111 = x_NChw.new_empty(len(x_NChw), 1, 1, 1).bernoulli_(1 - self.rate)
        return x_NChw * kept_N111 / (1 - self.rate)


class ConcatHead(nn.Module):
    """Linear layers to one width, resized to the largest map, joined coarsest first, mixed."""

    def __init__(self, widths: list[int], inner: int) -> None:
        super().__init__()
        self.project = nn.ModuleList(_linear(c, inner) for c in widths)
        self.mix = conv(len(widths) * inner, inner, 1)

    def forward(self, maps: list[Tensor]) -> Tensor:
        """Return (N, inner, h, w) at the size of the first map."""
        size = maps[0].shape[-2:]
        pairs = zip(self.project, maps, strict=True)
        raised = [resize(project(x_NChw), size) for project, x_NChw in pairs]
        out: Tensor = self.mix(torch.cat(raised[::-1], dim=1))
        return out


class SumHead(nn.Module):
    """One linear layer for each map at its own size; resized to the largest and added."""

    def __init__(self, widths: list[int], inner: int) -> None:
        super().__init__()
        self.project = nn.ModuleList(conv(c, inner, 1, relu=False) for c in widths)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, maps: list[Tensor]) -> Tensor:
        """Return (N, inner, h, w) at the size of the first map."""
        first, *others = (p(x_NChw) for p, x_NChw in zip(self.project, maps, strict=True))
        for other in others:
            first = first + resize(other, first.shape[-2:])
        out: Tensor = self.relu(first)
        return out


class SegFormer(Network):
    """Four stages of attention blocks at 1/4 to 1/32, and a decoder of linear layers."""

    pads_same = True

    def __init__(self, config: SegFormerConfig) -> None:
        super().__init__()
        self.num_classes, self.channels = config.num_classes, config.channels
        size = SIZES[config.size]
        widths = [heads * scaled(size.per_head, config.width) for heads in HEADS]
        inner = scaled(size.decoder, config.width * config.decoder_width)
        drops = torch.linspace(0, DROP_PATH, sum(size.depths), device="cpu").split(size.depths)
        before = [config.channels, *widths]
        self.stages = nn.ModuleList(
            nn.Sequential(
                SameConv(before[i], widths[i], PATCH[i], stride=STRIDE[i], bias=True),
                ChannelNorm(widths[i], EMBED_EPS),
                *(
                    Block(widths[i], HEADS[i], SHRINK[i], drop=drop, act=config.act)
                    for drop in drops[i].tolist()
                ),
                ChannelNorm(widths[i]),
            )
            for i in range(len(HEADS))
        )
        self.head = (ConcatHead if config.head == "concat" else SumHead)(widths, inner)
        self.dropout = nn.Dropout2d(DROPOUT)
        self.classify = nn.Conv2d(inner, config.num_classes, 1)
        self.stages.apply(_start)

    def native(self, image_NCHW: Tensor) -> Tensor:
        """Return logits at a quarter, (N, classes, ceil(H / 4), ceil(W / 4))."""
        maps = []
        x_NChw = image_NCHW
        for stage in self.stages:
            x_NChw = stage(x_NChw)
            maps.append(x_NChw)
        logits: Tensor = self.classify(self.dropout(self.head(maps)))
        return logits


def _linear(c_in: int, c_out: int) -> nn.Conv2d:
    return nn.Conv2d(c_in, c_out, 1)


def _start(layer: nn.Module) -> None:
    """Set fresh weights of the encoder as the authors do."""
    if not isinstance(layer, nn.Conv2d):
        return
    kernel = layer.kernel_size[0]
    if kernel == 1:
        nn.init.trunc_normal_(layer.weight, std=STD)
    else:
        fan_out = kernel**2 * layer.out_channels // layer.groups
        nn.init.normal_(layer.weight, std=(2 / fan_out) ** 0.5)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
