"""Training batches: what is drawn depends on (seed, step) alone, whoever draws it.

The pictures of all epochs form one endless stream; position k of it is picture `order[k % n]` of
epoch `k // n`. A batch is the next `batch_size` positions, so a small data set needs no special
case, and a run can start at any step. Where the sampling shows some pictures more often than
others, an epoch still has n positions.
"""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import islice
from multiprocessing import get_context
from multiprocessing.context import BaseContext
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Sampler
from torch.utils.data import Dataset as TorchDataset

from frugalseg.core.inputs import InputSpec
from frugalseg.core.labels import IGNORE
from frugalseg.data.dataset import Dataset, Sample
from frugalseg.imaging.resize import as_channels
from frugalseg.training.augment import Augmenter
from frugalseg.training.mixing import LEAST_PIXELS, Pair, classmix, copy_paste, cutmix
from frugalseg.training.recipe import Recipe, Sampling
from frugalseg.training.sampling import Floats, count_pixels, drawn, needs_counts, rarity, turns

CACHE_BYTES = 2_000_000_000
MANY_CORES, PICTURES_EACH, MOST_WORKERS = 4, 100, 8  # of processes that load
MIXING = 1  # sets the random numbers of mixing apart from those of the augmentation

Batch = Sequence[Tensor]


class Turn(NamedTuple):
    """One showing of a picture; `repeat` counts those before it in the same epoch."""

    epoch: int
    picture: int
    repeat: int = 0


def training_batches(
    dataset: Dataset, recipe: Recipe, spec: InputSpec, *, first_step: int = 0
) -> Iterator[Batch]:
    """Yield (image_NCHW uint8, labels_NHW uint8) without end, from `first_step` on."""
    pictures = Pictures(dataset, dataset.splits["train"], recipe, spec)
    workers = pictures.workers
    loader: DataLoader[Batch] = DataLoader(
        pictures,
        batch_size=recipe.batch_size,
        sampler=Stream(len(pictures), recipe, first_step, pictures.turns_N),
        num_workers=workers,
        persistent_workers=workers > 0,
        worker_init_fn=_one_thread,
        multiprocessing_context=_forkserver() if workers else None,
        pin_memory=torch.cuda.is_available(),  # copied to the GPU while it computes
    )
    return iter(loader)


def first_pictures(
    dataset: Dataset, recipe: Recipe, spec: InputSpec, count: int
) -> Iterator[tuple[Sample, Pair]]:
    """Yield what training begins with: `count` samples, each with picture and labels as cropped."""
    pictures = Pictures(dataset, dataset.splits["train"], recipe, spec)
    for turn in islice(Stream(len(pictures), recipe, 0, pictures.turns_N), count):
        yield pictures.samples[turn.picture], pictures.pair(turn)


def loading_processes(wish: int | Literal["auto"], pictures: int) -> int:
    """Return how many processes load pictures; what is drawn does not depend on it.

    Left to itself, half of the cores where there are four or more, and no more than one for each
    hundred pictures: to start one takes seconds, and a few pictures are soon in memory. On fewer
    cores a network takes so long for a batch that loading it is next to nothing.
    """
    if wish != "auto":
        return wish
    affinity = getattr(os, "sched_getaffinity", None)  # not on every system
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    return min(cores // 2, MOST_WORKERS, pictures // PICTURES_EACH) if cores >= MANY_CORES else 0


def steps_in_epoch(dataset: Dataset, recipe: Recipe) -> float:
    """Count the batches that show as many pictures as there are in the training split."""
    return len(dataset.splits["train"]) / recipe.batch_size


def _forkserver() -> BaseContext:
    """Return what starts the workers: all from one process that has imported what they need.

    Not fork: converters start threads, and a fork of threads can hang.
    """
    context = get_context("forkserver")
    context.set_forkserver_preload([__name__])
    return context


def _one_thread(_worker: int) -> None:
    """Keep OpenCV in a worker to one thread: it is the workers that run side by side."""
    import cv2

    cv2.setNumThreads(0)


class Stream(Sampler[Turn]):
    """Yields which picture is next, for ever; `turns_N` is how often in an epoch, else once."""

    def __init__(
        self, count: int, recipe: Recipe, first_step: int, turns_N: Floats | None = None
    ) -> None:
        self.count, self.seed, self.turns_N = count, recipe.seed, turns_N
        self.first = first_step * recipe.batch_size

    def __iter__(self) -> Iterator[Turn]:
        epoch_of = lru_cache(maxsize=2)(self._epoch)
        position = self.first
        while True:
            epoch, at = divmod(position, self.count)
            yield epoch_of(epoch)[at]
            position += 1

    def _epoch(self, epoch: int) -> list[Turn]:
        numbers = np.random.default_rng([self.seed, epoch])
        if self.turns_N is None:
            order = numbers.permutation(self.count)
        else:
            order = drawn(self.turns_N, numbers)
        shown: Counter[int] = Counter()
        made = []
        for index in order.tolist():
            made.append(Turn(epoch, index, shown[index]))
            shown[index] += 1
        return made


class Pictures(TorchDataset[Batch]):
    """Pictures at the input size, kept in memory while there is room, augmented when asked for.

    Where what is drawn depends on the classes in them, all are read once at the start.
    """

    def __init__(
        self, dataset: Dataset, samples: Sequence[Sample], recipe: Recipe, spec: InputSpec
    ) -> None:
        self.dataset, self.samples, self.spec = dataset, samples, spec
        self.seed, self.wish = recipe.seed, recipe.augment
        self.turns_N: Floats | None = None
        self.rarity_C = np.zeros(dataset.labels.num_classes)
        self.donors_C: list[NDArray[np.int64]] = []  # pictures from which a class can be pasted
        if needs_counts(recipe):
            self._count(recipe.sampling)
        self.augment = Augmenter(recipe, spec, self.rarity_C)
        picture_bytes = spec.height * spec.width * (spec.channels + 1)
        self.workers = loading_processes(recipe.workers, len(samples))
        self.room = CACHE_BYTES // picture_bytes // max(1, self.workers)  # each keeps its own
        self.kept: dict[int, Pair] = {}

    def _count(self, sampling: Sampling) -> None:
        pixels_NC = count_pixels(self.dataset, self.samples, self.spec.size)
        if sampling.name != "each":
            self.turns_N = turns(sampling, pixels_NC)
        background = self.dataset.labels.background
        self.rarity_C = rarity(pixels_NC, sampling.rarity_power, background)
        self.donors_C = [np.flatnonzero(pixels_N >= LEAST_PIXELS) for pixels_N in pixels_NC.T]

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, turn: Any) -> Batch:
        image_HWC, labels_HW = self.pair(Turn(*turn))
        image = torch.from_numpy(np.ascontiguousarray(image_HWC)).permute(2, 0, 1)
        return image, torch.from_numpy(np.ascontiguousarray(labels_HW))

    def pair(self, turn: Turn) -> Pair:
        """Return a picture (H, W, C) and its labels as the network gets them."""
        epoch, index, repeat = turn
        numbers = np.random.default_rng([self.seed, epoch, index, repeat, MIXING])
        pair = self._pasted(self._picture(index), numbers)
        pair = self.augment(*pair, epoch=epoch, index=index, repeat=repeat)
        return self._mixed(pair, numbers)

    def _pasted(self, pair: Pair, numbers: np.random.Generator) -> Pair:
        share = self.wish.copy_paste
        if share == 0 or numbers.random() >= share or not self.rarity_C.any():
            return pair
        label = int(numbers.choice(len(self.rarity_C), p=self.rarity_C))
        if not len(self.donors_C[label]):
            return pair
        donor = self._picture(int(numbers.choice(self.donors_C[label])))
        return copy_paste(pair, donor, label, numbers)

    def _mixed(self, pair: Pair, numbers: np.random.Generator) -> Pair:
        chance = numbers.random()
        if chance >= self.wish.cutmix + self.wish.classmix:
            return pair
        other = self._picture(int(numbers.integers(len(self))))
        other = self.augment.apply(other, numbers)
        if chance < self.wish.cutmix:
            return cutmix(pair, other, numbers)
        return classmix(pair, other, numbers, ignore=IGNORE)

    def _picture(self, index: int) -> Pair:
        if index in self.kept:
            return self.kept[index]
        image_HWC, labels_HW = self.dataset.load(self.samples[index], size=self.spec.size)
        pair = as_channels(image_HWC, self.spec.channels), labels_HW
        if len(self.kept) < self.room:
            self.kept[index] = pair
        return pair


def normalise(image_NCHW: Tensor, spec: InputSpec) -> Tensor:
    """Turn raw pixels into what the network takes."""
    return (image_NCHW.float() - spec.mean) / spec.std
