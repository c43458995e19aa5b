from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from frugalseg.core.labels import LabelSpace
from frugalseg.data.check.findings import Finding, alone
from frugalseg.data.check.report import DataReport
from frugalseg.data.check.splits import ClassShare, SplitReport
from frugalseg.report.data_page import DataPage, Shown, render, write_data_page

HOSTILE = '<script>alert("1")</script>\'"&'
VOID = {"meta", "img", "br", "wbr"}


class Parsed(HTMLParser):
    """The tags and words of a page; every tag must be closed in its turn."""

    def __init__(self, page: DataPage) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(render(page))
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


def finding(severity: str, kind: str, what: str, files: int = 0) -> Finding:
    paths = [Path("/data/set/images") / f"{i}.png" for i in range(files)]
    return Finding(
        severity=severity,  # type: ignore[arg-type]
        kind=kind, what=what, todo=f"mend {kind}", groups=alone(paths),
    )  # fmt: skip


@pytest.fixture
def shown() -> Shown:
    pixels = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
    return Shown(name="a", image=pixels, overlay=pixels)


@pytest.fixture
def page(shown: Shown) -> DataPage:
    shares = (
        ClassShare(
            name="belt", pixels=90, pixel_share=0.9, images=3, image_share=1.0, regions=4,
            median_region_px=30, small_region_px=1, regions_by_size=(1, 0, 0, 3),
        ),
        ClassShare(name="nylon", pixels=0, pixel_share=0.0, images=0, image_share=0.0),
    )  # fmt: skip
    train = SplitReport(
        name="train", images=3, sizes={"40x60": 2, "20x60": 1}, classes=shares, ignore_share=0.1
    )
    empty = SplitReport(name="val", images=0, sizes={}, classes=shares, ignore_share=0.0)
    report = DataReport(
        root="/data/set",
        format="folder",
        labels=LabelSpace.of(["belt", "nylon"]),
        splits=(train, empty),
        input=(40, 60),
        findings=(
            finding("note", "specks", "2 regions", 7),
            finding("warning", "rare-class", "class 'nylon' is rare"),
        ),
    )
    return DataPage(
        title="set",
        created=datetime(2026, 8, 9, 14, 3, tzinfo=UTC),
        report=report,
        samples=[shown],
        of_kind={"specks": [shown, shown]},
    )


def with_findings(page: DataPage, *findings: Finding) -> DataPage:
    return replace(page, report=replace(page.report, findings=findings))


def test_findings_say_what_and_what_to_do_the_worst_first(page: DataPage) -> None:
    bad = finding("problem", "unusable", "/data/set/images/0.png: truncated", 1)
    text = Parsed(with_findings(page, *page.report.findings, bad)).text
    assert "cannot be used as it is: 1 problem, 1 warning, 1 note." in text
    order = [text.index(f"mend {kind}") for kind in ("unusable", "rare-class", "specks")]
    assert order == sorted(order)
    assert text.count("images/0.png: truncated") == 1  # not named again as a file
    assert "/data/set" not in text


def test_a_set_without_findings_says_so(page: DataPage) -> None:
    text = Parsed(with_findings(page)).text
    assert "This data set can be used: nothing to remark." in text
    assert "Nothing was found." in text


def test_files_are_named_to_a_number(page: DataPage) -> None:
    assert "2 more" in Parsed(page).text  # five of seven are in sight
    text = Parsed(with_findings(page, finding("note", "specks", "many", 100))).text
    assert "95 more" in text
    assert "images/39.png" in text
    assert "images/40.png" not in text
    assert "and 60 more (--json lists them all)" in text


def test_a_thousand_problems_stay_a_small_page(page: DataPage) -> None:
    problems = [finding("problem", "unusable", f"{i}.png: truncated") for i in range(1000)]
    text = Parsed(with_findings(page, *problems)).text
    assert "1000 problems" in text
    assert "And 950 more problems" in text


def test_pictures_are_with_the_first_finding_of_a_kind(page: DataPage) -> None:
    twice = with_findings(page, *[finding("note", "specks", f"some {i}") for i in range(2)])
    images = [attrs for tag, attrs in Parsed(twice).tags if tag == "img"]
    assert len(images) == 2 * (1 + 2)
    assert all(attrs["alt"] for attrs in images)


def test_the_page_loads_nothing(page: DataPage) -> None:
    text, parsed = render(page), Parsed(page)
    assert not [word for word in ("http:", "https:", "@import", "url(") if word in text]
    assert not {tag for tag, _ in parsed.tags} & {"script", "link", "iframe", "object", "form"}
    sources = [attrs["src"] or "" for _, attrs in parsed.tags if "src" in attrs]
    assert sources
    assert all(source.startswith("data:image/") for source in sources)
    assert "default-src 'none'" in text


def test_hostile_words_are_shown_and_do_nothing(page: DataPage, shown: Shown) -> None:
    hostile = Finding(
        severity="note", kind="specks", what=HOSTILE, todo=HOSTILE, groups=alone([Path(HOSTILE)])
    )
    split = page.report.splits[0]
    named = replace(split, name=HOSTILE, sizes={HOSTILE: 3})
    report = replace(
        page.report, root=HOSTILE, format=HOSTILE, labels=LabelSpace.of([HOSTILE, "b"]),
        splits=(named,), findings=(hostile,),
    )  # fmt: skip
    evil = replace(
        page, title=HOSTILE, report=report, samples=[replace(shown, name=HOSTILE)], of_kind={}
    )
    assert "<script" not in render(evil)
    known = {key for _, attrs in Parsed(page).tags for key in attrs}
    assert {key for _, attrs in Parsed(evil).tags for key in attrs} <= known
    assert Parsed(evil).text.count(HOSTILE) > 8


def test_shares_regions_and_sizes_are_drawn_and_written(page: DataPage) -> None:
    parsed = Parsed(page)
    assert "belt 90.03" in parsed.text
    assert "nylon absent0" in parsed.text
    assert "ignored10.0" in parsed.text
    assert "40x602" in parsed.text
    bars = [attrs for tag, attrs in parsed.tags if tag == "rect"]
    assert [bar["x"] for bar in bars] == ["0.0%", "75.0%"]
    assert float(bars[0]["height"] or 0) < float(bars[1]["height"] or 0) == 34
    [chart] = [attrs for tag, attrs in parsed.tags if tag == "svg"]
    assert chart["aria-label"] == "1 of 1 px or more, 3 of 8 px or more"
    tags = [tag for tag, _ in parsed.tags]
    assert tags.count("table") == tags.count("caption")


def test_writing_replaces_the_page_and_leaves_no_draft(page: DataPage, tmp_path: Path) -> None:
    path = tmp_path / "out" / "page.html"
    write_data_page(page, path)
    write_data_page(replace(page, title="Second"), path)
    assert "Second" in path.read_text(encoding="utf-8")
    assert list(path.parent.iterdir()) == [path]
