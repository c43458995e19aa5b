"""Several classes seen as one, and some that do not count."""

import json
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from frugalseg.core.errors import ConfigError, DataError
from frugalseg.core.labels import LabelSpace
from frugalseg.data.class_map import (
    ClassMap,
    as_trained,
    mapped,
    merged,
    read_class_map,
    told,
)
from frugalseg.data.dataset import Dataset
from frugalseg.data.layouts.folder import read


@pytest.fixture
def dataset(tiny_folder: Path) -> Dataset:
    """Classes ground, box and disc; the first rows are ignored."""
    return read(tiny_folder)


def test_a_group_takes_the_place_and_colour_of_its_first_class(dataset: Dataset) -> None:
    binary = merged(dataset, {"thing": ["box", "disc"]})
    assert binary.labels.names == ("ground", "thing")
    assert binary.labels.colors == dataset.labels.colors[:2]
    assert binary.labels.background == 0
    assert binary.labels.from_disk == {0: 0, 1: 1, 2: 1, 255: 255}
    assert merged(dataset, {"still": ["ground", "box"]}).labels.names == ("still", "disc")


def test_labels_are_merged_and_ignored_pixels_stay_ignored(dataset: Dataset) -> None:
    sample = next(sample for samples in dataset.splits.values() for sample in samples)
    _, before_HW = dataset.load(sample)
    # As it is sent to the processes that load pictures.
    _, after_HW = pickle.loads(pickle.dumps(merged(dataset, {"thing": ["disc", "box"]}))).load(
        sample
    )
    assert np.array_equal(after_HW, np.where(before_HW == 2, 1, before_HW))
    assert {0, 1, 255} <= set(np.unique(after_HW))


def test_what_cannot_be_merged_is_refused(dataset: Dataset) -> None:
    with pytest.raises(ConfigError, match="'boxes'; did you mean 'box'"):
        merged(dataset, {"thing": ["boxes"]})
    with pytest.raises(ConfigError, match="'box' is in two groups"):
        merged(dataset, {"a": ["box", "disc"], "b": ["box"]})
    with pytest.raises(ConfigError, match="'box' is in two groups"):  # also by its own name
        merged(dataset, {"box": ["box", "disc"], "other": ["box"]})
    with pytest.raises(ConfigError, match="the group 'none' has no classes"):
        merged(dataset, {"thing": ["box", "disc"], "none": []})
    with pytest.raises(ConfigError, match="ignores all classes"):
        merged(dataset, {"ignore": ["ground", "box", "disc"]})


def test_data_without_a_background_stays_without(dataset: Dataset) -> None:
    bare = replace(dataset, labels=replace(dataset.labels, background=None))
    assert merged(bare, {"thing": ["box", "disc"]}).labels.background is None


def test_a_class_may_join_another_and_one_may_be_ignored(dataset: Dataset) -> None:
    joined = merged(dataset, {"ground": ["disc"], "ignore": ["box"]})
    assert joined.labels.names == ("ground",)
    assert joined.labels.from_disk == {0: 0, 1: 255, 2: 0, 255: 255}
    assert joined.labels.class_map == {"ground": "ground", "box": "ignore", "disc": "ground"}
    sample = joined.split("train")[0]
    _, before_HW = dataset.load(sample)
    _, after_HW = joined.load(sample)
    assert ((after_HW == 255) == ((before_HW == 1) | (before_HW == 255))).all()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("map.yaml", "thing: [box, disc]\n"),
        ("map.yaml", "box: thing\ndisc: thing\n"),
        ("map.yml", "thing: ['*']\n"),
        ("map.csv", "box,thing\ndisc , thing\n\n"),
        ("map.csv", "*,thing\nnot there,other\n"),
    ],
)
def test_every_form_of_the_file_says_the_same(
    dataset: Dataset, tmp_path: Path, name: str, text: str
) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    found = mapped(dataset, read_class_map(tmp_path / name))
    assert found.labels.names == ("ground", "thing")
    assert found.labels.background == 0
    assert told(found.labels.class_map) == "thing: box, disc"
    assert LabelSpace.from_dict(found.labels.to_dict()) == found.labels


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("map.txt", "box,thing", "a class map is a .yaml or a .csv file"),
        ("map.csv", "box\n", "line 1: expected 'class,new name'"),
        ("map.csv", "box,a\nbox,b\n", "line 2: class 'box' is there twice"),
        ("map.csv", "\n", "no line"),
        ("map.yaml", "a: [box]\nb: disc\n", "either lists of classes or a new name"),
        ("map.yaml", "a: [1, 2]\n", "put into quotes"),
        ("map.yaml", "a: [box]\nb: [box]\n", "in two groups"),
        ("map.yaml", "- box\n", "expected lines of the form"),
        ("map.yaml", "0: thing\n", r"put into quotes: \[0\]"),
        ("map.yaml", "a: [sky, road]\n", "names none of the classes ground, box, disc"),
    ],
)
def test_a_file_that_is_no_class_map_is_refused(
    dataset: Dataset, tmp_path: Path, name: str, text: str, says: str
) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises((ConfigError, DataError), match=says):
        mapped(dataset, read_class_map(tmp_path / name))


def test_what_a_map_names_in_vain_is_said(
    dataset: Dataset, caplog: pytest.LogCaptureFixture
) -> None:
    mapped(dataset, ClassMap({"box": "thing", "boxes": "thing"}))
    assert "['boxes']" in caplog.text


def test_a_map_that_leaves_one_class_is_said(
    dataset: Dataset, caplog: pytest.LogCaptureFixture
) -> None:
    new_name = dict.fromkeys(dataset.labels.names, "thing")
    assert mapped(dataset, ClassMap(new_name)).labels.names == ("thing",)
    assert "leaves one class, 'thing'" in caplog.text


def test_data_is_seen_as_a_network_saw_it(dataset: Dataset) -> None:
    trained = merged(dataset, {"thing": ["box", "disc"]}).labels
    assert as_trained(dataset, trained).labels == trained
    assert as_trained(dataset, dataset.labels) is dataset
    other = replace(dataset, labels=LabelSpace.of(["ground", "sky", "disc"]))
    assert as_trained(other, trained) is other


def test_sixty_kinds_of_litter_become_four(real_data: Path) -> None:
    taco = real_data / "taco"
    names = [c["name"] for c in json.loads((taco / "annotations.json").read_text())["categories"]]
    labels = LabelSpace.of(["background", *names], background=0)
    becomes = read_class_map(taco / "map_4.csv").over(labels)
    kinds = {"background", "Can", "Bottle", "Plastic bag + wrapper", "Other"}
    assert set(becomes.values()) == kinds
