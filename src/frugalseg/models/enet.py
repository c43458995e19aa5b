"""ENet (Paszke, Chaurasia, Kim, Culurciello 2016, arXiv 1606.02147), after the authors' network.

Where the paper's Table 1 leaves details open (biases, batch norm, which ReLU), this follows the
layer specification that the authors trained: convolutions in the middle of a bottleneck have a
bias, there is no activation after the expansion, the decoder uses ReLU, and the internal width
of a bottleneck is a quarter of its output.

Two departures, neither of which changes what is computed:

* The 3x3 transposed convolution (stride 2, padding 1, output padding 1) is written as the 4x4
  one (padding 1) with a zero last row and column when the network is exported.
* Unpooling to remembered positions is written with a comparison (`unpool`), since no engine has
  an operator for it. Where two pixels of a 2x2 window tie, both receive the value.

Which of two nearly equal pixels is the larger is decided by rounding, and engines round
differently. A trained ENet with `unpool="indices"` can therefore differ from its fp32 files by more
than the gate allows (measured on 9 of CamVid's pictures for validation: scores differed by more
than 1e-4 on 5 of them, at up to 0.7 % of the pixels, by up to 0.3; no pixel had another class). The
int8 file is judged by its score. The deploy variant `unpool="bilinear"` compares nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from frugalseg.models.layers import resize, scaled
from frugalseg.models.network import Network
from frugalseg.models.settings import check_choice, check_whole, check_width

BN_EPS = 1e-3
ASYMMETRIC = 0  # stands for "1x5 then 5x1" among the dilations below
STAGE = (1, 2, ASYMMETRIC, 4, 1, 8, ASYMMETRIC, 16)
CHANNELS = (16, 64, 128)  # at 1/2, 1/4, 1/8

Act = Callable[[int], nn.Module]

CHOICES = {
    "unpool": ("indices", "bilinear"),
    "act": ("prelu", "relu"),
    "part": ("whole", "encoder"),
}
DEPTHS = (1, 4)


@dataclass(frozen=True, slots=True, kw_only=True)
class ENetConfig:
    """Shape of an ENet; the defaults are the paper's.

    `width` scales all channels; `depth` is how often the eight bottlenecks at 1/8 stand;
    `decoder_depth` is the number of bottlenecks at 1/4, with one less at 1/2.

    `part="encoder"` is the first of the paper's two trainings: the encoder with a 1x1 classifier at
    1/8. Its weights have the names that they have in the whole network, which starts from them.

    Deploy variants: with `unpool="indices"` the decoder puts each value back where the encoder's
    maximum was; with "bilinear" it resizes instead: no comparison, no second copy of the encoder's
    map. `act="relu"` replaces the encoder's PReLU, which int8 engines run as two operators.
    """

    num_classes: int
    channels: int = 3
    width: float = 1.0
    depth: int = 2
    decoder_depth: int = 2
    unpool: str = "indices"
    act: str = "prelu"
    part: str = "whole"

    def __post_init__(self) -> None:
        check_width(self.width)
        for name in ("depth", "decoder_depth"):
            check_whole(name, getattr(self, name), DEPTHS)
        for name, known in CHOICES.items():
            check_choice(name, getattr(self, name), known)


class Initial(nn.Module):
    """3x3 stride-2 convolution to 13 channels beside a 2x2 max pooling of the image."""

    def __init__(self, channels: int, c_out: int, act: Act) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, c_out - channels, 3, stride=2, padding=1)
        self.norm = _norm(c_out)
        self.act = act(c_out)

    def forward(self, image_NCHW: Tensor) -> Tensor:
        """Return (N, c_out, ceil(H / 2), ceil(W / 2))."""
        pooled = _max_pool(image_NCHW)
        out: Tensor = self.act(self.norm(torch.cat([self.conv(image_NCHW), pooled], dim=1)))
        return out


class Bottleneck(nn.Module):
    """1x1 down, a middle convolution, 1x1 up; added to the input. Encoder: PReLU; decoder: ReLU."""

    def __init__(self, channels: int, act: Act, *, dilation: int = 1, dropout: float = 0.0) -> None:
        super().__init__()
        inner = channels // 4
        self.main = nn.Sequential(
            nn.Conv2d(channels, inner, 1, bias=False), _norm(inner), act(inner),
            *_middle(inner, dilation), _norm(inner), act(inner),
            nn.Conv2d(inner, channels, 1, bias=False), _norm(channels),
            *([nn.Dropout2d(dropout)] if dropout else []),
        )  # fmt: skip
        self.act = act(channels)

    def forward(self, x_NChw: Tensor) -> Tensor:
        """Keep the shape."""
        out: Tensor = self.act(self.main(x_NChw) + x_NChw)
        return out


class Down(nn.Module):
    """Bottleneck that halves the map; hands out what `Up` needs to put values back."""

    def __init__(self, c_in: int, c_out: int, act: Act, *, dropout: float) -> None:
        super().__init__()
        inner = c_out // 4
        self.main = nn.Sequential(
            nn.Conv2d(c_in, inner, 2, stride=2, bias=False), _norm(inner), act(inner),
            *_middle(inner, 1), _norm(inner), act(inner),
            nn.Conv2d(inner, c_out, 1, bias=False), _norm(c_out), nn.Dropout2d(dropout),
        )  # fmt: skip
        self.act = act(c_out)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Return (N, C_out, ceil(H / 2), ceil(W / 2))."""
        x_NCHW = _pad_even(x_NCHW)
        made = self.main(x_NCHW)
        more = made.shape[1] - x_NCHW.shape[1]
        out: Tensor = self.act(made + F.pad(_max_pool(x_NCHW), (0, 0, 0, 0, 0, more)))
        return out


class Up(nn.Module):
    """Bottleneck that doubles the map, its skip unpooled to where the encoder's maxima were."""

    def __init__(self, c_in: int, c_out: int, *, unpool: str) -> None:
        super().__init__()
        inner = c_out // 4
        self.unpool = unpool
        self.main = nn.Sequential(
            nn.Conv2d(c_in, inner, 1, bias=False), _norm(inner), nn.ReLU(),
            nn.ConvTranspose2d(inner, inner, 3, stride=2, padding=1, output_padding=1),
            _norm(inner), nn.ReLU(),
            nn.Conv2d(inner, c_out, 1, bias=False), _norm(c_out),
        )  # fmt: skip
        self.skip = nn.Sequential(nn.Conv2d(c_in, c_out, 1, bias=False), _norm(c_out))
        self.act = nn.ReLU()

    def forward(self, x_NChw: Tensor, before_NCHW: Tensor) -> Tensor:
        """`before_NCHW` is the map that the encoder pooled; the result has its size."""
        main, skip = self.main(x_NChw), self.skip(x_NChw)
        even = _pad_even(before_NCHW)
        raise_ = unpool if self.unpool == "indices" else _resize_like
        skip = raise_(skip, even)
        height, width = before_NCHW.shape[-2:]
        out: Tensor = self.act(main + skip)
        return out if out.shape[-2:] == (height, width) else out[..., :height, :width]


def unpool(x_NChw: Tensor, before_NCHW: Tensor) -> Tensor:
    """Put each value of x at the place of the maximum in its 2x2 window of `before`; else zero.

    The same as max_unpool2d with the indices of max_pool2d, but for ties: there every maximal
    pixel gets the value. `before` has even sides; both have the same number of channels.

    >>> before = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])
    >>> unpool(torch.tensor([[[[9.0]]]]), before)
    tensor([[[[0., 0.],
              [0., 9.]]]])
    """
    size = before_NCHW.shape[-2:]
    largest = F.interpolate(F.max_pool2d(before_NCHW, 2), size=size, mode="nearest")
    value = F.interpolate(x_NChw, size=size, mode="nearest")
    return torch.where(before_NCHW >= largest, value, torch.zeros_like(value))


def _resize_like(x_NChw: Tensor, before_NCHW: Tensor) -> Tensor:
    return resize(x_NChw, before_NCHW.shape[-2:])


class ENet(Network):
    """Encoder of 23 bottlenecks to 1/8, light decoder back to the full size."""

    def __init__(self, config: ENetConfig) -> None:
        super().__init__()
        self.num_classes, self.channels = config.num_classes, config.channels
        c2, c4, c8 = (scaled(c, config.width) for c in CHANNELS)
        act = nn.PReLU if config.act == "prelu" else _relu
        self.initial = Initial(config.channels, c2, act)
        self.down1 = Down(c2, c4, act, dropout=0.01)
        self.stage1 = nn.Sequential(*(Bottleneck(c4, act, dropout=0.01) for _ in range(4)))
        self.down2 = Down(c4, c8, act, dropout=0.1)
        deep = partial(Bottleneck, c8, act, dropout=0.1)
        self.stage2 = nn.Sequential(*(deep(dilation=d) for d in STAGE * config.depth))
        self.whole = config.part == "whole"
        if not self.whole:
            self.classify8 = nn.Conv2d(c8, config.num_classes, 1)
            return
        self.up4 = Up(c8, c4, unpool=config.unpool)
        self.stage4 = nn.Sequential(*(Bottleneck(c4, _relu) for _ in range(config.decoder_depth)))
        self.up5 = Up(c4, c2, unpool=config.unpool)
        self.stage5 = nn.Sequential(
            *(Bottleneck(c2, _relu) for _ in range(config.decoder_depth - 1))
        )
        self.classify = nn.ConvTranspose2d(c2, config.num_classes, 2, stride=2)

    def native(self, image_NCHW: Tensor) -> Tensor:
        """Return logits at full size, (N, classes, H, W); of the encoder alone at 1/8."""
        half = self.initial(image_NCHW)
        quarter = self.stage1(self.down1(half))
        eighth = self.stage2(self.down2(quarter))
        logits: Tensor
        if not self.whole:
            logits = self.classify8(eighth)
            return logits
        raised = self.stage5(self.up5(self.stage4(self.up4(eighth, quarter)), half))
        height, width = image_NCHW.shape[-2:]
        logits = self.classify(raised)
        return logits if logits.shape[-2:] == (height, width) else logits[..., :height, :width]


def _middle(inner: int, dilation: int) -> list[nn.Module]:
    if dilation == ASYMMETRIC:
        return [
            nn.Conv2d(inner, inner, (1, 5), padding=(0, 2), bias=False),
            nn.Conv2d(inner, inner, (5, 1), padding=(2, 0)),
        ]
    return [nn.Conv2d(inner, inner, 3, padding=dilation, dilation=dilation)]


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=BN_EPS)


def _relu(_channels: int) -> nn.ReLU:
    return nn.ReLU()


def _max_pool(x_NCHW: Tensor) -> Tensor:
    return F.max_pool2d(_pad_even(x_NCHW), 2)


def _pad_even(x_NCHW: Tensor) -> Tensor:
    """Repeat the last row or column of an odd side: no new maximum, no new position."""
    height, width = x_NCHW.shape[-2:]
    if height % 2 == 0 and width % 2 == 0:
        return x_NCHW
    return F.pad(x_NCHW, (0, width % 2, 0, height % 2), mode="replicate")
