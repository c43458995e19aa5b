import json
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from frugalseg.core.errors import ArtifactError, ConfigError, DataError
from frugalseg.metrics.scores import ScoreKeeper, Scores

Ids = np.ndarray[tuple[int, int], np.dtype[np.uint8]]
NUM_CLASSES = 4


def naive_confusion(labels: Ids, predicted: Ids) -> list[list[int]]:
    counts = [[0] * NUM_CLASSES for _ in range(NUM_CLASSES)]
    for label, guess in zip(labels.ravel(), predicted.ravel(), strict=True):
        if label != 255:
            counts[int(label)][int(guess)] += 1
    return counts


def naive_iou(confusion: list[list[int]], k: int) -> float | None:
    hit = confusion[k][k]
    union = sum(confusion[k]) + sum(row[k] for row in confusion) - hit
    return hit / union if union else None


label_maps = arrays(np.uint8, (5, 6), elements=st.sampled_from([0, 1, 2, 3, 255]))
predictions = arrays(np.uint8, (5, 6), elements=st.integers(0, NUM_CLASSES - 1))


@given(pairs=st.lists(st.tuples(label_maps, predictions), min_size=1, max_size=3))
@settings(max_examples=60, deadline=None)
def test_scores_agree_with_a_naive_implementation(pairs: list[tuple[Ids, Ids]]) -> None:
    labels = np.concatenate([label for label, _ in pairs])
    predicted = np.concatenate([guess for _, guess in pairs])
    confusion = naive_confusion(labels, predicted)
    total = sum(map(sum, confusion))
    keeper = ScoreKeeper(NUM_CLASSES)
    for label, guess in pairs:
        keeper.add(label, guess)
    if total == 0:
        with pytest.raises(DataError, match="nothing to score"):
            keeper.scores()
        return
    scores = keeper.scores()
    iou = [naive_iou(confusion, k) for k in range(NUM_CLASSES)]
    seen = [value for value in iou if value is not None]
    rows = [sum(row) for row in confusion]
    recall = [confusion[k][k] / rows[k] for k in range(NUM_CLASSES) if rows[k]]
    assert scores.confusion == tuple(map(tuple, confusion))
    assert list(scores.iou) == pytest.approx(iou)
    assert scores.miou == pytest.approx(sum(seen) / len(seen))
    assert scores.mean_class_accuracy == pytest.approx(sum(recall) / len(recall))
    assert scores.pixel_accuracy == pytest.approx(
        sum(confusion[k][k] for k in range(NUM_CLASSES)) / total
    )
    assert scores.fw_iou == pytest.approx(
        sum(rows[k] * (iou[k] or 0) for k in range(NUM_CLASSES)) / total
    )


def test_a_class_only_predicted_counts_as_zero_and_an_absent_one_not_at_all() -> None:
    keeper = ScoreKeeper(3)
    keeper.add(np.zeros((1, 4), np.uint8), np.array([[0, 0, 0, 1]], np.uint8))
    scores = keeper.scores()
    assert scores.iou == (0.75, 0.0, None)
    assert scores.miou == 0.375


def test_predictions_under_ignored_pixels_do_not_matter() -> None:
    labels = np.array([[0, 1, 255, 255]], np.uint8)
    first, second = ScoreKeeper(2), ScoreKeeper(2)
    first.add(labels, np.array([[0, 1, 0, 0]], np.uint8))
    second.add(labels, np.array([[0, 1, 1, 200]], np.uint8))
    assert first.scores() == second.scores()


def test_scores_survive_json() -> None:
    scores = Scores.of([[3, 1, 0], [0, 5, 0], [0, 0, 0]], boundary_f1=0.5)
    written = json.loads(json.dumps(scores.to_dict(["a", "b", "c"])))
    assert written["iou"]["c"] is None
    assert Scores.from_dict(written) == scores


def test_foreign_values_are_no_scores() -> None:
    with pytest.raises(ArtifactError, match="not scores"):
        Scores.from_dict({"miou": 1.0})


def test_names_must_match_the_classes() -> None:
    with pytest.raises(ConfigError, match="2 classes were scored, 1 names"):
        Scores.of([[1, 0], [0, 1]]).to_dict(["a"])


def test_undeclared_ids_are_all_named() -> None:
    keeper = ScoreKeeper(2)
    with pytest.raises(DataError) as caught:
        keeper.add(np.array([[0, 7, 9]], np.uint8), np.array([[3, 0, 0]], np.uint8))
    assert caught.value.problems == ("labels hold [7, 9]", "predictions hold [3]")


@pytest.mark.parametrize(
    ("labels", "predicted", "message"),
    [
        (np.zeros((2, 3), np.uint8), np.zeros((3, 2), np.uint8), "resolution of the label"),
        (np.zeros((2, 3), np.float32), np.zeros((2, 3), np.uint8), "labels must be class ids"),
        (np.zeros((2, 3), np.uint8), np.zeros((1, 2, 3), np.uint8), "predictions must be"),
        (np.full((2, 3), 300), np.zeros((2, 3), np.uint8), "0 to 255, got 300"),
    ],
)
def test_wrong_arrays_are_refused(labels: Ids, predicted: Ids, message: str) -> None:
    with pytest.raises(DataError, match=message):
        ScoreKeeper(2).add(labels, predicted)


@pytest.mark.parametrize("num_classes", [0, 256])
def test_impossible_class_counts_are_refused(num_classes: int) -> None:
    with pytest.raises(ConfigError, match="1 to 255"):
        ScoreKeeper(num_classes)


def test_a_camvid_picture_takes_milliseconds() -> None:
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 11, (36, 48), np.uint8).repeat(10, 0).repeat(10, 1)
    keeper = ScoreKeeper(11)
    times = []
    for _ in range(5):
        start = time.perf_counter()
        keeper.add(labels, np.roll(labels, 3, 1))
        times.append(time.perf_counter() - start)
    assert min(times) < 0.04
