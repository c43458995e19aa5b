"""write_data_page: what is in a data set and what is wrong with it, as one page that needs nothing.

The values come from `data check`; `data_page.html.j2` turns them into HTML and escapes them all.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from jinja2 import Environment, StrictUndefined
from numpy.typing import NDArray

from frugalseg.core.files import write_text
from frugalseg.report import pictures, wording

if TYPE_CHECKING:
    from frugalseg.data.check.findings import Finding
    from frugalseg.data.check.report import DataReport
    from frugalseg.data.check.splits import ClassShare, SplitReport

LISTED_FILES = 40
LISTED_PROBLEMS = 50
"""Of one kind; a data set may have as many problems as files."""

LISTED_SIZES = 8
CHART_HEIGHT = 34

_ORDER = {"problem": 0, "warning": 1, "note": 2}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Shown:
    """One sample: its picture and the classes laid over it, uint8 (H, W, 3) each."""

    name: str
    image: NDArray[np.uint8]
    overlay: NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DataPage:
    """What the page shows: a report, samples of all sorts, and samples of the findings by kind."""

    title: str
    created: datetime
    report: "DataReport"
    samples: Sequence[Shown] = ()
    of_kind: Mapping[str, Sequence[Shown]] = field(default_factory=dict)


class FindingRow(NamedTuple):
    """One finding, its files relative to the data set: the first few, and the others."""

    severity: str
    what: str
    todo: str
    first: list[str]
    others: list[str]
    unlisted: int
    pictures: list[dict[str, str]]


class Swatch(NamedTuple):
    """A class in the legend."""

    name: str
    color: str


class RegionRow(NamedTuple):
    """The regions of one class, with the bars of their sizes: left, width and height in percent."""

    swatch: Swatch
    regions: int
    median_px: int
    small_px: int
    bars: list[tuple[float, float, float]]
    words: str


def write_data_page(page: DataPage, path: Path) -> None:
    """Write the page to `path`, whole or not at all; what stood there is replaced."""
    write_text(path, render(page))


def render(page: DataPage) -> str:
    """Build the page. It loads nothing, runs no script, and escapes every value."""
    ours = files("frugalseg.report")
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"count": wording.count, "hundredths": wording.hundredths}
    template = environment.from_string(ours.joinpath("data_page.html.j2").read_text("utf-8"))
    style = "\n".join(ours.joinpath(name).read_text("utf-8") for name in _STYLES)
    return template.render(style=style, page=page, report=page.report, **_view(page))


_STYLES = ("style.css", "data_page.css")


def _view(page: DataPage) -> dict[str, Any]:
    report = page.report
    counts = {s: sum(f.severity == s for f in report.findings) for s in _ORDER}
    legend = _legend(report)
    return {
        "sentence": _sentence(counts),
        "findings": list(_finding_rows(page)),
        "hidden_problems": max(0, counts["problem"] - LISTED_PROBLEMS),
        "legend": legend,
        "samples": [_pictured(shown) for shown in page.samples],
        "splits": [split for split in report.splits if split.images],
        "most": max((c.pixel_share for s in report.splits for c in s.classes), default=0) or 1,
        "regions": [(s, list(_region_rows(s, legend))) for s in report.splits if s.images],
        "sizes": [(s, *_sizes(s)) for s in report.splits if s.images],
        "chart_height": CHART_HEIGHT,
    }


def _sentence(counts: Mapping[str, int]) -> str:
    said = [f"{n} {word}{'s' * (n != 1)}" for word, n in counts.items() if n]
    found = ", ".join(said) or "nothing to remark"
    if counts["problem"]:
        return f"This data set cannot be used as it is: {found}"
    return f"This data set can be used: {found}"


def _legend(report: "DataReport") -> list[Swatch]:
    pairs = zip(report.labels.names, report.labels.colors, strict=True)
    return [Swatch(name, "#{:02x}{:02x}{:02x}".format(*color)) for name, color in pairs]


def _finding_rows(page: DataPage) -> Iterator[FindingRow]:
    """Yield problems first, and the pictures of a kind with its first finding only."""
    seen: set[str] = set()
    problems = 0
    for found in sorted(page.report.findings, key=lambda f: _ORDER[f.severity]):
        problems += found.severity == "problem"
        if found.severity == "problem" and problems > LISTED_PROBLEMS:
            continue
        shown = page.of_kind.get(found.kind, ()) if found.kind not in seen else ()
        seen.add(found.kind)
        yield _finding_row(found, page.report.root, shown)


def _finding_row(found: "Finding", root: str, shown: Sequence[Shown]) -> FindingRow:
    named = [" = ".join(_short(str(path), root) for path in group) for group in found.groups]
    what = _short(found.what, root)
    if all(name in what for name in named):
        named = []
    few = 5
    return FindingRow(
        severity=found.severity,
        what=what,
        todo=found.todo,
        first=named[:few],
        others=named[few:LISTED_FILES],
        unlisted=max(0, len(named) - LISTED_FILES),
        pictures=[_pictured(each) for each in shown],
    )


def _short(text: str, root: str) -> str:
    return text.replace(f"{root}/", "")


def _pictured(shown: Shown) -> dict[str, str]:
    height, width = shown.image.shape[:2]
    return {
        "name": shown.name,
        "ratio": f"{width} / {height}",
        "image": pictures.photograph(shown.image),
        "overlay": pictures.photograph(shown.overlay),
    }


def _region_rows(split: "SplitReport", legend: Sequence[Swatch]) -> Iterator[RegionRow]:
    bins = max((len(share.regions_by_size) for share in split.classes), default=0) or 1
    for swatch, share in zip(legend, split.classes, strict=True):
        yield RegionRow(
            swatch=swatch,
            regions=share.regions,
            median_px=share.median_region_px,
            small_px=share.small_region_px,
            bars=list(_bars(share, bins)),
            words=_words(share),
        )


def _bars(share: "ClassShare", bins: int) -> Iterator[tuple[float, float, float]]:
    highest = max(share.regions_by_size, default=0) or 1
    for i, count in enumerate(share.regions_by_size):
        if count:
            height = round(CHART_HEIGHT * max(count / highest, 0.04), 1)
            yield round(100 * i / bins, 2), round(100 / bins - 0.6, 2), height


def _words(share: "ClassShare") -> str:
    """Say a histogram in words, for those who cannot see it."""
    return ", ".join(
        f"{count:,} of {2**i:,} px or more"
        for i, count in enumerate(share.regions_by_size)
        if count
    )


def _sizes(split: "SplitReport") -> tuple[list[tuple[str, int, float]], int]:
    """List the commonest sizes with their share, and how many others there are."""
    pairs = list(split.sizes.items())
    shown = [(size, count, 100 * count / split.images) for size, count in pairs[:LISTED_SIZES]]
    return shown, max(0, len(pairs) - LISTED_SIZES)
