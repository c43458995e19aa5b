from dataclasses import replace

import pytest

from frugalseg.core.budget import Budget, Footprint
from frugalseg.metrics.scores import Scores
from frugalseg.report.contents import Colour, ReportData
from frugalseg.report.wording import (
    MINUS,
    colour_sentences,
    flat,
    gate_passed,
    gate_sentence,
    percent,
    points,
    short,
    verdict_sentence,
)


def with_budget(data: ReportData, budget: Budget) -> ReportData:
    return replace(data, target=replace(data.target, budget=budget))


def with_file_measured(data: ReportData) -> ReportData:
    need = replace(data.weighing.footprint, measured=frozenset({"storage_bytes"}))
    return replace(data, weighings=[replace(data.weighing, footprint=need)])


def test_a_network_that_fits_is_said_to_fit_with_its_figures(data: ReportData) -> None:
    assert verdict_sentence(data) == (
        "Fits mcu-2mb: needs 1,512,004 of 2,000,000 bytes (estimated from the exported file)"
    )


def test_a_network_that_does_not_fit_names_every_broken_limit(data: ReportData) -> None:
    tight = Budget(total_bytes=1_500_000, storage_bytes=800_000, macs=1_000)
    assert verdict_sentence(with_budget(data, tight)) == (
        "Does not fit mcu-2mb: the network file takes 812,004 of 800,000 bytes, 12,004 too"
        " many; needs 1,512,004 of 1,500,000 bytes, 12,004 too many"
        " (estimated from the exported file)"
    )


def test_a_device_without_limits_claims_no_fit(data: ReportData) -> None:
    said = verdict_sentence(with_budget(data, Budget()))
    assert said.startswith("Runs on mcu-2mb, which sets no limit: needs 1,512,004 bytes")


def test_a_measurement_is_said_to_be_one(data: ReportData) -> None:
    measured = replace(data.weighing.footprint, measured=frozenset({"storage_bytes", "ram_bytes"}))
    weighing = replace(data.weighing, footprint=measured, source="by the runtime")
    assert verdict_sentence(replace(data, weighings=[weighing])).endswith(
        "(measured by the runtime)"
    )


def test_a_sum_of_a_measurement_and_an_estimate_names_both(data: ReportData) -> None:
    mixed = with_file_measured(data)
    assert verdict_sentence(mixed) == (
        "Fits mcu-2mb: needs 1,512,004 of 2,000,000 bytes"
        " (file measured, working memory estimated from the exported file)"
    )
    both = with_budget(mixed, Budget(total_bytes=2_000_000, macs=1_000))
    assert "(file measured, working memory and MACs estimated from" in verdict_sentence(both)


def test_only_what_the_device_limits_is_told_of(data: ReportData) -> None:
    said = verdict_sentence(with_budget(with_file_measured(data), Budget(storage_bytes=900_000)))
    assert said.endswith("(measured from the exported file)")


def test_the_gate_is_told_with_what_was_lost(data: ReportData) -> None:
    assert gate_passed(data)
    assert "the gate is passed" in str(gate_sentence(data))
    strict = replace(data, gate_points=0.01)
    assert not gate_passed(strict)
    assert "not passed" in str(gate_sentence(strict))


def test_a_loss_of_exactly_the_tolerance_passes(data: ReportData) -> None:
    scores = {
        "float": replace(data.deployed, miou=0.65),
        "int8": replace(data.deployed, miou=0.64),
    }
    assert gate_passed(replace(data, scores=scores))


def test_a_gain_is_called_a_gain(data: ReportData) -> None:
    first, last = data.scores.values()
    assert "gains" in str(gate_sentence(replace(data, scores={"float": last, "int8": first})))


def test_what_colour_buys_is_said_with_the_classes_that_lose_most(data: ReportData) -> None:
    assert list(colour_sentences(data)) == []
    grey = Scores.of([[90, 5, 0], [45, 20, 0], [0, 0, 0]])
    need = Footprint(storage_bytes=812_000, ram_bytes=500_000, macs=9)
    scored, cost = colour_sentences(replace(data, colour=Colour(grey=grey, footprint=need)))
    assert "float scores 46.4\u00a0% of mIoU instead of 87.9\u00a0%" in scored
    assert f"(most: paper {MINUS}57.1, belt {MINUS}25.7)" in scored
    assert "1,312,000 bytes in place of 1,512,004 (estimated)" in cost


def test_where_a_device_takes_no_grey_its_cost_is_not_told(data: ReportData) -> None:
    [scored] = colour_sentences(replace(data, colour=Colour(grey=data.deployed)))
    assert "grey camera" not in scored


def test_one_form_alone_has_no_gate(data: ReportData) -> None:
    assert gate_sentence(replace(data, scores={"int8": data.deployed})) is None


def test_numbers_are_set_to_be_read() -> None:
    assert percent(None) == "absent"
    assert percent(0.0) == "0.0\u00a0%"
    assert percent(0.0001) == "<0.1\u00a0%"
    assert points(0.0001) == points(-0.0001) == "0.0"
    assert points(0.013) == "+1.3"
    assert points(-0.013) == f"{MINUS}1.3"
    assert short(0) == "0"


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "none"), (True, "true"), ([], "none"), ({}, "none"), ([{"a": None}], "a: none")],
)
def test_every_setting_has_a_text(value: object, text: str) -> None:
    assert list(flat({"key": value})) == [("key", text)]
