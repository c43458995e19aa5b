"""Calibration pictures: training pictures among which the rare classes occur."""

import logging
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from frugalseg.core.errors import DataError
from frugalseg.core.inputs import InputSpec
from frugalseg.core.labels import IGNORE
from frugalseg.data.dataset import Dataset, Sample
from frugalseg.imaging.resize import as_channels, resize_image

PER_CLASS = 8
FEW = 8  # pictures: with less, one odd picture can set a range
LEAST_STEP = 1.0  # grey levels between neighbours, or from end to end, that a photograph has
NOISE = 0.5  # of the spread of a picture, found between neighbours: they know nothing of each other

log = logging.getLogger("frugalseg")

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


def check_pictures(pictures: Sequence[NDArray[np.uint8]], shown: Sequence[NDArray[Any]]) -> None:
    """Compare pictures for calibration with those that the network will be shown.

    Raises DataError where all are of one colour, or noise where the others are not: ranges from
    them mean nothing. Warns of few, of some like that or all, and of brightness that the others
    lack.
    """
    empty = [number for number, picture in enumerate(pictures) if _is_constant(picture)]
    noise = [picture for picture in pictures if _is_noise(picture)]
    if noise and any(map(_is_noise, shown)):
        log.warning(
            "pictures for calibration and for validation are noise: int8 ranges and scores from"
            " them mean little"
        )
        noise = []
    for told, what in ((empty, "of one colour"), (noise, "noise")):
        if told and len(told) == len(pictures):
            raise DataError(
                f"all {len(pictures)} pictures for calibration are {what}: int8 ranges from them"
                " would mean nothing. Check images/train"
            )
        if told:
            log.warning("%d of %d pictures for calibration are %s", len(told), len(pictures), what)
    if len(pictures) < FEW:
        log.warning(
            "int8 ranges come from %d pictures: one odd picture can spoil them. Take %d or more"
            " (--calibration)", len(pictures), FEW,
        )  # fmt: skip
    own, other = (np.array([float(p.mean()) for p in some]) for some in (pictures, shown))
    if len(other) and (own.min() > other.max() or own.max() < other.min()):
        log.warning(
            "pictures for calibration have a mean brightness of %.0f to %.0f, those for validation"
            " of %.0f to %.0f: int8 ranges may not fit these",
            own.min(), own.max(), other.min(), other.max(),
        )  # fmt: skip


def _is_constant(picture_HWC: NDArray[Any]) -> bool:
    return float(picture_HWC.max()) - float(picture_HWC.min()) <= LEAST_STEP


def _is_noise(picture_HWC: NDArray[Any]) -> bool:
    """Whether neighbours differ much as any two pixels do; (a - b)^2 is then twice the spread."""
    pixels = picture_HWC.astype(np.float64)
    spread = pixels.var(axis=(0, 1)).mean()
    steps = (pixels[:, 1:] - pixels[:, :-1]).var(axis=(0, 1)).mean() / 2
    return bool(steps > NOISE * spread > 0)
