"""DRBANet, after the abstract (Wang, Zhou, Jiang, Wu, Latecki 2021, arXiv 2111.00509).

Published, as far as we know it: two branches side by side, a high-resolution one (HRB) of efficient
inverted bottleneck modules (EIBM) with large receptive fields, and a low-resolution one (LRB) of
EIBMs and an extremely lightweight pyramid pooling module (ELPPM) with hierarchical residual
connections; a head that supervises boundaries in HRB during training. No code was published, and
neither widths nor parameters nor scores are known to us, so none can be compared.

Our reading: the skeleton (sizes, widths, where the branches meet) is that of DDRNet-23-slim. An
EIBM widens by a 1x1 convolution, looks around by a depthwise 3x3 one that may dilate, and narrows
without activation. An ELPPM is DAPPM's hierarchy with depthwise separable convolutions and a sum in
place of the concatenation. HRB dilates by up to 8. The boundary head sees HRB after the second
meeting. Norms follow convolutions everywhere, so that a file holds none.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from frugalseg.models.layers import conv, resize, scaled
from frugalseg.models.network import Network, Outputs
from frugalseg.models.pyramid import SCALES, pool_all
from frugalseg.models.settings import check_whole, check_width

CHANNELS = (32, 64, 128, 256)  # at 1/4, 1/8, 1/16, and 1/32 and below
PYRAMID = 64
HEAD = 64
EXPANSIONS = (1, 6)
DEPTHS = (1, 8)
NEAR, MIDDLE, FAR = (1, 2), (2, 4), (4, 8)  # dilations of HRB, by turns, from block to block


@dataclass(frozen=True, slots=True, kw_only=True)
class DRBANetConfig:
    """Shape of a DRBANet: `width` scales channels, `depth` is the number of blocks of a stage.

    `expansion` says how many times wider a block is inside. `head` are the channels of the head at
    width 1.
    """

    num_classes: int
    channels: int = 3
    width: float = 1.0
    depth: int = 2
    expansion: int = 3
    head: int = HEAD

    def __post_init__(self) -> None:
        check_width(self.width)
        check_whole("depth", self.depth, DEPTHS)
        check_whole("expansion", self.expansion, EXPANSIONS)
        check_whole("head", self.head, (8, 1024))


class EIBM(nn.Module):
    """Inverted bottleneck: 1x1 wider, depthwise 3x3, 1x1 back; added to the input if it fits."""

    def __init__(
        self, c_in: int, c_out: int, expansion: int, *, stride: int = 1, dilation: int = 1
    ) -> None:
        super().__init__()
        inner = expansion * c_in
        self.main = nn.Sequential(
            conv(c_in, inner, 1),
            conv(inner, inner, stride=stride, dilation=dilation, groups=inner),
            conv(inner, c_out, 1, relu=False),
        )
        self.adds = stride == 1 and c_in == c_out

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Return (N, c_out, ceil(H / stride), ceil(W / stride))."""
        out: Tensor = self.main(x_NCHW)
        return x_NCHW + out if self.adds else out


class Separable(nn.Sequential):
    """Depthwise 3x3 convolution, then 1x1; both with norm and ReLU."""

    def __init__(self, channels: int) -> None:
        super().__init__(conv(channels, channels, groups=channels), conv(channels, channels, 1))


class ELPPM(nn.Module):
    """Five scales, each mixed with what came of the finer one before; all summed, and a skip."""

    def __init__(self, c_in: int, inner: int, c_out: int) -> None:
        super().__init__()
        self.scales = nn.ModuleList(conv(c_in, inner, 1) for _ in range(SCALES))
        self.mix = nn.ModuleList(Separable(inner) for _ in range(SCALES - 1))
        self.join = conv(inner, c_out, 1, relu=False)
        self.skip = conv(c_in, c_out, 1, relu=False)

    def forward(self, x_NChw: Tensor) -> Tensor:
        """Return (N, c_out, h, w)."""
        before = total = self.scales[0](x_NChw)
        size = x_NChw.shape[-2:]
        for scale, mix, pooled in zip(self.scales[1:], self.mix, pool_all(x_NChw), strict=True):
            before = mix(before + resize(scale(pooled), size))
            total = total + before
        out: Tensor = self.join(total) + self.skip(x_NChw)
        return out


class DRBANet(Network):
    """HRB at 1/8 beside LRB to 1/64, which meet twice; scores at 1/8."""

    pads_same = True

    def __init__(self, config: DRBANetConfig) -> None:
        super().__init__()
        self.num_classes, self.channels = config.num_classes, config.channels
        c4, c8, c16, c32 = (scaled(c, config.width) for c in CHANNELS)
        expansion = config.expansion

        def stage(
            c_in: int, c_out: int, *, stride: int = 1, dilations: Sequence[int] = (1,)
        ) -> nn.Sequential:
            turns = [dilations[i % len(dilations)] for i in range(config.depth)]
            return nn.Sequential(
                EIBM(c_in, c_out, expansion, stride=stride, dilation=turns[0]),
                *(EIBM(c_out, c_out, expansion, dilation=d) for d in turns[1:]),
            )

        self.stage4 = nn.Sequential(
            conv(config.channels, c4, stride=2), conv(c4, c4, stride=2), stage(c4, c4)
        )
        self.stage8 = stage(c4, c8, stride=2)
        self.low16 = stage(c8, c16, stride=2)
        self.low32 = stage(c16, c32, stride=2)
        self.low64 = EIBM(c32, c32, expansion, stride=2)
        self.pyramid = ELPPM(c32, scaled(PYRAMID, config.width), c8)
        self.high1 = stage(c8, c8, dilations=NEAR)
        self.high2 = stage(c8, c8, dilations=MIDDLE)
        self.high3 = stage(c8, c8, dilations=FAR)
        self.down1 = EIBM(c8, c16, expansion, stride=2)
        self.down2 = nn.Sequential(
            EIBM(c8, c16, expansion, stride=2), EIBM(c16, c32, expansion, stride=2)
        )
        self.up1 = conv(c16, c8, 1, relu=False)
        self.up2 = conv(c32, c8, 1, relu=False)
        inner = scaled(config.head, config.width)
        self.classify = nn.Sequential(conv(c8, inner), nn.Conv2d(inner, config.num_classes, 1))
        self.boundary = nn.Sequential(conv(c8, inner), nn.Conv2d(inner, 1, 1))

    def native(self, image_NCHW: Tensor) -> Tensor:
        """Return logits at 1/8, (N, classes, ceil(H / 8), ceil(W / 8))."""
        logits: Tensor = self.classify(self._features(image_NCHW)[0])
        return logits

    def outputs(self, image_NCHW: Tensor) -> Outputs:
        """Add the boundaries that HRB sees, which exist for training alone."""
        features, met = self._features(image_NCHW)
        return Outputs(self.classify(features), boundary=self.boundary(met))

    def _features(self, image_NCHW: Tensor) -> tuple[Tensor, Tensor]:
        """Return what the classifier sees, and HRB after the second meeting."""
        eighth = self.stage8(self.stage4(image_NCHW))
        size = eighth.shape[-2:]
        low, high = self.low16(eighth), self.high1(eighth)
        low, high = low + self.down1(high), high + resize(self.up1(low), size)
        low, high = self.low32(low), self.high2(high)
        low, high = low + self.down2(high), high + resize(self.up2(low), size)
        context = resize(self.pyramid(self.low64(low)), size)
        return self.high3(high) + context, high
