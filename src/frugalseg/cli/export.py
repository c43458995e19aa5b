"""`frugalseg export`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from frugalseg.cli import options
from frugalseg.cli.compress import amount
from frugalseg.cli.progress import shown
from frugalseg.cli.tables import footprint_rows, percent, score_rows, table
from frugalseg.core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

    from frugalseg.compress.mixed import BitsPlan
    from frugalseg.workflows.export import ExportResult

WEB = "web"  # as --to, or as --format


def export(
    checkpoint: Annotated[
        Path, typer.Argument(help="Checkpoint, or folder of a run; for web an artifact too.")
    ],
    out: options.Out,
    data: Annotated[
        str | None,
        typer.Option(help="Folder with images and masks, or 'belt'; not for web of an artifact."),
    ] = None,
    to: Annotated[
        list[str] | None,
        typer.Option(
            "--to",
            help="litert_int8 (default), litert, onnx; repeatable, the first is deployed. web"
            " writes a page that runs it in the browser, as a folder for any web host.",
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
    format: Annotated[
        str | None,
        typer.Option(help="Layout of the data; default: recognised. web is the same as --to web."),
    ] = None,
    quiet: options.Quiet = False,
) -> None:
    """Export a checkpoint to files that are proven to compute the same."""
    formats = [name for name in to or () if name != WEB]

    def run(checkpoint: Path, out: Path) -> "ExportResult":
        from frugalseg.workflows.export import export

        if data is None:
            raise ConfigError("name the data that the network is scored on: --data DIR")
        with shown(quiet=quiet) as progress:
            return export(
                checkpoint, data, out, to=formats or ("litert_int8",), tolerance=tolerance,
                calibration=calibration, device=device, output=output, verify=verify,
                ranges=ranges, equalise=equalise, correct=correct, rounding=rounding, bits=bits,
                bytes=amount(bytes), format=None if format == WEB else format,
                announce=_announce, progress=progress,
            )  # fmt: skip

    if WEB in (*(to or ()), format):
        _page(checkpoint, out, run if data is not None else None)
    else:
        _tell(run(checkpoint, out))


def _page(source: Path, out: Path, make: "Callable[[Path, Path], ExportResult] | None") -> None:
    from frugalseg.workflows.export_page import export_page

    result = export_page(source, out, make=make)
    print(f"networks  {', '.join(result.networks)}\nbytes     {result.bytes:,}")
    print(f"page      {result.folder}\ntry it    python -m http.server -d {result.folder}")


def _tell(result: "ExportResult") -> None:
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
