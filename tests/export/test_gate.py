import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from frugalseg.core.errors import GateError
from frugalseg.export.gate import check_parity, check_scores
from frugalseg.metrics.scores import Scores
from frugalseg.runtime.segmenter import Segmenter
from frugalseg.training.checkpoint import load_checkpoint

NAMES = ("ground", "box", "disc")
GOOD = Scores.of([[90, 5, 5], [0, 50, 0], [0, 0, 50]])


def gate(after: Scores, before: Scores = GOOD, tolerance: float = 1.0) -> float:
    return check_scores(
        before, after, tolerance_points=tolerance, names=NAMES, file="model.int8.tflite"
    )


def confusion(*rows: Sequence[int]) -> Scores:
    return Scores.of([list(row) for row in rows])


def test_equal_scores_pass_with_a_loss_of_nothing() -> None:
    assert gate(GOOD, tolerance=0) == 0


def test_a_gain_passes_and_is_a_negative_loss() -> None:
    assert gate(confusion([100, 0, 0], [0, 50, 0], [0, 0, 50]), tolerance=0) < 0


def test_a_small_loss_passes_and_is_returned() -> None:
    lost = gate(confusion([89, 6, 5], [0, 50, 0], [0, 0, 50]))
    assert 0 < lost <= 1


def test_a_large_loss_names_the_classes_that_lost_worst_first() -> None:
    with pytest.raises(GateError) as caught:
        gate(confusion([90, 5, 5], [10, 40, 0], [30, 0, 20]))
    text = str(caught.value)
    assert "model.int8.tflite loses" in text
    assert "allowed are 1." in text
    assert "--calibration" in text
    assert text.index("disc -") < text.index("ground -") < text.index("box -")


def test_a_class_that_gained_is_not_named() -> None:
    with pytest.raises(GateError) as caught:
        gate(confusion([100, 0, 0], [50, 0, 0], [0, 0, 50]))
    assert "disc" not in str(caught.value)


def test_nan_fails() -> None:
    with pytest.raises(GateError):
        gate(replace(GOOD, miou=math.nan))


def test_a_class_that_appears_from_nowhere_is_named() -> None:
    before = confusion([100, 0, 0], [0, 50, 0], [0, 0, 0])
    after = confusion([100, 0, 0], [0, 49, 1], [0, 0, 0])
    with pytest.raises(GateError, match="disc found where there is none"):
        gate(after, before)


def test_the_exit_code_is_one() -> None:
    assert GateError.exit_code == 1


def test_a_network_of_other_weights_has_no_parity(artifact: Path, run: Path) -> None:
    kept = load_checkpoint(run)
    network = kept.network()
    with torch.no_grad():
        for parameter in network.classify.parameters():  # type: ignore[union-attr]
            parameter.add_(1e-3)
    picture = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    segmenter = Segmenter.open(artifact, file="model.fp32.tflite")
    with pytest.raises(GateError, match=r"model\.fp32\.tflite differs from the network by"):
        check_parity(network, kept.input, segmenter, [picture])


def test_a_network_that_gives_nan_has_no_parity(artifact: Path, run: Path) -> None:
    kept = load_checkpoint(run)
    network = kept.network()
    with torch.no_grad():
        for parameter in network.classify.parameters():  # type: ignore[union-attr]
            parameter.mul_(math.nan)
    segmenter = Segmenter.open(artifact, file="model.fp32.tflite")
    with pytest.raises(GateError, match="nan"):
        check_parity(network, kept.input, segmenter, [np.zeros((48, 64, 3), np.uint8)])
