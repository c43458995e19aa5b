"""`frugalseg data`: look at a data set before anything is trained on it."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from frugalseg.cli import options
from frugalseg.cli.progress import shown
from frugalseg.cli.tables import percent, table
from frugalseg.core.errors import listed

if TYPE_CHECKING:
    from frugalseg.data.check import DataReport

app = typer.Typer(help="Look at data sets.", no_args_is_help=True)


@app.callback()
def data() -> None:
    """Look at data sets."""


@app.command()
def check(
    folder: Annotated[str, typer.Argument(help="Folder with images and masks, or 'belt'.")],
    sheet: Annotated[Path, typer.Option(help="Where to draw the contact sheet.")] = Path(
        "contact-sheet.png"
    ),
    format: options.Format = None,
    json_: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Report sizes, classes and problems of a data set, and draw a contact sheet of it."""
    from frugalseg.workflows.check_data import check_data

    with shown(quiet=quiet) as progress:
        report = check_data(folder, sheet=sheet, format=format, progress=progress)
    if json_:
        print(json.dumps(report.to_dict(), indent=2))
    else:
        _print(report)
        if sheet.is_file() and report.ok:
            print(f"\ncontact sheet  {sheet}")
    if not report.ok:
        raise typer.Exit(2)


def _print(report: "DataReport") -> None:
    print(f"{report.root}: layout {report.format}, {report.labels.num_classes} classes")
    for split in report.splits:
        sizes = ", ".join(f"{size} ({count})" for size, count in list(split.sizes.items())[:5])
        more = len(split.sizes) - 5
        print(f"\n{split.name}: {split.images} images, {sizes}{f' and {more} more' * (more > 0)}")
        rows = [
            [c.name, f"{100 * c.pixel_share:.2f} %", str(c.images), percent(c.image_share)]
            for c in split.classes
        ]
        rows.append(["(ignored)", f"{100 * split.ignore_share:.2f} %", "", ""])
        print(table(["class", "pixels", "images", "of images"], rows))
    for title, lines in (("warnings", report.warnings), ("problems", report.problems)):
        if lines:
            print(f"\n{len(lines)} {title[: -1 if len(lines) == 1 else None]}{listed(lines)}")
