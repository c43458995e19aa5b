"""`frugalseg weigh`."""

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer
import yaml

from frugalseg.cli import options
from frugalseg.cli.tables import table
from frugalseg.core.errors import ConfigError

if TYPE_CHECKING:
    from frugalseg.cost.footprint import WeighReport


def weigh(
    model: Annotated[
        str, typer.Argument(help="Network of the catalog, checkpoint, or .tflite file.")
    ],
    classes: Annotated[
        int | None, typer.Option(help="Number of classes; default: 11, or the checkpoint's own.")
    ] = None,
    size: Annotated[
        str | None,
        typer.Option(help="Input, HEIGHTxWIDTH; default: 360x480, or the checkpoint's own."),
    ] = None,
    set: Annotated[
        list[str] | None, typer.Option("--set", help="Setting of the network: width=0.5.")
    ] = None,
    device: options.MaybeDevice = None,
    json_: options.Json = False,
) -> None:
    """Count parameters, multiply-accumulates, bytes and peak memory before training."""
    from frugalseg.workflows.weigh import weigh as run

    report = run(
        model, classes=classes, size=size, set=_read(set or []), device=device
    )  # fmt: skip
    if json_:
        print(json.dumps(report.to_dict(), indent=2))
    else:
        _print(report)
    if report.fits is False:
        raise typer.Exit(1)


def _read(settings: list[str]) -> dict[str, Any]:
    values = {}
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals:
            raise ConfigError(f"--set takes KEY=VALUE such as width=0.5, got {setting!r}")
        try:
            values[key.strip()] = yaml.safe_load(text)
        except yaml.YAMLError as wrong:
            raise ConfigError(f"--set {setting}: not a value: {wrong}") from wrong
    return values


def _print(report: "WeighReport") -> None:
    rows = [
        [
            row.layer, row.kind, "x".join(map(str, row.shape[1:])), f"{row.params:,}",
            f"{row.macs / 1e6:,.2f}", f"{row.out_bytes:,}",
        ]
        for row in report.layers
    ]  # fmt: skip
    print(table(["layer", "operator", "output", "params", "MMAC", "bytes"], rows, left=2))
    print()
    figures = [
        ["parameters", f"{report.params:,}", "counted"],
        ["multiply-accumulates", f"{report.macs:,}", "counted"],
        *(
            [f"weight bytes, {kind}", f"{size:,}", _origin(report, "weight_bytes")]
            for kind, size in report.weight_bytes.items()
        ),
        [
            ".tflite file" if report.measured else ".tflite file, int8",
            f"{report.file_bytes:,}",
            _origin(report, "file_bytes"),
        ],
        ["peak activation bytes", f"{report.peak_activation_bytes:,}", "estimated"],
        ["  at", report.peak_at, ""],
        ["  in any order, at least", f"{report.least_peak_bytes:,}", "proven"],
        *_on_device(report),
    ]
    print(table(["figure", "value", "origin"], figures))
    if report.uncounted:
        counted = ", ".join(f"{name} ({n})" for name, n in report.uncounted.items())
        print(f"\nnot counted: {counted}")
    if report.verdict is not None:
        said = report.verdict if report.verdict else f"does not fit: {report.verdict}"
        print(f"\n{report.device}: {said}; estimates leave the device's margin free")
        for refusal in report.refusals:
            print(f"{report.device} {refusal}")
        if report.memory.doubts:
            print(f"known only roughly: {', '.join(report.memory.doubts)}")


def _on_device(report: "WeighReport") -> list[list[str]]:
    """What the network needs as the device counts it."""
    if report.device is None:
        return []
    memory = report.memory
    rows = [[f"RAM on {report.device}", f"{memory.ram_bytes:,}", "estimated"]]
    rows += [[f"  {part}", f"{size:,}", "estimated"] for part, size in memory.parts.items()]
    if memory.storage_bytes is not None:
        rows.append([f"network on {report.device}", f"{memory.storage_bytes:,}", "estimated"])
    return rows


def _origin(report: "WeighReport", figure: str) -> str:
    return "measured" if figure in report.measured else "estimated"
