"""Fast-SCNN (Poudel, Liwicki, Cipolla 2019, arXiv 1902.04502).

Three convolutions lead to 1/8; from there one branch keeps the detail and the other goes on to 1/32
through inverted residual blocks and means over a grid. Where the paper's tables leave details open
(biases, order of norm and activation), this follows the re-implementation of 1,137,019 parameters
that most others measure; the paper says 1.11 M. In training, heads hang on the features at 1/8 and
on the global ones; the default recipe gives each the paper's weight of 0.4.

Departures: padding is SAME. Means over a grid are taken over windows of one size, which may overlap
(PyTorch's adaptive pooling has windows of several), and a map of fewer pixels than the grid keeps
them. The coarse branch is resized to the size of the fine one, not fourfold, so that every picture
size works, with half-pixel centres as everywhere here.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from frugalseg.models.layers import conv, resize, scaled
from frugalseg.models.network import Network, Outputs
from frugalseg.models.pyramid import grid_means
from frugalseg.models.settings import check_whole, check_width

FINE = (32, 48, 64)  # at 1/2, 1/4, 1/8
COARSE = (64, 96, 128)  # at 1/16, 1/32, 1/32
STRIDES = (2, 2, 1)
EXPANSION = 6
GRIDS = (1, 2, 3, 6)
AUXILIARY = 32
DROPOUT = 0.1
DEPTHS = (1, 12)


@dataclass(frozen=True, slots=True, kw_only=True)
class FastSCNNConfig:
    """Shape of a Fast-SCNN; the defaults are the paper's.

    `width` scales all channels; `depth` is the number of blocks of each of the three coarse
    stages.
    """

    num_classes: int
    channels: int = 3
    width: float = 1.0
    depth: int = 3

    def __post_init__(self) -> None:
        check_width(self.width)
        check_whole("depth", self.depth, DEPTHS)


class InvertedResidual(nn.Module):
    """MobileNetV2's block: 1x1 to six times the channels, depthwise 3x3, linear 1x1."""

    def __init__(self, c_in: int, c_out: int, stride: int) -> None:
        super().__init__()
        inner = EXPANSION * c_in
        self.main = nn.Sequential(
            conv(c_in, inner, 1),
            conv(inner, inner, stride=stride, groups=inner),
            conv(inner, c_out, 1, relu=False),
        )
        self.adds = stride == 1 and c_in == c_out

    def forward(self, x_NChw: Tensor) -> Tensor:
        """Return (N, c_out, ceil(h / stride), ceil(w / stride))."""
        out: Tensor = self.main(x_NChw)
        return x_NChw + out if self.adds else out


class Pyramid(nn.Module):
    """Means over four grids, each through a 1x1 and resized, joined with the map, and a 1x1."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = channels // len(GRIDS)
        self.levels = nn.ModuleList(conv(channels, inner, 1) for _ in GRIDS)
        self.mix = conv(channels + len(GRIDS) * inner, channels, 1)

    def forward(self, x_NChw: Tensor) -> Tensor:
        """Keep the shape."""
        means = [
            resize(level(grid_means(x_NChw, grid)), x_NChw.shape[-2:])
            for grid, level in zip(GRIDS, self.levels, strict=True)
        ]
        out: Tensor = self.mix(torch.cat([x_NChw, *means], 1))
        return out


class Fusion(nn.Module):
    """Add the coarse map, resized and through a depthwise 3x3 and a 1x1, to a 1x1 of the fine."""

    def __init__(self, fine: int, coarse: int) -> None:
        super().__init__()
        self.coarse = nn.Sequential(
            *conv(coarse, coarse, groups=coarse).children(), *_linear(coarse, coarse)
        )
        self.fine = nn.Sequential(*_linear(fine, coarse))
        self.relu = nn.ReLU(inplace=True)

    def forward(self, fine_NCHW: Tensor, coarse_NChw: Tensor) -> Tensor:
        """Return (N, coarse, H, W)."""
        # The fine map is used up first: it need not wait beside what the coarse one becomes.
        fine = self.fine(fine_NCHW)
        out: Tensor = self.relu(fine + self.coarse(resize(coarse_NChw, fine.shape[-2:])))
        return out


class FastSCNN(Network):
    """Learning to downsample, global features, fusion at 1/8, two separable convolutions."""

    pads_same = True

    def __init__(self, config: FastSCNNConfig) -> None:
        super().__init__()
        self.num_classes, self.channels = config.num_classes, config.channels
        c2, c4, c8 = (scaled(c, config.width) for c in FINE)
        self.fine = nn.Sequential(
            conv(config.channels, c2, stride=2),
            *_separable(c2, c4, stride=2),
            *_separable(c4, c8, stride=2),
        )
        blocks, c_in = [], c8
        for c_out, stride in zip((scaled(c, config.width) for c in COARSE), STRIDES, strict=True):
            blocks.append(InvertedResidual(c_in, c_out, stride))
            blocks += [InvertedResidual(c_out, c_out, 1) for _ in range(config.depth - 1)]
            c_in = c_out
        self.coarse = nn.Sequential(*blocks, Pyramid(c_in))
        self.fusion = Fusion(c8, c_in)
        self.classify = nn.Sequential(
            *_separable(c_in, c_in),
            *_separable(c_in, c_in),
            nn.Dropout(DROPOUT),
            nn.Conv2d(c_in, config.num_classes, 1),
        )
        self.auxiliary = nn.ModuleList(_head(c, config.num_classes) for c in (c8, c_in))

    def native(self, image_NCHW: Tensor) -> Tensor:
        """Return logits at an eighth, (N, classes, ceil(H / 8), ceil(W / 8))."""
        fine = self.fine(image_NCHW)
        logits: Tensor = self.classify(self.fusion(fine, self.coarse(fine)))
        return logits

    def outputs(self, image_NCHW: Tensor) -> Outputs:
        """Add heads on the fine features at 1/8 and the global ones at 1/32, for training alone."""
        maps = [fine := self.fine(image_NCHW), self.coarse(fine)]
        scores = self.classify(self.fusion(*maps))
        heads = zip(self.auxiliary, maps, strict=True)
        return Outputs(scores, tuple(head(x_NChw) for head, x_NChw in heads))


def _separable(c_in: int, c_out: int, *, stride: int = 1) -> tuple[nn.Module, nn.Module]:
    return conv(c_in, c_in, stride=stride, groups=c_in), conv(c_in, c_out, 1)


def _linear(c_in: int, c_out: int) -> tuple[nn.Module, nn.Module]:
    """1x1 with a bias, as the re-implementation has it, though the norm after it has one too."""
    return nn.Conv2d(c_in, c_out, 1), nn.BatchNorm2d(c_out)


def _head(c_in: int, num_classes: int) -> nn.Sequential:
    return nn.Sequential(
        conv(c_in, AUXILIARY), nn.Dropout(DROPOUT), nn.Conv2d(AUXILIARY, num_classes, 1)
    )
