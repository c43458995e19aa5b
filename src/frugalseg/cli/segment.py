"""`frugalseg segment`."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from frugalseg.cli import options
from frugalseg.cli.progress import shown
from frugalseg.core.errors import ConfigError, DataError

STREAM = "-"
MOST_BYTES = 256_000_000


def segment(
    source: Annotated[str, typer.Argument(help="Picture, folder, or - for standard input.")],
    artifact: Annotated[Path, typer.Option("--artifact", "-a", help="Artifact folder.")],
    out: Annotated[str, typer.Option("--out", "-o", help="Folder to write, or - for one output.")],
    kinds: Annotated[
        list[str] | None,
        typer.Option("--as", help="ids, overlay, json; repeatable. Default: all three."),
    ] = None,
    workers: Annotated[int, typer.Option(help="Pictures at a time.", min=1, max=64)] = 2,
    quiet: options.Quiet = False,
) -> None:
    """Label pictures with an artifact: class ids as PNG, overlay, shares as JSON."""
    from frugalseg.workflows.segment import KINDS
    from frugalseg.workflows.segment import segment as run

    chosen = kinds or list(KINDS)
    if STREAM in {source, out}:
        _stream(source, artifact, out, chosen)
        return
    with shown(quiet=quiet) as progress:
        result = run(artifact, source, out, kinds=chosen, workers=workers, progress=progress)
    for path in result.written[:6]:
        print(path)
    if (more := len(result.written) - 6) > 0:
        print(f"... and {more} more files")
    if result.problems:
        raise DataError("some pictures could not be segmented", result.problems)


def _standard_input() -> bytes:
    picture = sys.stdin.buffer.read(MOST_BYTES + 1)
    if len(picture) > MOST_BYTES:
        raise DataError(f"standard input holds more than {MOST_BYTES:,} bytes: that is no picture")
    return picture


def _stream(source: str, artifact: Path, out: str, kinds: list[str]) -> None:
    from frugalseg.core.files import complete_file
    from frugalseg.runtime.segmenter import Segmenter
    from frugalseg.workflows.segment import KINDS, check_kinds, encode

    check_kinds(kinds)
    if out == STREAM and len(kinds) != 1:
        raise ConfigError("-o - writes one output: choose it, with --as ids, overlay or json")
    picture = _standard_input() if source == STREAM else Path(source)
    result = Segmenter.open(artifact).segment(picture)
    if out == STREAM:
        sys.stdout.buffer.write(encode(result, kinds[0]))
        return
    for kind in kinds:
        with complete_file(Path(out) / f"stdin{KINDS[kind]}") as draft:
            draft.write_bytes(encode(result, kind))
