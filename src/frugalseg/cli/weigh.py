"""`frugalseg weigh`."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from frugalseg.cli import options
from frugalseg.cli.tables import bars, table
from frugalseg.core.errors import ConfigError
from frugalseg.core.parse import parse_yaml

if TYPE_CHECKING:
    from frugalseg.core.budget import Verdict
    from frugalseg.cost.footprint import WeighReport
    from frugalseg.workflows.verification import Verification

LISTED = 8


def weigh(
    model: Annotated[
        str | None, typer.Argument(help="Network of the catalog, checkpoint, or .tflite file.")
    ] = None,
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
    why: Annotated[
        bool, typer.Option("--why", help="Say what is in memory at the peak, and what would help.")
    ] = False,
    verify: options.Verify = False,
    pairs: options.Pairs = None,
    list_: Annotated[
        bool, typer.Option("--list", help="Name all networks and their settings.")
    ] = False,
    json_: options.Json = False,
) -> None:
    """Count parameters, multiply-accumulates, bytes and peak memory before training."""
    if list_:
        _list(json_=json_)
        return
    if model is None:
        raise ConfigError("name a network, a checkpoint or a file; --list names the networks")
    described: dict[str, Any] = {"classes": classes, "size": size, "set": _read(set or [])}
    if pairs and not verify:
        raise ConfigError("--pairs keeps what --verify measures: give both")
    if verify and why:
        raise ConfigError("--verify measures and --why explains: give one of them")
    if verify:
        _verify(model, device, described, pairs=pairs, json_=json_)
        return
    from frugalseg.workflows.weigh import weigh as run

    report = run(model, **described, device=device, why=why)
    if json_:
        print(json.dumps(report.to_dict(), indent=2))
    else:
        _print(report)
        _print_why(report)
        _print_verdict(report)
    if report.fits is False:
        raise typer.Exit(1)


def _list(*, json_: bool) -> None:
    from frugalseg.models.catalog import MODELS

    entries = {name: MODELS[name] for name in sorted(MODELS)}
    if json_:
        told = [{"name": n, "about": e.about, "settings": e.settings} for n, e in entries.items()]
        print(json.dumps(told, indent=2))
        return
    for name, entry in entries.items():
        settings = " ".join(f"{key}={value}" for key, value in entry.settings.items())
        print(f"{name:<{max(map(len, entries))}}  {entry.about}\n    {settings}")


def _verify(
    model: str, device: str | None, described: dict[str, Any], *, pairs: Path | None, json_: bool
) -> None:
    if device is None:
        raise ConfigError("--verify needs to know what for: name a --device")
    from frugalseg.workflows.verify import verify

    found = verify(model, device, **described, pairs=pairs)
    if json_:
        told = found.to_dict()
        verdict = {"fits": told["fits"], "excess": told["excess"]}
        print(json.dumps(found.report.to_dict() | verdict | {"verification": told}, indent=2))
    else:
        _print(found.report)
        _print_verification(found)
    if not found.fits:
        raise typer.Exit(1)


def _read(settings: list[str]) -> dict[str, Any]:
    values = {}
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals:
            raise ConfigError(f"--set takes KEY=VALUE such as width=0.5, got {setting!r}")
        try:
            values[key.strip()] = parse_yaml(text)
        except ValueError as wrong:
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
        [_bound(report), f"{report.least_peak_bytes:,}", "proven"],
        *_on_device(report),
    ]
    print(table(["figure", "value", "origin"], figures))
    if report.uncounted:
        counted = ", ".join(f"{name} ({n})" for name, n in report.uncounted.items())
        print(f"\nnot counted: {counted}")


def _print_verdict(report: "WeighReport") -> None:
    if report.verdict is None:
        return
    said = _said(report.verdict, report)
    print(f"\n{report.device}: {said}; estimates leave the device's margin free")
    _print_refusals(report)


def _said(verdict: "Verdict", report: "WeighReport") -> str:
    """Fitting is not enough where the device lacks something else."""
    if not verdict:
        return f"does not fit: {verdict}"
    return "has the memory, but cannot run it" if report.refusals else "fits"


def _print_verification(found: "Verification") -> None:
    rows = [
        [each.figure, f"{each.estimated:,}", f"{each.measured:,}", f"{each.off:+.2%}"]
        for each in found.comparisons
    ]
    print()
    print(table([f"bytes on {found.device}", "estimated", "measured", "estimate is off"], rows))
    print(f"measured by {found.measured.tool}; both are kept in {found.pair}")
    if found.measured.in_tiles:
        print(
            "it fits in tiles only, and may run slower; the estimate is of the network in one piece"
        )
    said = _said(found.verdict, found.report)
    if found.verdict and not found.measured.accepted:
        said = "does not fit, by the word of the tool"
    print(f"\n{found.device}: {said}, as measured")
    _print_refusals(found.report)


def _print_refusals(report: "WeighReport") -> None:
    for refusal in report.refusals:
        print(f"{report.device} {refusal}")
    if report.memory.doubts:
        print(f"known only roughly: {', '.join(report.memory.doubts)}")


def _print_why(report: "WeighReport") -> None:
    """Draw the bytes over the course of inference; name those at the peak, and what would help."""
    if report.why is None:
        return
    why = report.why
    print(
        f"\nmemory over {len(report.memory.timeline)} steps; {why.peak_bytes:,} bytes at {why.at}"
    )
    print(bars([moment.bytes for moment in report.memory.timeline]))
    alive = [[name, f"{size:,}"] for name, size in why.alive[:LISTED]]
    if others := why.alive[LISTED:]:
        alive.append([f"{len(others)} more", f"{sum(size for _, size in others):,}"])
    print(table(["alive at the peak", "bytes"], alive))
    print()
    for advice in why.advice:
        saved = advice.ram_bytes_saved
        print(f"{advice.text} saves {saved:,} bytes ({saved / 1e6:.1f} MB)")
    if not why.advice:
        print("nothing that was tried lowers the memory")


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


def _bound(report: "WeighReport") -> str:
    """Name the bound, which counts each map: the bands of a file may lie in one another's."""
    shared = report.memory.ram_bytes < report.least_peak_bytes
    return f"  in any order{', were no map in another' if shared else ''}, at least"


def _origin(report: "WeighReport", figure: str) -> str:
    return "measured" if figure in report.measured else "estimated"
