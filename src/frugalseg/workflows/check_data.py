"""Say what is in a data set and what is wrong with it, and draw some of it."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from frugalseg.core.errors import DataError, require
from frugalseg.core.files import check_file
from frugalseg.core.inputs import InputSpec
from frugalseg.core.progress import Progress, silent
from frugalseg.data.catalog import open_dataset
from frugalseg.data.check.facts import SPECK_PIXELS
from frugalseg.data.check.findings import Finding
from frugalseg.data.check.report import DataReport, check_dataset
from frugalseg.data.check.sheet import choose, draw_pair, draw_sheet
from frugalseg.data.dataset import Dataset, Sample

if TYPE_CHECKING:
    from frugalseg.report.data_page import Shown

SAMPLES = 12
OF_A_FINDING, OF_COPIES = 3, 4
PICTURE = (480, 480)
RINGS = {"specks": SPECK_PIXELS}


def check_data(
    data: str | Path,
    *,
    sheet: str | Path | None = None,
    html: str | Path | None = None,
    input: str | None = None,
    format: str | None = None,
    map: str | Path | None = None,
    progress: Progress = silent,
) -> DataReport:
    """Decode every file of `data` and report; with `sheet`, draw a contact sheet there too.

    The sheet is left out where the data has problems, which come first, or no labelled pixel.
    `html` is a page with all that was found, pictures of it, and what to do about it. `input`
    ("224x448") is the size for which the smallest objects are judged, by default that which
    training takes. `map` is a class map through which the data is seen.
    """
    if html is not None:
        require("jinja2", extra="report")
    for path in (sheet, html):
        if path is not None:
            check_file(Path(path))
    size = None if input is None else InputSpec.parse(input).size
    dataset = open_dataset(data, format=format, map=map, progress=progress)
    report = check_dataset(dataset, input=size, progress=progress)
    labelled = sum(sum(split.pixels) for split in report.splits)
    if sheet is not None and report.ok and labelled:
        draw_sheet(dataset, Path(sheet))
    if html is not None:
        _write_page(dataset, report, Path(html))
    return report


def _write_page(dataset: Dataset, report: DataReport, path: Path) -> None:
    from frugalseg.report.data_page import DataPage, write_data_page

    chosen = choose(dataset, SAMPLES)
    of_file = {
        file: sample
        for samples in dataset.splits.values()
        for sample in samples
        for file in ([sample.image] if sample.item >= 0 else [sample.label, sample.image])
    }
    kinds = {found.kind: found for found in reversed(report.findings)}
    page = DataPage(
        title=dataset.root.resolve().name,
        created=datetime.now(UTC),
        report=report,
        samples=_shown(dataset, [(f"{split}/{s.name}", s) for split, s in chosen]),
        of_kind={
            kind: _shown(dataset, [(s.name, s) for s in _of(found, of_file)], RINGS.get(kind, 0))
            for kind, found in kinds.items()
        },
    )
    write_data_page(page, path)


def _of(found: Finding, of_file: dict[Path, Sample]) -> Iterator[Sample]:
    """Yield the samples of the first few files; of copies, two of each of the first groups."""
    copies = any(len(group) > 1 for group in found.groups)
    files = [path for group in found.groups for path in group[:2]]
    few = OF_COPIES if copies else OF_A_FINDING
    yield from (of_file[path] for path in files[:few] if path in of_file)


def _shown(
    dataset: Dataset, named: Sequence[tuple[str, Sample]], ring_px: int = 0
) -> "list[Shown]":
    """Draw samples; those that cannot be read are passed over."""
    from frugalseg.report.data_page import Shown

    shown = []
    for name, sample in named:
        try:
            image_HWC, overlay_HWC, _ = draw_pair(dataset, sample, PICTURE, ring_px=ring_px)
        except DataError:
            continue
        shown.append(Shown(name=name, image=image_HWC, overlay=overlay_HWC))
    return shown
