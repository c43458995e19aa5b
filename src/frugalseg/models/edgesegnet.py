"""EdgeSegNet (Lin, Chwyl, Wong 2019, arXiv 1905.04222), a small network of RefineNet's kind.

The paper has no table of layers; widths and layers are those of a public re-implementation, which
gives 4,327,920 parameters for 32 classes. The paper calls its network more than 20 times smaller
than its RefineNet; this one is 19.8 times smaller, so it may be 1 % too large.

Departures:

* Padding is SAME.
* Scores leave at a quarter of the size. Classifying each pixel commutes with resizing, so that the
  result is the same; at full size (`output_stride=1`, as published) the classifier costs 16 times
  the multiply-accumulates, and reads a map of 217 channels of the size of the picture.
"""

from dataclasses import dataclass

from torch import Tensor, nn

from frugalseg.models.layers import SameConv, max_pool, resize, scaled
from frugalseg.models.network import Network
from frugalseg.models.settings import check_choice, check_width

STEM, MIDDLE, REFINED = 13, 193, 217  # channels at width 1
OUTPUT_STRIDES = (1, 4)


@dataclass(frozen=True, slots=True, kw_only=True)
class EdgeSegNetConfig:
    """Shape of an EdgeSegNet.

    `width` scales all channels, `decoder_width` the refinement's once more; `output_stride` is
    that of the scores, 4 or, at 16 times the work in the last layer, 1.
    """

    num_classes: int
    channels: int = 3
    width: float = 1.0
    decoder_width: float = 1.0
    output_stride: int = 4

    def __post_init__(self) -> None:
        check_width(self.width)
        check_width(self.decoder_width, "decoder_width")
        check_choice("output_stride", self.output_stride, OUTPUT_STRIDES)


class Reduction(nn.Module):
    """Bottleneck that goes from a half straight to a sixteenth: 3x3 of stride 8, 1x1, 3x3."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            SameConv(c_in, c_out, stride=8, bias=True),
            nn.ReLU(inplace=True),
            SameConv(c_out, c_out, 1, bias=True),
            nn.ReLU(inplace=True),
            SameConv(c_out, c_out, bias=True),
        )

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Return (N, c_out, ceil(H / 8), ceil(W / 8))."""
        out: Tensor = self.layers(x_NCHW)
        return out


class Residual(nn.Module):
    """Bottleneck with batch norm and ReLU before each convolution; halves the map."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.main = nn.Sequential(
            nn.BatchNorm2d(c_in), nn.ReLU(), SameConv(c_in, c_out, 1, bias=True),
            nn.BatchNorm2d(c_out), nn.ReLU(), SameConv(c_out, c_out, stride=2, bias=True),
            nn.BatchNorm2d(c_out), nn.ReLU(), SameConv(c_out, c_out, 1, bias=True),
        )  # fmt: skip
        self.skip = SameConv(c_in, c_out, stride=2, bias=True)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Return (N, c_out, ceil(H / 2), ceil(W / 2))."""
        out: Tensor = self.main(x_NCHW) + self.skip(x_NCHW)
        return out


class Refine(nn.Module):
    """1x1 to `c_out` channels, then a residual of 1x1, 3x3, 3x3 with ReLU between them."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.enter = SameConv(c_in, c_out, 1, bias=True)
        self.main = nn.Sequential(
            SameConv(c_out, c_out, 1, bias=True),
            nn.ReLU(inplace=True),
            SameConv(c_out, c_out, bias=True),
            nn.ReLU(inplace=True),
            SameConv(c_out, c_out, bias=True),
        )

    def forward(self, x_NChw: Tensor) -> Tensor:
        """Return (N, c_out, h, w)."""
        entered = self.enter(x_NChw)
        out: Tensor = entered + self.main(entered)
        return out


class EdgeSegNet(Network):
    """Maps at 1/4, 1/8 and 1/16, added from the coarsest on and refined after each sum."""

    pads_same = True

    def __init__(self, config: EdgeSegNetConfig) -> None:
        super().__init__()
        self.num_classes, self.channels = config.num_classes, config.channels
        self.full_size = config.output_stride == 1
        stem, middle = scaled(STEM, config.width), scaled(MIDDLE, config.width)
        refined = scaled(REFINED, config.width * config.decoder_width)
        self.stem = SameConv(config.channels, stem, 7, stride=2, bias=True)
        self.sixteenth = Reduction(stem, middle)
        self.eighth = nn.Sequential(Residual(stem, middle), Refine(middle, middle))
        self.refine8 = Refine(middle, refined)
        self.quarter = Refine(stem, refined)
        self.refine4 = Refine(refined, refined)
        self.classify = SameConv(refined, config.num_classes, 1, bias=True)

    def native(self, image_NCHW: Tensor) -> Tensor:
        """Return logits at the output stride, (N, classes, ceil(H / 4), ceil(W / 4)) for 4."""
        half = self.stem(image_NCHW)
        pooled = max_pool(half)
        eighth = self.eighth(pooled)
        eighth = self.refine8(eighth + resize(self.sixteenth(half), eighth.shape[-2:]))
        quarter = self.quarter(pooled)
        refined = self.refine4(quarter + resize(eighth, quarter.shape[-2:]))
        if self.full_size:
            refined = resize(refined, image_NCHW.shape[-2:])
        logits: Tensor = self.classify(refined)
        return logits
