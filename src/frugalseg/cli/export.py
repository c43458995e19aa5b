"""`frugalseg export`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from frugalseg.cli import options
from frugalseg.cli.compress import amount
from frugalseg.cli.progress import shown
from frugalseg.cli.tables import footprint_rows, percent, score_rows, table

if TYPE_CHECKING:
    from frugalseg.compress.mixed import BitsPlan


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
    ranges: Annotated[
        str, typer.Option(help="How int8 ranges are chosen: minmax, percentile, entropy, mse.")
    ] = "minmax",
    equalise: Annotated[
        bool, typer.Option("--equalise", help="Make weights of neighbouring layers alike first.")
    ] = False,
    correct: Annotated[
        bool, typer.Option("--correct", help="Take out of biases what rounding weights adds.")
    ] = False,
    rounding: Annotated[
        str, typer.Option(help="How weights are rounded: nearest, or gptq, worth it at 4 bits.")
    ] = "nearest",
    bytes: Annotated[
        str | None,
        typer.Option(
            help="Most bytes of the int8 file: weights get 4 bits where it matters least. 150k."
        ),
    ] = None,
    bits: Annotated[
        Path | None,
        typer.Option(help="manifest.json with a plan made by --bytes, to follow again."),
    ] = None,
    format: options.Format = None,
    quiet: options.Quiet = False,
) -> None:
    """Export a checkpoint to files that are proven to compute the same."""
    from frugalseg.workflows.export import export as run

    with shown(quiet=quiet) as progress:
        result = run(
            checkpoint, data, out, to=to or ("litert_int8",), tolerance=tolerance,
            calibration=calibration, device=device, output=output, verify=verify,
            ranges=ranges, equalise=equalise, correct=correct, rounding=rounding, bits=bits,
            bytes=amount(bytes), format=format, announce=_announce, progress=progress,
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


def _announce(plan: "BitsPlan") -> None:
    """Print which layers get weights of 4 bits before the long part."""
    rows = [
        [layer, f"{plan.weights[layer]:,}", f"{loss:.1e}", f"{plan.bits.get(layer, 8)}"]
        for layer, loss in sorted(plan.loss.items(), key=lambda pair: pair[1])
    ]
    print(table(["layer", "weights", "divergence at 4 bits", "bits"], rows))
    print(f"file, estimated: {plan.before:,} bytes at 8 bits, {plan.after:,} planned\n", flush=True)
