"""`frugalseg fit`: the main job."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from frugalseg.cli import options
from frugalseg.cli.progress import shown
from frugalseg.cli.tables import footprint_rows, percent, table

if TYPE_CHECKING:
    from frugalseg.workflows.fit import FitResult


def fit(
    data: options.Data,
    device: options.Device,
    out: options.Out,
    time: options.Time = None,
    size: Annotated[
        str | None, typer.Option(help="Input, HEIGHTxWIDTH; default: of the pictures, at most 640.")
    ] = None,
    recipe: options.Recipe = "default",
    set: options.Settings = None,
    tolerance: options.Tolerance = 1.0,
    calibration: options.Calibration = 128,
    output: options.Output = None,
    verify: options.Verify = False,
    resume: options.Resume = False,
    format: options.Format = None,
    map: options.Map = None,
    quiet: options.Quiet = False,
) -> None:
    """From images and a device to an int8 network that fits it, its scores and a report."""
    from frugalseg.workflows.fit import fit as run

    with shown(quiet=quiet) as progress:
        result = run(
            data, device, out, time=time, size=size, recipe=recipe, set=set or (),
            tolerance=tolerance, calibration=calibration, output=output, verify=verify,
            resume=resume, format=format, map=map, progress=progress,
        )  # fmt: skip
    finish(result, out)


def finish(result: "FitResult", out: Path) -> None:
    """Print the table at the end of `fit`; exit with 1 where the network does not fit."""
    exported, verdict = result.export, result.verdict
    rows = [
        ["mIoU", percent(exported.float_scores.miou), percent(exported.scores.miou)],
        ["pixel accuracy", percent(exported.float_scores.pixel_accuracy),
         percent(exported.scores.pixel_accuracy)],
    ]  # fmt: skip
    print(table(["val", "float", "int8"], rows))
    need = exported.footprint
    print()
    settings = result.choice.architecture.settings
    print(
        table(
            ["network", f"frugalnet, width {settings['width']}, depth {settings['depth']}"],
            [
                *footprint_rows(need),
                ["chosen", result.choice.reason],
                [result.device.name, "fits" if verdict else f"does not fit: {verdict}"],
            ],
            left=2,
        )
    )
    print(f"\nartifact  {result.artifact}\nreport    {result.report}")
    if not verdict:
        raise typer.Exit(1)
