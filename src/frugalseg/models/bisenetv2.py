"""BiSeNetV2 (Yu, Gao, Wang, Yu, Shen, Sang 2020, arXiv 2004.02147).

A wide and shallow branch for detail, a deep and narrow one for meaning, and an aggregation in
which each gates the other. The authors published no code. This follows the paper where it and the
widespread re-implementations differ: no ReLU after the depthwise convolutions of a gather-and-
expansion layer, nor after the last ones of the context embedding and of the aggregation. A batch
norm follows these all the same, as in the re-implementations, whose counts these are.

Departures:

* The head of the re-implementations has 1024 channels, a third of all parameters, and the paper's
  MACs match no width. The default is 128; `head=1024` gives the network that others report.
* Padding is SAME. The mean pooling in the aggregation leaves padding out of its means.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from frugalseg.models.layers import conv, max_pool, resize, scaled
from frugalseg.models.network import Network, Outputs
from frugalseg.models.pyramid import average_pool
from frugalseg.models.settings import check_whole, check_width

DETAIL = (64, 64, 128)
SEMANTIC = (16, 32, 64, 128)
STEM_INNER = 8
EXPANSION = 6
BOOSTER = 128
HEADS = (8, 4096)
DROPOUT = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class BiSeNetV2Config:
    """Shape of a BiSeNetV2: `width` scales both branches, `head` is the width of the head."""

    num_classes: int
    channels: int = 3
    width: float = 1.0
    head: int = 128

    def __post_init__(self) -> None:
        check_width(self.width)
        check_whole("head", self.head, HEADS)


class Stem(nn.Module):
    """A quarter of the size by two ways, a strided convolution and a maximum."""

    def __init__(self, c_in: int, c_out: int, inner: int) -> None:
        super().__init__()
        self.first = conv(c_in, c_out, stride=2)
        self.left = nn.Sequential(conv(c_out, inner, 1), conv(inner, c_out, stride=2))
        self.join = conv(2 * c_out, c_out)

    def forward(self, image_NCHW: Tensor) -> Tensor:
        """Return (N, c_out, ceil(H / 4), ceil(W / 4))."""
        half = self.first(image_NCHW)
        out: Tensor = self.join(torch.cat([self.left(half), max_pool(half)], dim=1))
        return out


class GatherExpand(nn.Module):
    """Gather-and-expansion: 3x3, a depthwise 3x3 to six times the channels, 1x1 back; added.

    With stride 2, two depthwise convolutions follow each other and the skip is a separable one.
    """

    def __init__(self, c_in: int, c_out: int, *, stride: int = 1) -> None:
        super().__init__()
        wide = c_in * EXPANSION
        expand = [conv(c_in, wide, stride=stride, groups=c_in, relu=False)]
        if stride > 1:
            expand.append(conv(wide, wide, groups=wide, relu=False))
        self.main = nn.Sequential(conv(c_in, c_in), *expand, conv(wide, c_out, 1, relu=False))
        self.skip = nn.Identity() if stride == 1 else _separable(c_in, c_out, stride=stride)
        self.act = nn.ReLU(inplace=True)

    def forward(self, x_NChw: Tensor) -> Tensor:
        """Return (N, c_out, ceil(h / stride), ceil(w / stride))."""
        out: Tensor = self.act(self.main(x_NChw) + self.skip(x_NChw))
        return out


class ContextEmbedding(nn.Module):
    """Add what a global mean says to each pixel, then mix by a 3x3."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels)
        self.everywhere = conv(channels, channels, 1)
        self.mix = conv(channels, channels, relu=False)

    def forward(self, x_NChw: Tensor) -> Tensor:
        """Keep the shape."""
        everywhere = self.everywhere(self.norm(x_NChw.mean((2, 3), keepdim=True)))
        out: Tensor = self.mix(x_NChw + everywhere)
        return out


class Aggregation(nn.Module):
    """Bilateral guided aggregation: each branch gates the other, at 1/8 and at 1/32."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.detail8 = _separable_plain(channels)
        self.detail32 = conv(channels, channels, stride=2, relu=False)
        self.semantic8 = conv(channels, channels, relu=False)
        self.semantic32 = _separable_plain(channels)
        self.gate = nn.Sigmoid()
        self.mix = conv(channels, channels, relu=False)

    def forward(self, detail_NCHW: Tensor, semantic_NChw: Tensor) -> Tensor:
        """Return the shape of the detail."""
        size = detail_NCHW.shape[-2:]
        coarse = average_pool(self.detail32(detail_NCHW), 3, 2)
        coarse = coarse * self.gate(self.semantic32(semantic_NChw))
        gate = self.gate(resize(self.semantic8(semantic_NChw), size))
        fine = self.detail8(detail_NCHW) * gate
        out: Tensor = self.mix(fine + resize(coarse, size))
        return out


class BiSeNetV2(Network):
    """Detail at 1/8 with 128 channels, meaning down to 1/32, aggregated at 1/8."""

    pads_same = True

    def __init__(self, config: BiSeNetV2Config) -> None:
        super().__init__()
        self.num_classes, self.channels = config.num_classes, config.channels
        d2, d4, d8 = (scaled(c, config.width) for c in DETAIL)
        s4, s8, s16, s32 = (scaled(c, config.width) for c in SEMANTIC)
        self.detail = nn.Sequential(
            conv(config.channels, d2, stride=2), conv(d2, d2),
            conv(d2, d4, stride=2), conv(d4, d4), conv(d4, d4),
            conv(d4, d8, stride=2), conv(d8, d8), conv(d8, d8),
        )  # fmt: skip
        self.stem = Stem(config.channels, s4, scaled(STEM_INNER, config.width))
        self.stage8 = _stage(s4, s8, layers=2)
        self.stage16 = _stage(s8, s16, layers=2)
        self.stage32 = _stage(s16, s32, layers=4)
        self.context = ContextEmbedding(s32)
        self.aggregate = Aggregation(d8)
        self.head = _head(d8, config.head, config.num_classes)
        boosted = scaled(BOOSTER, config.width)
        self.boosters = nn.ModuleList(
            _head(c, boosted, config.num_classes) for c in (s4, s8, s16, s32)
        )
        self.apply(_kaiming)

    def native(self, image_NCHW: Tensor) -> Tensor:
        """Return logits at an eighth, (N, classes, ceil(H / 8), ceil(W / 8))."""
        return self._decode(image_NCHW, self._meaning(image_NCHW)[-1])

    def outputs(self, image_NCHW: Tensor) -> Outputs:
        """Add the booster heads at 1/4, 1/8, 1/16 and 1/32, for training alone."""
        maps = self._meaning(image_NCHW)
        boosted = tuple(head(x) for head, x in zip(self.boosters, maps, strict=True))
        return Outputs(self._decode(image_NCHW, maps[-1]), boosted)

    def _meaning(self, image_NCHW: Tensor) -> tuple[Tensor, ...]:
        quarter = self.stem(image_NCHW)
        eighth = self.stage8(quarter)
        sixteenth = self.stage16(eighth)
        return quarter, eighth, sixteenth, self.stage32(sixteenth)

    def _decode(self, image_NCHW: Tensor, coarsest: Tensor) -> Tensor:
        semantic = self.context(coarsest)
        # The branch with the largest maps comes last, when least else is held.
        logits: Tensor = self.head(self.aggregate(self.detail(image_NCHW), semantic))
        return logits


def _stage(c_in: int, c_out: int, *, layers: int) -> nn.Sequential:
    rest = (GatherExpand(c_out, c_out) for _ in range(layers - 1))
    return nn.Sequential(GatherExpand(c_in, c_out, stride=2), *rest)


def _separable(c_in: int, c_out: int, *, stride: int) -> nn.Sequential:
    depthwise = conv(c_in, c_in, stride=stride, groups=c_in, relu=False)
    return nn.Sequential(depthwise, conv(c_in, c_out, 1, relu=False))


def _separable_plain(channels: int) -> nn.Sequential:
    depthwise = conv(channels, channels, groups=channels, relu=False)
    return nn.Sequential(depthwise, nn.Conv2d(channels, channels, 1, bias=False))


def _head(c_in: int, inner: int, num_classes: int) -> nn.Sequential:
    return nn.Sequential(conv(c_in, inner), nn.Dropout(DROPOUT), nn.Conv2d(inner, num_classes, 1))


def _kaiming(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        if module.bias is not None:
            nn.init.zeros_(module.bias)
