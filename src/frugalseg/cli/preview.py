"""`frugalseg data preview`."""

from pathlib import Path
from typing import Annotated

import typer

from frugalseg.cli import options
from frugalseg.cli.progress import shown


def preview(
    folder: Annotated[str, typer.Argument(help="Folder of a data set, or 'belt'.")],
    recipe: options.Recipe = "default",
    set: options.Settings = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="Where to draw it.")] = Path(
        "preview.png"
    ),
    count: Annotated[int, typer.Option(help="How many pictures, 1 to 400.")] = 12,
    format: options.Format = None,
    map: options.Map = None,
    quiet: options.Quiet = False,
) -> None:
    """Draw what the network will see: pictures after sampling and augmentation, with labels."""
    from frugalseg.workflows.preview import preview_data

    with shown(quiet=quiet) as progress:
        drawn = preview_data(
            folder, out, recipe=recipe, set=set or (), count=count,
            format=format, map=map, progress=progress,
        )  # fmt: skip
    print(f"preview  {drawn}")
