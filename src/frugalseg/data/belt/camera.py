"""The camera above the belt: uneven light, glare, motion blur, defocus, noise, 8 bits."""

import numpy as np
from numpy.typing import NDArray

from frugalseg.data.belt.fields import Field, Picture, Rng, chance, noise, soft

GAMMA = 2.2
BRIGHTEST = 4.0  # linear; all above is white


def develop(rng: Rng, canvas: Picture, margin: int, unit: float) -> NDArray[np.uint8]:
    """Turn the canvas, in linear light, into the picture that the camera delivers.

    The margin around the picture feeds the blur and is cut away.
    """
    reach = rng.uniform(0, 4) * unit if chance(rng, 0.6) else 0.0
    picture = _moved(canvas, reach)[:, margin:-margin, margin:-margin]
    picture = picture * _lighting(rng, picture.shape[1:])
    picture = picture + _glare(rng, picture.shape[1:], unit)
    radius = rng.uniform(0.25, 0.6) if chance(rng, 0.75) else rng.uniform(0.6, 1.1)
    picture = _defocused(_exposed(rng, picture), radius * max(unit, 0.5))
    grain = rng.uniform(0.004, 0.022) * (1.3 - 0.7 * picture)
    picture = picture + grain * rng.standard_normal(picture.shape, dtype=np.float32)
    pixels = np.clip(picture * 255 + 0.5, 0, 255).astype(np.uint8)
    return np.ascontiguousarray(pixels.transpose(1, 2, 0))


def _moved(canvas: Picture, reach: float) -> Picture:
    """Blur along the rows, as the belt moves `reach` pixels while the shutter is open."""
    if reach <= 0:
        return canvas
    half = reach / 2
    whole = int(half)
    total = canvas.copy()
    for k in range(1, whole + 2):
        weight = np.float32(1 if k <= whole else half - whole)
        total[..., k:-k] += weight * (canvas[..., : -2 * k] + canvas[..., 2 * k :])
    total /= np.float32(1 + 2 * half)
    return total


def _lighting(rng: Rng, shape: tuple[int, int]) -> Picture:
    """Brightness of the hall over the picture, with its colour temperature and exposure."""
    y = np.linspace(-1, 1, shape[0], dtype=np.float32)[:, None]
    x = np.linspace(-1, 1, shape[1], dtype=np.float32)[None, :]
    turn, slope = rng.uniform(0, 2 * np.pi), rng.uniform(0, 0.4)
    falloff = rng.uniform(0, 0.22)
    field = 1 + slope * (x * np.cos(turn) + y * np.sin(turn)) - falloff * (x**2 + y**2)
    field = field + 0.12 * noise(rng, shape, (shape[0] / 2, shape[1] / 2))
    warm, green = rng.normal(0, 0.09), rng.normal(0, 0.02)
    gains = np.array([[[1 + warm]], [[1 + green]], [[1 - warm]]], dtype=np.float32)
    exposure = np.exp(rng.normal(0, 0.24))
    light: Picture = np.clip(field, 0.25, None).astype(np.float32) * (gains * np.float32(exposure))
    return light


def _glare(rng: Rng, shape: tuple[int, int], unit: float) -> Picture:
    """The soft image of a lamp on the belt, over everything."""
    if not chance(rng, 0.3):
        return np.zeros((3, 1, 1), dtype=np.float32)
    y: Field = np.arange(shape[0], dtype=np.float32)[:, None] - rng.uniform(0, shape[0])
    x: Field = np.arange(shape[1], dtype=np.float32)[None, :] - rng.uniform(0, shape[1])
    tall, wide = rng.uniform(15, 60) * unit, rng.uniform(25, 110) * unit
    spot: Field = np.exp(-((x / wide) ** 2) - (y / tall) ** 2) * rng.uniform(0.03, 0.22)
    return spot * np.array([[[1]], [[0.98]], [[0.94]]], dtype=np.float32)


def _exposed(rng: Rng, picture: Picture) -> Picture:
    """Roll off the highlights, lift the black a little, and encode for the eye."""
    root = np.linspace(0, BRIGHTEST**0.5, 2048)
    rolled = root**2 / (1 + root**6) ** (1 / 3)
    haze = rng.uniform(0, 0.03)
    curve = (haze + (1 - haze) * rolled ** (1 / GAMMA)).astype(np.float32)
    steps = np.sqrt(np.clip(picture, 0, BRIGHTEST)) * np.float32(1 / root[1])
    encoded: Picture = curve[steps.astype(np.int16)]
    return encoded


def _defocused(picture: Picture, radius: float) -> Picture:
    return np.stack([soft(channel, radius) for channel in picture])
