"""Networks written as one line of text, for measuring and for the pairs that came of it.

    3x64x64 > a: conv 32 > conv 8 k1 out > @a > dw k5 s2 > add b

Steps are parted by ">". A step is an operator, its numbers and its words; it reads what the step
before it wrote, `@a` goes back to the step called `a`, and operators that join take further names.
A step marked `out`, and the last one, are outputs. Convolutions end in a ReLU unless another
activation is named (`linear` for none) and keep the size unless they have a stride or `p0`;
`pad 0 1 0 1` adds so many columns left and right, rows above and below.
Needs nothing but PyTorch, since it also runs in the environment of the converter.
"""

import re
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

ACTIVATIONS = {
    "relu": nn.ReLU,
    "relu6": nn.ReLU6,
    "silu": nn.SiLU,
    "hardswish": nn.Hardswish,
    "hardsigmoid": nn.Hardsigmoid,
    "sigmoid": nn.Sigmoid,
    "leaky": nn.LeakyReLU,
    "gelu": nn.GELU,
    "tanh": nn.Tanh,
}
JOINS = frozenset({"add", "cat", "mul", "sub"})
STEP = re.compile(r"(?:(\w+):\s*)?@?(\w+)(.*)")
OPTION = re.compile(r"([kspdg])(\d+)(?:x(\d+))?")


class Scale(nn.Module):
    """A product with one learned number, or with one for each channel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight_C11 = nn.Parameter(torch.ones(channels, 1, 1))

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Keep the shape."""
        return x_NCHW * self.weight_C11


class Net(nn.Module):
    """What a line says. `channels`, `height`, `width` are those of its input."""

    def __init__(self, line: str) -> None:
        super().__init__()
        size, *steps = (part.strip() for part in line.split(">"))
        self.channels, self.height, self.width = map(int, size.split("x"))
        self.layers = nn.ModuleDict()
        self.plan: list[tuple[str, str, list[str], Any]] = []
        self.results: list[str] = []
        self._channels = {"image": self.channels}
        last = "image"
        for number, step in enumerate(steps):
            label, kind, rest = STEP.fullmatch(step).groups()  # type: ignore[union-attr]
            if "@" in step:
                last = kind
                continue
            name = label or f"step{number}"
            words = rest.split()
            if "out" in words:
                self.results.append(name)
            self._append(name, kind, last, [word for word in words if word != "out"])
            last = name
        if last not in self.results:
            self.results.append(last)

    def forward(self, image_NCHW: Tensor) -> Any:
        """Return the outputs: one tensor, or several in a tuple."""
        values = {"image": image_NCHW}
        for name, kind, reads, setting in self.plan:
            read = [values[r] for r in reads]
            run = FUNCTIONS.get(kind)
            values[name] = run(read, setting) if run else self.layers[name](read[0])
        found = tuple(values[name] for name in self.results)
        return found if len(found) > 1 else found[0]

    def _append(self, name: str, kind: str, last: str, words: list[str]) -> None:
        reads, setting = [last], None
        channels = self._channels[last]
        if kind in {"conv", "dw", "up"}:
            self.layers[name], channels = _convolution(kind, channels, words)
        elif kind in ACTIVATIONS:
            self.layers[name] = ACTIVATIONS[kind]()
        elif kind in {"max", "avg", "gap"}:
            self.layers[name] = _pool(kind, words)
        elif kind == "scale":
            self.layers[name] = Scale(channels if "each" in words else 1)
        elif kind == "linear":
            self.layers[name], channels = nn.Linear(channels, int(words[0])), int(words[0])
        elif kind in JOINS:
            reads += words
            wide = [self._channels[r] for r in reads]
            channels = sum(wide) if kind == "cat" else max(wide)
        elif kind in {"pad", "resize"}:
            setting = _setting(kind, words)
        self._channels[name] = channels
        self.plan.append((name, kind, reads, setting))


def _setting(kind: str, words: list[str]) -> Any:
    if kind == "pad":
        return [int(word) for word in words]
    size = tuple(map(int, words[0].split("x")))
    return size, "nearest" if "nearest" in words else "bilinear"


def _resize(read: list[Tensor], setting: Any) -> Tensor:
    size, mode = setting
    corners = {} if mode == "nearest" else {"align_corners": False}
    return F.interpolate(read[0], size=size, mode=mode, **corners)


FUNCTIONS: dict[str, Callable[[list[Tensor], Any], Tensor]] = {
    "add": lambda read, _: torch.add(*read),
    "argmax": lambda read, _: torch.argmax(read[0], 1),
    "cat": lambda read, _: torch.cat(read, 1),
    "flatten": lambda read, _: torch.flatten(read[0], 1),
    "mul": lambda read, _: torch.mul(*read),
    "pad": lambda read, ends: F.pad(read[0], ends),
    "resize": _resize,
    "softmax": lambda read, _: torch.softmax(read[0], 1),
    "sub": lambda read, _: torch.sub(*read),
}


def _options(words: list[str]) -> dict[str, tuple[int, int]]:
    found = {}
    for word in words:
        if match := OPTION.fullmatch(word):
            letter, first, second = match.groups()
            found[letter] = (int(first), int(second or first))
    return found


def _convolution(kind: str, channels: int, words: list[str]) -> tuple[nn.Module, int]:
    given = _options(words)
    wide = channels if kind == "dw" else int(words[0])
    kernel = given.get("k", (2, 2) if kind == "up" else (3, 3))
    stride = given.get("s", kernel if kind == "up" else (1, 1))
    dilation = given.get("d", (1, 1))
    same = tuple(d * (k - 1) // 2 for k, d in zip(kernel, dilation, strict=True))
    groups = channels if kind == "dw" else given.get("g", (1, 1))[0]
    if kind == "up":
        padding = given.get("p", (0, 0))
        layer: nn.Module = nn.ConvTranspose2d(channels, wide, kernel, stride, padding)
    else:
        padding = given.get("p", same)
        layer = nn.Conv2d(
            channels, wide, kernel, stride, padding, dilation, groups, bias="nobias" not in words
        )
    norm = [nn.BatchNorm2d(wide)] if "bn" in words else []
    named = [word for word in words if word in ACTIVATIONS]
    act = [] if "linear" in words else [ACTIVATIONS[named[0] if named else "relu"]()]
    return nn.Sequential(layer, *norm, *act), wide


def _pool(kind: str, words: list[str]) -> nn.Module:
    if kind == "gap":
        return nn.AdaptiveAvgPool2d(1)
    given = _options(words)
    kernel = given.get("k", (2, 2))
    pool = {"max": nn.MaxPool2d, "avg": nn.AvgPool2d}[kind]
    return pool(kernel, given.get("s", kernel), given.get("p", (0, 0)))
