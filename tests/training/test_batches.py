import os
from collections.abc import Sequence
from itertools import islice

import numpy as np
import pytest
import torch
from torch import Tensor

from frugalseg.core.inputs import InputSpec
from frugalseg.data.dataset import Dataset
from frugalseg.imaging.resize import as_channels
from frugalseg.training import batches
from frugalseg.training.batches import normalise, steps_in_epoch, training_batches
from frugalseg.training.recipe import Recipe, recipe_from


def drawn(
    dataset: Dataset, recipe: Recipe, spec: InputSpec, steps: int, first: int = 0
) -> list[Sequence[Tensor]]:
    return list(islice(training_batches(dataset, recipe, spec, first_step=first), steps))


def assert_same(one: list[Sequence[Tensor]], other: list[Sequence[Tensor]]) -> None:
    assert len(one) == len(other)
    for a, b in zip(one, other, strict=True):
        assert all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def test_shapes_and_types(dataset: Dataset, small: Recipe, spec: InputSpec) -> None:
    ((image_NCHW, labels_NHW),) = drawn(dataset, small, spec, 1)
    assert (image_NCHW.shape, image_NCHW.dtype) == ((2, 3, 32, 48), torch.uint8)
    assert (labels_NHW.shape, labels_NHW.dtype) == ((2, 32, 48), torch.uint8)
    assert {*labels_NHW.unique().tolist()} <= {0, 1, 2, 255}


@pytest.mark.parametrize("first", [1, 4, 11])
def test_a_run_may_start_at_any_step(
    dataset: Dataset, small: Recipe, spec: InputSpec, first: int
) -> None:
    through = drawn(dataset, small, spec, first + 3)
    assert_same(drawn(dataset, small, spec, 3, first), through[first:])


def test_a_run_with_sampling_and_mixing_may_start_at_any_step(
    dataset: Dataset, small: Recipe, spec: InputSpec
) -> None:
    wish = recipe_from(
        small.model_dump()
        | {
            "sampling": {"name": "repeat_factor", "rare_crops": 0.5},
            "augment": {"copy_paste": 0.5, "cutmix": 0.3, "classmix": 0.3, "crop": "24x32"},
        }
    )
    through = drawn(dataset, wish, spec, 12)
    assert_same(drawn(dataset, wish, spec, 5, 7), through[7:])


# The test is about what is drawn; that two workers on one core are slow, and that a fork of a
# process with threads is a risk (Python 3.12 and later), is for the user to weigh.
@pytest.mark.filterwarnings("ignore:This DataLoader will create")
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork")
def test_workers_change_nothing(dataset: Dataset, small: Recipe, spec: InputSpec) -> None:
    two = small.model_copy(update={"workers": 2})
    assert_same(drawn(dataset, two, spec, 5, 1), drawn(dataset, small, spec, 5, 1))


@pytest.mark.parametrize(
    ("cores", "pictures", "workers"),
    [
        (1, 9_000, 0),
        (3, 9_000, 0),
        (4, 9_000, 2),
        (8, 9_000, 4),
        (64, 9_000, 8),
        (64, 99, 0),
        (64, 250, 2),
    ],
)
def test_of_themselves_half_of_the_cores_load(
    cores: int, pictures: int, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _of: range(cores), raising=False)
    assert batches.loading_processes("auto", pictures) == workers
    assert batches.loading_processes(3, pictures) == 3


def test_global_generators_change_nothing(dataset: Dataset, small: Recipe, spec: InputSpec) -> None:
    torch.manual_seed(1)
    first = drawn(dataset, small, spec, 3)
    torch.manual_seed(2)
    assert_same(drawn(dataset, small, spec, 3), first)


def test_another_seed_draws_something_else(
    dataset: Dataset, small: Recipe, spec: InputSpec
) -> None:
    other = small.model_copy(update={"seed": 1})
    assert not torch.equal(
        drawn(dataset, other, spec, 1)[0][0], drawn(dataset, small, spec, 1)[0][0]
    )


def test_an_epoch_shows_each_picture_once_in_an_order_of_its_own(
    small: Recipe,
) -> None:
    stream = batches.Stream(7, small, 0)
    pairs = list(islice(stream, 21))
    assert [epoch for epoch, _, _ in pairs] == [0] * 7 + [1] * 7 + [2] * 7
    orders = [[index for _, index, _ in pairs[at : at + 7]] for at in (0, 7, 14)]
    assert all(sorted(order) == list(range(7)) for order in orders)
    assert orders[0] != orders[1] != orders[2]


def test_pictures_differ_between_epochs(dataset: Dataset, small: Recipe, spec: InputSpec) -> None:
    count = len(dataset.splits["train"])
    pictures = batches.Pictures(dataset, dataset.splits["train"], small, spec)
    assert not torch.equal(pictures[0, 0][0], pictures[1, 0][0])
    assert steps_in_epoch(dataset, small) == count / 2


def test_pictures_are_kept_while_there_is_room(
    dataset: Dataset, small: Recipe, spec: InputSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = dataset.splits["train"]
    monkeypatch.setattr(batches, "CACHE_BYTES", 2 * 32 * 48 * 4)
    for workers, room in ((0, 2), (2, 1)):  # each worker has memory of its own
        recipe = small.model_copy(update={"workers": workers})
        pictures = batches.Pictures(dataset, samples, recipe, spec)
        first = [pictures[0, i] for i in range(len(samples))]
        assert len(pictures.kept) == room
        assert_same([pictures[0, i] for i in range(len(samples))], first)


def test_grey_is_luma() -> None:
    red_HWC = np.zeros((2, 2, 3), np.uint8)
    red_HWC[..., 0] = 200
    assert as_channels(red_HWC, 1).tolist() == [[[60], [60]]] * 2
    assert as_channels(red_HWC, 3) is red_HWC


def test_a_grey_network_gets_grey_pictures(
    dataset: Dataset, small: Recipe, spec: InputSpec
) -> None:
    grey = InputSpec(height=32, width=48, channels=1)
    ((image_NCHW, _),) = drawn(dataset, small, grey, 1)
    assert image_NCHW.shape == (2, 1, 32, 48)


def test_normalisation_is_that_of_the_input(spec: InputSpec) -> None:
    raw = torch.tensor([0, 128, 255], dtype=torch.uint8)
    assert normalise(raw, spec).tolist() == [-2.0, 0.0, 127 / 64]
