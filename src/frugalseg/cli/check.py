"""`frugalseg data check`."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from frugalseg.cli import options
from frugalseg.cli.progress import shown
from frugalseg.cli.tables import percent, table
from frugalseg.core.errors import LISTED_PROBLEMS, ConfigError

WIDE = 100  # characters of a line that is read at a glance
SHOWN = 5  # groups of files

if TYPE_CHECKING:
    from frugalseg.data.check.findings import Finding
    from frugalseg.data.check.report import DataReport
    from frugalseg.workflows.fix_data import FixResult


def check(
    folder: Annotated[str, typer.Argument(help="Folder with images and masks, or 'belt'.")],
    sheet: Annotated[Path, typer.Option(help="Where to draw the contact sheet.")] = Path(
        "contact-sheet.png"
    ),
    html: Annotated[
        Path | None, typer.Option(help="Page to write: findings, samples, histograms.")
    ] = None,
    input: Annotated[
        str | None,
        typer.Option(
            help="Input size for which small objects are judged: 224x448; default: as training."
        ),
    ] = None,
    fix: Annotated[
        Path | None,
        typer.Option(
            help="Folder for a cleaned copy: without what cannot be used or is in val too."
            " Ends with 0 when it is written."
        ),
    ] = None,
    fix_specks: Annotated[
        bool, typer.Option("--fix-specks", help="With --fix: fill regions of one or two pixels.")
    ] = False,
    format: options.Format = None,
    map: options.Map = None,
    json_: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Report sizes, classes and problems of a data set, and draw a contact sheet of it."""
    from frugalseg.workflows.check_data import check_data
    from frugalseg.workflows.fix_data import check_place, fix_data

    if fix_specks and fix is None:
        raise ConfigError("--fix-specks changes a copy: say with --fix where to write it")
    if fix is not None:
        check_place(folder, fix)
    fixed = None
    with shown(quiet=quiet) as progress:
        report = check_data(
            folder, sheet=sheet, html=html, input=input, format=format, map=map,
            progress=progress,
        )  # fmt: skip
        if fix is not None:
            fixed = fix_data(
                folder, fix, specks=fix_specks, report=report, format=format, map=map,
                progress=progress,
            )  # fmt: skip
    if json_:
        told: dict[str, Any] = report.to_dict()
        print(json.dumps(told | {"fix": fixed.to_dict()} if fixed else told, indent=2))
    else:
        _print(report)
        _print_files(report, sheet, html)
        if fixed:
            _print_fixed(fixed)
    if not report.ok and not fixed:
        raise typer.Exit(2)


def _print(report: "DataReport") -> None:
    print(f"{report.root}: layout {report.format}, {report.labels.num_classes} classes")
    for split in report.splits:
        sizes = ", ".join(f"{size} ({count})" for size, count in list(split.sizes.items())[:5])
        more = len(split.sizes) - 5
        print(f"\n{split.name}: {split.images} images, {sizes}{f' and {more} more' * (more > 0)}")
        rows = [
            [
                c.name, f"{100 * c.pixel_share:.2f} %", str(c.images), percent(c.image_share),
                f"{c.regions:,}", f"{c.median_region_px:,}", f"{c.small_region_px:,}",
            ]
            for c in split.classes
        ]  # fmt: skip
        rows.append(["(ignored)", f"{100 * split.ignore_share:.2f} %", "", "", "", "", ""])
        head = ["class", "pixels", "images", "of images", "regions", "middle px", "5 % up to px"]
        print(table(head, rows))
    _print_findings("notes", report.of("note"))
    _print_findings("warnings", report.of("warning"))
    _print_findings("problems", report.of("problem"))


def _print_findings(title: str, findings: "Sequence[Finding]") -> None:
    """Print findings, and what to do about each unless the one before has said so."""
    if not findings:
        return
    print(f"\n{len(findings)} {title[: -1 if len(findings) == 1 else None]}:")
    told = ""
    for found in findings[:LISTED_PROBLEMS]:
        if told not in {"", found.todo}:
            print(f"    to do: {told}")
        _print_finding(found)
        told = found.todo
    if (more := len(findings) - LISTED_PROBLEMS) > 0:
        print(f"  ... and {more} more")
    print(f"    to do: {told}")


def _print_finding(found: "Finding") -> None:
    """Print what was found: files of a few words behind it, more of them below, a line each."""
    if len(found.text) <= WIDE or found.text == found.what:
        print(f"  {found.text}")
        return
    print(f"  {found.what}:")
    for group in found.groups[:SHOWN]:
        print(f"    {' = '.join(map(str, group))}")
    if (more := len(found.groups) - SHOWN) > 0:
        print(f"    ... and {more} more")


def _print_files(report: "DataReport", sheet: Path, html: Path | None) -> None:
    if sheet.is_file() and report.ok:
        print(f"\ncontact sheet  {sheet}")
    if html is not None:
        print(f"\npage  {html}")


def _print_fixed(fixed: "FixResult") -> None:
    from frugalseg.data.check.findings import some

    counts = ", ".join(f"{split} {count:,}" for split, count in fixed.samples.items())
    print(f"\ncleaned copy  {fixed.folder}: {counts}")
    for why, files in fixed.dropped.items():
        print(f"  left out, {why}: {some(map(str, files))}")
    done = {
        "turned upright": fixed.straightened,
        "written as RGB": fixed.recoloured,
        "specks filled": fixed.specks,
    }
    for what, count in done.items():
        if count:
            print(f"  {what}: {count:,}")
    if not fixed.dropped and not any(done.values()):
        print("  nothing had to be changed")
    left = [found.what for found in fixed.left if found.severity == "warning"]
    if left:
        print(f"  for you to judge, still there: {some(left)}")
