"""Random segmentation networks, as lines of `imx500_nets`: one for each seed."""

import random

SIZES = (
    (128, 128), (160, 224), (192, 256), (240, 320), (256, 256), (256, 320), (288, 512),
    (320, 320), (320, 480), (360, 480), (384, 512), (480, 480), (480, 640), (176, 240),
    (150, 200), (225, 301), (243, 181),
)  # fmt: skip
STEMS = (8, 12, 16, 24, 32)
NARROW = 16
WIDTHS = ((16, 24, 32), (24, 32, 40, 48), (48, 64, 80, 96), (96, 128, 160))
SLIM = ((8, 12, 16), (8, 12, 16), (12, 16), (12, 16))
CURVES = ("relu", "relu", "relu", "relu6", "hardswish", "silu")
FRUGAL = (12, 32, 64, 128)  # channels of a frugalnet of width 1
FRUGAL_WIDTHS = (0.25, 0.3, 0.4, 0.5, 0.6, 0.75, 1.0, 1.25, 1.5)
SELDOM = 0.1


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

    Every fifth is a frugalnet of some width; every sixth narrow one has 16 channels at most.

    >>> draw(7) == draw(7), draw(7) == draw(8)
    (True, False)
    """
    rng = random.Random(seed)
    pen = Pen(rng, rng.choice(SIZES))
    if rng.random() < 0.2:  # noqa: PLR2004
        _frugal(pen)
        return " > ".join(pen.steps)
    curve = rng.choice(CURVES)
    pen.conv(rng.choice(STEMS if narrow else STEMS[2:]), curve, 2)
    if rng.random() < SELDOM:
        pen.step("max k3 s2 p1", stride=2)
    slim = narrow and rng.random() < 0.17  # noqa: PLR2004
    maps = []
    for widths in (SLIM if slim else WIDTHS)[: rng.choice((3, 4, 4))]:
        stride = 1 if pen.size[0] <= NARROW or (maps and rng.random() < SELDOM) else 2
        stage = rng.choice((_inverted, _inverted, _basic, _bottleneck))
        channels = rng.choice(widths)
        if not narrow and (not maps or (stage is _bottleneck and channels <= 2 * NARROW)):
            stage = _inverted
        stage(pen, channels, stride, curve)
        maps.append(pen.place())
    rng.choice((_plain, _pyramid, _unet, _unet, _fpn, _aspp))(pen, maps)
    _head(pen)
    return " > ".join(pen.steps)


def _frugal(pen: Pen) -> None:
    """Write what `frugalseg.models.frugalnet` builds, at some width and depth."""
    width, depth, ends = pen.rng.choice(FRUGAL_WIDTHS), pen.rng.choice((1, 1, 2)), []
    half, quarter, eighth, last = (_scaled(channels * width) for channels in FRUGAL)
    pen.conv(half, "bn", 2)
    for channels, dilations in (
        (quarter, (1,)),
        (eighth, (1, 2, 1)[: 1 + depth]),
        (last, (1, 2, 4, 8) * depth),
    ):
        pen.conv(channels, "bn", 2)
        for dilation in dilations:
            _residual(pen, max(4, channels // 2), dilation)
        ends.append(pen.place())
    pen.step("gap")
    pen.conv(last, "k1 linear")
    everywhere = pen.name()
    pen.back(ends[-1])
    pen.step(f"add {everywhere}")
    pen.step("relu")
    for place in ends[-2:-4:-1] if pen.rng.random() < 0.7 else ends[-2:-3:-1]:  # noqa: PLR2004
        above = pen.place()
        pen.back(place)
        pen.conv(place[1], "k1 bn linear")
        fine = pen.name()
        pen.back(above)
        pen.conv(place[1], "k1 bn linear")
        _grow(pen, place[2], "")
        pen.step(f"add {fine}")
        pen.step("relu")
        pen.conv(place[1], "bn")
    pen.conv(pen.rng.randint(2, 21), "k1 linear")


def _scaled(wanted: float) -> int:
    step = 4 if wanted < NARROW else 8
    return max(step, round(wanted / step) * step)


def _residual(pen: Pen, inner: int, dilation: int, groups: int = 1) -> None:
    before = pen.place()
    words = f"{f'd{dilation} ' if dilation > 1 else ''}{f'g{groups} ' if groups > 1 else ''}bn"
    pen.conv(inner, "k1 bn")
    pen.conv(inner, words)
    pen.conv(before[1], "k1 bn linear")
    pen.step(f"add {before[0]}")
    pen.step("relu")


def _inverted(pen: Pen, channels: int, stride: int, curve: str) -> None:
    expand, kernel = pen.rng.choice((2, 3, 4, 6)), pen.rng.choice((3, 3, 5))
    squeeze = pen.rng.random() < SELDOM
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
    groups = pen.rng.choice((2, 4)) if pen.rng.random() < SELDOM and channels > NARROW else 1
    for _ in range(pen.rng.choice((1, 2, 3))):
        _residual(pen, channels // 2, pen.rng.choice((1, 1, 2, 4)), groups)


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
    transposed = pen.rng.random() < 0.3  # noqa: PLR2004
    for place in reversed(maps[:-1]):
        if transposed and place[2] == (2 * pen.size[0], 2 * pen.size[1]):
            pen.step(f"up {width}", width)
            pen.size = place[2]
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
