"""`frugalseg data convert` and `frugalseg data shard`."""

import json
from pathlib import Path
from typing import Annotated

import typer

from frugalseg.cli import options
from frugalseg.cli.progress import shown


def convert(
    folder: Annotated[str, typer.Argument(help="Folder of a data set, or 'belt'.")],
    out: Annotated[Path, typer.Argument(help="Folder to write.")],
    to: Annotated[str, typer.Option(help="Layout to write: folder, camvid, voc, yolo or coco.")],
    map: options.Map = None,
    split: Annotated[
        str | None, typer.Option(help="Divide anew: 0.8/0.2, or 0.7/0.2/0.1 with a test split.")
    ] = None,
    by_source: Annotated[
        str | None,
        typer.Option(
            help="With --split: pictures in whose names this regular expression finds the same stay"
            " together; default: those that look alike."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="With --split: another number, another division.")] = 0,
    format: options.Format = None,
    json_: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Write a data set in another layout; stopped anywhere, call it again and it goes on."""
    from frugalseg.workflows.convert import convert as run

    with shown(quiet=quiet) as progress:
        result = run(
            folder, out, to=to, format=format, map=map, split=split, by=by_source, seed=seed,
            progress=progress,
        )  # fmt: skip
    if json_:
        print(json.dumps(result.to_dict(), indent=2))
        return
    counts = ", ".join(f"{name} {count}" for name, count in result.samples.items())
    before = f" ({result.kept} were there)" if result.kept else ""
    print(f"{result.folder}: layout {result.layout}, {counts}{before}")
    if result.ignored_pixels:
        print(
            f"{result.ignored_pixels:,} ignored pixels are background now:"
            f" the layout {result.layout} knows no others"
        )
    if result.renamed is not None:
        print(f"the class {result.renamed} is called background now")
    if result.adds_background:
        print(f"the layout {result.layout} adds a class background, for what has no label")


def shard(
    folder: Annotated[str, typer.Argument(help="Folder of a data set, or 'belt'.")],
    out: Annotated[Path, typer.Argument(help="Folder to write.")],
    size: Annotated[int, typer.Option(min=1, help="Megabytes in a shard, about.")] = 256,
    map: options.Map = None,
    format: options.Format = None,
    quiet: options.Quiet = False,
) -> None:
    """Write a data set as tar shards: few large files, quick to fetch from elsewhere."""
    from frugalseg.workflows.shard import shard as run

    with shown(quiet=quiet) as progress:
        made = run(
            folder, out, shard_bytes=size * 1_000_000, format=format, map=map, progress=progress
        )
    print(f"{out}: {len(made)} shards, {sum(one.samples for one in made)} samples")
