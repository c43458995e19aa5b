"""frugalnet: our own network, made for int8 and for little activation memory.

Three rules, each for the sake of the device:

* Memory. A map at half size costs 64 times one at 1/16 per channel, so channels are few where
  maps are large: 12, 32, 64, 128 at 1/2, 1/4, 1/8, 1/16. Nothing is ever expanded: a block holds
  its input, a narrower inside, and its output. Scores leave at 1/4 of the image, or at 1/8.
* int8. Only convolution, ReLU, addition, global mean and bilinear resizing: operators with
  one scale per tensor whose ranges a ReLU or a batch norm keeps narrow.
* Receptive field. Poles and belts are thin but roads are wide: the 1/16 blocks dilate by
  1, 2, 4, 8 and a global mean joins them.
"""

from dataclasses import dataclass

from torch import Tensor, nn

from frugalseg.core.errors import ConfigError
from frugalseg.models.layers import conv, resize
from frugalseg.models.network import Network, Outputs

DILATIONS = (1, 2, 4, 8)
WIDTHS = (0.2, 4.0)
DEPTHS = (1, 8)
FINE_STEP_BELOW = 16
CHANNELS = (12, 32, 64, 128)  # at 1/2, 1/4, 1/8, 1/16 of the picture, at width 1
OUTPUT_STRIDES = (4, 8)
MULTIPLES = (1, 128)


@dataclass(frozen=True, slots=True, kw_only=True)
class FrugalNetConfig:
    """Shape of a frugalnet: `width` scales channels, `depth` the number of blocks.

    width 0.5, depth 1 has some 0.11 M parameters, width 1, depth 2 some 0.65 M. `output_stride` is
    that of the scores; 8 leaves the last join out. `channel_multiple` is for devices that store
    channels in blocks of so many: all above 16 are multiples of it.
    """

    num_classes: int
    channels: int = 3
    width: float = 1.0
    depth: int = 2
    output_stride: int = OUTPUT_STRIDES[0]
    channel_multiple: int = 1

    def __post_init__(self) -> None:
        for name, value, kind, (low, high) in (
            ("width", self.width, int | float, WIDTHS),
            ("depth", self.depth, int, DEPTHS),
            ("channel_multiple", self.channel_multiple, int, MULTIPLES),
        ):
            if not isinstance(value, kind) or not low <= value <= high:
                whole = "a whole number from " if kind is int else ""
                raise ConfigError(f"frugalnet {name} must be {whole}{low} to {high}, got {value!r}")
        if self.output_stride not in OUTPUT_STRIDES:
            raise ConfigError(f"frugalnet output_stride must be 4 or 8, got {self.output_stride!r}")

    def scaled(self, channels: int) -> int:
        """Scale a channel count by the width, to a multiple of 8 or more (of 4 below 16)."""
        wanted = channels * self.width
        step = 4 if wanted < FINE_STEP_BELOW else max(8, self.channel_multiple)
        return max(step, round(wanted / step) * step)


class Block(nn.Module):
    """Residual block: 1x1 to half the channels, 3x3 dilated, 1x1 back, add, ReLU."""

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        inner = max(4, channels // 2)
        self.narrow = conv(channels, inner, 1)
        self.spread = conv(inner, inner, dilation=dilation)
        self.widen = conv(inner, channels, 1, relu=False)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x_NChw: Tensor) -> Tensor:
        """Keep the shape."""
        out: Tensor = self.relu(x_NChw + self.widen(self.spread(self.narrow(x_NChw))))
        return out


class Join(nn.Module):
    """Merge a coarse map into a finer one: 1x1 on each, resize, add, ReLU, then 3x3."""

    def __init__(self, coarse: int, fine: int, out: int) -> None:
        super().__init__()
        self.coarse = conv(coarse, out, 1, relu=False)
        self.fine = conv(fine, out, 1, relu=False)
        self.relu = nn.ReLU(inplace=True)
        self.mix = conv(out, out)

    def forward(self, coarse_NChw: Tensor, fine_NCHW: Tensor) -> Tensor:
        """Return (N, out, H, W)."""
        # The fine map is used up first: three large maps at once would be the peak of it all.
        fine = self.fine(fine_NCHW)
        raised = resize(self.coarse(coarse_NChw), fine.shape[-2:])
        out: Tensor = self.mix(self.relu(fine + raised))
        return out


class FrugalNet(Network):
    """Encoder to 1/16 with dilated blocks and a global mean, decoder back to 1/4 or 1/8."""

    pads_same = True

    def __init__(self, config: FrugalNetConfig) -> None:
        super().__init__()
        self.num_classes, self.channels = config.num_classes, config.channels
        c2, c4, c8, c16 = (config.scaled(c) for c in CHANNELS)
        depth = config.depth
        self.stage2 = conv(config.channels, c2, stride=2)
        self.stage4 = nn.Sequential(conv(c2, c4, stride=2), Block(c4, 1))
        self.stage8 = nn.Sequential(
            conv(c4, c8, stride=2), *(Block(c8, 1 + i % 2) for i in range(1 + depth))
        )
        dilations = DILATIONS * depth
        self.stage16 = nn.Sequential(conv(c8, c16, stride=2), *(Block(c16, d) for d in dilations))
        self.context = nn.Conv2d(c16, c16, 1)  # no norm: one pixel a picture is no statistic
        self.relu = nn.ReLU(inplace=True)
        self.join8 = Join(c16, c8, c8)
        self.join4 = Join(c8, c4, c4) if config.output_stride == OUTPUT_STRIDES[0] else None
        self.classify = nn.Conv2d(c8 if self.join4 is None else c4, config.num_classes, 1)
        self.auxiliary = nn.Conv2d(c16, config.num_classes, 1)

    def native(self, image_NCHW: Tensor) -> Tensor:
        """Return logits at the output stride, (N, classes, ceil(H / 4), ceil(W / 4)) for 4."""
        return self._decode(*self._encode(image_NCHW))

    def outputs(self, image_NCHW: Tensor) -> Outputs:
        """Add the auxiliary head at 1/16, which exists for training alone."""
        maps = self._encode(image_NCHW)
        return Outputs(self._decode(*maps), (self.auxiliary(maps[-1]),))

    def _encode(self, image_NCHW: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        quarter = self.stage4(self.stage2(image_NCHW))
        eighth = self.stage8(quarter)
        sixteenth = self.stage16(eighth)
        everywhere = self.context(sixteenth.mean((2, 3), keepdim=True))
        return quarter, eighth, self.relu(sixteenth + everywhere)

    def _decode(self, quarter: Tensor, eighth: Tensor, sixteenth: Tensor) -> Tensor:
        joined = self.join8(sixteenth, eighth)
        if self.join4 is not None:
            joined = self.join4(joined, quarter)
        logits: Tensor = self.classify(joined)
        return logits
