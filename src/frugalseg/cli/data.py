"""`frugalseg data`: look at a data set before anything is trained on it."""

import typer

from frugalseg.cli.check import check
from frugalseg.cli.convert import convert, shard
from frugalseg.cli.preview import preview

app = typer.Typer(help="Look at data sets, and convert them.", no_args_is_help=True)
app.command()(check)
app.command()(convert)
app.command()(shard)
app.command()(preview)


@app.callback()
def data() -> None:
    """Look at data sets, and convert them."""
