"""Data sets that lie elsewhere: `s3://bucket/waste`, `gs://...`, or whatever fsspec can open.

They are fetched once, into the user's cache, and read from there; files that have changed are
fetched again, and those that are gone are removed. Many small files are slow to fetch: `frugalseg
data shard` makes few of them.
"""

import contextlib
import hashlib
import json
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from frugalseg.core.errors import DataError, require
from frugalseg.core.files import cache_folder, complete_file, write_json
from frugalseg.core.progress import Progress, silent

EXTRAS = {"s3": "s3", "gs": "gs", "gcs": "gs"}
PLAIN = ("file://", "local://")


def is_remote(source: str | Path) -> bool:
    """Tell an address from a path: "s3://bucket/waste" is one."""
    return "://" in str(source)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep libraries from logging, with a traceback, what they raise as well."""
    loggers = [logging.getLogger(name) for name in ("gcsfs", "s3fs")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


@_quiet()
def fetched(source: str, *, cache: Path | None = None, progress: Progress = silent) -> Path:
    """Bring all files below an address into the cache, and return the folder that holds them.

    Raises DataError where the address is wrong or cannot be reached, and MissingExtraError where
    what opens it is not installed.
    """
    for prefix in PLAIN:
        if source.startswith(prefix):
            return Path(source.removeprefix(prefix))
    system, root, files = _listed(source)
    name = hashlib.sha256(source.rstrip("/").encode()).hexdigest()[:16]
    place = (cache or cache_folder()) / "remote" / name
    folder, listing = place / "files", place / "listing.json"
    here = json.loads(listing.read_text(encoding="utf-8")) if listing.is_file() else {}
    now = {path: _state(facts) for path, facts in sorted(files.items())}
    targets = {path: folder / _relative(path, root) for path in now}
    try:
        for path in here.keys() - now.keys():
            (folder / _relative(path, root)).unlink(missing_ok=True)
            del here[path]
        for done, (path, target) in enumerate(targets.items(), 1):
            if here.get(path) != now[path] or not target.is_file():
                _fetch(system, path, target)
                here[path] = now[path]
            progress("fetch", done, len(now), path)
    finally:  # cut off, it goes on from here
        write_json(listing, here)
    return folder


def _listed(source: str) -> tuple[Any, str, dict[str, dict[str, Any]]]:
    """Return what opens an address, the path below it, and the facts of each file there."""
    protocol = source.partition("://")[0]
    if protocol not in EXTRAS and protocol != "memory":
        raise DataError(
            f"{source}: an address begins with s3://, gs:// or file://, got {protocol}://"
        )
    if not source.partition("://")[2].strip("/"):
        raise DataError(f"{source}: names no bucket; expected such as {protocol}://bucket/waste")
    extra = EXTRAS.get(protocol)
    core = require("fsspec.core", extra=extra)
    try:
        system, root = core.url_to_fs(source.rstrip("/"))
        found = system.find(root, detail=True)
    except ImportError as missing:
        raise DataError(f"{source}: {missing}; install 'frugalseg[{extra}]'") from missing
    except FileNotFoundError as missing:
        raise DataError(f"{source}: no such bucket or folder") from missing
    except Exception as wrong:  # of whatever library reaches it
        raise DataError(f"{source}: cannot be reached ({wrong})") from wrong
    # Consoles in a browser make a folder by a file without content whose name ends in "/".
    files = {path: facts for path, facts in found.items() if not path.endswith("/")}
    if not files:
        raise DataError(f"{source}: no files there")
    return system, root, files


def _state(facts: Mapping[str, Any]) -> str:
    """Write down what changes when a file does, as far as its system tells."""
    keys = ("size", "ETag", "etag", "md5Hash", "LastModified", "updated", "created", "mtime")
    return ", ".join(f"{key} {facts[key]}" for key in keys if key in facts)


def _relative(path: str, root: str) -> Path:
    relative = Path(path).relative_to(root)
    if ".." in relative.parts:
        raise DataError(f"{path}: leaves the folder of the data set")
    return relative


def _fetch(system: Any, path: str, target: Path) -> None:
    with complete_file(target) as draft:
        try:
            system.get_file(path, str(draft))
        except Exception as wrong:
            raise DataError(f"{path}: cannot be fetched ({wrong})") from wrong
