"""The four materials on the belt: paper, bottle, aluminum and nylon, in several makes each.

A maker gets the picture that lies under its patch and returns a `Thing`: how the patch looks
with the object in it, and which part of it the object covers.
"""

from dataclasses import dataclass

import numpy as np

from frugalseg.data.belt.fields import (
    Field,
    Light,
    Patch,
    Picture,
    Points,
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
    normals,
    rectangle,
    step,
    tear,
)

PAPER = (
    (0.78, 0.78, 0.76), (0.70, 0.68, 0.62), (0.52, 0.51, 0.48), (0.74, 0.66, 0.48),
    (0.62, 0.66, 0.70), (0.80, 0.79, 0.80),
)  # fmt: skip
CARTON = ((0.36, 0.23, 0.12), (0.44, 0.30, 0.17), (0.30, 0.20, 0.12), (0.55, 0.53, 0.50))
PRINT = (
    (0.55, 0.05, 0.05), (0.05, 0.12, 0.45), (0.05, 0.30, 0.12), (0.75, 0.50, 0.03),
    (0.03, 0.03, 0.04), (0.45, 0.05, 0.25), (0.03, 0.35, 0.45), (0.70, 0.70, 0.70),
)  # fmt: skip
PLASTIC = (
    (0.94, 0.96, 0.96), (0.92, 0.95, 0.97), (0.62, 0.82, 0.94), (0.35, 0.75, 0.45),
    (0.42, 0.66, 0.90), (0.66, 0.42, 0.20),
)  # fmt: skip
FILM = (
    (0.80, 0.82, 0.84), (0.74, 0.75, 0.75), (0.78, 0.77, 0.70), (0.35, 0.52, 0.72),
    (0.72, 0.62, 0.30), (0.45, 0.66, 0.50), (0.80, 0.82, 0.86),
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Thing:
    """A patch of canvas with an object in it."""

    picture: Picture
    cover: Field  # how much of each pixel the object takes
    lift: float  # pixels above the belt, for its shadow


def sheet(rng: Rng, patch: Patch, light: Light, under: Picture) -> Thing:
    """Draw a page or a scrap: folded a few times, printed, torn at some edges."""
    half_u = 0.8 * patch.reach
    half_v = half_u * rng.uniform(0.4, 0.72)
    corners = rectangle(half_u, half_v) * rng.uniform(0.82, 1.05, (4, 2))
    cover = patch.mask(tear(rng, corners, 0.05 * patch.reach, torn=0.4))
    height = creases(rng, patch, int(rng.integers(2, 6)), 0.55)
    height += noise(rng, patch.shape, (patch.reach / 2, patch.reach / 2)) * (0.05 * patch.reach)
    height += noise(rng, patch.shape, (4, 4)) * 0.16
    color = _printed(rng, patch, choose(rng, PAPER), (half_u, half_v))
    return Thing(picture=color * diffuse(height, light), cover=cover, lift=2)


def crumpled(rng: Rng, patch: Patch, light: Light, under: Picture) -> Thing:
    """Draw a sheet that was pressed into a ball."""
    cover = patch.mask(
        blob(rng, patch.reach * 0.85, flat=rng.uniform(0.65, 1), rough=0.22, corners=24)
    )
    height = creases(rng, patch, 10, 0.75) + _dome(patch, 0.35)
    height += cloud(rng, patch.shape, patch.reach / 3) * (0.07 * patch.reach)
    color = np.broadcast_to(choose(rng, PAPER), (3, *patch.shape)).astype(np.float32)
    if chance(rng, 0.5):
        color = _printed(rng, patch, color[:, :1, :1], (patch.reach, patch.reach))
    return Thing(picture=color * diffuse(height, light), cover=cover, lift=6)


def carton(rng: Rng, patch: Patch, light: Light, under: Picture) -> Thing:
    """Draw a crushed box: faces fold away from the top one, with tape and a printed mark."""
    half_u, half_v = patch.reach * rng.uniform(0.7, 0.82), patch.reach * rng.uniform(0.36, 0.55)
    corners = rectangle(half_u, half_v) * rng.uniform(0.85, 1.05, (4, 2))
    cover = patch.mask(tear(rng, corners, 0.025 * patch.reach, torn=0.3))
    fold_u, fold_v = half_u * rng.uniform(0.55, 0.75), half_v * rng.uniform(0.35, 0.6)
    height = -0.75 * np.clip(np.abs(patch.u) - fold_u, 0, None)
    height -= rng.uniform(0.5, 1.1) * np.clip(patch.v - fold_v, 0, None)
    height += creases(rng, patch, int(rng.integers(1, 4)), 0.28)
    height += np.sin(patch.u * (2 * np.pi / 3.2)) * 0.06 + noise(rng, patch.shape, (3, 3)) * 0.2
    color = np.broadcast_to(choose(rng, CARTON), (3, *patch.shape)).astype(np.float32)
    color = color * (1 + 0.12 * noise(rng, patch.shape, (2, 9)))
    tape = band(patch.v, -0.5 * half_v, -0.25 * half_v) * np.float32(chance(rng, 0.5))
    color = mix(color, choose(rng, ((0.5, 0.36, 0.2), (0.6, 0.58, 0.54))), tape * 0.75)
    mark = band(patch.u, -0.4 * half_u, rng.uniform(-0.1, 0.3) * half_u) * band(patch.v, 0, fold_v)
    letters = step(noise(rng, patch.shape, (3, 3)), 0.0, 0.3)
    color = mix(color, choose(rng, PRINT), mark * letters * rng.uniform(0.2, 0.8))
    return Thing(picture=color * diffuse(height, light), cover=cover, lift=7)


def bottle(rng: Rng, patch: Patch, light: Light, under: Picture) -> Thing:
    """Draw a PET bottle: what lies under it shines through, bent; cap and label do not."""
    ends, radii = _profile(rng, patch.reach)
    radius = np.interp(patch.u, ends, radii).astype(np.float32)
    height = _barrel(patch, radius)
    body = band(patch.u, ends[0], ends[4], 2.0)
    height += body * creases(rng, patch, 5, rng.uniform(0.05, 0.5))
    ribs = np.sin(patch.u * (2 * np.pi / rng.uniform(5, 8))) * rng.uniform(0.1, 0.6)
    height += body * ribs.astype(np.float32)
    picture = _plastic(rng, height, light, under)
    label = band(patch.u, *(np.sort(rng.uniform(-0.55, 0.25, 2)) * patch.reach))
    color = _printed(rng, patch, choose(rng, PRINT), (patch.reach, patch.reach))
    shine = diffuse(height, light) * 0.8 + 0.5 * gloss(height, light, 30)
    if chance(rng, 0.6):
        picture = mix(picture, color * shine, label * 0.95)
    cap = step(patch.u, ends[-3], 1.5) * np.float32(chance(rng, 0.75))
    picture = mix(picture, choose(rng, PRINT) * shine, cap)
    return Thing(picture=picture, cover=patch.mask(_barrel_outline(ends, radii)), lift=4)


def canister(rng: Rng, patch: Patch, light: Light, under: Picture) -> Thing:
    """Draw an opaque bottle, as of shampoo or milk: as white as paper, but smooth."""
    ends, radii = _profile(rng, patch.reach)
    height = _barrel(patch, np.interp(patch.u, ends, radii).astype(np.float32) * 1.02)
    height += cloud(rng, patch.shape, patch.reach / 2) * (0.05 * patch.reach)
    tone = choose(rng, (*PAPER[:2], *PLASTIC[:1], (0.62, 0.63, 0.66), *PRINT[:4]))
    color = np.broadcast_to(tone, (3, *patch.shape)).astype(np.float32)
    sticker = band(patch.u, -0.45 * patch.reach, 0.1 * patch.reach)
    sticker = sticker * band(patch.v, -0.6 * radii.max(), 0.6 * radii.max())
    mark = _printed(rng, patch, choose(rng, PRINT), (patch.reach, patch.reach))
    color = mix(color, mark, sticker * np.float32(chance(rng, 0.6)))
    color = mix(color, choose(rng, PRINT), step(patch.u, ends[-3], 1.5))
    shine = gloss(height, light, 22)
    picture = color * diffuse(height, light) * 0.92 + 0.45 * shine
    return Thing(picture=picture, cover=patch.mask(_barrel_outline(ends, radii)), lift=6)


def can(rng: Rng, patch: Patch, light: Light, under: Picture) -> Thing:
    """Draw a drinks can, dented, with its printed wall and the bare metal of lid and neck."""
    half = 0.8 * patch.reach
    radius = half * rng.uniform(0.48, 0.62)
    ends = np.array([-half, -0.88 * half, 0.82 * half, half])
    radii = radius * np.array([0.8, 1.0, 1.0, 0.8])
    wide = np.interp(patch.u, ends, radii).astype(np.float32)
    height = _barrel(patch, wide) + creases(rng, patch, 5, rng.uniform(0.1, 0.6))
    reflected = mirror(height, light)
    wall = _printed(rng, patch, choose(rng, PRINT), (half, radius), busy=True)
    wall = wall * (0.5 * diffuse(height, light) + 0.9 * reflected) + 0.12 * reflected
    metal = reflected * choose(rng, ((0.9, 0.91, 0.93), (0.95, 0.92, 0.86)))
    printed = band(patch.u, -0.84 * half, 0.78 * half) * np.float32(chance(rng, 0.8))
    picture = mix(metal, wall, printed)
    lid = ((patch.u - half) / (0.32 * radius)) ** 2 + (patch.v / (0.8 * radius)) ** 2
    ring = 0.55 + 0.45 * np.cos(np.sqrt(lid) * 7)
    picture = mix(picture, metal * 0.5 + 0.3 * ring, step(lid, 1, -0.15))
    turn = np.linspace(-np.pi / 2, np.pi / 2, 16)
    cap = np.stack([half + 0.32 * radius * np.cos(turn), 0.8 * radius * np.sin(turn)], axis=1)
    wall_line = _barrel_outline(ends, radii * rng.uniform(0.9, 1.02, 4))
    outline = np.concatenate([wall_line[:4], cap[::-1], wall_line[4:]])
    return Thing(picture=picture, cover=patch.mask(outline), lift=6)


def foil(rng: Rng, patch: Patch, light: Light, under: Picture) -> Thing:
    """Draw crumpled aluminum foil: hard facets that mirror the hall."""
    flat, rough = rng.uniform(0.45, 1), rng.uniform(0.15, 0.3)
    cover = patch.mask(blob(rng, patch.reach * 0.85, flat=flat, rough=rough, corners=23))
    height = creases(rng, patch, 12, 0.5) + _dome(patch, 0.25)
    height += cloud(rng, patch.shape, patch.reach / 3) * (0.12 * patch.reach)
    tone = choose(rng, ((0.88, 0.90, 0.93), (0.94, 0.92, 0.88), (0.82, 0.83, 0.85)))
    picture = mirror(height, light) * tone
    return Thing(picture=picture, cover=cover, lift=4)


def tray(rng: Rng, patch: Patch, light: Light, under: Picture) -> Thing:
    """Draw an aluminum tray: a rolled rim, ribbed walls, a bent bottom, food left in it."""
    half_u = 0.78 * patch.reach
    half_v = half_u * rng.uniform(0.55, 0.85)
    box: Field = np.maximum(np.abs(patch.u) - half_u, np.abs(patch.v) - half_v)  # 0 on the rim
    wall = 0.22 * half_v
    height: Field = 1.5 * band(box, -3, 0) - 0.9 * np.clip(-box - 2, 0, wall)
    ribs: Field = np.sin((patch.u + patch.v) * 1.6) * band(box, -wall - 1, -2)
    height += 0.35 * ribs + creases(rng, patch, 5, 0.16)
    height += cloud(rng, patch.shape, patch.reach / 2) * (0.05 * patch.reach)
    picture: Picture = mirror(height, light) * choose(rng, ((0.88, 0.9, 0.92), (0.9, 0.88, 0.84)))
    food = step(cloud(rng, patch.shape, patch.reach / 2), 0.3, 0.2) * rng.uniform(0, 0.8)
    picture = mix(picture, choose(rng, ((0.2, 0.08, 0.03), (0.3, 0.2, 0.08))), food)
    corners = rectangle(half_u, half_v) * rng.uniform(0.88, 1.0, (4, 2))
    return Thing(picture=picture, cover=patch.mask(tear(rng, corners, 0.3)), lift=5)


def film(rng: Rng, patch: Patch, light: Light, under: Picture) -> Thing:
    """Draw a piece of film: thin, wrinkled, what lies under it stays visible."""
    flat, rough = rng.uniform(0.35, 0.9), rng.uniform(0.3, 0.55)
    outline = blob(rng, patch.reach * 0.95, flat=flat, rough=rough)
    return _translucent(rng, patch, light, under, patch.mask(outline))


def bag(rng: Rng, patch: Patch, light: Light, under: Picture) -> Thing:
    """Draw a carrier bag with two handles, lying flat."""
    length, width = 0.85 * patch.reach, patch.reach * rng.uniform(0.4, 0.55)
    shape = np.array(
        [[-1, -0.9], [0.35, -1], [0.95, -0.85], [1, -0.35], [0.4, -0.3],
         [0.35, 0.3], [1, 0.3], [0.95, 0.9], [0.3, 1], [-1, 0.85]]
    )  # fmt: skip
    outline = tear(rng, shape * (length, width), 0.035 * patch.reach, torn=1)
    hole = np.array([[0.5, -0.78], [0.86, -0.7], [0.86, -0.5], [0.5, -0.5]]) * (length, width)
    return _translucent(rng, patch, light, under, patch.mask(outline, (hole, hole * (1, -1))))


def strip(rng: Rng, patch: Patch, light: Light, under: Picture) -> Thing:
    """Draw a long narrow shred of film."""
    along = np.linspace(-0.95, 0.95, 24)
    bend = 0.22 * np.sin(along * rng.uniform(1.5, 4) + rng.uniform(0, 6.3))
    width = rng.uniform(0.07, 0.16) * (1.1 - along**2) + rng.uniform(0, 0.03, 24)
    edges = [np.stack([along, bend + side * width], axis=1) for side in (-1, 1)]
    outline = np.concatenate([edges[0], edges[1][::-1]]) * patch.reach
    return _translucent(rng, patch, light, under, patch.mask(outline))


def _translucent(rng: Rng, patch: Patch, light: Light, under: Picture, cover: Field) -> Thing:
    height = np.zeros(patch.shape, dtype=np.float32)
    for cell, depth in ((0.55, 0.10), (0.25, 0.07), (0.12, 0.035)):
        ridge = noise(rng, patch.shape, (cell * patch.reach, 0.6 * cell * patch.reach))
        height -= np.abs(ridge) * np.float32(depth * patch.reach)
    height += creases(rng, patch, 5, 0.12)
    slope = 1 - normals(height)[2]
    milk = rng.uniform(0.22, 0.55) + 0.5 * slope + 0.2 * band(cover, 0.05, 0.9, 0.1)
    tone = choose(rng, FILM) * diffuse(height, light)
    shine = 0.8 * gloss(height, light, 40) + 0.08 * gloss(height, light, 5)
    bent = _bent(height, under, 1.5)
    picture = mix(bent, tone, np.clip(milk, 0, 0.85)) + shine
    return Thing(picture=picture, cover=cover, lift=1.5)


def _plastic(rng: Rng, height: Field, light: Light, under: Picture) -> Picture:
    """Clear plastic: the bent picture behind it, tinted, dark rims, sharp lights."""
    tint = choose(rng, PLASTIC)
    steep = 1 - normals(height)[2]
    through = _bent(height, under, 5) * tint ** (1 + 2 * steep)
    haze = (rng.uniform(0.04, 0.16) + 0.3 * steep**2) * tint
    lights = 0.9 * gloss(height, light, 60) + 0.25 * gloss(height, light, 10)
    hall = 0.25 * steep * mirror(height, light)
    return through * 0.8 + haze * diffuse(height, light) + (lights + hall)


def _bent(height: Field, under: Picture, depth: float) -> Picture:
    """Look at what lies under a clear thing, displaced by its slopes."""
    x, y, _ = normals(height)
    rows, columns = np.indices(height.shape)
    rows = np.clip(rows + np.rint(y * depth).astype(np.int64), 0, height.shape[0] - 1)
    columns = np.clip(columns + np.rint(x * depth).astype(np.int64), 0, height.shape[1] - 1)
    return under[:, rows, columns]


def _profile(rng: Rng, reach: float) -> tuple[Points, Points]:
    """Positions and radii along a bottle: base, body, shoulder, neck, cap."""
    wide, neck = reach * rng.uniform(0.24, 0.36), reach * rng.uniform(0.09, 0.12)
    waist, shoulder = rng.uniform(0.72, 1.0), rng.uniform(0.2, 0.4)
    ends = np.array([-0.95, -0.9, -0.3, 0.1, shoulder, 0.68, 0.72, 0.78, 0.92]) * reach
    radii = wide * np.array([0.8, 1, waist, 1, 0.95, 0, 0, 0, 0])
    radii *= rng.uniform(0.92, 1.05, len(radii))
    radii[-4:] = neck * np.array([1, 1, 1.2, 1.15])
    return ends, radii


def _barrel(patch: Patch, radius: Field) -> Field:
    """Height of a body of revolution that lies on its side."""
    return np.sqrt(np.clip(radius**2 - patch.v**2, 0, None))


def _barrel_outline(ends: Points, radii: Points) -> Points:
    upper = np.stack([ends, radii], axis=1)
    return np.concatenate([upper, upper[::-1] * (1, -1)])


def _dome(patch: Patch, rise: float) -> Field:
    share = (patch.u**2 + patch.v**2) / np.float32(patch.reach**2)
    return rise * patch.reach * np.sqrt(np.clip(1.05 - share, 0, None))


def _printed(
    rng: Rng, patch: Patch, tone: Field, half: tuple[float, float], *, busy: bool = False
) -> Picture:
    """Print lines of text and a coloured field on a ground of one tone."""
    color = np.broadcast_to(tone, (3, *patch.shape)).astype(np.float32)
    half_u, half_v = half
    if busy or chance(rng, 0.45):
        left, top = rng.uniform(-0.8, 0.3) * half_u, rng.uniform(-0.8, 0.2) * half_v
        width, tall = rng.uniform(0.3, 0.9) * half_u, rng.uniform(0.5, 1.1) * half_v
        field = band(patch.u, left, left + width) * band(patch.v, top, top + tall)
        inside = choose(rng, PRINT) * (1 + 0.5 * noise(rng, patch.shape, (7, 7)))
        color = mix(color, inside, field * 0.85)
    if chance(rng, 0.6):
        rows = step(np.sin(patch.v * (2 * np.pi / rng.uniform(2.6, 4))), 0.2, 0.8)
        words = step(noise(rng, patch.shape, (1.6, 2.6)), -0.35, 0.4)
        column = band(patch.u, rng.uniform(-0.8, -0.2) * half_u, rng.uniform(0.1, 0.75) * half_u)
        ink = tone * 0.1 if tone.mean() > np.float32(0.25) else 0.6 - tone
        color = mix(color, ink, rows * words * column * rng.uniform(0.25, 0.65))
    return color
