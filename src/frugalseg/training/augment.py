"""Random changes of one picture, seeded for each sample (ADR 0007).

Labels are moved by nearest neighbour alone, and what comes from outside the picture, or was cut
out of it, is ignored.
"""

import os
import random
from typing import Any

import numpy as np
from numpy.typing import NDArray

from frugalseg.core.inputs import InputSpec
from frugalseg.core.labels import IGNORE
from frugalseg.imaging.resize import as_channels
from frugalseg.training.mixing import Pair
from frugalseg.training.recipe import Augment, Recipe
from frugalseg.training.sampling import Floats, crop_corner

RGB = 3

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # else it asks the network on import


class Augmenter:
    """Applies the recipe's augmentation; the result depends on (seed, epoch, index) alone.

    `rarity_C` says how likely each class is to be looked for by a crop; it is needed where the
    recipe has rare crops.
    """

    def __init__(self, recipe: Recipe, spec: InputSpec, rarity_C: Floats | None = None) -> None:
        self.seed, self.rare_crops = recipe.seed, recipe.sampling.rare_crops
        self.rarity_C = rarity_C
        wish = recipe.augment
        self.crop = InputSpec.parse(wish.crop).size if wish.crop else spec.size
        self.channels = spec.channels
        self.weather = wish.fog > 0 or wish.rain > 0
        fill = round(spec.mean)
        first = _moves(wish, self.crop, fill)
        last = _flips(wish) + _changes(wish, fill, spec.channels)
        import albumentations as A

        self.whole = A.Compose([*first, A.RandomCrop(*self.crop), *last])
        self.halves = A.Compose(first), A.Compose(last)

    def __call__(
        self,
        image_HWC: NDArray[np.uint8],
        labels_HW: NDArray[np.uint8],
        *,
        epoch: int,
        index: int,
        repeat: int = 0,
    ) -> Pair:
        """Return picture and labels of the crop size; what lies outside is grey and ignored.

        `repeat` tells apart the times that one picture is shown in an epoch.
        """
        key = [self.seed, epoch, index, repeat]  # a 0 at the end is as if it were not there
        return self.apply((image_HWC, labels_HW), np.random.default_rng(key))

    def apply(self, pair: Pair, numbers: np.random.Generator) -> Pair:
        """Return the pair changed as `numbers` say."""
        image_HWC, labels_HW = pair
        if self.weather and self.channels != RGB:  # which takes nothing but RGB
            image_HWC = np.repeat(image_HWC, RGB, axis=2)
        if self.rare_crops and numbers.random() < self.rare_crops:
            image_HWC, labels_HW = self._at_rare(image_HWC, labels_HW, numbers)
        else:
            image_HWC, labels_HW = _done(self.whole, image_HWC, labels_HW, numbers)
        image_HWC = image_HWC.reshape(*labels_HW.shape, -1)
        return as_channels(image_HWC, self.channels), labels_HW

    def _at_rare(
        self,
        image_HWC: NDArray[np.uint8],
        labels_HW: NDArray[np.uint8],
        numbers: np.random.Generator,
    ) -> Pair:
        assert self.rarity_C is not None
        before, after = self.halves
        image_HWC, labels_HW = _done(before, image_HWC, labels_HW, numbers)
        top, left = crop_corner(labels_HW, self.crop, self.rarity_C, numbers)
        part = np.s_[top : top + self.crop[0], left : left + self.crop[1]]
        image_HWC, labels_HW = (np.ascontiguousarray(x[part]) for x in (image_HWC, labels_HW))
        return _done(after, image_HWC, labels_HW, numbers)


def _done(
    transform: Any,
    image_HWC: NDArray[np.uint8],
    labels_HW: NDArray[np.uint8],
    numbers: np.random.Generator,
) -> Pair:
    # Not set_random_seed: it gives each transform the same numbers, and then what is drawn
    # large is also flipped, and cut from one corner.
    transform.set_random_state(numbers, random.Random(int(numbers.integers(2**63))))
    done = transform(image=image_HWC, mask=labels_HW)
    return done["image"], done["mask"]


def _moves(wish: Augment, crop: tuple[int, int], fill: int) -> list[Any]:
    """List what moves pixels before the crop; afterwards the picture has room for it."""
    import albumentations as A
    import cv2

    cv2.setNumThreads(0)  # torch has the cores, and one thread gives one order of operations
    outside = {"border_mode": cv2.BORDER_CONSTANT, "fill": fill, "fill_mask": IGNORE}
    low, high = wish.scale
    moves: list[Any] = []
    if wish.scale != (1, 1):
        moves.append(A.RandomScale((low - 1, high - 1), area_for_downscale="image", p=1))
    if wish.rotate:
        moves.append(A.Rotate(wish.rotate, mask_interpolation=cv2.INTER_NEAREST, p=1, **outside))
    return [*moves, A.PadIfNeeded(*crop, **outside)]


def _flips(wish: Augment) -> list[Any]:
    import albumentations as A

    upside_down = [A.VerticalFlip(p=wish.flip_vertical)] if wish.flip_vertical else []
    return [A.HorizontalFlip(p=wish.flip), *upside_down]


def _changes(wish: Augment, fill: int, channels: int) -> list[Any]:
    """List what changes pixels where they are, in the order in which it happens to a photograph.

    Light and weather, then the lens, the sensor and the file. What is cut out comes last.
    """
    import albumentations as A

    anywhere, depth = (0, 0, 1, 1), (0.2, 0.6)
    shadow = A.RandomShadow(anywhere, shadow_intensity_range=depth, p=wish.shadow)
    listed = [
        (wish.shadow, shadow),
        (wish.fog, A.RandomFog(p=wish.fog)),
        (wish.rain, A.RandomRain(p=wish.rain)),
        (wish.blur, A.GaussianBlur(blur_limit=0, sigma_limit=(0, wish.blur), p=0.5)),
        (wish.noise, A.GaussNoise((0, wish.noise), per_channel=channels == RGB, p=0.5)),
        (wish.jpeg, A.ImageCompression(quality_range=(100 - wish.jpeg, 100), p=0.5)),
        (wish.cutout, _cutout(wish.cutout, fill)),
    ]
    return _colors(wish.color, channels) + [change for amount, change in listed if amount > 0]


def _colors(strength: float, channels: int) -> list[Any]:
    import albumentations as A

    if strength == 0:
        return []
    light = A.RandomBrightnessContrast(brightness_limit=strength, contrast_limit=strength, p=0.8)
    if channels != RGB:
        return [light]
    hue, saturation = round(20 * strength), round(100 * strength)
    return [light, A.HueSaturationValue(hue, saturation, val_shift_limit=0, p=0.5)]


def _cutout(share: float, fill: int) -> Any:
    """Grey boxes of a tenth to a third of each side (DeVries, Taylor 2017, arXiv 1708.04552)."""
    import albumentations as A

    side = (0.1, 0.33)
    return A.CoarseDropout((1, 3), side, side, fill=fill, fill_mask=IGNORE, p=share)
