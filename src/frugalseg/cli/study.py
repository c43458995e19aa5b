"""`frugalseg study`: many runs, and the table that they fill."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from frugalseg.cli import options
from frugalseg.cli.progress import shown
from frugalseg.cli.tables import table as text_table

FAILED = 1

app = typer.Typer(
    help="Compare networks: a YAML file with a grid of runs, and the table that they fill.",
    no_args_is_help=True,
)
NameOrFile = Annotated[str, typer.Argument(help="Name of a study (see `study list`), or a file.")]


@app.command()
def run(
    study: NameOrFile,
    data: Annotated[Path, typer.Option(help="Folder that holds the data sets of the study.")],
    out: options.Out,
    time: Annotated[
        str | None,
        typer.Option(help="Stop in good order after so long (9m), to go on at the next call."),
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option(help="Do this run alone; repeatable. Default: all.")
    ] = None,
    train_only: Annotated[
        bool,
        typer.Option("--train-only", help="Export nothing; a later call does, here or elsewhere."),
    ] = False,
    set: options.Settings = None,
    quiet: options.Quiet = False,
) -> None:
    """Do what is still missing of a study; stopped anywhere, call it again and it goes on.

    Ends with 1 if a run could not be trained or exported, as where the loss is no number any more.
    A file that loses too much is a result.
    """
    from frugalseg.workflows.study_run import study_run

    try:
        with shown(quiet=quiet) as progress:
            result = study_run(
                study, data, out, time=time, only=only or (), train_only=train_only,
                set=set or (), progress=progress,
            )  # fmt: skip
    except KeyboardInterrupt:
        print("call it again: it goes on where it was", file=sys.stderr)
        raise
    for key in result.finished:
        lacks = f"; {result.lacks[key]}" if key in result.lacks else ""
        print(f"{key}: {'trained' if train_only else 'done'}{lacks}")
    if not result.finished and not result.left:
        print("nothing left to do")
    if result.left:
        print()
        print(text_table(["left", "how far"], [list(pair) for pair in result.left.items()], left=2))
    if result.failed:
        raise typer.Exit(FAILED)


@app.command()
def table(
    study: NameOrFile,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of `study run`.")],
    format: Annotated[str, typer.Option(help="markdown, csv or latex.")] = "markdown",
    plots: Annotated[
        Path | None,
        typer.Option(help="Folder for mIoU over bytes, memory and multiply-accumulates, as SVG."),
    ] = None,
) -> None:
    """Print the table of a study from what has been done so far."""
    from frugalseg.workflows.study_table import study_table

    print(study_table(study, out, format=format, plots=plots))


@app.command("list")
def list_() -> None:
    """List the studies that come with frugalseg."""
    from frugalseg.workflows.study_list import study_list

    rows = [[each.name, str(each.runs), each.about] for each in study_list()]
    print(text_table(["study", "runs", "about"], rows, left=3))
