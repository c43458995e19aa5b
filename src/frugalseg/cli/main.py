"""The `frugalseg` command. Exit codes: 0 worked or fits, 1 gate or fit failed, 2 asked wrongly."""

import logging
import signal
import sys
from typing import Annotated, NoReturn

import typer

from frugalseg import __version__
from frugalseg.cli import (
    compress,
    data,
    demo,
    devices,
    evaluate,
    export,
    fit,
    segment,
    serve,
    study,
    toolchain,
    train,
    weigh,
)
from frugalseg.core.errors import FrugalsegError

INTERRUPTED = 130

app = typer.Typer(
    help="Semantic segmentation that fits: name the device, bring the images.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)


def _version(wanted: bool) -> None:
    if wanted:
        print(__version__)
        raise typer.Exit


@app.callback()
def _main(
    _: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    pass


app.add_typer(data.app, name="data")
app.add_typer(devices.app, name="devices")
app.add_typer(study.app, name="study")
app.add_typer(toolchain.app, name="toolchain")
app.command("demo")(demo.demo)
app.command("fit")(fit.fit)
app.command("train")(train.train)
app.command("evaluate")(evaluate.evaluate)
app.command("weigh")(weigh.weigh)
app.command("compress")(compress.compress)
app.command("export")(export.export)
app.command("segment")(segment.segment)
app.command("serve")(serve.serve)


def _end(number: int, _frame: object) -> NoReturn:
    sys.exit(128 + number)


def main() -> None:
    """Run the command line and exit with its code."""
    for name in ("SIGTERM", "SIGHUP"):  # so that tools end and drafts go, as on Ctrl-C
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) == signal.SIG_DFL:  # nohup ignores it
            signal.signal(number, _end)
    logging.basicConfig(format="warning: %(message)s", level=logging.WARNING, stream=sys.stderr)
    try:
        app(standalone_mode=True)
    except FrugalsegError as wrong:
        print(f"error: {wrong}", file=sys.stderr)
        sys.exit(wrong.exit_code)
    except SystemExit as ending:
        if ending.code == INTERRUPTED:
            hint = "; the run can go on with --resume" if {"fit", "train"} & set(sys.argv) else ""
            print(f"interrupted{hint}", file=sys.stderr)
        raise
    except ModuleNotFoundError as missing:
        print(
            f"error: this command needs {missing.name}, which is not installed:"
            " pip install 'frugalseg[all]'",
            file=sys.stderr,
        )
        sys.exit(2)
    except OSError as wrong:  # a full disk, a folder that is not ours, ...
        print(f"error: cannot read or write: {wrong}", file=sys.stderr)
        sys.exit(2)
