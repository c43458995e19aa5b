"""What every network of the catalog is.

Shape letters: N batch, C channels, H W image size, h w a reduced size.
"""

from abc import abstractmethod
from typing import ClassVar, NamedTuple

from torch import Tensor, nn

from frugalseg.models.layers import resize


class Outputs(NamedTuple):
    """What the loss sees of a network. All but the scores exist for training alone.

    `scores` are the native logits, (N, classes, h, w), `auxiliary` those of further heads, each
    at a size of its own, and `boundary` logits for "an edge between classes", (N, 1, h, w).
    """

    scores: Tensor
    auxiliary: tuple[Tensor, ...] = ()
    boundary: Tensor | None = None


class Network(nn.Module):
    """A segmentation network: scores for each class at a native, often reduced, size.

    What is deployed is `native`; the last resizing belongs to whoever uses the scores, so that
    a device need not hold them at full size. `pads_same` says that windows are placed as those of
    `models.layers` and `models.pyramid`, so that one picture tells the shapes for any other.
    """

    pads_same: ClassVar[bool] = False
    num_classes: int
    channels: int

    @abstractmethod
    def native(self, image_NCHW: Tensor) -> Tensor:
        """Return logits at the native size, (N, classes, h, w)."""

    def outputs(self, image_NCHW: Tensor) -> Outputs:
        """Return what the loss sees: native logits, and those of heads for training."""
        return Outputs(self.native(image_NCHW))

    def forward(self, image_NCHW: Tensor) -> Tensor:
        """Return logits at the size of the image, (N, classes, H, W)."""
        return resize(self.native(image_NCHW), image_NCHW.shape[-2:])
