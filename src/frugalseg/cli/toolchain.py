"""`frugalseg toolchain`."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from frugalseg.cli import options
from frugalseg.cli.tables import table

if TYPE_CHECKING:
    from frugalseg.workflows.toolchain import ToolchainCheck

app = typer.Typer(
    help="Device makers' own tools, each in an environment of its own.", no_args_is_help=True
)
Name = Annotated[str, typer.Argument(help="Toolchain: imx500 or tflm.")]


@app.command()
def install(
    name: Name,
    python: Annotated[
        Path | None, typer.Option(help="Python to make it with; default: looked for.")
    ] = None,
    quiet: options.Quiet = False,
) -> None:
    """Install a toolchain into the cache, or go on where an install was interrupted."""
    from frugalseg.cli.progress import shown
    from frugalseg.workflows.toolchain import install_toolchain, list_toolchains

    with shown(quiet=quiet) as progress:
        done = install_toolchain(name, python=python, progress=progress)
    state = next(state for state in list_toolchains() if state.name == name)
    said = "installed" if done else "is installed already"
    print(f"{name} {state.version} {said}: {state.folder}, {_size(state.bytes)}")
    if done:
        print(f"licence: {state.licence}")


@app.command("list")
def list_(json_: options.Json = False) -> None:
    """List the toolchains: whether they are installed, where, and what they are for."""
    from frugalseg.workflows.toolchain import list_toolchains

    states = list_toolchains()
    if json_:
        print(json.dumps([state.to_dict() for state in states], indent=2))
        return
    rows = [
        [
            each.name, each.state, each.version, _size(each.bytes) if each.bytes else "",
            str(each.folder) if each.bytes else "",
        ]
        for each in states
    ]  # fmt: skip
    print(table(["toolchain", "state", "version", "on disk", "where"], rows, left=5))
    for each in states:
        print(f"\n{each.name} {each.purpose}.\nlicence: {each.licence}")


@app.command()
def check(
    name: Annotated[
        str | None, typer.Argument(help="Toolchain; default: all that are installed.")
    ] = None,
    json_: options.Json = False,
) -> None:
    """Run a toolchain once, and compare its packages with those that were tested."""
    from frugalseg.workflows.toolchain import check_toolchains

    checks = check_toolchains([] if name is None else [name])
    if json_:
        print(json.dumps([each.to_dict() for each in checks], indent=2))
    else:
        print("\n".join(map(_told, checks)) or "no toolchain is installed")
    if not all(each.works for each in checks):
        raise typer.Exit(2)


@app.command()
def remove(name: Name) -> None:
    """Delete a toolchain from the cache."""
    from frugalseg.workflows.toolchain import remove_toolchain

    print(f"{name} {'is removed' if remove_toolchain(name) else 'was not installed'}")


def _told(check: "ToolchainCheck") -> str:
    if not check.works:
        return f"{check.name} does not work: {check.problem}"
    tested = "" if check.warnings else ", all versions as tested"
    return f"{check.name} works: {check.said}{tested}"


def _size(size: int) -> str:
    return f"{size / 1e6:,.0f} MB"
