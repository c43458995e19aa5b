"""ICNet (Zhao, Qi, Shen, Shi, Jia 2018, arXiv 1704.08545), the network that its authors deploy.

That is a PSPNet of ResNet-50 with half of each width, as pruning left it: 6.7 M parameters of the
26.5 M that the paper's table counts. `width=2.0` gives the network before pruning. The coarse and
the middle branch share all but the last stages: what the coarse one reads is the map of the middle
one at half its size, not a picture of a quarter.

Each step up in resolution has a classifier of its own in training, on the coarse map that comes in
(cascade label guidance). Their labels are brought to the size of the scores: `shrink_labels` in
the recipe.

Departures:

* Windows of the pooling pyramid. The authors list them for 1025x2049 pixels. Here their stride is
  the whole part of side / bins and their kernel reaches the end, for a map of any size. That gives
  the authors' windows for 1, 2 and 6 bins; for 3 bins the authors' overlap some pixels more.
* Resizing has half-pixel centres, where Caffe aligns corners, and padding is SAME.
* The picture of the coarse branches has side // 2 + 1 pixels. For the authors' odd sides that is
  theirs (1025 to 513); for even ones it makes the later halvings those of an odd side too.
"""

from dataclasses import dataclass

from torch import Tensor, nn

from frugalseg.models.layers import Bottleneck, conv, max_pool, resize, scaled
from frugalseg.models.network import Network, Outputs
from frugalseg.models.pyramid import grid_means
from frugalseg.models.settings import check_width

BINS = (1, 2, 3, 6)
STAGES = ((32, 3), (64, 4), (128, 6), (256, 3))  # inner channels and blocks at width 1
EXPANSION = 4
PYRAMID, FUSED = 256, 128  # channels after the pyramid, and of each fusion
FIRST = (32, 32, 64)  # of the three layers that begin each branch


@dataclass(frozen=True, slots=True, kw_only=True)
class ICNetConfig:
    """Shape of an ICNet. Width 1 is the deployed network, width 2 the one before pruning.

    `decoder_width` scales what comes after the pyramid once more: its 1x1 and both fusions.
    """

    num_classes: int
    channels: int = 3
    width: float = 1.0
    decoder_width: float = 1.0

    def __post_init__(self) -> None:
        check_width(self.width)
        check_width(self.decoder_width, "decoder_width")


class Fusion(nn.Module):
    """Cascade feature fusion: a coarse map, resized and dilated, joins a fine one."""

    def __init__(self, coarse: int, fine: int, out: int) -> None:
        super().__init__()
        self.coarse = conv(coarse, out, dilation=2, relu=False)
        self.fine = conv(fine, out, 1, relu=False)
        self.act = nn.ReLU(inplace=True)

    def forward(self, coarse_NChw: Tensor, fine_NCHW: Tensor) -> tuple[Tensor, Tensor]:
        """Return both joined, and the coarse one as it comes in; both (N, out, H, W)."""
        coarse = self.coarse(resize(coarse_NChw, fine_NCHW.shape[-2:]))
        return self.act(self.fine(fine_NCHW) + coarse), coarse


class ICNet(Network):
    """Three branches at 1/32, 1/16 and 1/8 of the picture, fused from coarse to fine."""

    pads_same = True

    def __init__(self, config: ICNetConfig) -> None:
        super().__init__()
        self.num_classes, self.channels = config.num_classes, config.channels
        first = [config.channels, *(scaled(c, config.width) for c in FIRST)]
        inner = [scaled(c, config.width) for c, _ in STAGES]
        wide = [c * EXPANSION for c in inner]
        decoder = config.width * config.decoder_width
        pyramid, fused = scaled(PYRAMID, decoder), scaled(FUSED, decoder)
        self.stem = _three(first, strides=(2, 1, 1))
        self.stage2 = _stage(first[-1], inner[0], STAGES[0][1])
        self.down3 = Bottleneck(wide[0], inner[1], wide[1], stride=2, stride_first=True)
        self.stage3 = _stage(wide[1], inner[1], STAGES[1][1] - 1)
        self.stage4 = _stage(wide[1], inner[2], STAGES[2][1], dilation=2)
        self.stage5 = _stage(wide[2], inner[3], STAGES[3][1], dilation=4)
        self.narrow = conv(wide[3], pyramid, 1)
        self.fusion24 = Fusion(pyramid, wide[1], fused)
        self.fine = _three(first, strides=(2, 2, 2))
        self.fusion12 = Fusion(fused, first[-1], fused)
        self.classify = nn.Conv2d(fused, config.num_classes, 1)
        self.guide16 = nn.Conv2d(fused, config.num_classes, 1)
        self.guide8 = nn.Conv2d(fused, config.num_classes, 1)

    def native(self, image_NCHW: Tensor) -> Tensor:
        """Return logits at a quarter, (N, classes, ceil(H / 4), ceil(W / 4))."""
        return self._run(image_NCHW)[0]

    def outputs(self, image_NCHW: Tensor) -> Outputs:
        """Add the guidance: logits at 1/16 and at 1/8, for training alone."""
        scores, coarse16, coarse8 = self._run(image_NCHW)
        return Outputs(scores, (self.guide16(coarse16), self.guide8(coarse8)))

    def _run(self, image_NCHW: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        half = resize(image_NCHW, [side // 2 + 1 for side in image_NCHW.shape[-2:]])
        middle = self.down3(self.stage2(max_pool(self.stem(half))))
        coarse = self.stage3(resize(middle, _part(middle, 2)))
        coarse = self.narrow(pyramid_sum(self.stage5(self.stage4(coarse))))
        fused, coarse16 = self.fusion24(coarse, middle)
        # The branch with the largest maps comes last, when least else is held.
        fused, coarse8 = self.fusion12(fused, self.fine(image_NCHW))
        scores = self.classify(resize(fused, _part(image_NCHW, 4)))
        return scores, coarse16, coarse8


def pyramid_sum(x_NChw: Tensor) -> Tensor:
    """Add to a map its means over 1, 2x2, 3x3 and 6x6 windows, each resized; keeps the shape.

    A side of fewer pixels than bins has a bin per pixel.
    """
    size = x_NChw.shape[-2:]
    total = x_NChw
    for bins in BINS:
        total = total + resize(grid_means(x_NChw, bins), size)
    return total


def _three(channels: list[int], strides: tuple[int, int, int]) -> nn.Sequential:
    pairs = zip(channels[:-1], channels[1:], strides, strict=True)
    return nn.Sequential(*(conv(before, after, stride=s) for before, after, s in pairs))


def _stage(c_in: int, inner: int, blocks: int, *, dilation: int = 1) -> nn.Sequential:
    wide = inner * EXPANSION
    return nn.Sequential(
        *(Bottleneck(wide if i else c_in, inner, wide, dilation=dilation) for i in range(blocks))
    )


def _part(x_NCHW: Tensor, factor: int) -> tuple[int, int]:
    height, width = x_NCHW.shape[-2:]
    return -(-height // factor), -(-width // factor)
