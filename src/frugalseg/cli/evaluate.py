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
    from frugalseg.workflows.evaluate import evaluate as run

    with shown(quiet=quiet) as progress:
        result = run(model, data, split=split, file=file, format=format, progress=progress)
    if json_:
        print(json.dumps(result.to_dict(), indent=2))
    else:
        rows = score_rows([result.scores], result.labels.names)
        print(table([split, str(file or model.name)], rows))
