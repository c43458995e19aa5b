"""Two training pictures made into one: pixels move with their labels, and no label is mixed."""

import numpy as np
from numpy.typing import NDArray

from frugalseg.imaging.resize import resize_image, resize_labels

Pair = tuple[NDArray[np.uint8], NDArray[np.uint8]]  # picture (H, W, C) and labels (H, W)

LEAST_PIXELS = 16  # of a region that is worth pasting
MOST_REGIONS = 3
LEAST_SIDE = 0.5  # of a pasted region, in shares of what it was


def copy_paste(pair: Pair, donor: Pair, label: int, numbers: np.random.Generator) -> Pair:
    """Paste up to three connected regions of a class from `donor`, each at a random place.

    After Ghiasi et al. 2021 (arXiv 2012.07177), where whole objects are pasted and nothing is
    blended. Labels of classes do not tell objects apart, so ours are regions. They are flipped for
    half of the pictures, and each is shrunk to between half and all of its sides, so that not all
    of what was there is hidden. Both pictures have one size.
    """
    import cv2

    image_HWC, labels_HW = pair[0].copy(), pair[1].copy()
    step = -1 if numbers.random() < 0.5 else 1  # noqa: PLR2004
    given_HWC, given_HW = donor[0][:, ::step], donor[1][:, ::step]
    _, regions_HW, boxes, _ = cv2.connectedComponentsWithStats((given_HW == label).astype(np.uint8))
    large = [n for n in range(1, len(boxes)) if boxes[n, cv2.CC_STAT_AREA] >= LEAST_PIXELS]
    count = min(len(large), int(numbers.integers(1, MOST_REGIONS + 1)))
    for n in numbers.choice(large, count, replace=False) if large else ():
        left, top, width, height = (int(x) for x in boxes[n, :4])
        box = np.s_[top : top + height, left : left + width]
        region_hw = (regions_HW[box] == n).astype(np.uint8)
        small_hwC, inside_hw = _shrunk(given_HWC[box], region_hw, numbers)
        target = _anywhere(inside_hw.shape, labels_HW.shape, numbers)
        image_HWC[target][inside_hw] = small_hwC[inside_hw]
        labels_HW[target][inside_hw] = label
    return image_HWC, labels_HW


def _shrunk(
    image_HWC: NDArray[np.uint8], region_HW: NDArray[np.uint8], numbers: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    sides = numbers.uniform(LEAST_SIDE, 1) * np.array(region_HW.shape)
    size = (max(1, round(sides[0])), max(1, round(sides[1])))
    smaller_HWC = resize_image(np.ascontiguousarray(image_HWC), size)
    return smaller_HWC, resize_labels(region_HW, size) > 0


def _anywhere(
    part: tuple[int, ...], whole: tuple[int, ...], numbers: np.random.Generator
) -> tuple[slice, slice]:
    top, left = (
        int(numbers.integers(all_ - some + 1)) for some, all_ in zip(part, whole, strict=True)
    )
    return slice(top, top + part[0]), slice(left, left + part[1])


def cutmix(pair: Pair, other: Pair, numbers: np.random.Generator) -> Pair:
    """Put a box of `other` in its place: sides of sqrt(1 - r), r uniform, around any pixel.

    Yun et al. 2019 (arXiv 1905.04899), section 3.1, with alpha 1; the labels of segmentation move
    with the pixels and are not mixed.
    """
    image_HWC, labels_HW = pair[0].copy(), pair[1].copy()
    share = np.sqrt(1 - numbers.random())
    inside = []
    for whole in labels_HW.shape:
        centre, half = numbers.integers(whole), share * whole / 2
        inside.append(slice(max(0, round(centre - half)), round(centre + half)))
    rows, columns = inside
    image_HWC[rows, columns] = other[0][rows, columns]
    labels_HW[rows, columns] = other[1][rows, columns]
    return image_HWC, labels_HW


def classmix(pair: Pair, other: Pair, numbers: np.random.Generator, *, ignore: int) -> Pair:
    """Lay the pixels of half of the classes of `other` over a picture; of an odd number, fewer.

    Olsson et al. 2021 (arXiv 2007.07936), with true labels in place of predicted ones. Ignored
    pixels are never laid over anything.
    """
    there = np.unique(other[1])
    there = there[there != ignore]
    chosen = numbers.choice(there, len(there) // 2, replace=False)
    over_HW = np.isin(other[1], chosen)
    image_HWC = np.where(over_HW[..., None], other[0], pair[0])
    return image_HWC, np.where(over_HW, other[1], pair[1])
