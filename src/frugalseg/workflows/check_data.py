"""Say what is in a data set and what is wrong with it, and draw some of it."""

from pathlib import Path

from frugalseg.core.progress import Progress, silent
from frugalseg.data.catalog import open_dataset
from frugalseg.data.check import DataReport, check_dataset
from frugalseg.data.sheet import draw_sheet


def check_data(
    data: str | Path,
    *,
    sheet: str | Path | None = None,
    format: str | None = None,
    progress: Progress = silent,
) -> DataReport:
    """Decode every file of `data` and report; with `sheet`, draw a contact sheet there too.

    The sheet is left out where the data has problems, which come first, or no labelled pixel.
    """
    dataset = open_dataset(data, format=format, progress=progress)
    report = check_dataset(dataset, progress=progress)
    labelled = sum(sum(split.pixels) for split in report.splits)
    if sheet is not None and report.ok and labelled:
        draw_sheet(dataset, Path(sheet))
    return report
