"""PIDNet-S (Xu, Xiong, Bhattacharyya 2022, arXiv 2206.02066), after the authors' network.

Three branches from 1/8 on, named after a controller's terms: P keeps detail, I goes down to 1/64
for context, D finds boundaries. Where they join, D decides pixel by pixel between P and I. `width`
2 is PIDNet-M. PIDNet-L has other modules and is not offered. Heads for training: classes on P and
boundaries on D.

Departures: strided layers and poolings pad as SAME does (see `layers` and `pyramid`). Below width
1 pyramid and head narrow with the rest; above, they keep their 96 and 128 channels, as PIDNet-M has
them. A gate between two maps is computed with one product instead of two; the result is the same.
Fresh weights are PyTorch's, where the authors draw those of ResNet.
"""

from dataclasses import dataclass

from torch import Tensor, nn

from frugalseg.models.ddrnet import head, stage, stem
from frugalseg.models.layers import BasicBlock, Bottleneck, conv, resize, scaled
from frugalseg.models.network import Network, Outputs
from frugalseg.models.pyramid import PAPPM
from frugalseg.models.settings import check_whole, check_width

DEPTHS = (1, 8)
CHANNELS = (32, 64, 128, 256, 512)  # at 1/4, 1/8, 1/16, 1/32, 1/64
PYRAMID = 96
HEAD = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class PIDNetConfig:
    """Shape of a PIDNet: `width` scales channels; width 1 is PIDNet-S, width 2 PIDNet-M.

    `depth` is the number of blocks of a stage; those at 1/16 and 1/32 have one more. `head` are
    the channels of the head at width 1 and above.
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


class Guide(nn.Module):
    """Take from the context where it agrees with the detail (the paper's Pag)."""

    def __init__(self, channels: int, inner: int) -> None:
        super().__init__()
        self.of_detail = conv(channels, inner, 1, relu=False)
        self.of_context = conv(channels, inner, 1, relu=False)

    def forward(self, detail_NCHW: Tensor, context_NChw: Tensor) -> Tensor:
        """Return (N, C, H, W)."""
        size = detail_NCHW.shape[-2:]
        agreement = self.of_detail(detail_NCHW) * resize(self.of_context(context_NChw), size)
        gate_N1HW = agreement.sum(1, keepdim=True).sigmoid()
        out: Tensor = detail_NCHW + gate_N1HW * (resize(context_NChw, size) - detail_NCHW)
        return out


class Decide(nn.Module):
    """Weigh detail against context by the boundary branch (the paper's Light-Bag)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.detail = conv(channels, channels, 1, relu=False)
        self.context = conv(channels, channels, 1, relu=False)

    def forward(self, detail: Tensor, context: Tensor, boundary: Tensor) -> Tensor:
        """Keep the shape of the three maps."""
        edge = boundary.sigmoid()
        inside = self.detail(detail + (context - edge * context))
        out: Tensor = inside + self.context(context + edge * detail)
        return out


class PIDNet(Network):
    """Branches for detail and boundaries at 1/8, one for context to 1/64; scores at 1/8."""

    pads_same = True

    def __init__(self, config: PIDNetConfig) -> None:
        super().__init__()
        self.num_classes, self.channels = config.num_classes, config.channels
        c4, c8, c16, c32, c64 = (scaled(c, config.width) for c in CHANNELS)
        inner = scaled(config.head, min(config.width, 1))
        depth, deeper = config.depth, config.depth + 1
        self.stage4 = nn.Sequential(stem(config.channels, c4), stage(c4, c4, depth))
        self.stage8 = stage(c4, c8, depth, stride=2)
        self.context16 = stage(c8, c16, deeper, stride=2)
        self.context32 = stage(c16, c32, deeper, stride=2)
        self.context64 = nn.Sequential(
            Bottleneck(c32, c32, c64, stride=2, relu=False),
            Bottleneck(c64, c32, c64, relu=False),
        )
        self.pyramid = PAPPM(c64, scaled(PYRAMID, min(config.width, 1)), c16)
        self.detail1 = stage(c8, c8, depth, relu=False)
        self.up1 = conv(c16, c8, 1, relu=False)
        self.guide1 = Guide(c8, c4)
        self.detail2 = stage(c8, c8, depth, relu=False)
        self.up2 = conv(c32, c8, 1, relu=False)
        self.guide2 = Guide(c8, c4)
        self.detail3 = Bottleneck(c8, c8, c16, relu=False)
        self.edges1 = BasicBlock(c8, c4, relu=False)
        self.hint1 = conv(c16, c4, relu=False)
        self.edges2 = Bottleneck(c4, c4, c8, relu=False)
        self.hint2 = conv(c32, c8, relu=False)
        self.edges3 = Bottleneck(c8, c8, c16, relu=False)
        self.decide = Decide(c16)
        self.relu = nn.ReLU()
        self.classify = head(c16, inner, config.num_classes)
        self.auxiliary = head(c8, inner, config.num_classes)
        self.boundary = head(c8, c4, 1)

    def native(self, image_NCHW: Tensor) -> Tensor:
        """Return logits at 1/8, (N, classes, ceil(H / 8), ceil(W / 8))."""
        logits: Tensor = self.classify(self._features(image_NCHW)[0])
        return logits

    def outputs(self, image_NCHW: Tensor) -> Outputs:
        """Add classes seen by P and boundaries seen by D, which exist for training alone."""
        features, detail, edges = self._features(image_NCHW)
        return Outputs(self.classify(features), (self.auxiliary(detail),), self.boundary(edges))

    def _features(self, image_NCHW: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return what the classifier sees, and what the heads for training see."""
        eighth = self.stage8(self.stage4(image_NCHW))
        size = eighth.shape[-2:]
        context = self.context16(eighth)
        met = self.guide1(self.detail1(eighth), self.up1(context))
        edges = self.relu(self.edges1(eighth) + resize(self.hint1(context), size))
        context = self.context32(context)
        detail = self.guide2(self.detail2(self.relu(met)), self.up2(context))
        found = self.edges2(edges) + resize(self.hint2(context), size)
        context = resize(self.pyramid(self.context64(context)), size)
        detail, edges = self.detail3(self.relu(detail)), self.edges3(self.relu(found))
        return self.decide(detail, context, edges), met, found
