"""Data sets that lie elsewhere: `s3://bucket/waste`, `gs://...`, or whatever fsspec can open.

They are fetched once, into the user's cache, and read from there; files that have changed in size
are fetched again. Many small files are slow to fetch: `frugalseg data shard` makes few of them.
"""

import hashlib
from pathlib import Path
from typing import Any

from frugalseg.core.errors import DataError, require
from frugalseg.core.files import cache_folder, complete_file
from frugalseg.core.progress import Progress, silent

EXTRAS = {"s3": "s3", "gs": "gs", "gcs": "gs"}
PLAIN = ("file://", "local://")


def is_remote(source: str | Path) -> bool:
    """Tell an address from a path: "s3://bucket/waste" is one."""
    return "://" in str(source)


def fetched(source: str, *, cache: Path | None = None, progress: Progress = silent) -> Path:
    """Bring all files below an address into the cache, and return the folder that holds them.

    Raises DataError where the address is wrong or cannot be reached, and MissingExtraError where
    what opens it is not installed.
    """
    for prefix in PLAIN:
        if source.startswith(prefix):
            return Path(source.removeprefix(prefix))
    protocol = source.partition("://")[0]
    if protocol not in EXTRAS and protocol != "memory":
        raise DataError(
            f"{source}: an address begins with s3://, gs:// or file://, got {protocol}://"
        )
    extra = EXTRAS.get(protocol)
    core = require("fsspec.core", extra=extra)
    try:
        system, root = core.url_to_fs(source.rstrip("/"))
        files = system.find(root, detail=True)
    except ImportError as missing:
        raise DataError(f"{source}: {missing}; install 'frugalseg[{extra}]'") from missing
    except Exception as wrong:  # of whatever library reaches it
        raise DataError(f"{source}: cannot be reached ({wrong})") from wrong
    if not files:
        raise DataError(f"{source}: no files there")
    name = hashlib.sha256(source.rstrip("/").encode()).hexdigest()[:16]
    folder = (cache or cache_folder()) / "remote" / name
    for done, (path, facts) in enumerate(sorted(files.items()), 1):
        _fetch(system, path, int(facts["size"]), folder, root)
        progress("fetch", done, len(files), path)
    return folder


def _fetch(system: Any, path: str, size: int, folder: Path, root: str) -> None:
    relative = Path(path).relative_to(root)
    if ".." in relative.parts:
        raise DataError(f"{path}: leaves the folder of the data set")
    place = folder / relative
    if place.is_file() and place.stat().st_size == size:
        return
    with complete_file(place) as draft:
        try:
            system.get_file(path, str(draft))
        except Exception as wrong:
            raise DataError(f"{path}: cannot be fetched ({wrong})") from wrong
