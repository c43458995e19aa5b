"""Tables of studies: what they say where something is missing, and that they can be read back."""

import csv

import pytest

from frugalseg.core.records import Record
from frugalseg.report.columns import COLUMNS, expanded
from frugalseg.report.study_table import (
    FORMATS,
    Row,
    Run,
    StudyTable,
    comma_separated,
    latex,
    markdown,
)

NAMES = ("parameters", "gflops", "peak_bytes", "miou_int8", "gate")


def run(miou: float, **more: float) -> Run:
    values = {"parameters": 1_500.0, "macs": 2e9, "peak_activation_bytes": 9e4} | more
    records = [
        Record(name=name, value=value, kind="estimated", on="graph")
        for name, value in values.items()
    ]
    records.append(Record(name="int8/miou", value=miou, kind="measured", on="box, 2 cores"))
    return Run(records={r.name: r for r in records}, facts={"gate": "passed"})


def table(*rows: Row) -> StudyTable:
    return StudyTable(title="t", rows=rows, columns=expanded(NAMES, [], None), notes=("a_b",))


SEEDS = Row(name="two", runs=(run(0.5), run(0.6)))
OPEN = Row(name="none", runs=(), state="training, 43%")


def test_a_line_is_mean_and_spread_over_seeds() -> None:
    line = next(line for line in markdown(table(SEEDS)).splitlines() if line.startswith("| two"))
    assert line == "| two | 1,500 | 4.000 | 90,000 | 55.0 ± 7.1 | passed |"


def test_what_is_missing_says_how_far_it_is() -> None:
    text = markdown(table(SEEDS, OPEN))
    assert "| none | - | - | - | - | - | training, 43% |" in text
    assert "| passed | done |" in text
    assert "state" not in markdown(table(SEEDS))


def test_the_peak_of_the_file_counts_before_that_of_the_network() -> None:
    exported = Row(name="x", runs=(run(0.5, **{"int8/peak_activation_bytes": 7e4}),))
    assert exported.values(COLUMNS["peak_bytes"]) == [7e4]


def test_every_number_says_what_it_was_measured_or_estimated_on() -> None:
    text = markdown(table(SEEDS))
    assert "- measured on box, 2 cores: mIoU int8 %" in text
    assert "- estimated on graph: parameters, GFLOPs (2 x MAC), peak activation bytes" in text


def test_csv_is_read_back_with_its_origins() -> None:
    first, second = csv.DictReader(comma_separated(table(SEEDS, OPEN)).splitlines())
    assert float(first["miou_int8"]) == pytest.approx(55)
    assert float(first["miou_int8 sd"]) == pytest.approx(7.0711, abs=1e-3)
    assert first["measured on"] == "box, 2 cores"
    assert first["estimated"] == "parameters gflops peak_bytes"
    assert (second["state"], second["parameters"], second["seeds"]) == ("training, 43%", "", "0")


def test_latex_escapes_what_it_must() -> None:
    text = latex(table(SEEDS, OPEN))
    assert r"mIoU int8 \% & int8 gate & state \\" in text
    assert r"55.0 $\pm$ 7.1" in text
    assert r"\begin{tabular}{lrrrrll}" in text
    assert text.endswith("% a_b")


def test_a_column_for_each_class_leaves_the_background_out_where_asked() -> None:
    columns = expanded(["iou_int8", "object_iou_int8"], ["ground", "glass"], "ground")
    assert [c.title for c in columns.values()] == [
        "IoU int8 % ground", "IoU int8 % glass", "IoU int8 % glass",
    ]  # fmt: skip


@pytest.mark.parametrize("format", FORMATS)
def test_a_table_without_any_result_can_be_written(format: str) -> None:
    assert "training, 43" in FORMATS[format](table(OPEN))
