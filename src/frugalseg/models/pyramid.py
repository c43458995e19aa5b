"""Pooling to several sizes: what a network sees of the whole picture.

DAPPM is the Deep Aggregation Pyramid Pooling Module of DDRNet (Hong, Pan, Sun, Jia 2021, arXiv
2101.06085), PAPPM its parallel form in PIDNet (Xu, Xiong, Bhattacharyya 2022, arXiv 2206.02066).
Norm and ReLU stand before each convolution in both.

One departure: a window that sticks out over the edge averages the pixels that are there, and lies
where SAME puts it. The authors' windows are centred, and count the zeros around the map as pixels.
Ours is an AVERAGE_POOL_2D; theirs would be a PAD and a VALID one, with a small map's means shrunk
to a fraction of what int8 can tell apart.
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from frugalseg.models.layers import SameConv, resize

WINDOWS = ((5, 2), (9, 4), (17, 8))  # kernel, stride; then the mean over all
SCALES = len(WINDOWS) + 2


def average_pool(x_NCHW: Tensor, kernel: int, stride: int) -> Tensor:
    """Return means over windows that SAME places, (N, C, ceil(H / stride), ceil(W / stride)).

    What lies outside of the map does not count. The kernel is at least as large as the stride.

    >>> average_pool(torch.arange(1.0, 6.0).reshape(1, 1, 1, 5), 3, 2).flatten().tolist()
    [1.5, 3.0, 4.5]
    """
    size = x_NCHW.shape[-2:]
    (high, top), (wide, left) = (_window(side, kernel, stride) for side in size)
    # Rounding up lets the last window stick out by one pixel more at the end, as SAME does. Where
    # one window covers all, nothing sticks out, and converters know the plain form best.
    return F.avg_pool2d(
        x_NCHW, (high, wide), stride, (top, left),
        ceil_mode=True, count_include_pad=max(size) <= stride,
    )  # fmt: skip


def _window(side: int, kernel: int, stride: int) -> tuple[int, int]:
    """Return the kernel, cut to a side that one window covers, and the padding before."""
    if side <= stride:
        return side, 0
    return kernel, ((-(-side // stride) - 1) * stride + kernel - side) // 2


def grid_means(x_NChw: Tensor, grid: int) -> Tensor:
    """Average over a grid of windows of one size that cover the map: (N, C, grid, grid).

    A side of fewer pixels than the grid is kept as it is.

    >>> grid_means(torch.tensor([[[[1.0, 2.0, 3.0, 4.0, 5.0]]]]), 2)
    tensor([[[[2., 4.]]]])
    """
    if grid == 1:
        return x_NChw.mean((2, 3), keepdim=True)
    sides = (window(int(side), grid) for side in x_NChw.shape[-2:])
    kernels, strides = zip(*sides, strict=True)
    return x_NChw if kernels == (1, 1) else F.avg_pool2d(x_NChw, kernels, strides)


def window(side: int, bins: int) -> tuple[int, int]:
    """Return kernel and stride that cut a side of so many pixels into bins.

    >>> window(33, 6), window(65, 6), window(33, 2), window(4, 6)
    ((8, 5), (15, 10), (17, 16), (1, 1))
    """
    bins = min(side, bins)
    stride = side // bins
    return side - (bins - 1) * stride, stride


def pool_all(x_NChw: Tensor) -> list[Tensor]:
    """Return the map at 1/2, 1/4, 1/8 of its size, and its mean."""
    means = [average_pool(x_NChw, kernel, stride) for kernel, stride in WINDOWS]
    return [*means, x_NChw.mean((2, 3), keepdim=True)]


def norm_first(c_in: int, c_out: int, kernel: int = 1, *, groups: int = 1) -> nn.Sequential:
    """Build batch norm, ReLU and a convolution without bias."""
    return nn.Sequential(
        nn.BatchNorm2d(c_in),
        nn.ReLU(inplace=True),
        SameConv(c_in, c_out, kernel, groups=groups),
    )


class DAPPM(nn.Module):
    """Five scales, each mixed with what came of the finer one before; joined, and a skip."""

    def __init__(self, c_in: int, inner: int, c_out: int) -> None:
        super().__init__()
        self.scales = nn.ModuleList(norm_first(c_in, inner) for _ in range(SCALES))
        self.mix = nn.ModuleList(norm_first(inner, inner, 3) for _ in range(SCALES - 1))
        self.join = norm_first(SCALES * inner, c_out)
        self.skip = norm_first(c_in, c_out)

    def forward(self, x_NChw: Tensor) -> Tensor:
        """Return (N, c_out, h, w)."""
        first, *coarse = narrowed(x_NChw, self.scales)
        maps = [first]
        for mix, scale in zip(self.mix, coarse, strict=True):
            maps.append(mix(scale + maps[-1]))
        out: Tensor = self.join(torch.cat(maps, 1)) + self.skip(x_NChw)
        return out


class PAPPM(nn.Module):
    """Five scales, the coarse ones mixed side by side in one grouped convolution."""

    def __init__(self, c_in: int, inner: int, c_out: int) -> None:
        super().__init__()
        coarse = SCALES - 1
        self.scales = nn.ModuleList(norm_first(c_in, inner) for _ in range(SCALES))
        self.mix = norm_first(coarse * inner, coarse * inner, 3, groups=coarse)
        self.join = norm_first(SCALES * inner, c_out)
        self.skip = norm_first(c_in, c_out)

    def forward(self, x_NChw: Tensor) -> Tensor:
        """Return (N, c_out, h, w)."""
        first, *coarse = narrowed(x_NChw, self.scales)
        mixed = self.mix(torch.cat([scale + first for scale in coarse], 1))
        out: Tensor = self.join(torch.cat([first, mixed], 1)) + self.skip(x_NChw)
        return out


def narrowed(x_NChw: Tensor, layers: Iterable[nn.Module]) -> list[Tensor]:
    """Return the map itself and its poolings, each through its layer, all at the map's size."""
    scales = [x_NChw, *pool_all(x_NChw)]
    size = x_NChw.shape[-2:]
    return [resize(layer(scale), size) for layer, scale in zip(layers, scales, strict=True)]
