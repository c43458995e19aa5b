from dataclasses import replace

import numpy as np
import pytest

from frugalseg.core.errors import DataError
from frugalseg.core.labels import LabelSpace
from frugalseg.report.contents import MAX_EXAMPLES, Example, Moment, ReportData


def test_all_contradictions_are_named_at_once(data: ReportData, example: Example) -> None:
    with pytest.raises(DataError) as refused:
        replace(
            data,
            labels=LabelSpace.of(["belt", "paper"]),
            weighings=[],
            moments=[Moment("conv", -1)],
            resident=[("tail", -2)],
            best=[example] * (MAX_EXAMPLES + 1),
        )
    text = "\n".join(refused.value.problems)
    assert "weighings: none" in text
    assert "IoU of 3 classes, expected 2" in text
    assert "not 2 x 2" in text
    assert "-1 bytes" in text
    assert "resident tail: -2 bytes" in text
    assert "9 examples, expected at most 8" in text


def test_scores_that_are_no_shares_are_refused(data: ReportData) -> None:
    for wrong in (64.2, float("nan"), -0.1):
        scores = {"int8": replace(data.deployed, miou=wrong)}
        with pytest.raises(DataError, match="not a share"):
            replace(data, scores=scores)


def test_a_report_without_scores_is_refused(data: ReportData) -> None:
    with pytest.raises(DataError, match="scores: none"):
        replace(data, scores={})


@pytest.mark.parametrize("shape", [(4, 4), (4, 4, 1), (0, 4, 3)])
def test_pictures_of_another_form_are_refused(
    data: ReportData, example: Example, shape: tuple[int, ...]
) -> None:
    with pytest.raises(DataError, match=r"example a\.png: label"):
        replace(data, worst=[replace(example, label=np.zeros(shape, np.uint8))])


def test_pictures_that_are_not_uint8_are_refused(data: ReportData, example: Example) -> None:
    floats = np.zeros((4, 4, 3), np.float32)
    with pytest.raises(DataError, match="float32"):
        replace(data, worst=[replace(example, image=floats)])  # type: ignore[arg-type]


def test_the_last_weighing_decides(data: ReportData) -> None:
    weighing = data.weighing
    heavy = replace(weighing, footprint=replace(weighing.footprint, storage_bytes=3_000_000))
    assert replace(data, weighings=[heavy, weighing]).verdict
    assert not replace(data, weighings=[weighing, heavy]).verdict
