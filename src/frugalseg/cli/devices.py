"""`frugalseg devices`."""

from typing import Annotated

import typer

from frugalseg.cli.tables import table


def devices(
    name: Annotated[
        str | None, typer.Argument(help="Show this one alone: name or TOML file.")
    ] = None,
) -> None:
    """List the devices that come with frugalseg, or show one."""
    from frugalseg.cost.device import device_names, load_device

    if name is not None:
        device = load_device(name)
        limits = {k: v for k, v in device.budget.limits().items() if v is not None}
        rows = [["title", device.title], ["runtime", device.runtime], ["memory", device.memory]]
        rows += [[key.replace("_", " "), f"{value:,}"] for key, value in limits.items()]
        rows += [["margin that fit keeps", f"{device.margin:.0%}"]]
        print(table([device.name, ""], rows, left=2))
        print(f"\n{device.notes.strip()}" if device.notes else "")
        for source in device.sources:
            print(f"source: {source}")
        return
    rows = []
    for each in map(load_device, device_names()):
        limits = {k: v for k, v in each.budget.limits().items() if v is not None}
        told = ", ".join(f"{k.replace('_', ' ')} {v:,}" for k, v in limits.items()) or "none"
        rows.append([each.name, each.title, told])
    print(table(["device", "what it is", "limits"], rows, left=3))
