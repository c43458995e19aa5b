"""`frugalseg export`."""

from pathlib import Path
from typing import Annotated

import typer

from frugalseg.cli import options
from frugalseg.cli.progress import shown
from frugalseg.cli.tables import footprint_rows, percent, score_rows, table


def export(
    checkpoint: Annotated[Path, typer.Argument(help="Checkpoint, or folder of a run.")],
    data: options.Data,
    out: options.Out,
    to: Annotated[
        list[str] | None,
        typer.Option(
            "--to", help="litert_int8 (default), litert, onnx; repeatable, the first is deployed."
        ),
    ] = None,
    device: options.MaybeDevice = None,
    output: options.Output = None,
    verify: options.Verify = False,
    tolerance: options.Tolerance = 1.0,
    calibration: options.Calibration = 128,
    format: options.Format = None,
    quiet: options.Quiet = False,
) -> None:
    """Export a checkpoint to files that are proven to compute the same."""
    from frugalseg.workflows.export import export as run

    with shown(quiet=quiet) as progress:
        result = run(
            checkpoint, data, out, to=to or ("litert_int8",), tolerance=tolerance,
            calibration=calibration, device=device, output=output, verify=verify,
            format=format, progress=progress,
        )  # fmt: skip
    first = result.manifest.files[0]
    names = result.manifest.label_space.names
    print(
        table(
            ["val", "float", first.path],
            score_rows([result.float_scores, result.scores], names),
        )
    )
    print()
    rows = [
        [f.path, f"{f.bytes:,}", percent(f.scores["miou"] if f.scores else None),
         "" if f.parity is None else f"{f.parity:.1e}"]
        for f in result.manifest.files
    ]  # fmt: skip
    print(table(["file", "bytes", "mIoU", "parity gap"], rows))
    if result.manifest.device:
        print()
        print(table([result.manifest.device, "fits"], footprint_rows(result.footprint), left=2))
    print(f"\nartifact  {result.folder}")
