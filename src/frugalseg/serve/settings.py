"""Settings of the service: where it listens, what it serves, and what it refuses to be sent."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from frugalseg.core.errors import ConfigError
from frugalseg.core.parse import Part, parse, parse_yaml, reason

Seconds = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(gt=0)]


class Limits(Part):
    """What one client, and all of them together, may ask of the service.

    Bytes are those that come over the wire. `pixels` bounds a picture by its header, before it is
    decoded, and the sizes that can be asked for. `buffer_bytes` bounds all bodies held at once.
    """

    picture_bytes: Count = 20_000_000
    batch_bytes: Count = 100_000_000
    tensor_bytes: Count = 20_000_000
    json_bytes: Count = 8_000_000
    buffer_bytes: Count = 300_000_000
    pixels: Count = 25_000_000
    batch_pictures: Count = 16
    batch_tensors: Count = 16
    queue: Count = 64
    in_flight: Count = 256
    headers_s: Seconds = 10.0
    stall_s: Seconds = 10.0
    body_s: Seconds = 60.0
    request_s: Seconds = 30.0
    send_s: Seconds = 60.0
    keep_alive_s: Seconds = 15.0
    shutdown_s: Seconds = 40.0


class Settings(Part):
    """How the service runs. `threads` is of each engine; `workers` are engines side by side."""

    host: Annotated[str, Field(min_length=1)] = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65_535)] = 8000
    workers: Annotated[int, Field(ge=1, le=256)] = 2
    threads: Annotated[int, Field(ge=1, le=64)] = 1
    reload_s: Seconds = 2.0
    keys: Path | None = None
    cors: tuple[str, ...] = ()
    limits: Limits = Limits()


def read_settings(path: Path) -> Settings:
    """Read settings from YAML; raises ConfigError that names every mistake."""
    try:
        values = parse_yaml(path.read_text(encoding="utf-8"), aliases=False)
    except (OSError, ValueError) as wrong:
        raise ConfigError(f"{path} cannot be read: {reason(wrong)}") from wrong
    if not isinstance(values, dict):
        raise ConfigError(f"{path} is wrong: expected a mapping, such as 'workers: 2'")
    return parse(Settings, values, f"{path} is wrong")
