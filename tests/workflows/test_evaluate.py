from pathlib import Path

import pytest

from frugalseg.core.errors import ConfigError, DataError
from frugalseg.runtime.manifest import Manifest
from frugalseg.workflows.evaluate import evaluate


def test_an_artifact_is_scored_as_exported(golden: Path, belt: Path) -> None:
    scores = evaluate(golden, belt).scores
    assert sum(map(sum, scores.confusion)) == 2 * 48 * 64
    assert len(scores.iou) == len(Manifest.load(golden).label_space.names)
    assert scores == evaluate(golden, belt, file="model.int8.tflite").scores


def test_a_checkpoint_is_scored_on_any_split(checkpoint: Path, belt: Path) -> None:
    assert sum(map(sum, evaluate(checkpoint, belt, split="train").scores.confusion)) == 3 * 48 * 64


def test_a_split_that_is_not_there_is_told(checkpoint: Path, belt: Path) -> None:
    with pytest.raises(DataError, match="no split 'test'"):
        evaluate(checkpoint, belt, split="test")


def test_data_of_other_classes_is_refused(golden: Path, tiny_folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"the model knows background, paper.*has ground, box"):
        evaluate(golden, tiny_folder)
