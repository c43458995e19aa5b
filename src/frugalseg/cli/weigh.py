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
    classes: Annotated[int, typer.Option(help="Number of classes.")] = 11,
    size: Annotated[str, typer.Option(help="Input, HEIGHTxWIDTH.")] = "360x480",
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="Setting of the network: width=0.5.")
    ] = None,
    device: options.MaybeDevice = None,
    json_: options.Json = False,
) -> None:
    """Count parameters, multiply-accumulates, bytes and peak memory before training."""
    from frugalseg.core.budget import Footprint
    from frugalseg.cost.device import load_device
    from frugalseg.workflows.weigh import weigh as run

    target = None if device is None else load_device(device)
    report = run(model, classes=classes, size=size, settings=_read(settings or []))
    verdict = None
    if target is not None:
        verdict = target.budget.check(
            Footprint(
                file_bytes=report.file_bytes,
                peak_activation_bytes=report.peak_activation_bytes,
                macs=report.macs,
            )
        )
    if json_:
        values = report.to_dict()
        if verdict is not None:
            excess = {e.resource: e.needed - e.allowed for e in verdict.excess}
            values |= {
                "device": target.name if target else None,
                "fits": bool(verdict),
                "excess": excess,
            }
        print(json.dumps(values, indent=2))
    else:
        _print(report)
        if target is not None and verdict is not None:
            print(
                f"\n{target.name}: {'fits' if verdict else f'does not fit: {verdict}'} (estimated)"
            )
    if verdict is not None and not verdict:
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
    head = ["layer", "operator", "output", "params", "MMAC", "int8 bytes"]
    print(table(head, rows, left=2))
    print()
    figures = [
        ["parameters", f"{report.params:,}"],
        ["multiply-accumulates", f"{report.macs:,}"],
        ["weight bytes, fp32", f"{report.weight_bytes['fp32']:,}"],
        ["weight bytes, int8", f"{report.weight_bytes['int8']:,}"],
        [".tflite file, int8", f"{report.file_bytes:,}"],
        ["peak activation bytes, int8", f"{report.peak_activation_bytes:,}"],
        ["  at", report.peak_at],
    ]
    print(table(["estimated", ""], figures))
    if report.uncounted:
        counted = ", ".join(f"{name} ({n})" for name, n in report.uncounted.items())
        print(f"\nnot counted: {counted}")
