"""LR-ASPP on MobileNetV3, large or small (Howard et al. 2019, arXiv 1905.02244, section 6.4).

A 1x1 on the encoder's last map at 1/16, its channels weighed by a mean over that map, resized to
1/8, where the class scores of both maps are added. The mean is over the whole map; for pictures of
1024x2048 the paper has windows of 49x49. The map at 1/8 is that of the first block there.

With a full tail, the large network has the figures of torchvision's: 3,221,538 parameters and 2.086
GMAC at 520x520 for 21 classes. The paper halves the tail for segmentation; so built, the network is
16 % (large) and 10 % (small) above the 1.51 M and 0.47 M parameters that its table is remembered to
give for 19 classes, and within 3 % of the 9.74 and 2.90 GMAC at 1024x2048. What is left out there
we do not know.
"""

from dataclasses import dataclass

from torch import Tensor, nn

from frugalseg.core.errors import unknown
from frugalseg.models.layers import conv, resize
from frugalseg.models.mobilenetv3 import BACKBONES, MobileNetV3
from frugalseg.models.network import Network
from frugalseg.models.settings import check_choice, check_whole, check_width

TAILS = ("half", "full")
ACTS = ("hard_swish", "relu")
HEADS = (8, 512)


@dataclass(frozen=True, slots=True, kw_only=True)
class LRASPPConfig:
    """Shape of an LR-ASPP; the defaults are the paper's for segmentation.

    `backbone` is "mobilenetv3-large" or "mobilenetv3-small", `width` scales its channels, `tail`
    says whether its last stage has half its channels or all, and `head` is the number of
    channels between encoder and scores. `act="relu"` is a deploy variant with weights of the same
    names: a ReLU disappears into its convolution, a hard swish is an operator with a copy of
    the map.
    """

    num_classes: int
    channels: int = 3
    width: float = 1.0
    backbone: str = "mobilenetv3-large"
    tail: str = TAILS[0]
    head: int = 128
    act: str = ACTS[0]

    def __post_init__(self) -> None:
        check_width(self.width)
        if self.backbone not in BACKBONES:
            raise unknown("backbone", str(self.backbone), BACKBONES)
        for name, known in (("tail", TAILS), ("act", ACTS)):
            check_choice(name, getattr(self, name), known)
        check_whole("head", self.head, HEADS)


class LRASPP(Network):
    """MobileNetV3 and the smallest decoder that joins two of its maps."""

    pads_same = True

    def __init__(self, config: LRASPPConfig) -> None:
        super().__init__()
        self.num_classes, self.channels = config.num_classes, config.channels
        self.encoder = MobileNetV3(
            config.channels,
            config.backbone,
            width=config.width,
            half_tail=config.tail == "half",
            swish=config.act == "hard_swish",
        )
        c_fine, c_coarse = self.encoder.c_fine, self.encoder.c_coarse
        self.mix = conv(c_coarse, config.head, 1)
        self.weigh = nn.Sequential(nn.Conv2d(c_coarse, config.head, 1, bias=False), nn.Sigmoid())
        self.classify_fine = nn.Conv2d(c_fine, config.num_classes, 1)
        self.classify_coarse = nn.Conv2d(config.head, config.num_classes, 1)

    def native(self, image_NCHW: Tensor) -> Tensor:
        """Return logits at an eighth, (N, classes, ceil(H / 8), ceil(W / 8))."""
        fine, coarse = self.encoder(image_NCHW)
        weighed = self.mix(coarse) * self.weigh(coarse.mean((2, 3), keepdim=True))
        scores = self.classify_coarse(resize(weighed, fine.shape[-2:]))
        logits: Tensor = self.classify_fine(fine) + scores
        return logits
