"""What all of the belt scenes are drawn from: noise, outlines, creases, relief and light.

Everything is in linear light, white paper near 0.8; the camera turns it into pixels at the end.
Heights are in pixels, so that a slope is a slope at every size.
"""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

Rng = np.random.Generator
Field = NDArray[np.floating[Any]]  # (H, W), float32
Picture = NDArray[np.floating[Any]]  # (3, H, W), or (3, 1, 1) for one colour
Points = NDArray[np.float64]  # (n, 2)

FINE = 4  # outlines are drawn this many times larger, then averaged
GRAIN = 3  # noise finer than this many pixels need not be smooth
AMBIENT = 0.3  # share of the light that has no direction


@dataclass(frozen=True, slots=True, kw_only=True)
class Light:
    """Where the lamp is (a unit vector, z towards the camera) and where the hall is bright."""

    x: float
    y: float
    z: float
    phase: float

    @classmethod
    def draw(cls, rng: Rng) -> Self:
        """Hang the lamp somewhere above the belt."""
        turn, tilt = rng.uniform(0, 2 * np.pi), rng.uniform(0.45, 0.95)
        flat = np.sin(tilt)
        return cls(
            x=float(flat * np.cos(turn)),
            y=float(flat * np.sin(turn)),
            z=float(np.cos(tilt)),
            phase=float(rng.uniform(0, 2 * np.pi)),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Patch:
    """A square of the canvas seen in its object's own axes: `u` along it and `v` across."""

    u: Field
    v: Field
    reach: float  # the object stays within this many pixels of the centre
    angle: float

    @classmethod
    def of(cls, reach: float, angle: float) -> Self:
        """Lay the axes at `angle` around the centre; a rim is left for shadows."""
        half = int(np.ceil(1.08 * reach)) + 4
        line = np.arange(-half, half + 1, dtype=np.float32)
        cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
        x, y = line[None, :], line[:, None]
        return cls(u=x * cos + y * sin, v=y * cos - x * sin, reach=reach, angle=angle)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.u.shape[0], self.u.shape[1]

    def mask(self, outline: Points, holes: tuple[Points, ...] = ()) -> Field:
        """Coverage of a polygon given in (u, v), with smooth edges."""
        side = self.shape[0]
        sheet = Image.new("L", (side * FINE, side * FINE))
        pen = ImageDraw.Draw(sheet)
        for points, ink in ((outline, 255), *((hole, 0) for hole in holes)):
            pen.polygon([(float(x), float(y)) for x, y in self._on_sheet(points)], fill=ink)
        return np.asarray(sheet.reduce(FINE), dtype=np.float32) / 255

    def _on_sheet(self, points: Points) -> Points:
        cos, sin = np.cos(self.angle), np.sin(self.angle)
        turned: Points = points @ np.array([[cos, sin], [-sin, cos]])
        return (turned + self.shape[0] / 2) * FINE


def chance(rng: Rng, share: float) -> bool:
    """Toss a coin that falls on its head with this probability."""
    return bool(rng.random() < share)


def choose(rng: Rng, table: tuple[tuple[float, float, float], ...]) -> Picture:
    """Pick a colour of a table."""
    return np.array(table[rng.integers(len(table))], dtype=np.float32).reshape(3, 1, 1)


def noise(rng: Rng, shape: tuple[int, int], cell: tuple[float, float]) -> Field:
    """Smooth noise within about -1..1, whose bumps are `cell` (rows, columns) apart."""
    rows, columns = (int(s / max(c, 1.0)) + 2 for s, c in zip(shape, cell, strict=True))
    grid = rng.uniform(-1, 1, (rows, columns)).astype(np.float32)
    smooth = Image.Resampling.BICUBIC if min(cell) > GRAIN else Image.Resampling.BILINEAR
    return np.asarray(Image.fromarray(grid).resize(shape[::-1], smooth))


def cloud(rng: Rng, shape: tuple[int, int], cell: float) -> Field:
    """Noise with coarse and fine bumps, within about -1..1."""
    fine = cell / 3
    return 0.65 * noise(rng, shape, (cell, cell)) + 0.3 * noise(rng, shape, (fine, fine))


def soft(field: Field, radius: float) -> Field:
    """Blur a field of 0..1."""
    picture = Image.fromarray(np.clip(field * 255 + 0.5, 0, 255).astype(np.uint8))
    blurred = picture.filter(ImageFilter.GaussianBlur(radius))
    return np.asarray(blurred, dtype=np.float32) / 255


def step(field: Field, edge: float, width: float) -> Field:
    """Go from 0 to 1 around `edge` within `width`; a negative width goes from 1 to 0."""
    share: Field = np.clip((field - edge) / width + 0.5, 0, 1, dtype=np.float32)
    return share


def band(field: Field, low: float, high: float, width: float = 1.0) -> Field:
    """Be 1 between `low` and `high` and 0 elsewhere, with smooth edges."""
    return step(field, low, width) * step(field, high, -width)


def mix(under: Picture, over: Picture, share: Field) -> Picture:
    """Lay a picture or one colour over a picture, where `share` (H, W) is 1."""
    mixed = over - under
    mixed *= share
    mixed += under
    return mixed


def creases(rng: Rng, patch: Patch, count: int, slope: float) -> Field:
    """Height of a sheet folded along `count` lines: flat facets with sharp edges between."""
    shift = noise(rng, patch.shape, (patch.reach / 2, patch.reach / 2)) * (0.12 * patch.reach)
    height = np.zeros(patch.shape, dtype=np.float32)
    for _ in range(count):
        turn, offset = rng.uniform(0, np.pi), rng.uniform(-0.7, 0.7) * patch.reach
        across = patch.u * np.float32(np.cos(turn)) + patch.v * np.float32(np.sin(turn))
        height += np.abs(across + shift - offset) * np.float32(
            slope * rng.uniform(0.3, 1) * rng.choice((-1, 1))
        )
    return height


def normals(height: Field) -> tuple[Field, Field, Field]:
    """Unit normals (x, y, z) of a height field."""
    down, right = np.empty_like(height), np.empty_like(height)
    down[1:-1], down[0], down[-1] = (height[2:] - height[:-2]) / 2, 0, 0
    right[:, 1:-1], right[:, 0], right[:, -1] = (height[:, 2:] - height[:, :-2]) / 2, 0, 0
    z = 1 / np.sqrt(1 + down * down + right * right)
    return -right * z, -down * z, z


def diffuse(height: Field, light: Light) -> Field:
    """Brightness of a matt surface; 1 where it lies flat."""
    x, y, z = normals(height)
    lit = np.clip(x * light.x + y * light.y + z * light.z, 0, None) / light.z
    brightness: Field = AMBIENT + (1 - AMBIENT) * lit
    return brightness


def gloss(height: Field, light: Light, sharpness: float) -> Field:
    """Brightness of the lamp mirrored in a surface; 1 in the centre of its image."""
    x, y, z = normals(height)
    towards = 2 * z * (x * light.x + y * light.y + z * light.z) - light.z
    brightness: Field = np.clip(towards, 0, 1) ** np.float32(sharpness)
    return brightness


def mirror(height: Field, light: Light) -> Field:
    """Brightness of a metal surface: the hall mirrored, with dark corners and bright lamps."""
    x, y, z = normals(height)
    hall = np.sin(5.0 * z * x + light.phase) * np.cos(4.0 * z * y - light.phase)
    sky = np.clip(z, 0, 1) ** 3
    return np.clip(0.1 + 0.22 * sky + 0.2 * hall, 0.03, None) + 1.3 * gloss(height, light, 14)


def blob(rng: Rng, reach: float, *, flat: float, rough: float, corners: int = 72) -> Points:
    """Outline a round thing: `flat` is its width by its length; few corners are angular."""
    turn = (np.arange(corners) + rng.uniform(-0.4, 0.4, corners)) * (2 * np.pi / corners)
    radius = np.ones_like(turn)
    for k in range(2, 9):
        radius += rough * rng.uniform(-1, 1) / np.sqrt(k) * np.cos(k * turn + rng.uniform(0, 6.3))
    radius *= reach / radius.max()
    return np.stack([radius * np.cos(turn), flat * radius * np.sin(turn)], axis=1)


def tear(rng: Rng, corners: Points, rough: float, torn: float = 0.5) -> Points:
    """Outline a sheet by its corners; a side is torn with probability `torn`."""
    sides = []
    for start, end in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        along = np.linspace(0, 1, 16, endpoint=False)[:, None]
        jag = rng.normal(0, rough * (1.0 if chance(rng, torn) else 0.08), (16, 2))
        drift = np.cumsum(jag, axis=0) * np.sin(np.pi * along)  # the corners stay
        sides.append(start + (end - start) * along + 0.4 * jag + 0.6 * drift)
    return np.concatenate(sides)


def rectangle(half_u: float, half_v: float) -> Points:
    """Corners of a rectangle around the centre."""
    return np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]], dtype=np.float64) * (half_u, half_v)
