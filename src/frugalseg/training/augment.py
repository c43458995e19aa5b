"""Random scale, crop, flip and colour, seeded for each sample (ADR 0007)."""

import os
import random
from typing import Any

import numpy as np
from numpy.typing import NDArray

from frugalseg.core.inputs import InputSpec
from frugalseg.core.labels import IGNORE
from frugalseg.training.recipe import Recipe

RGB = 3

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # else it asks the network on import


class Augmenter:
    """Applies the recipe's augmentation; the result depends on (seed, epoch, index) alone."""

    def __init__(self, recipe: Recipe, spec: InputSpec) -> None:
        self.seed = recipe.seed
        crop = InputSpec.parse(recipe.augment.crop).size if recipe.augment.crop else spec.size
        self.transform = _compose(recipe, crop, round(spec.mean), spec.channels)

    def __call__(
        self,
        image_HWC: NDArray[np.uint8],
        labels_HW: NDArray[np.uint8],
        *,
        epoch: int,
        index: int,
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Return picture and labels of the crop size; what lies outside is grey and ignored."""
        numbers = np.random.default_rng([self.seed, epoch, index])
        # Not set_random_seed: it gives each transform the same numbers, and then what is drawn
        # large is also flipped, and cut from one corner.
        self.transform.set_random_state(numbers, random.Random(int(numbers.integers(2**63))))
        done = self.transform(image=image_HWC, mask=labels_HW)
        image = done["image"]
        return image.reshape(*image.shape[:2], -1), done["mask"]


def _compose(recipe: Recipe, crop: tuple[int, int], fill: int, channels: int) -> Any:
    import albumentations as A
    import cv2

    cv2.setNumThreads(0)  # torch has the cores, and one thread gives one order of operations
    wish = recipe.augment
    low, high = wish.scale
    scale = A.RandomScale((low - 1, high - 1), area_for_downscale="image", p=1)
    strength = wish.color
    color = [A.RandomBrightnessContrast(brightness_limit=strength, contrast_limit=strength, p=0.8)]
    if channels == RGB:
        hue, saturation = round(20 * strength), round(100 * strength)
        color.append(A.HueSaturationValue(hue, saturation, val_shift_limit=0, p=0.5))
    return A.Compose(
        [
            *([scale] if wish.scale != (1, 1) else []),
            A.PadIfNeeded(*crop, border_mode=cv2.BORDER_CONSTANT, fill=fill, fill_mask=IGNORE),
            A.RandomCrop(*crop),
            A.HorizontalFlip(p=wish.flip),
            *(color if strength > 0 else []),
        ]
    )
