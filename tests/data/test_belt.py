"""The embedded data set: the same for the same seed, unbalanced, hard by colour, readable."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from frugalseg.core.errors import ConfigError
from frugalseg.data.belt.scene import BELT, KINDS, belt_scene, write_belt
from frugalseg.data.layouts import folder as folder_format

Scenes = tuple[NDArray[np.uint8], NDArray[np.uint8]]

# Changes with the drawing: a new value here means a new data set, and new records.
LABELS_OF_SCENES_0_TO_3 = "1b99e406a34035fe201175e08f1e47ec6fce09fad9fac4ca4079cd8c5fa3cd32"
SMALL = (48, 64)


@pytest.fixture(scope="module")
def forty() -> Scenes:
    scenes = [belt_scene(0, index, (96, 128)) for index in range(40)]
    return np.stack([image for image, _ in scenes]), np.stack([labels for _, labels in scenes])


def test_a_scene_has_the_size_and_types_asked_for() -> None:
    image_HWC, labels_HW = belt_scene(0, 0)
    assert image_HWC.shape == (192, 256, 3)
    assert labels_HW.shape == (192, 256)
    assert {image_HWC.dtype, labels_HW.dtype} == {np.dtype(np.uint8)}


@pytest.mark.parametrize("size", [(32, 32), (97, 131), (64, 400), (400, 64), (300, 240)])
def test_any_size_is_drawn(size: tuple[int, int]) -> None:
    image_HWC, labels_HW = belt_scene(3, 5, size)
    assert image_HWC.shape == (*size, 3)
    assert labels_HW.shape == size
    assert image_HWC.std() > 0


def test_a_size_too_small_to_show_anything_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"needs 32 pixels a side, got \(16, 64\)"):
        belt_scene(0, 0, (16, 64))


def test_the_same_arguments_give_the_same_scene() -> None:
    for index in (0, 7, 1_000_000):
        first, again = belt_scene(4, index, SMALL), belt_scene(4, index, SMALL)
        np.testing.assert_array_equal(first[0], again[0])
        np.testing.assert_array_equal(first[1], again[1])


def test_the_labels_are_those_of_this_release() -> None:
    labels = b"".join(belt_scene(0, index, SMALL)[1].tobytes() for index in range(4))
    assert hashlib.sha256(labels).hexdigest() == LABELS_OF_SCENES_0_TO_3


@pytest.mark.parametrize("other", [(0, 1), (1, 0), (0, 1_000_000)])
def test_another_seed_or_index_gives_another_scene(other: tuple[int, int]) -> None:
    assert (belt_scene(0, 0, SMALL)[0] != belt_scene(*other, SMALL)[0]).mean() > 0.5


def test_the_global_generator_is_neither_used_nor_moved() -> None:
    before = np.random.get_state(legacy=False)
    belt_scene(0, 0, SMALL)
    assert str(np.random.get_state(legacy=False)) == str(before)


def test_every_class_occurs_and_paper_is_common_and_nylon_rare(forty: Scenes) -> None:
    counts = np.bincount(forty[1].ravel(), minlength=BELT.num_classes)
    background, paper, bottle, aluminum, nylon = counts / counts.sum()
    assert len(counts) == BELT.num_classes
    assert 0.6 < background < 0.85
    assert 0.1 < paper < 0.25
    assert paper > 1.7 * bottle
    assert bottle > nylon
    assert 0.01 < aluminum < 0.08
    assert 0.01 < nylon < 0.05
    assert nylon < paper / 4


def test_every_kind_belongs_to_a_class_and_background_has_distractors() -> None:
    assert {kind.label for kind in KINDS} == set(range(BELT.num_classes))


def test_classes_cannot_be_told_apart_by_their_colour(forty: Scenes) -> None:
    """The best decision by colour alone, made on these very pixels, is a bad one."""
    images, labels = forty
    coarse = (images // 32).astype(int) @ [64, 8, 1]
    table = np.zeros((512, BELT.num_classes))
    np.add.at(table, (coarse.ravel(), labels.ravel()), 1)
    guess = table.argmax(axis=1)[coarse]
    ious = [
        ((guess == k) & (labels == k)).sum() / ((guess == k) | (labels == k)).sum()
        for k in range(1, BELT.num_classes)
    ]
    assert np.mean(ious) < 0.35


def test_light_differs_from_scene_to_scene(forty: Scenes) -> None:
    belt = [image[labels == 0].mean(axis=0) for image, labels in zip(*forty, strict=True)]
    brightness, warmth = np.mean(belt, axis=1), np.array(belt)[:, 0] - np.array(belt)[:, 2]
    assert brightness.std() > 5
    assert warmth.std() > 2


def test_what_shines_through_film_is_labelled_nylon(forty: Scenes) -> None:
    """Film lets its ground through, so its pixels spread over dark and light."""
    images, labels = forty
    low, high = np.percentile(images[labels == BELT.names.index("nylon")].mean(axis=1), (5, 95))
    assert high - low > 80


def test_the_folder_reader_reads_what_was_written(tmp_path: Path) -> None:
    root = tmp_path / "belt"
    calls: list[tuple[int, int]] = []
    write_belt(root, train=3, val=2, seed=9, size=SMALL, progress=lambda *c: calls.append(c))
    dataset = folder_format.read(root)
    assert {name: len(split) for name, split in dataset.splits.items()} == {
        "train": 3,
        "val": 2,
    }
    assert dataset.labels == BELT
    assert calls == [(1, 5), (2, 5), (3, 5), (4, 5), (5, 5)]
    image_HWC, labels_HW = dataset.load(dataset.splits["train"][1])
    drawn = belt_scene(9, 1, SMALL)
    np.testing.assert_array_equal(image_HWC, drawn[0])
    np.testing.assert_array_equal(labels_HW, drawn[1])


def test_train_and_val_share_no_scene(tmp_path: Path) -> None:
    write_belt(tmp_path / "belt", train=2, val=2, size=SMALL)
    pictures = [Image.open(p).tobytes() for p in sorted(tmp_path.glob("belt/images/*/*.png"))]
    assert len(set(pictures)) == len(pictures) == 4


def test_an_interrupted_set_leaves_nothing_behind(tmp_path: Path) -> None:
    def stop(done: int, todo: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_belt(tmp_path / "belt", train=2, val=1, size=SMALL, progress=stop)
    assert list(tmp_path.iterdir()) == []


def test_a_split_without_scenes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="train=0, val=1"):
        write_belt(tmp_path / "belt", train=0, val=1)
