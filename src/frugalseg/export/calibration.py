"""Calibration pictures: training pictures among which the rare classes occur."""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from frugalseg.core.inputs import InputSpec
from frugalseg.core.labels import IGNORE
from frugalseg.data.dataset import Dataset, Sample
from frugalseg.imaging.resize import as_channels, resize_image

PER_CLASS = 8

Pictures = Iterable[NDArray[np.uint8]]
"""Pixels (H, W, channels) at the input size of the network."""


def calibration_pictures(
    dataset: Dataset, spec: InputSpec, count: int, *, seed: int = 0
) -> list[NDArray[np.uint8]]:
    """Load the chosen pictures at the input size."""
    images = (dataset.load(s)[0] for s in calibration_samples(dataset, count, seed=seed))
    return [as_channels(resize_image(image, spec.size), spec.channels) for image in images]


def calibration_samples(dataset: Dataset, count: int, *, seed: int = 0) -> list[Sample]:
    """Choose up to `count` training pictures; deterministic for a seed.

    Class by class, the rarest first, pictures with the most pixels of it are taken until it
    occurs in 8 of them; the rest is drawn at random. So int8 ranges know what a network does
    on a class that is in one picture of a hundred.
    """
    samples = dataset.split("train")
    pixels_NC = _pixels(dataset, samples)
    chosen: list[int] = []
    share = max(1, min(PER_CLASS, count // max(1, dataset.labels.num_classes)))
    for label in np.argsort((pixels_NC > 0).sum(axis=0)):
        have = int((pixels_NC[chosen, label] > 0).sum()) if chosen else 0
        best = np.argsort(-pixels_NC[:, label], kind="stable")
        wanted = [int(i) for i in best if pixels_NC[i, label] > 0 and int(i) not in chosen]
        chosen += wanted[: max(0, min(share - have, count - len(chosen)))]
    others = [i for i in np.random.default_rng(seed).permutation(len(samples)) if i not in chosen]
    chosen += [int(i) for i in others[: count - len(chosen)]]
    return [samples[i] for i in chosen]


def _pixels(dataset: Dataset, samples: Sequence[Sample]) -> NDArray[np.int64]:
    counts = [np.bincount(dataset.load(s)[1].ravel(), minlength=IGNORE + 1) for s in samples]
    return np.array(counts)[:, : dataset.labels.num_classes]
