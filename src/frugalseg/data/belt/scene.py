"""`belt`, the embedded data set: sorting-belt scenes made from a seed.

Paper, bottles, aluminum and nylon film lie on a moving conveyor belt, one over the other,
crushed and dirty, among stones, wood, cables and rags that are background. Paper is common,
nylon rare and thin. White paper, white film and bright metal share their colours, so that
colour alone does not tell the classes apart.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from frugalseg.core.errors import ConfigError
from frugalseg.core.files import complete_folder
from frugalseg.core.labels import IGNORE, LabelSpace
from frugalseg.data.belt.camera import develop
from frugalseg.data.belt.fields import Field, Light, Patch, Picture, Rng, chance, mix, soft
from frugalseg.data.belt.ground import belt, cable, puddle, rag, rail, scrap, soil, stone, wood
from frugalseg.data.belt.objects import (
    Thing,
    bag,
    bottle,
    can,
    canister,
    carton,
    crumpled,
    film,
    foil,
    sheet,
    strip,
    tray,
)

BELT = LabelSpace.of(
    ["background", "paper", "bottle", "aluminum", "nylon"],
    colors=[(0, 0, 0), (222, 184, 98), (64, 156, 255), (226, 88, 74), (122, 220, 150)],
    background=0,
)

SMALLEST_SIDE = 32
VAL_STARTS_AT = 1_000_000  # scenes of the validation split have indices from here

Maker = Callable[[Rng, Patch, Light, Picture], Thing]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """Something that lies on the belt: how often, how large (pixels at 192 rows), and what."""

    make: Maker
    label: int
    weight: float
    reach: tuple[float, float]


KINDS = (
    Kind(make=sheet, label=1, weight=14, reach=(28, 56)),
    Kind(make=crumpled, label=1, weight=9, reach=(20, 38)),
    Kind(make=carton, label=1, weight=11, reach=(32, 60)),
    Kind(make=bottle, label=2, weight=11, reach=(34, 60)),
    Kind(make=canister, label=2, weight=4, reach=(30, 50)),
    Kind(make=can, label=3, weight=7, reach=(22, 34)),
    Kind(make=foil, label=3, weight=6, reach=(15, 34)),
    Kind(make=tray, label=3, weight=4, reach=(26, 42)),
    Kind(make=film, label=4, weight=3.5, reach=(24, 46)),
    Kind(make=bag, label=4, weight=2.5, reach=(32, 54)),
    Kind(make=strip, label=4, weight=4, reach=(28, 54)),
    Kind(make=stone, label=0, weight=5, reach=(6, 18)),
    Kind(make=wood, label=0, weight=5, reach=(24, 50)),
    Kind(make=cable, label=0, weight=5, reach=(28, 54)),
    Kind(make=rag, label=0, weight=4, reach=(18, 36)),
    Kind(make=scrap, label=0, weight=4, reach=(14, 32)),
    Kind(make=puddle, label=0, weight=2, reach=(18, 42)),
)


def belt_scene(
    seed: int, index: int, size: tuple[int, int] = (192, 256)
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Draw one scene: the picture (H, W, 3) and its labels (H, W), the same for the same call.

    >>> image, labels = belt_scene(0, 3, size=(48, 64))
    >>> image.shape, labels.shape
    ((48, 64, 3), (48, 64))
    """
    if min(size) < SMALLEST_SIDE:
        raise ConfigError(f"a belt scene needs {SMALLEST_SIDE} pixels a side, got {size}")
    rng = np.random.default_rng([seed, index])
    unit = min(size) / 192
    margin = int(36 * unit) + 6
    stage = _Stage(rng, size, margin, unit)
    stage.litter()
    image = develop(rng, stage.canvas, margin, unit)
    return image, stage.labels[margin:-margin, margin:-margin].copy()


def write_belt(
    folder: Path,
    *,
    train: int,
    val: int,
    seed: int = 0,
    size: tuple[int, int] = (192, 256),
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write the set as a folder of images and masks, whole or not at all.

    `progress` is called with the number of scenes done and to do.
    """
    if train < 1 or val < 1:
        raise ConfigError(f"each split needs a scene or more, got train={train}, val={val}")
    todo = [("train", i, i) for i in range(train)]
    todo += [("val", i, VAL_STARTS_AT + i) for i in range(val)]
    with complete_folder(folder) as draft:
        for kind in ("images", "masks"):
            for split in ("train", "val"):
                (draft / kind / split).mkdir(parents=True)
        for done, (split, number, index) in enumerate(todo, start=1):
            image, labels = belt_scene(seed, index, size)
            name = f"{split}/{number:04d}.png"
            Image.fromarray(image).save(draft / "images" / name, compress_level=3)
            Image.fromarray(labels).save(draft / "masks" / name)
            if progress is not None:
                progress(done, len(todo))
        (draft / "labels.yaml").write_text(_labels_yaml(), encoding="utf-8")


class _Stage:
    """The canvas while it is being filled; a margin takes what sticks out."""

    def __init__(self, rng: Rng, size: tuple[int, int], margin: int, unit: float) -> None:
        shape = (size[0] + 2 * margin, size[1] + 2 * margin)
        self.rng, self.margin, self.unit = rng, margin, unit
        self.light = Light.draw(rng)
        self.canvas = belt(rng, shape, unit)
        self.labels = np.zeros(shape, dtype=np.uint8)
        self.spots: list[tuple[float, float]] = []
        if chance(rng, 0.3):
            edge = margin + rng.uniform(8, 20) * unit
            upside = self.canvas[:, ::-1] if chance(rng, 0.5) else self.canvas
            upside[:] = rail(rng, upside, edge, unit)

    def litter(self) -> None:
        """Throw things on the belt; the later lie on top."""
        weights = np.array([kind.weight for kind in KINDS])
        count = int(self.rng.integers(10, 20))
        for which in self.rng.choice(len(KINDS), size=count, p=weights / weights.sum()):
            self._lay(KINDS[which])

    def _lay(self, kind: Kind) -> None:
        reach = self.rng.uniform(*kind.reach) * self.unit
        patch = Patch.of(reach, self.rng.uniform(0, 2 * np.pi))
        side = patch.shape[0]
        top, left = self._place(side)
        here = (..., slice(top, top + side), slice(left, left + side))
        thing = kind.make(self.rng, patch, self.light, self.canvas[here])
        if chance(self.rng, 0.6):
            thing = soil(self.rng, thing)
        under = self.canvas[here] * self._shadow(thing)
        self.canvas[here] = mix(under, np.clip(thing.picture, 0.002, 4), thing.cover)
        if thing.lift > 0:
            self.labels[here][thing.cover >= 0.5] = kind.label  # noqa: PLR2004

    def _place(self, side: int) -> tuple[int, int]:
        """Choose a corner for a patch; at times near what already lies there."""
        rng, shape = self.rng, self.labels.shape
        if self.spots and chance(rng, 0.4):
            y, x = self.spots[rng.integers(len(self.spots))]
            y, x = y + rng.normal(0, 24 * self.unit), x + rng.normal(0, 28 * self.unit)
        else:
            y, x = (rng.uniform(self.margin, length - self.margin) for length in shape)
        self.spots.append((y, x))
        top, left = (
            int(np.clip(at - side / 2, 0, length - side))
            for at, length in zip((y, x), shape, strict=True)
        )
        return top, left

    def _shadow(self, thing: Thing) -> Field:
        """Darken what is beside a thing, away from the lamp."""
        if thing.lift <= 0:
            return np.ones_like(thing.cover)
        away = np.array([self.light.y, self.light.x]) * -thing.lift * self.unit
        down, right = np.rint(away / self.light.z * 0.7).astype(int)
        near = soft(thing.cover, 1.2 + 0.25 * thing.lift)
        cast = np.roll(near, (down, right), axis=(0, 1))
        return (1 - 0.55 * cast) * (1 - 0.25 * near)


def _labels_yaml() -> str:
    return (
        f"names: [{', '.join(BELT.names)}]\n"
        f"colors: {[list(color) for color in BELT.colors]}\n"
        f"ignore: [{IGNORE}]\n"
        f"background: {BELT.background}\n"
    )
