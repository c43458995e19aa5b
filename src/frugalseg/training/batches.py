"""Training batches: what is drawn depends on (seed, step) alone, whoever draws it.

The pictures of all epochs form one endless stream; position k of it is picture `order[k % n]` of
epoch `k // n`. A batch is the next `batch_size` positions, so a small data set needs no special
case, and a run can start at any step.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Sampler
from torch.utils.data import Dataset as TorchDataset

from frugalseg.core.inputs import InputSpec
from frugalseg.data.dataset import Dataset, Sample
from frugalseg.imaging.resize import as_channels, resize_image, resize_labels
from frugalseg.training.augment import Augmenter
from frugalseg.training.recipe import Recipe

CACHE_BYTES = 2_000_000_000

Batch = Sequence[Tensor]


def training_batches(
    dataset: Dataset, recipe: Recipe, spec: InputSpec, *, first_step: int = 0
) -> Iterator[Batch]:
    """Yield (image_NCHW uint8, labels_NHW uint8) without end, from `first_step` on."""
    pictures = _Pictures(dataset, dataset.splits["train"], recipe, spec)
    loader: DataLoader[Batch] = DataLoader(
        pictures,
        batch_size=recipe.batch_size,
        sampler=_Stream(len(pictures), recipe, first_step),
        num_workers=recipe.workers,
        persistent_workers=recipe.workers > 0,
        worker_init_fn=_one_thread,
        # Not fork: converters start threads, and a fork of threads can hang.
        multiprocessing_context="forkserver" if recipe.workers else None,
    )
    return iter(loader)


def steps_in_epoch(dataset: Dataset, recipe: Recipe) -> float:
    """Count the batches that show each training picture once."""
    return len(dataset.splits["train"]) / recipe.batch_size


def _one_thread(_worker: int) -> None:
    """Keep OpenCV in a worker to one thread: it is the workers that run side by side."""
    import cv2

    cv2.setNumThreads(0)


class _Stream(Sampler[tuple[int, int]]):
    """Yields (epoch, index) for ever."""

    def __init__(self, count: int, recipe: Recipe, first_step: int) -> None:
        self.count, self.seed = count, recipe.seed
        self.first = first_step * recipe.batch_size

    def __iter__(self) -> Iterator[tuple[int, int]]:
        @lru_cache(maxsize=2)
        def order(epoch: int) -> NDArray[np.int64]:
            return np.random.default_rng([self.seed, epoch]).permutation(self.count)

        position = self.first
        while True:
            epoch, at = divmod(position, self.count)
            yield epoch, int(order(epoch)[at])
            position += 1


class _Pictures(TorchDataset[Batch]):
    """Pictures at the input size, kept in memory while there is room, augmented when asked for."""

    def __init__(
        self, dataset: Dataset, samples: Sequence[Sample], recipe: Recipe, spec: InputSpec
    ) -> None:
        self.dataset, self.samples, self.spec = dataset, samples, spec
        self.augment = Augmenter(recipe, spec)
        picture_bytes = spec.height * spec.width * (spec.channels + 1)
        self.room = CACHE_BYTES // picture_bytes // max(1, recipe.workers)  # each keeps its own
        self.kept: dict[int, tuple[NDArray[np.uint8], NDArray[np.uint8]]] = {}

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, key: Any) -> Batch:
        epoch, index = key
        image_HWC, labels_HW = self.augment(*self._picture(index), epoch=epoch, index=index)
        image = torch.from_numpy(np.ascontiguousarray(image_HWC)).permute(2, 0, 1)
        return image, torch.from_numpy(np.ascontiguousarray(labels_HW))

    def _picture(self, index: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        if index in self.kept:
            return self.kept[index]
        image_HWC, labels_HW = self.dataset.load(self.samples[index])
        pair = (
            as_channels(resize_image(image_HWC, self.spec.size), self.spec.channels),
            resize_labels(labels_HW, self.spec.size),
        )
        if len(self.kept) < self.room:
            self.kept[index] = pair
        return pair


def normalise(image_NCHW: Tensor, spec: InputSpec) -> Tensor:
    """Turn raw pixels into what the network takes."""
    return (image_NCHW.float() - spec.mean) / spec.std
