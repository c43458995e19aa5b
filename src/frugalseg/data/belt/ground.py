"""What is background in a belt scene: the belt itself, and the stray things that lie on it."""

import numpy as np

from frugalseg.data.belt.fields import (
    Field,
    Light,
    Patch,
    Picture,
    Rng,
    band,
    blob,
    chance,
    choose,
    cloud,
    creases,
    diffuse,
    gloss,
    mirror,
    mix,
    noise,
    rectangle,
    soft,
    step,
    tear,
)
from frugalseg.data.belt.objects import Thing

RUBBER = (
    (0.035, 0.036, 0.038), (0.050, 0.050, 0.052), (0.028, 0.030, 0.034), (0.075, 0.073, 0.070),
    (0.045, 0.055, 0.060), (0.030, 0.060, 0.048),
)  # fmt: skip
RUST = ((0.5, 0.25, 0.12), (0.4, 0.18, 0.07))
DIRT = ((0.16, 0.11, 0.07), (0.11, 0.09, 0.07), (0.20, 0.17, 0.13), (0.03, 0.025, 0.02))
STONE = ((0.30, 0.29, 0.27), (0.20, 0.19, 0.18), (0.42, 0.38, 0.33), (0.55, 0.54, 0.52))
WOOD = ((0.42, 0.28, 0.15), (0.30, 0.19, 0.10), (0.50, 0.40, 0.27), (0.25, 0.22, 0.19))
SHEATH = ((0.02, 0.02, 0.02), (0.6, 0.6, 0.58), (0.5, 0.06, 0.03), (0.05, 0.12, 0.4))
CLOTH = ((0.10, 0.13, 0.22), (0.35, 0.33, 0.30), (0.28, 0.07, 0.06), (0.09, 0.14, 0.09))


def belt(rng: Rng, shape: tuple[int, int], unit: float) -> Picture:
    """Draw an empty rubber belt that runs from left to right."""
    rows, columns = _grid(shape)
    lit = np.ones(shape, dtype=np.float32)
    lit += 0.16 * noise(rng, shape, (1.2, 1.6)) + 0.12 * noise(rng, shape, (2.5 * unit, 60 * unit))
    lit += 0.22 * cloud(rng, shape, 70 * unit)
    lit += _tread(rng, rows, columns, unit) + _seam(rng, rows, columns, unit)
    picture = choose(rng, RUBBER) * np.clip(lit, 0.2, None)
    picture = _scratched(rng, picture, rows, columns, unit)
    dust = step(cloud(rng, shape, 45 * unit), rng.uniform(0.05, 0.5), 0.7) * rng.uniform(0.1, 0.5)
    dust *= 0.6 + 0.5 * noise(rng, shape, (1.5, 2.5))
    picture = mix(picture, choose(rng, DIRT), dust)
    crumbs = step(noise(rng, shape, (2.2 * unit, 2.6 * unit)), rng.uniform(0.86, 1.3), 0.15)
    picture = mix(picture, choose(rng, (*DIRT, *STONE, (0.6, 0.6, 0.58))), crumbs * 0.7)
    return np.clip(picture, 0.004, None)


def rail(rng: Rng, picture: Picture, edge: float, unit: float) -> Picture:
    """Draw the steel guide above `edge` rows: bright metal that is not aluminum."""
    rows, columns = _grid(picture.shape[1:])
    brushed = 0.75 + 0.25 * noise(rng, picture.shape[1:], (1.2, 50 * unit))
    profile = 0.35 + 0.45 * np.exp(-(((rows - edge + 6 * unit) / (2.5 * unit)) ** 2))
    rust = step(cloud(rng, picture.shape[1:], 25 * unit), rng.uniform(0.2, 0.7), 0.4)
    steel = choose(rng, ((0.5, 0.5, 0.52), (0.28, 0.29, 0.3), (0.45, 0.36, 0.05)))
    metal = mix(steel * brushed, choose(rng, RUST) * 0.3, rust * 0.6) * (1.3 * profile)
    pitch = 46 * unit
    bolt = np.hypot((columns % pitch) - pitch / 2, rows - edge + 9 * unit)
    metal = mix(metal, metal * 0.3, band(bolt, -1, 2.6 * unit))
    shadow = 1 - 0.65 * step(rows, edge + 4 * unit, -9 * unit)
    return mix(picture * shadow, metal, step(rows, edge, -1.2))


def stone(rng: Rng, patch: Patch, light: Light, under: Picture) -> Thing:
    """Draw a stone or a lump of concrete."""
    cover = patch.mask(
        blob(rng, patch.reach * 0.9, flat=rng.uniform(0.6, 1), rough=0.12, corners=16)
    )
    share = np.clip(1.05 - (patch.u**2 + patch.v**2) / patch.reach**2, 0, None)
    height = 0.7 * patch.reach * np.sqrt(share) + creases(rng, patch, 5, 0.25)
    grain = 1 + 0.25 * noise(rng, patch.shape, (1.5, 1.5)) + 0.2 * cloud(rng, patch.shape, 8)
    color = choose(rng, STONE) * grain
    return Thing(picture=color * diffuse(height, light), cover=cover, lift=7)


def wood(rng: Rng, patch: Patch, light: Light, under: Picture) -> Thing:
    """Draw a broken slat with its grain."""
    half_v = patch.reach * rng.uniform(0.07, 0.2)
    corners = rectangle(patch.reach * 0.92, half_v) * rng.uniform(0.8, 1, (4, 2))
    cover = patch.mask(tear(rng, corners, 0.02 * patch.reach, torn=0.4))
    wave = noise(rng, patch.shape, (patch.reach, patch.reach))
    grain = np.sin(patch.v * (2 * np.pi / 3.1) + 4 * wave + 0.05 * patch.u)
    color = choose(rng, WOOD) * (1 + 0.16 * grain + 0.15 * wave)
    edge = 0.6 + 0.4 * band(patch.v, -0.8 * half_v, 0.75 * half_v, 2.0)
    return Thing(picture=color * edge, cover=cover, lift=4)


def cable(rng: Rng, patch: Patch, light: Light, under: Picture) -> Thing:
    """Draw a length of cable with a light along it."""
    along = np.linspace(-0.95, 0.95, 60)
    sway, pace = rng.uniform(0.1, 0.35), rng.uniform(2, 6)
    middle = np.stack([along, sway * np.sin(along * pace + rng.uniform(0, 6.3))], axis=1)
    side = np.gradient(middle, axis=0)[:, ::-1] * (-1, 1)
    side /= np.linalg.norm(side, axis=1, keepdims=True)
    middle *= patch.reach
    width = max(1.1, patch.reach * rng.uniform(0.025, 0.045))
    cover, light_line = (
        patch.mask(np.concatenate([middle + side * w, (middle - side * w)[::-1]]))
        for w in (width, 0.3 * width)
    )
    tone = choose(rng, SHEATH)
    return Thing(picture=mix(under * 0 + tone, tone * 1.6 + 0.12, light_line), cover=cover, lift=3)


def rag(rng: Rng, patch: Patch, light: Light, under: Picture) -> Thing:
    """Draw a textile: soft folds and a weave."""
    cover = patch.mask(blob(rng, patch.reach * 0.92, flat=rng.uniform(0.5, 0.9), rough=0.3))
    height = noise(rng, patch.shape, (patch.reach / 2, patch.reach / 4)) * (0.22 * patch.reach)
    weave = np.sin(patch.u * 2.4) * np.sin(patch.v * 2.4)
    color = choose(rng, CLOTH) * (1 + 0.22 * weave)
    return Thing(picture=color * diffuse(height, light), cover=cover, lift=3)


def scrap(rng: Rng, patch: Patch, light: Light, under: Picture) -> Thing:
    """Draw a piece of dull sheet steel or grey board: flat, straight edges, some rust."""
    corners = rectangle(patch.reach * 0.75, patch.reach * rng.uniform(0.25, 0.6))
    cover = patch.mask(tear(rng, corners * rng.uniform(0.6, 1, (4, 2)), 0.2))
    height = creases(rng, patch, 1, 0.5)
    height += noise(rng, patch.shape, (patch.reach / 2, patch.reach / 2)) * (0.03 * patch.reach)
    rust = step(cloud(rng, patch.shape, patch.reach / 2), 0.1, 0.5)
    steel = 0.25 * mirror(height, light) + 0.1 * diffuse(height, light)
    picture = mix(steel, choose(rng, ((0.22, 0.10, 0.05), (0.16, 0.14, 0.12))), rust * 0.8)
    return Thing(picture=picture, cover=cover, lift=3)


def puddle(rng: Rng, patch: Patch, light: Light, under: Picture) -> Thing:
    """Draw a wet place on the belt: dark, with lights that look like film."""
    cover = patch.mask(blob(rng, patch.reach * 0.9, flat=rng.uniform(0.4, 0.9), rough=0.35))
    height = cloud(rng, patch.shape, patch.reach / 2) * (0.1 * patch.reach)
    lights = 0.35 * gloss(height, light, 12) + 0.03
    return Thing(picture=under * 0.6 + lights, cover=soft(cover, 1.5), lift=0)


def soil(rng: Rng, thing: Thing) -> Thing:
    """Dirty a thing: specks everywhere, smears in places."""
    shape = thing.cover.shape
    specks = step(noise(rng, shape, (2, 2)), rng.uniform(0.7, 1.1), 0.2)
    smears = step(cloud(rng, shape, shape[0] / 4), rng.uniform(0.15, 0.8), 0.5)
    dirt: Field = np.clip(0.7 * specks + rng.uniform(0.2, 0.7) * smears, 0, 0.85)
    picture = mix(thing.picture, choose(rng, DIRT), dirt)
    return Thing(picture=picture, cover=thing.cover, lift=thing.lift)


def _grid(shape: tuple[int, ...]) -> tuple[Field, Field]:
    """Row and column of every pixel."""
    rows, columns = np.indices(shape, dtype=np.float32)
    return rows, columns


def _tread(rng: Rng, rows: Field, columns: Field, unit: float) -> Field:
    """Some belts are smooth, some have fine ribs, some raised chevrons."""
    if chance(rng, 0.45):
        return np.zeros_like(rows)
    if chance(rng, 0.5):
        ribs: Field = np.sin(rows * np.float32(2 * np.pi / (rng.uniform(4, 7) * max(unit, 1))))
        return 0.12 * ribs
    middle = rows.shape[0] / 2
    pitch = rng.uniform(40, 70) * unit
    along = (columns + 0.6 * np.abs(rows - middle)) % pitch
    return 0.5 * band(along, 4, 4 + 3.5 * unit, 1.5) - 0.4 * band(along, 4 + 4 * unit, 4 + 6 * unit)


def _seam(rng: Rng, rows: Field, columns: Field, unit: float) -> Field:
    """Where the ends of the belt were joined: a slanted groove with staples."""
    if not chance(rng, 0.3):
        return np.zeros_like(rows)
    at = columns - rng.uniform(0.15, 0.85) * columns.shape[1] - rng.uniform(-0.3, 0.3) * rows
    staple = band(rows % (7 * unit), 0, 2.5 * unit) * band(at, -6 * unit, 6 * unit)
    return 2.2 * staple - 0.7 * band(at, -1.2 * unit, 1.2 * unit)


def _scratched(rng: Rng, picture: Picture, rows: Field, columns: Field, unit: float) -> Picture:
    for _ in range(int(rng.integers(3, 10))):
        start, slant = rng.uniform(0, rows.shape[0]), rng.normal(0, 0.05)
        left = rng.uniform(-0.3, 0.9) * columns.shape[1]
        right = left + rng.uniform(30, 200) * unit
        low, high = max(int(left), 0), max(int(right), 1)
        part = np.abs(rows[:, low:high] - start - slant * columns[:, low:high])
        groove = step(part, 0.5, -1.0) * np.float32(rng.uniform(0.2, 0.9))
        tone = choose(rng, ((0.012, 0.012, 0.012), (0.13, 0.13, 0.13), (0.09, 0.08, 0.07)))
        picture[..., low:high] = mix(picture[..., low:high], tone, groove)
    return picture
