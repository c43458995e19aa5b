"""DDRNet-23-slim (Hong, Pan, Sun, Jia 2021, arXiv 2101.06085), after the authors' network.

Two branches from 1/8 on: one stays there for detail, one goes down to 1/64 for context, and they
meet twice in between. `width` 2 is DDRNet-23. Details that the paper leaves open are those of the
authors' code: both convolutions of the stem have a bias, the last block of a stage is linear where
its sum is used as it is, and the head for training sees the detail branch after the first meeting.

Departures: strided layers and poolings pad as SAME does (see `layers` and `pyramid`). Below width
1 the pyramid narrows with the rest; above, it keeps its 128 channels, as DDRNet-23 has it. Fresh
weights are PyTorch's, where the authors draw those of ResNet.
"""

from dataclasses import dataclass

from torch import Tensor, nn

from frugalseg.models.layers import BasicBlock, Bottleneck, SameConv, conv, resize, scaled
from frugalseg.models.network import Network, Outputs
from frugalseg.models.pyramid import DAPPM, norm_first
from frugalseg.models.settings import check_whole, check_width

DEPTHS = (1, 8)
CHANNELS = (32, 64, 128, 256, 512)  # at 1/4, 1/8, 1/16, 1/32, 1/64
PYRAMID = 128
HEAD = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class DDRNetConfig:
    """Shape of a DDRNet: `width` scales channels, `depth` is the number of blocks of a stage.

    Width 1 is DDRNet-23-slim, width 2 DDRNet-23. `head` are the channels of the head at width 1.
    """

    num_classes: int
    channels: int = 3
    width: float = 1.0
    depth: int = 2
    head: int = HEAD

    def __post_init__(self) -> None:
        check_width(self.width)
        check_whole("depth", self.depth, DEPTHS)
        check_whole("head", self.head, (8, 1024))


def stem(channels: int, c_out: int) -> nn.Sequential:
    """Build two strided 3x3 convolutions, to a quarter of the image; both have a bias."""
    return nn.Sequential(
        SameConv(channels, c_out, stride=2, bias=True), nn.BatchNorm2d(c_out), nn.ReLU(),
        SameConv(c_out, c_out, stride=2, bias=True), nn.BatchNorm2d(c_out), nn.ReLU(),
    )  # fmt: skip


def stage(
    c_in: int, c_out: int, depth: int, *, stride: int = 1, relu: bool = True
) -> nn.Sequential:
    """Build `depth` residual blocks, the first with the stride, the last linear without `relu`."""
    return nn.Sequential(
        *(
            BasicBlock(
                c_out if i else c_in,
                c_out,
                stride=1 if i else stride,
                relu=relu or i < depth - 1,
            )
            for i in range(depth)
        )
    )


def head(c_in: int, inner: int, c_out: int) -> nn.Sequential:
    """Build norm, ReLU, 3x3 convolution, norm, ReLU, and a 1x1 convolution with bias."""
    return nn.Sequential(
        *norm_first(c_in, inner, 3), nn.BatchNorm2d(inner), nn.ReLU(inplace=True),
        nn.Conv2d(inner, c_out, 1),
    )  # fmt: skip


class DDRNet(Network):
    """Detail branch at 1/8 beside a context branch to 1/64; scores at 1/8."""

    pads_same = True

    def __init__(self, config: DDRNetConfig) -> None:
        super().__init__()
        self.num_classes, self.channels = config.num_classes, config.channels
        c4, c8, c16, c32, c64 = (scaled(c, config.width) for c in CHANNELS)
        inner, depth = scaled(config.head, config.width), config.depth
        self.stage4 = nn.Sequential(stem(config.channels, c4), stage(c4, c4, depth))
        self.stage8 = stage(c4, c8, depth, stride=2)
        self.context16 = stage(c8, c16, depth, stride=2, relu=False)
        self.context32 = stage(c16, c32, depth, stride=2, relu=False)
        self.context64 = Bottleneck(c32, c32, c64, stride=2, relu=False)
        self.pyramid = DAPPM(c64, scaled(PYRAMID, min(config.width, 1)), c16)
        self.detail1 = stage(c8, c8, depth, relu=False)
        self.detail2 = stage(c8, c8, depth, relu=False)
        self.detail3 = Bottleneck(c8, c8, c16, relu=False)
        self.down1 = conv(c8, c16, stride=2, relu=False)
        self.down2 = nn.Sequential(conv(c8, c16, stride=2), conv(c16, c32, stride=2, relu=False))
        self.up1 = conv(c16, c8, 1, relu=False)
        self.up2 = conv(c32, c8, 1, relu=False)
        self.relu = nn.ReLU()
        self.classify = head(c16, inner, config.num_classes)
        self.auxiliary = head(c8, inner, config.num_classes)

    def native(self, image_NCHW: Tensor) -> Tensor:
        """Return logits at 1/8, (N, classes, ceil(H / 8), ceil(W / 8))."""
        logits: Tensor = self.classify(self._features(image_NCHW)[0])
        return logits

    def outputs(self, image_NCHW: Tensor) -> Outputs:
        """Add the auxiliary head on the detail branch, which exists for training alone."""
        features, met = self._features(image_NCHW)
        return Outputs(self.classify(features), (self.auxiliary(met),))

    def _features(self, image_NCHW: Tensor) -> tuple[Tensor, Tensor]:
        """Return what the classifier sees, and the detail branch after the first meeting."""
        eighth = self.stage8(self.stage4(image_NCHW))
        size = eighth.shape[-2:]
        context, detail = self.context16(eighth), self.detail1(eighth)
        met = detail + resize(self.up1(self.relu(context)), size)
        context = self.relu(context + self.down1(self.relu(detail)))
        context, detail = self.context32(context), self.detail2(self.relu(met))
        raised = resize(self.up2(self.relu(context)), size)
        context = self.relu(context + self.down2(self.relu(detail)))
        detail = self.detail3(self.relu(detail + raised))
        context = resize(self.pyramid(self.context64(context)), size)
        return detail + context, met
