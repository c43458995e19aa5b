"""What every network of the catalog is, and the few layers that they share.

Shape letters: N batch, C channels, H W image size, h w a reduced size.
"""

from abc import abstractmethod
from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F


class Network(nn.Module):
    """A segmentation network: scores for each class at a native, often reduced, size.

    What is deployed is `native`; the last resizing belongs to whoever uses the scores, so that
    a device need not hold them at full size.
    """

    num_classes: int
    channels: int

    @abstractmethod
    def native(self, image_NCHW: Tensor) -> Tensor:
        """Return logits at the native size, (N, classes, h, w)."""

    def outputs(self, image_NCHW: Tensor) -> list[Tensor]:
        """Return what the loss sees: native logits first, then those of auxiliary heads."""
        return [self.native(image_NCHW)]

    def forward(self, image_NCHW: Tensor) -> Tensor:
        """Return logits at the size of the image, (N, classes, H, W)."""
        return resize(self.native(image_NCHW), image_NCHW.shape[-2:])


def resize(x_NChw: Tensor, size: Sequence[int]) -> Tensor:
    """Resize bilinearly with half-pixel centres, as every engine does; no-op if it fits."""
    if tuple(x_NChw.shape[-2:]) == tuple(size):
        return x_NChw
    return F.interpolate(x_NChw, size=list(size), mode="bilinear", align_corners=False)


class SameConv(nn.Conv2d):
    """A 3x3 convolution that pads as TensorFlow's SAME does.

    Stride 2 on an even side pads one pixel at the end only. Symmetric padding, PyTorch's habit,
    costs the exported file a PAD operator with a copy of the tensor, and with it peak memory.
    """

    def __init__(
        self, c_in: int, c_out: int, *, stride: int = 1, dilation: int = 1, groups: int = 1
    ) -> None:
        super().__init__(
            c_in, c_out, 3, stride=stride, dilation=dilation, groups=groups, bias=False
        )

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Return (N, C_out, ceil(H / stride), ceil(W / stride))."""
        edge = self.dilation[0]
        if self.stride[0] == 1:
            return self._conv(x_NCHW, (edge, edge))
        height, width = x_NCHW.shape[-2:]
        if height % 2 and width % 2:
            return self._conv(x_NCHW, (1, 1))
        padding = (width % 2, 1, height % 2, 1)  # left, right, top, bottom
        return self._conv(F.pad(x_NCHW, padding), (0, 0))

    def _conv(self, x_NCHW: Tensor, padding: tuple[int, int]) -> Tensor:
        return F.conv2d(
            x_NCHW, self.weight, self.bias, self.stride, padding, self.dilation, self.groups
        )


def conv3x3(c_in: int, c_out: int, *, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    """Build 3x3 convolution, batch norm, ReLU."""
    return nn.Sequential(
        SameConv(c_in, c_out, stride=stride, dilation=dilation),
        nn.BatchNorm2d(c_out),
        nn.ReLU(inplace=True),
    )


def conv1x1(c_in: int, c_out: int, *, relu: bool = True) -> nn.Sequential:
    """Build 1x1 convolution, batch norm and, unless it is linear, ReLU."""
    layers = [nn.Conv2d(c_in, c_out, 1, bias=False), nn.BatchNorm2d(c_out)]
    return nn.Sequential(*layers, *([nn.ReLU(inplace=True)] if relu else []))
