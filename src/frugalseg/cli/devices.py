"""`frugalseg devices`."""

from typing import TYPE_CHECKING, Annotated

import typer

from frugalseg.cli.tables import table

if TYPE_CHECKING:
    from frugalseg.cost.device import Device

app = typer.Typer(help="The devices that come with frugalseg, and one's own.")
NameOrFile = Annotated[str, typer.Argument(help="Name of a device, or a TOML file.")]


@app.callback(invoke_without_command=True)
def devices(context: typer.Context) -> None:
    """List the devices that come with frugalseg."""
    if context.invoked_subcommand is not None:
        return
    from frugalseg.cost.device import device_names, load_device

    rows = [
        [each.name, each.title, each.runtime, ", ".join(_limits(each)) or "no limit"]
        for each in map(load_device, device_names())
    ]
    print(table(["device", "what it is", "runtime", "bytes for the network"], rows, left=4))


@app.command()
def show(name: NameOrFile) -> None:
    """Show all that is known of one device."""
    from frugalseg.cost.device import load_device

    device = load_device(name)
    print(table([device.name, ""], [*_rows(device)], left=2))
    if device.notes:
        print(f"\n{device.notes.strip()}")
    for source in device.sources:
        print(f"source: {source}")


@app.command()
def check(file: NameOrFile) -> None:
    """Check a device file; exit with 2, and every mistake named, if it is wrong."""
    from frugalseg.cost.device import load_device

    device = load_device(file)
    print(f"{device.name}: {', '.join(_limits(device)) or 'no limit'}; nothing wrong")


def _limits(device: "Device") -> list[str]:
    """Name what the network may use, less what is reserved."""
    names = {"storage_bytes": "storage", "ram_bytes": "RAM", "total_bytes": "together"}
    limits = device.budget.limits()
    return [f"{told} {limits[key]:,}" for key, told in names.items() if limits[key]]


def _rows(device: "Device") -> list[list[str]]:
    told = {
        "title": device.title,
        "like": device.like or "",
        "runtime": device.runtime,
        "memory": device.memory,
        **{_said(key): f"{limit:,}" for key, limit in device.limits if limit},
        **{f"reserved {_said(key)}": f"{taken:,}" for key, taken in device.reserved if taken},
        "margin for estimates": f"{device.margin:.0%}",
        **{f"input {_said(key)}": _value(value) for key, value in device.input},
        "operators, only": _value(device.operators.only),
        "operators, without": _value(device.operators.without),
        **{f"inputs of {kind}": f"at most {n}" for kind, n in device.operators.most_inputs.items()},
        "channels in multiples of": str(device.channel_multiple),
        "bits of weights": _value(device.weight_bits),
        "bits of activations": _value(device.activation_bits),
        "toolchain": device.toolchain or "",
    }
    return [[key, value] for key, value in told.items() if value]


def _said(key: str) -> str:
    return key.replace("_", " ")


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value or "")
