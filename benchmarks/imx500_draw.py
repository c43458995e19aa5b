"""Random segmentation networks, as lines of `imx500_nets`: one for each seed."""

import random

SIZES = (
    (128, 128), (160, 224), (192, 256), (240, 320), (256, 256), (256, 320), (288, 512),
    (320, 320), (320, 480), (360, 480), (384, 512), (480, 480), (480, 640),
)  # fmt: skip
STEMS = (8, 12, 16, 24, 32)
NARROW = 16
WIDTHS = ((16, 24, 32), (24, 32, 40, 48), (48, 64, 80, 96), (96, 128, 160))
CURVES = ("relu", "relu", "relu", "relu6", "hardswish", "silu")


class Pen:
    """Writes steps, and knows the channels and the size of what it wrote last."""

    def __init__(self, rng: random.Random, size: tuple[int, int]) -> None:
        self.rng = rng
        self.steps = [f"3x{size[0]}x{size[1]}"]
        self.size, self.channels = size, 3
        self.names = 0

    def step(self, text: str, channels: int | None = None, stride: int = 1) -> None:
        """Add a step."""
        self.steps.append(text)
        self.channels = channels or self.channels
        self.size = (-(-self.size[0] // stride), -(-self.size[1] // stride))

    def name(self) -> str:
        """Give the last step a name, unless it has one."""
        label, colon, _ = self.steps[-1].partition(":")
        if colon:
            return label
        self.names += 1
        self.steps[-1] = f"n{self.names}: {self.steps[-1]}"
        return f"n{self.names}"

    def back(self, place: tuple[str, int, tuple[int, int]]) -> None:
        """Go on from a place."""
        name, self.channels, self.size = place
        self.steps.append(f"@{name}")

    def place(self) -> tuple[str, int, tuple[int, int]]:
        """Remember where we are."""
        return self.name(), self.channels, self.size

    def conv(self, channels: int, rest: str = "", stride: int = 1) -> None:
        """Add a convolution."""
        words = f"conv {channels} {f's{stride} ' if stride > 1 else ''}{rest}"
        self.step(words.strip(), channels, stride)


def draw(seed: int, *, narrow: bool = False) -> str:
    """Draw a network; `narrow` ones may have dense 3x3 convolutions on 16 channels or fewer.

    >>> draw(7) == draw(7), draw(7) == draw(8)
    (True, False)
    """
    rng = random.Random(seed)
    pen = Pen(rng, rng.choice(SIZES))
    curve = rng.choice(CURVES)
    pen.conv(rng.choice(STEMS if narrow else STEMS[2:]), curve, 2)
    if rng.random() < 0.1:  # noqa: PLR2004
        pen.step("max k3 s2 p1", stride=2)
    maps = []
    for widths in WIDTHS[: rng.choice((3, 4, 4))]:
        stride = 1 if pen.size[0] <= 16 or (maps and rng.random() < 0.1) else 2  # noqa: PLR2004
        stage = rng.choice((_inverted, _inverted, _basic, _bottleneck))
        channels = rng.choice(widths)
        if not narrow and (not maps or (stage is _bottleneck and channels <= 2 * NARROW)):
            stage = _inverted
        stage(pen, channels, stride, curve)
        maps.append(pen.place())
    rng.choice((_plain, _pyramid, _unet, _fpn, _aspp))(pen, maps)
    _head(pen)
    return " > ".join(pen.steps)


def _inverted(pen: Pen, channels: int, stride: int, curve: str) -> None:
    expand, kernel = pen.rng.choice((2, 3, 4, 6)), pen.rng.choice((3, 3, 5))
    squeeze = pen.rng.random() < 0.05  # noqa: PLR2004
    for number in range(pen.rng.choice((1, 2, 3))):
        step = stride if number == 0 else 1
        before = pen.place()
        pen.conv(before[1] * expand, f"k1 bn {curve}")
        pen.step(f"dw k{kernel}{f' s{step}' if step > 1 else ''} bn {curve}", stride=step)
        if squeeze:
            _squeeze(pen)
        pen.conv(channels, "k1 bn linear")
        if step == 1 and before[1] == channels:
            pen.step(f"add {before[0]}")


def _squeeze(pen: Pen) -> None:
    whole = pen.place()
    pen.step("gap")
    pen.conv(max(8, whole[1] // 4), "k1")
    pen.conv(whole[1], "k1 sigmoid")
    gate = pen.name()
    pen.back(whole)
    pen.step(f"mul {gate}")


def _basic(pen: Pen, channels: int, stride: int, curve: str) -> None:
    for number in range(pen.rng.choice((1, 2))):
        step = stride if number == 0 else 1
        before = pen.place()
        if step == 1 and before[1] == channels:
            pen.conv(channels, f"bn {curve}")
            pen.conv(channels, "bn linear")
            pen.step(f"add {before[0]}")
            pen.step("relu")
        elif pen.rng.random() < 0.3:  # noqa: PLR2004
            pen.conv(channels, "k1 bn linear", step)
            shortcut = pen.name()
            pen.back(before)
            pen.conv(channels, f"bn {curve}", step)
            pen.conv(channels, "bn linear")
            pen.step(f"add {shortcut}")
            pen.step("relu")
        else:
            pen.conv(channels, f"bn {curve}", step)
            pen.conv(channels, f"bn {curve}")


def _bottleneck(pen: Pen, channels: int, stride: int, _curve: str) -> None:
    pen.conv(channels, "bn", stride)
    for _ in range(pen.rng.choice((1, 2, 3))):
        before, dilation = pen.place(), pen.rng.choice((1, 1, 2, 4))
        pen.conv(channels // 2, "k1 bn")
        pen.conv(channels // 2, f"d{dilation} bn" if dilation > 1 else "bn")
        pen.conv(channels, "k1 bn linear")
        pen.step(f"add {before[0]}")
        pen.step("relu")


def _plain(pen: Pen, _maps: list) -> None:
    pen.conv(pen.rng.choice((32, 48, 64)), "bn")


def _grow(pen: Pen, size: tuple[int, int], mode: str) -> None:
    if pen.size != size:
        pen.step(f"resize {size[0]}x{size[1]}{mode}")
        pen.size = size


def _mode(pen: Pen) -> str:
    return pen.rng.choice(("", "", " nearest"))


def _pyramid(pen: Pen, _maps: list) -> None:
    whole, mode, width = pen.place(), _mode(pen), pen.rng.choice((8, 16, 32))
    pen.step("gap")
    pen.size = (1, 1)
    pen.conv(width, "k1")
    _grow(pen, whole[2], mode)
    parts = [pen.name()]
    for bins in (2, 4):
        if whole[2][0] % bins == 0 and whole[2][1] % bins == 0:
            pen.back(whole)
            sides = (whole[2][0] // bins, whole[2][1] // bins)
            pen.step(f"avg k{sides[0]}x{sides[1]}")
            pen.size = (bins, bins)
            pen.conv(width, "k1")
            _grow(pen, whole[2], mode)
            parts.append(pen.name())
    pen.back(whole)
    pen.step("cat " + " ".join(parts), whole[1] + width * len(parts))
    pen.conv(pen.rng.choice((32, 48, 64)), "bn")


def _unet(pen: Pen, maps: list) -> None:
    width, mode = pen.rng.choice((32, 48, 64)), _mode(pen)
    for place in reversed(maps[:-1]):
        _grow(pen, place[2], mode)
        pen.step(f"cat {place[0]}", pen.channels + place[1])
        pen.conv(width, "bn")


def _fpn(pen: Pen, maps: list) -> None:
    width, mode, curve = pen.rng.choice((24, 32, 48, 64)), _mode(pen), pen.rng.random() < 0.5  # noqa: PLR2004
    pen.conv(width, "k1 bn linear")
    for place in reversed(maps[:-1]):
        above = pen.place()
        pen.back(place)
        pen.conv(width, "k1 bn linear")
        lateral = pen.name()
        pen.back(above)
        _grow(pen, place[2], mode)
        pen.step(f"add {lateral}")
        if curve:
            pen.step("relu")
            pen.conv(width, "bn")


def _aspp(pen: Pen, _maps: list) -> None:
    whole, width = pen.place(), pen.rng.choice((32, 48, 64))
    parts = []
    for words in ("k1 bn", "d2 bn", "d4 bn"):
        pen.back(whole)
        pen.conv(width, words)
        parts.append(pen.name())
    pen.step("cat " + " ".join(parts[:-1]), width * len(parts))
    pen.conv(width, "k1 bn")


def _head(pen: Pen) -> None:
    classes, mode = pen.rng.randint(2, 21), _mode(pen)
    head = pen.rng.choice(("low", "low", "x2", "full", "argmax_low", "argmax_full"))
    pen.conv(classes, "k1 linear")
    height, width = map(int, pen.steps[0].split("x")[1:])
    if head == "x2":
        _grow(pen, (2 * pen.size[0], 2 * pen.size[1]), mode)
    if head in {"full", "argmax_full"}:
        _grow(pen, (height, width), mode)
    if head.startswith("argmax"):
        pen.step("argmax", 1)
