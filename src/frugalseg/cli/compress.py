"""`frugalseg compress`."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from frugalseg.cli import options
from frugalseg.cli.progress import shown
from frugalseg.cli.tables import percent, score_rows, table
from frugalseg.core.errors import ConfigError

if TYPE_CHECKING:
    from frugalseg.compress.catalog import Plan
    from frugalseg.workflows.export import ExportResult

PREFIXES = {"": 1, "k": 1_000, "m": 1_000_000, "g": 1_000_000_000}


def amount(text: str | None) -> int | None:
    """Read a number with a prefix.

    >>> amount("500k"), amount("1.5M"), amount("900"), amount(None)
    (500000, 1500000, 900, None)
    """
    if text is None:
        return None
    number, prefix = (text[:-1], text[-1].lower()) if text[-1:].isalpha() else (text, "")
    try:
        return int(float(number) * PREFIXES[prefix])
    except (KeyError, ValueError, OverflowError):
        raise ConfigError(f"{text!r} is no amount such as 900, 500k or 1.5M") from None


def compress(
    checkpoint: Annotated[Path, typer.Argument(help="Checkpoint, or folder of a run.")],
    data: options.Data,
    out: options.Out,
    bytes: Annotated[str | None, typer.Option(help="Most bytes of the int8 file: 500k.")] = None,
    peak: Annotated[
        str | None, typer.Option(help="Most bytes of memory while it runs: 1M.")
    ] = None,
    macs: Annotated[str | None, typer.Option(help="Most multiply-accumulates: 300M.")] = None,
    parameters: Annotated[str | None, typer.Option(help="Most parameters: 100k.")] = None,
    device: options.MaybeDevice = None,
    method: Annotated[
        str | None,
        typer.Option(
            help="joint (default) for channels, ranks and bits of weights together; prune for"
            " channels alone; or ranks by svd, tucker or bsr, a beam search."
        ),
    ] = None,
    importance: Annotated[
        str | None,
        typer.Option(help="Which channels go: taylor (default), magnitude, bn_scale, fpgm."),
    ] = None,
    multiple: Annotated[
        int | None,
        typer.Option(help="Keep multiples of so many channels: faster at equal MACs; default: 1."),
    ] = None,
    rounds: Annotated[
        int | None,
        typer.Option(help="Prune in so many rounds, which share the training; default: 1."),
    ] = None,
    plan: Annotated[
        Path | None,
        typer.Option(help="A plan.json to follow again, for the same network; limits are checked."),
    ] = None,
    time: options.Time = None,
    set: options.Settings = None,
    tolerance: options.Tolerance = 1.0,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the plan and what it comes to; write nothing.")
    ] = False,
    format: options.Format = None,
    json_: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Make a trained network smaller, train it again with itself as teacher, and export it."""
    from frugalseg.workflows.compress import compress as run

    with shown(quiet=quiet) as progress:
        result = run(
            checkpoint, data, out, bytes=amount(bytes), peak=amount(peak), macs=amount(macs),
            parameters=amount(parameters), device=device, method=method, importance=importance,
            multiple=multiple, rounds=rounds, plan=plan, time=time, set=set or (),
            tolerance=tolerance, dry_run=dry_run, format=format,
            announce=_nothing if json_ else _announce, progress=progress,
        )  # fmt: skip
    if json_:
        print(json.dumps(result.to_dict(), indent=2))
    elif result.export is not None:
        _print(result.export, result.before)


def _nothing(_plan: "Plan") -> None:
    pass


def _announce(plan: "Plan") -> None:
    """Print the plan before the long part."""
    figures = [
        [figure.replace("_", " "), f"{before:,}", f"{plan.after[figure]:,}"]
        for figure, before in plan.before.items()
    ]
    changed = [list(row) for row in plan.rows()]
    print(table(["", "before", "after"], figures + changed))
    if not changed:
        print("nothing has to go: the network keeps to these limits as it is")
    for reason, count in plan.fixed.items():
        print(f"stays, {count} x: {reason}")
    print(flush=True)


def _print(exported: "ExportResult", before: float | None) -> None:
    if before is not None:
        print(f"mIoU before {percent(before)}\n")
    names = exported.manifest.label_space.names
    scores = score_rows([exported.float_scores, exported.scores], names)
    print(table(["val", "float", "int8"], scores))
    print(f"\nfile      {exported.file}: {exported.file.stat().st_size:,} bytes")
    print(f"artifact  {exported.folder}")
