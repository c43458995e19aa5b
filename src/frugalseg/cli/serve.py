"""`frugalseg serve`."""

from pathlib import Path
from typing import Annotated

import typer


def serve(
    artifacts: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Artifacts, or folders of them; the first is the default. Without: the one that"
            " ships."
        ),
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="Settings and limits, a YAML file; options go before it.")
    ] = None,
    host: Annotated[str | None, typer.Option(help="Address to listen at [127.0.0.1].")] = None,
    port: Annotated[int | None, typer.Option(help="Port; 0 takes a free one [8000].")] = None,
    workers: Annotated[int | None, typer.Option(help="Engines side by side [2].")] = None,
    threads: Annotated[int | None, typer.Option(help="Threads of each engine [1].")] = None,
    keys: Annotated[
        Path | None, typer.Option(help="File of API keys; without, none is asked.")
    ] = None,
    cors: Annotated[
        list[str] | None,
        typer.Option(help="Origin whose pages may ask, such as https://example.com. Repeatable."),
    ] = None,
    make_key: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Print a new key and its line for --keys, and end."),
    ] = None,
) -> None:
    """Serve artifacts over HTTP: an API, a page, metrics."""
    from frugalseg.serve.keys import make_key as new_key

    if make_key is not None:
        key, line = new_key(make_key)
        print(f"key, for the client alone: {key}\nline, for the file of keys: {line}")
        return
    from frugalseg.core.parse import parse
    from frugalseg.serve.logs import log_as_json
    from frugalseg.serve.server import serve as run
    from frugalseg.serve.service import open_service
    from frugalseg.serve.settings import Settings, read_settings

    base = read_settings(config) if config else Settings()
    given = {
        "host": host, "port": port, "workers": workers, "threads": threads, "keys": keys,
        "cors": tuple(cors) if cors else None,
    }  # fmt: skip
    named = {name: value for name, value in given.items() if value is not None}
    settings = parse(Settings, base.model_dump() | named, "settings are wrong")
    log_as_json()
    service = open_service(settings, artifacts or [])
    run(service, lambda address: print(f"serving at {address}", flush=True))
