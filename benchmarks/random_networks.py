"""Random segmentation networks, for measuring estimates on what nobody designed.

A seed gives an encoder of mobile, ENet-like or plain blocks, a context block or none, and a
decoder that adds or concatenates: strided, dilated, grouped, depthwise and transposed
convolutions, five activations, pooling, squeeze and excite, two ways to resize.
"""

import random
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from frugalseg.core.inputs import InputSpec
from frugalseg.models.layers import SameConv, resize
from frugalseg.models.network import Network

ACTIVATIONS: tuple[Callable[[int], nn.Module], ...] = (
    lambda _: nn.ReLU(),
    lambda _: nn.ReLU6(),
    lambda _: nn.Hardswish(),
    nn.PReLU,
    lambda _: nn.Identity(),
)


class Add(nn.Module):
    """The input and what a branch makes of it, added; then perhaps an activation."""

    def __init__(self, branch: nn.Module, act: nn.Module) -> None:
        super().__init__()
        self.branch, self.act = branch, act

    def forward(self, x_NChw: Tensor) -> Tensor:
        """Keep the shape."""
        out: Tensor = self.act(x_NChw + self.branch(x_NChw))
        return out


class Gate(nn.Module):
    """Squeeze and excite."""

    def __init__(self, channels: int, gate: nn.Module) -> None:
        super().__init__()
        inner = max(4, channels // 4)
        self.squeeze = nn.Sequential(nn.Conv2d(channels, inner, 1), nn.ReLU())
        self.excite = nn.Sequential(nn.Conv2d(inner, channels, 1), gate)

    def forward(self, x_NChw: Tensor) -> Tensor:
        """Keep the shape."""
        return x_NChw * self.excite(self.squeeze(x_NChw.mean((2, 3), keepdim=True)))


class Pyramid(nn.Module):
    """The map beside means of it over windows, resized back, then a 1x1 convolution."""

    def __init__(self, channels: int, windows: tuple[int, ...]) -> None:
        super().__init__()
        self.windows = windows
        inner = max(4, channels // 4)
        self.branches = nn.ModuleList(conv(channels, inner, 1, nn.ReLU()) for _ in windows)
        self.mix = conv(channels + inner * len(windows), channels, 1, nn.ReLU())

    def forward(self, x_NChw: Tensor) -> Tensor:
        """Keep the shape."""
        size, maps = x_NChw.shape[-2:], [x_NChw]
        for window, branch in zip(self.windows, self.branches, strict=True):
            whole = window == 0
            pooled = x_NChw.mean((2, 3), keepdim=True) if whole else F.avg_pool2d(x_NChw, window)
            maps.append(resize(branch(pooled), size))
        out: Tensor = self.mix(torch.cat(maps, 1))
        return out


def conv(  # noqa: PLR0913 - the arguments of a convolution
    c_in: int,
    c_out: int,
    kernel: int | tuple[int, int],
    act: nn.Module,
    *,
    stride: int = 1,
    dilation: int = 1,
    groups: int = 1,
    same: bool = False,
) -> nn.Sequential:
    """Build convolution, batch norm, activation; `same` pads as TensorFlow does."""
    if same:
        first: nn.Module = SameConv(c_in, c_out, stride=stride, dilation=dilation, groups=groups)
    else:
        sides = (kernel, kernel) if isinstance(kernel, int) else kernel
        first = nn.Conv2d(
            c_in, c_out, sides, stride=stride, dilation=dilation, groups=groups, bias=False,
            padding=tuple(side // 2 * dilation for side in sides),
        )  # fmt: skip
    return nn.Sequential(first, nn.BatchNorm2d(c_out), act)


class RandomNetwork(Network):
    """Encoder, context, decoder, classifier; all drawn."""

    def __init__(self, draw: random.Random, channels: int) -> None:
        super().__init__()
        self.channels, self.num_classes = channels, draw.randint(1, 21)
        self.family = draw.choice(("mobile", "enet", "plain"))
        stages, width = draw.randint(2, 4), draw.choice((8, 12, 16, 20, 24))
        widths = [min(96, width << i if draw.random() < 0.7 else width + 8 * i)  # noqa: PLR2004
                  for i in range(stages)]  # fmt: skip
        inputs = [channels, *widths[:-1]]
        self.downs = nn.ModuleList(_down(draw, a, b) for a, b in zip(inputs, widths, strict=True))
        self.stages = nn.ModuleList(
            nn.Sequential(*(self._block(draw, c) for _ in range(draw.randint(0, 3))))
            for c in widths
        )
        self.context = _context(draw, widths[-1])
        self.merge = draw.choice(("add", "concatenate", "none"))
        coarse, fine = widths[:0:-1], widths[-2::-1]
        self.ups = nn.ModuleList(_up(draw, a, b) for a, b in zip(coarse, fine, strict=True))
        self.skips = nn.ModuleList(nn.Conv2d(c, c, 1) for c in fine)
        twice = 2 if self.merge == "concatenate" else 1
        self.mixes = nn.ModuleList(conv(c * twice, c, 3, _act(draw, c)) for c in fine)
        self.levels = draw.randint(1, stages - 1) if stages > 1 else 0
        last = fine[self.levels - 1] if self.levels else widths[-1]
        self.classify: nn.Module = nn.Conv2d(last, self.num_classes, draw.choice((1, 3)), padding=0)
        if draw.random() < 0.2:  # noqa: PLR2004
            self.classify = nn.ConvTranspose2d(last, self.num_classes, 2, stride=2)

    def native(self, image_NCHW: Tensor) -> Tensor:
        """Return logits at a size that the drawing decided."""
        maps = [image_NCHW]
        for down, stage in zip(self.downs, self.stages, strict=True):
            maps.append(stage(down(maps[-1])))
        x = self.context(maps[-1])
        for level in range(self.levels):
            fine = maps[-2 - level]
            x = resize(self.ups[level](x), fine.shape[-2:])
            if self.merge == "add":
                x = self.skips[level](fine) + x
            elif self.merge == "concatenate":
                x = torch.cat([x, fine], 1)
            x = self.mixes[level](x)
        logits: Tensor = self.classify(x)
        return logits

    def _block(self, draw: random.Random, c: int) -> nn.Module:
        act = _act(draw, c)
        match self.family:
            case "mobile":
                inner, kernel = c * draw.randint(1, 4), draw.choice((3, 3, 5))
                layers = [
                    conv(c, inner, 1, _act(draw, inner)),
                    conv(inner, inner, kernel, _act(draw, inner), groups=inner,
                         dilation=draw.choice((1, 1, 2))),
                    *([Gate(inner, draw.choice((nn.Sigmoid(), nn.Hardsigmoid())))]
                      if draw.random() < 0.3 else []),  # noqa: PLR2004
                    conv(inner, c, 1, nn.Identity()),
                ]  # fmt: skip
                return Add(nn.Sequential(*layers), nn.Identity())
            case "enet":
                inner = max(4, c // 4)
                middle = draw.choice((
                    [conv(inner, inner, 3, _act(draw, inner), dilation=draw.choice((1, 2, 4)))],
                    [nn.Conv2d(inner, inner, (1, 5), padding=(0, 2), bias=False),
                     conv(inner, inner, (5, 1), _act(draw, inner))],
                ))  # fmt: skip
                return Add(
                    nn.Sequential(conv(c, inner, 1, _act(draw, inner)), *middle,
                                  conv(inner, c, 1, nn.Identity())), act,
                )  # fmt: skip
        groups = draw.choice((1, 1, 2, 4))
        plain = conv(c, c, draw.choice((1, 3, 3, 5)), act, groups=groups)
        return Add(plain, nn.ReLU()) if draw.random() < 0.5 else plain  # noqa: PLR2004


def _act(draw: random.Random, channels: int) -> nn.Module:
    return draw.choices(ACTIVATIONS, (6, 3, 1, 1, 1))[0](channels)


def _down(draw: random.Random, c_in: int, c_out: int) -> nn.Module:
    act = _act(draw, c_out)
    match draw.choice(("same", "same", "strided", "max", "max3", "mean", "even")):
        case "same":
            return conv(c_in, c_out, 3, act, stride=2, same=True)
        case "strided":
            return conv(c_in, c_out, draw.choice((3, 5)), act, stride=2)
        case "max":
            return nn.Sequential(conv(c_in, c_out, 3, act), nn.MaxPool2d(2))
        case "max3":
            return nn.Sequential(conv(c_in, c_out, 3, act), nn.MaxPool2d(3, 2, 1))
        case "mean":
            return nn.Sequential(nn.AvgPool2d(2), conv(c_in, c_out, 3, act))
    return conv(c_in, c_out, 4, act, stride=2)


def _context(draw: random.Random, c: int) -> nn.Module:
    match draw.choice(("none", "gate", "pyramid", "mean")):
        case "gate":
            return Gate(c, nn.Sigmoid())
        case "pyramid":
            return Pyramid(c, draw.choice(((0,), (0, 2), (0, 2, 4))))
        case "mean":
            return Pyramid(c, (0,))
    return nn.Identity()


def _up(draw: random.Random, c_in: int, c_out: int) -> nn.Module:
    match draw.choice(("conv", "conv", "two", "four", "three")):
        case "two":
            return nn.ConvTranspose2d(c_in, c_out, 2, stride=2)
        case "four":
            return nn.ConvTranspose2d(c_in, c_out, 4, stride=2, padding=1)
        case "three":
            return nn.ConvTranspose2d(c_in, c_out, 3, stride=2, padding=1, output_padding=1)
    return conv(c_in, c_out, 1, _act(draw, c_out))


def settle(network: Network, seed: int) -> Network:
    """Give a fresh network numbers as training leaves them: none zero, no two the same.

    Converters write equal constants once, and fold those that change nothing.
    """
    chance = torch.Generator().manual_seed(seed)
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            for numbers, low, high in (
                (layer.weight, 0.5, 1.5), (layer.bias, -0.2, 0.2),
                (layer.running_mean, -0.2, 0.2), (layer.running_var, 0.5, 1.5),
            ):  # fmt: skip
                numbers.data.uniform_(low, high, generator=chance)
        elif isinstance(layer, nn.PReLU):
            layer.weight.data.uniform_(0.05, 0.4, generator=chance)
    for number in network.parameters():
        if number.numel() == 1:  # a factor that is 1 is left out
            number.data.uniform_(0.5, 0.9, generator=chance)
    return network.eval()


def random_network(seed: int) -> tuple[Network, InputSpec]:
    """Draw a network and the size of its input; the weights follow from the seed as well."""
    draw = random.Random(seed)
    unit = draw.choice((16, 16, 32))
    spec = InputSpec(
        height=unit * draw.randint(2, 6), width=unit * draw.randint(2, 6),
        channels=draw.choice((1, 3, 3)),
    )  # fmt: skip
    if draw.random() < 0.2:  # noqa: PLR2004
        spec = InputSpec(height=spec.height + 3, width=spec.width + 1, channels=spec.channels)
    torch.manual_seed(seed)
    return settle(RandomNetwork(draw, spec.channels), seed), spec
