"""BiSeNet (Yu, Wang, Peng, Gao, Yu, Sang 2018, arXiv 1808.00897), after the authors' network.

A short path keeps detail at 1/8 of the picture, a deep one, Xception39 or ResNet-18, gathers
context down to 1/32; a module with attention fuses both. Where the paper leaves details open
(biases, batch norm in the attention, widths of the heads), this follows the network that the
authors trained. The parameters of the paper's table, 5.8 M and 49.0 M, are not those of this
network, 1.54 M and 12.9 M at 11 classes; they look like its megabytes in fp32.

Departures, none of which changes a count:

* Padding is SAME.
* f + f * attention, in the fusion, is computed as f * (1 + attention): the same, with one pass
  over the map less.
* Nothing is pre-trained.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

import torch
from torch import Tensor, nn

from frugalseg.models.layers import BasicBlock, SameConv, conv, max_pool, resize, scaled
from frugalseg.models.network import Network, Outputs
from frugalseg.models.settings import check_choice, check_width

SPATIAL = (64, 64, 64, 128)
CONTEXT, FUSED, HEAD = 128, 256, 64
# Backbone -> channels of the heads for training.
AUXILIARY: Mapping[str, int] = MappingProxyType({"xception39": 128, "resnet18": 256})
XCEPTION_STEM, XCEPTION_EXPANSION = 8, 4
XCEPTION_STAGES = ((16, 4), (32, 8), (64, 4))  # inner channels and blocks
RESNET_STAGES = (64, 128, 256, 512)


@dataclass(frozen=True, slots=True, kw_only=True)
class BiSeNetConfig:
    """Shape of a BiSeNet. `backbone` is "xception39" or "resnet18".

    `width` scales all channels; `decoder_width` scales those after the two paths once more: the
    attention refinement, the fusion and the heads.
    """

    num_classes: int
    channels: int = 3
    width: float = 1.0
    decoder_width: float = 1.0
    backbone: str = "xception39"

    def __post_init__(self) -> None:
        check_width(self.width)
        check_width(self.decoder_width, "decoder_width")
        check_choice("backbone", self.backbone, AUXILIARY)


class Backbone(NamedTuple):
    """From the picture to 1/16 and on to 1/32, and the channels at both."""

    to16: nn.Module
    to32: nn.Module
    channels16: int
    channels32: int


class MaxPool(nn.Module):
    """3x3 maximum with stride 2, as both backbones have it after their first layer."""

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Return (N, C, ceil(H / 2), ceil(W / 2))."""
        return max_pool(x_NCHW)


class SeparableBlock(nn.Module):
    """Xception39's residual block: three separable convolutions, the last of 4 times as many."""

    def __init__(self, c_in: int, inner: int, *, stride: int) -> None:
        super().__init__()
        out = inner * XCEPTION_EXPANSION
        self.main = nn.Sequential(
            _separable(c_in, inner, stride=stride),
            _separable(inner, inner),
            _separable(inner, out, relu=False),
        )
        whole = stride == 1 and c_in == out
        self.skip = nn.Identity() if whole else _separable(c_in, out, stride=stride, relu=False)
        self.act = nn.ReLU(inplace=True)

    def forward(self, x_NChw: Tensor) -> Tensor:
        """Return (N, 4 * inner, ceil(h / stride), ceil(w / stride))."""
        out: Tensor = self.act(self.main(x_NChw) + self.skip(x_NChw))
        return out


class Refinement(nn.Module):
    """Attention refinement: 3x3 convolution, then a gate per channel from its global mean."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.conv = conv(c_in, c_out)
        self.gate = nn.Sequential(conv(c_out, c_out, 1, relu=False), nn.Sigmoid())

    def forward(self, x_NChw: Tensor) -> Tensor:
        """Return (N, c_out, h, w)."""
        x = self.conv(x_NChw)
        out: Tensor = x * self.gate(x.mean((2, 3), keepdim=True))
        return out


class Fusion(nn.Module):
    """Feature fusion: join both paths by a 1x1, then raise channels that a global mean names."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.join = conv(c_in, c_out, 1)
        self.gate = nn.Sequential(
            nn.Conv2d(c_out, c_out, 1, bias=False),
            nn.ReLU(inplace=True),
            nn.Conv2d(c_out, c_out, 1, bias=False),
            nn.Sigmoid(),
        )

    def forward(self, spatial_NChw: Tensor, context_NChw: Tensor) -> Tensor:
        """Return (N, c_out, h, w)."""
        x = self.join(torch.cat([spatial_NChw, context_NChw], dim=1))
        out: Tensor = x * (1 + self.gate(x.mean((2, 3), keepdim=True)))
        return out


class BiSeNet(Network):
    """A path for detail and one for context, fused at 1/8 of the picture."""

    pads_same = True

    def __init__(self, config: BiSeNetConfig) -> None:
        super().__init__()
        self.num_classes, self.channels = config.num_classes, config.channels
        decoder = config.width * config.decoder_width
        context, fused, head = (scaled(c, decoder) for c in (CONTEXT, FUSED, HEAD))
        c1, c2, c3, spatial = (scaled(c, config.width) for c in SPATIAL)
        self.spatial = nn.Sequential(
            conv(config.channels, c1, 7, stride=2),
            conv(c1, c2, stride=2),
            conv(c2, c3, stride=2),
            conv(c3, spatial, 1),
        )
        build = _xception39 if config.backbone == "xception39" else _resnet18
        self.to16, self.to32, channels16, channels32 = build(config.channels, config.width)
        self.everywhere = conv(channels32, context, 1)
        self.refine32, self.refine16 = (
            Refinement(channels32, context),
            Refinement(channels16, context),
        )
        self.mix16, self.mix8 = conv(context, context), conv(context, context)
        self.fusion = Fusion(spatial + context, fused)
        self.head = _head(fused, head, config.num_classes)
        auxiliary = scaled(AUXILIARY[config.backbone], decoder)
        self.auxiliary16 = _head(context, auxiliary, config.num_classes)
        self.auxiliary8 = _head(context, auxiliary, config.num_classes)

    def native(self, image_NCHW: Tensor) -> Tensor:
        """Return logits at an eighth, (N, classes, ceil(H / 8), ceil(W / 8))."""
        return self._run(image_NCHW)[0]

    def outputs(self, image_NCHW: Tensor) -> Outputs:
        """Add the heads on the context at 1/16 and at 1/8, for training alone."""
        scores, mixed16, mixed8 = self._run(image_NCHW)
        return Outputs(scores, (self.auxiliary16(mixed16), self.auxiliary8(mixed8)))

    def _run(self, image_NCHW: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        sixteenth = self.to16(image_NCHW)
        coarsest = self.to32(sixteenth)
        everywhere = self.everywhere(coarsest.mean((2, 3), keepdim=True))
        context = self.refine32(coarsest) + everywhere
        mixed16 = self.mix16(resize(context, sixteenth.shape[-2:]))
        context = self.refine16(sixteenth) + mixed16
        # The path with the largest maps comes last, when least else is held.
        spatial = self.spatial(image_NCHW)
        mixed8 = self.mix8(resize(context, spatial.shape[-2:]))
        return self.head(self.fusion(spatial, mixed8)), mixed16, mixed8


def _xception39(channels: int, width: float) -> Backbone:
    stem = before = scaled(XCEPTION_STEM, width)
    stages = []
    for wanted, blocks in XCEPTION_STAGES:
        inner = scaled(wanted, width)
        out = inner * XCEPTION_EXPANSION
        rest = (SeparableBlock(out, inner, stride=1) for _ in range(blocks - 1))
        stages.append(nn.Sequential(SeparableBlock(before, inner, stride=2), *rest))
        before = out
    *fine, last = stages
    to16 = nn.Sequential(conv(channels, stem, stride=2), MaxPool(), *fine)
    sixteenth = scaled(XCEPTION_STAGES[-2][0], width) * XCEPTION_EXPANSION
    return Backbone(to16, last, sixteenth, before)


def _resnet18(channels: int, width: float) -> Backbone:
    c4, c8, c16, c32 = (scaled(c, width) for c in RESNET_STAGES)
    to16 = nn.Sequential(
        conv(channels, c4, 7, stride=2), MaxPool(), _pair(c4, c4, stride=1),
        _pair(c4, c8, stride=2), _pair(c8, c16, stride=2),
    )  # fmt: skip
    return Backbone(to16, _pair(c16, c32, stride=2), c16, c32)


def _pair(c_in: int, c_out: int, *, stride: int) -> nn.Sequential:
    return nn.Sequential(BasicBlock(c_in, c_out, stride=stride), BasicBlock(c_out, c_out))


def _separable(c_in: int, c_out: int, *, stride: int = 1, relu: bool = True) -> nn.Sequential:
    depthwise = SameConv(c_in, c_in, stride=stride, groups=c_in)
    return nn.Sequential(depthwise, conv(c_in, c_out, 1, relu=relu))


def _head(c_in: int, inner: int, num_classes: int) -> nn.Sequential:
    return nn.Sequential(conv(c_in, inner), nn.Conv2d(inner, num_classes, 1))
