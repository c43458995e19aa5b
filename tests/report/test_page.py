from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from frugalseg.core.budget import Budget
from frugalseg.core.labels import LabelSpace
from frugalseg.metrics.scores import Scores
from frugalseg.report.contents import Example, Layer, Moment, ReportData
from frugalseg.report.page import activation_room, render, write_report

VOID = {"meta", "img", "br", "wbr"}
HOSTILE = '<script>alert("1")</script>\'"&'


class Page(HTMLParser):
    """What a test asks of a page; every tag must be closed in its turn."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join("".join(self.words).split())


def with_classes(data: ReportData, count: int, prefix: str = "class") -> ReportData:
    counts = np.random.default_rng(0).integers(0, 9, (count, count)) + 90 * np.eye(count, dtype=int)
    scores = Scores.of(counts.tolist())
    labels = LabelSpace.of([f"{prefix} {i}" for i in range(count)])
    return replace(data, labels=labels, scores={"float": scores, "int8": scores})


def test_the_page_parses_and_says_the_verdict_first(data: ReportData) -> None:
    page = Page(render(data))
    headings = [tag for tag, _ in page.tags if tag in {"h1", "h2"}]
    assert headings == ["h1"] + ["h2"] * 9
    assert page.text.index("Fits mcu-2mb: needs 1,512,004") < page.text.index("Scores")


def test_the_page_loads_nothing(data: ReportData) -> None:
    text = render(data)
    page = Page(text)
    assert "http:" not in text
    assert "https:" not in text
    assert "@import" not in text
    assert "url(" not in text
    assert not {tag for tag, _ in page.tags} & {"script", "link", "iframe", "object", "form"}
    sources = [attrs["src"] or "" for _, attrs in page.tags if "src" in attrs]
    assert len(sources) == 6
    assert all(source.startswith("data:image/") for source in sources)
    links = [attrs["href"] or "" for _, attrs in page.tags if "href" in attrs]
    anchors = {attrs["id"] for _, attrs in page.tags if "id" in attrs}
    assert {link.removeprefix("#") for link in links} <= anchors
    assert "default-src 'none'" in text


def test_hostile_words_are_shown_and_do_nothing(data: ReportData, example: Example) -> None:
    hostile = replace(
        with_classes(data, 3, HOSTILE),
        title=HOSTILE,
        target=replace(data.target, name=HOSTILE, title=HOSTILE),
        weighings=[replace(data.weighing, source=HOSTILE)],
        scored_on=HOSTILE,
        notes=[HOSTILE],
        best=[replace(example, name=HOSTILE)],
        moments=[Moment(HOSTILE, 5, ((HOSTILE, 5),))],
        resident=[(HOSTILE, 5)],
        layers=[Layer(HOSTILE, 1, 1, 1)],
        settings={HOSTILE: HOSTILE, "nested": {HOSTILE: HOSTILE}},
        records=[replace(data.records[0], name=HOSTILE, on=HOSTILE, settings={HOSTILE: 1})],
    )
    text = render(hostile)
    page = Page(text)
    assert "<script" not in text
    assert "script" not in {tag for tag, _ in page.tags}
    known = {key for tag, attrs in Page(render(data)).tags for key in attrs}
    assert {key for tag, attrs in page.tags for key in attrs} <= known
    assert page.text.count(HOSTILE) > 20


def test_absent_classes_are_called_absent_and_not_zero(data: ReportData) -> None:
    text = Page(render(data)).text
    assert "nylon0.0 absentabsent" in text
    assert "absent from the labels" in text


def test_a_network_that_does_not_fit_is_told_in_the_title_too(data: ReportData) -> None:
    tight = replace(data.target, budget=Budget(total_bytes=1_000_000))
    text = Page(render(replace(data, target=tight))).text
    assert "does not fit mcu-2mb" in text
    assert "Does not fit mcu-2mb: needs 1,512,004 of 1,000,000 bytes, 512,004 too many" in text
    assert "over the limit 512,004 bytes" in text


def test_what_is_in_memory_all_the_time_is_told_apart(data: ReportData) -> None:
    page = Page(render(replace(data, resident=[("arena tail", 30_000), ("arena gaps", 5)])))
    assert (
        "730,005 bytes: 700,000 of the moment, and 30,005 that are there all the time"
        " (arena tail 30,000, arena gaps 5)"
    ) in page.text
    bases = [attrs for tag, attrs in page.tags if attrs.get("class") == "base"]
    assert [float(base["height"] or 0) > 0 for base in bases] == [True]
    assert not [1 for _, attrs in Page(render(data)).tags if attrs.get("class") == "base"]


def test_pictures_tables_and_charts_have_words(data: ReportData) -> None:
    page = Page(render(data))
    assert all(attrs.get("alt") for tag, attrs in page.tags if tag == "img")
    assert all(attrs.get("aria-label") for _, attrs in page.tags if attrs.get("role") == "img")
    tags = [tag for tag, _ in page.tags]
    assert tags.count("table") == tags.count("caption")
    assert all("scope" in attrs for tag, attrs in page.tags if tag == "th")


@pytest.mark.parametrize("count", [1, 20, 40, 41, 255])
def test_any_number_of_classes_is_shown(data: ReportData, count: int) -> None:
    text = render(with_classes(data, count))
    Page(text)
    assert ('class="matrix"' in text) == (count <= 40)
    assert len(text) < 1_000_000


def test_a_long_network_stays_a_small_page(data: ReportData) -> None:
    long = replace(
        data,
        moments=[Moment(f"stage.{i}/conv", i) for i in range(2_000)],
        layers=[Layer(f"stage.{i}", i, i, i) for i in range(2_000)],
    )
    text = render(long)
    assert len(text) < 2_000_000
    assert "All 2000 operators" in Page(text).text


def test_the_most_and_noisiest_examples_stay_below_two_megabytes(
    data: ReportData, example: Example
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (480, 640, 3), np.uint8)
    noisy = replace(example, image=noise, label=noise, prediction=noise)
    assert len(render(replace(data, best=[noisy] * 8, worst=[noisy] * 8))) < 2_000_000


def test_parts_that_are_missing_are_said_to_be(data: ReportData) -> None:
    bare = replace(
        data, best=(), worst=(), steps=(), validations=(), moments=(), layers=(),
        settings={}, records=(), scores={"int8": data.deployed}, gate_points=None,
    )  # fmt: skip
    text = Page(render(bare)).text
    assert text.count("recorded.") == 4
    assert "No examples were kept." in text
    assert "No records were kept." in text


def test_origins_are_words_and_not_colours_alone(data: ReportData) -> None:
    kinds: tuple[Literal["measured", "estimated", "cited"], ...]
    kinds = ("measured", "estimated", "cited")
    records = [replace(data.records[0], name=f"from {k}", kind=k) for k in kinds]
    text = Page(render(replace(data, records=records))).text
    assert all(f"from {kind}0.8{kind}2 cores" in text for kind in kinds)


def test_each_figure_of_a_footprint_has_its_own_origin(data: ReportData) -> None:
    need = replace(data.weighing.footprint, measured=frozenset({"storage_bytes"}))
    shown = replace(data, weighings=[replace(data.weighing, footprint=need)])
    text = Page(render(shown)).text
    assert "Network file812,004 measured" in text
    assert "Working memory700,000 estimated" in text
    assert "Together1,512,004 estimated" in text


def test_activations_get_what_the_file_leaves(data: ReportData) -> None:
    need = data.weighing.footprint
    assert activation_room(Budget(total_bytes=2_000_000), need) == 1_187_996
    assert activation_room(Budget(total_bytes=2_000_000, ram_bytes=5), need) == 5
    assert activation_room(Budget(storage_bytes=9), need) is None
    small = replace(data, target=replace(data.target, budget=Budget(total_bytes=9)))
    assert "The network file alone is more than mcu-2mb holds." in Page(render(small)).text


def test_writing_replaces_the_page_and_leaves_no_draft(data: ReportData, tmp_path: Path) -> None:
    page = tmp_path / "run" / "report.html"
    write_report(data, page)
    write_report(replace(data, title="Second"), page)
    assert "Second" in page.read_text(encoding="utf-8")
    assert list(page.parent.iterdir()) == [page]


def test_equal_data_gives_equal_pages(data: ReportData) -> None:
    assert render(data) == render(data)
