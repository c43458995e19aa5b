"""Which pictures are drawn how often, and where they are cropped, by the classes in them."""

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from frugalseg.core.errors import DataError
from frugalseg.data.dataset import Dataset, Sample
from frugalseg.imaging.resize import resize_labels
from frugalseg.training.recipe import Recipe, Sampling

MANY = 10_000  # pictures whose labels take a while to read

log = logging.getLogger("frugalseg")

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


def needs_counts(recipe: Recipe) -> bool:
    """Say whether what is drawn depends on the classes in the pictures."""
    sampling = recipe.sampling
    return sampling.name != "each" or sampling.rare_crops > 0 or recipe.augment.copy_paste > 0


def count_pixels(dataset: Dataset, samples: Sequence[Sample], size: tuple[int, int]) -> Integers:
    """Count the pixels of each class in each picture at (height, width); reads all labels once.

    Returns (N, C). Raises DataError for a header of a picture or a label that cannot be read.
    """
    if len(samples) > MANY:
        log.warning(
            "the sampling goes by classes: the labels of %d pictures are read", len(samples)
        )

    def count(sample: Sample) -> Integers:
        small_HW = resize_labels(dataset.load_labels(sample), size)
        return np.bincount(small_HW.ravel(), minlength=256)[: dataset.labels.num_classes]

    with ThreadPoolExecutor() as pool:
        return np.stack(list(pool.map(count, samples))).astype(np.int64)


def turns(sampling: Sampling, pixels_NC: Integers) -> Floats:
    """Return how often each picture is shown in an epoch, on average; N together.

    repeat_factor    max(1, max over its classes c of sqrt(t / f_c)), f_c being the share of the
                     pictures that c is in and t the threshold (Gupta, Dollár, Girshick 2019,
                     arXiv 1908.03195, "repeat factor sampling"). There an epoch gets longer; ours
                     does not, so that runs stay comparable: only the proportions are theirs
    class_balanced   a class is drawn, each as likely, then one of its pictures (Shen, Lin, Huang
                     2016, arXiv 1512.05830). A picture without a labelled pixel is never shown;
                     raises DataError if none has one

    >>> pixels_NC = np.array([[9, 0], [9, 0], [9, 0], [5, 4]])
    >>> turns(Sampling(name="repeat_factor"), pixels_NC).tolist()
    [0.8, 0.8, 0.8, 1.6]
    >>> turns(Sampling(name="class_balanced"), pixels_NC).tolist()
    [0.5, 0.5, 0.5, 2.5]
    """
    there_NC = pixels_NC > 0
    pictures_C = there_NC.sum(axis=0)
    if sampling.name == "repeat_factor":
        frequency_C = pictures_C.clip(min=1) / len(pixels_NC)
        repeat_C = np.sqrt(sampling.threshold / frequency_C)
        wanted_N = np.where(there_NC, repeat_C, 1).max(axis=1).clip(min=1)
    elif sampling.name == "class_balanced":
        wanted_N = (there_NC / pictures_C.clip(min=1)).sum(axis=1)
    else:
        wanted_N = np.ones(len(pixels_NC))
    if not wanted_N.any():
        raise DataError("no training picture has a labelled pixel at the size of the input")
    shown_N: Floats = wanted_N * (len(wanted_N) / wanted_N.sum())
    return shown_N


def drawn(turns_N: Floats, numbers: np.random.Generator) -> Integers:
    """Draw an epoch: each picture as often as `turns_N` says, rounded up or down by chance.

    >>> drawn(np.array([0.0, 1.0, 2.0]), np.random.default_rng(0)).tolist()
    [2, 1, 2]
    """
    count = len(turns_N)
    ends_N = turns_N.cumsum() * (count / turns_N.sum())
    at_N = numbers.random() + np.arange(count)
    return numbers.permutation(np.searchsorted(ends_N, at_N, side="right").clip(max=count - 1))


def rarity(pixels_NC: Integers, power: float, background: int | None) -> Floats:
    """Return how likely each class is drawn, (C,): its share of the pixels to minus `power`.

    The background is never drawn, nor is a class without pixels; zero everywhere if none is left.

    >>> rarity(np.array([[100, 4, 1, 0]]), 0.5, background=0).round(2).tolist()
    [0.0, 0.33, 0.67, 0.0]
    """
    pixels_C = pixels_NC.sum(axis=0).astype(np.float64)
    wanted_C = np.where(pixels_C > 0, pixels_C.clip(min=1) ** -power, 0)
    if background is not None:
        wanted_C[background] = 0
    likely_C: Floats = wanted_C / max(wanted_C.sum(), np.finfo(np.float64).tiny)
    return likely_C


def crop_corner(
    labels_HW: NDArray[np.uint8],
    crop: tuple[int, int],
    rarity_C: Floats,
    numbers: np.random.Generator,
) -> tuple[int, int]:
    """Place a crop that holds a pixel of a class drawn by rarity from those in the picture.

    Returns the row and column of its corner; anywhere if none of these classes is there. The crop
    is no larger than the picture.
    """
    present_C = np.bincount(labels_HW.ravel(), minlength=256)[: len(rarity_C)] > 0
    likely_C = rarity_C * present_C
    if likely_C.sum() == 0:
        at = [int(numbers.integers(whole)) for whole in labels_HW.shape]
    else:
        label = numbers.choice(len(likely_C), p=likely_C / likely_C.sum())
        spots = np.flatnonzero(labels_HW == label)
        at = [int(i) for i in np.unravel_index(numbers.choice(spots), labels_HW.shape)]
    top, left = (
        int(numbers.integers(max(0, spot - part + 1), min(spot, whole - part) + 1))
        for spot, part, whole in zip(at, crop, labels_HW.shape, strict=True)
    )
    return top, left
