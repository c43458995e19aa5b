"""`frugalseg evaluate`."""

import json
from pathlib import Path
from typing import Annotated

import typer

from frugalseg.cli import options
from frugalseg.cli.progress import shown
from frugalseg.cli.tables import score_rows, table


def evaluate(
    model: Annotated[Path, typer.Argument(help="Artifact, checkpoint, or folder of a run.")],
    data: options.Data,
    split: Annotated[str, typer.Option(help="Which split of the data.")] = "val",
    file: Annotated[
        str | None, typer.Option(help="Which file of the artifact; default: the deployed one.")
    ] = None,
    format: options.Format = None,
    json_: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Score an artifact, as exported, or a checkpoint."""
    from frugalseg.data.catalog import open_dataset
    from frugalseg.workflows.evaluate import evaluate as run

    with shown(quiet=quiet) as progress:
        scores = run(model, data, split=split, file=file, format=format, progress=progress)
    names = open_dataset(data, format=format).labels.names
    if json_:
        print(json.dumps(scores.to_dict(names), indent=2))
    else:
        print(table([split, str(file or model.name)], score_rows([scores], names)))
