"""The page as a folder for any web host: networks run in the browser, and no service is needed."""

import gzip
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from frugalseg.core.errors import ArtifactError, ConfigError
from frugalseg.core.files import check_folder, complete_folder, write_json, write_text
from frugalseg.runtime.manifest import NAME as MANIFEST
from frugalseg.serve.shelf import CARD, Model, Shelf

PAGE = Path(__file__).with_name("page")
INDEX = "index.html"
MODELS = "models"
LISTED = "static.json"

_ASKS_THE_SERVICE = 'name="frugalseg-models" content="v1/models"'
_NAMED = 5


def write_static(sources: Sequence[Path], out: Path) -> list[Model]:
    """Write the page with artifacts, or all artifacts in folders, as the folder `out`.

    Files that the service keeps compressed are written as they are, since a plain host cannot say
    that they are compressed. `out/models/VERSION` is an artifact itself. What was written here
    before is replaced. Returns the networks, the one that is shown first in front.

    Raises ArtifactError for what is no artifact or does not run in a browser, ConfigError where
    something else lies at `out`.
    """
    _check_place(out)
    shelf = Shelf(sources=sources, workers=1, threads=1)
    shelf.load()
    models = list(shelf.models)
    for model in models:
        if model.file.format != "litert":
            raise ArtifactError(
                f"{model.name} deploys {model.file.path}, and a browser runs LiteRT files alone:"
                " export it with --to litert_int8 first"
            )
    with complete_folder(out) as draft:
        for name, path in _page_files().items():
            _unpacked(path, draft / name)
        index = (draft / INDEX).read_text(encoding="utf-8")
        told = _ASKS_THE_SERVICE.replace("v1/models", LISTED)
        write_text(draft / INDEX, index.replace(_ASKS_THE_SERVICE, told))
        listed = [_written(model, draft, default=model is models[0]) for model in models]
        write_json(draft / LISTED, {"models": listed, "files": _files_in(draft)})
    return models


def _page_files() -> dict[str, Path]:
    """Return the files of the page by their paths below it, without what tells of compression."""
    found = (path for path in sorted(PAGE.rglob("*")) if path.is_file())
    return {path.relative_to(PAGE).as_posix().removesuffix(".gz"): path for path in found}


def _unpacked(path: Path, to: Path) -> None:
    to.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".gz":
        to.write_bytes(gzip.decompress(path.read_bytes()))
    else:
        shutil.copyfile(path, to)


def _written(model: Model, draft: Path, *, default: bool) -> dict[str, Any]:
    """Write an artifact below the draft, and return what the page wants to know of it."""
    below = f"{MODELS}/{model.version}"
    (draft / below).mkdir(parents=True, exist_ok=True)
    (draft / below / MANIFEST).write_bytes(model.manifest_text)
    (draft / below / model.file.path).write_bytes(model.content)
    write_text(draft / below / CARD, model.card)
    parts = {"card": CARD, "manifest": MANIFEST, "file": model.file.path}
    links = {part: f"{below}/{name}" for part, name in parts.items()}
    return model.to_dict(default=default) | {"links": links}


def _files_in(folder: Path) -> list[str]:
    found = (path for path in folder.rglob("*") if not path.is_dir())
    return sorted(path.relative_to(folder).as_posix() for path in found)


def _check_place(out: Path) -> None:
    """Refuse a place where anything lies but a page that was written here."""
    check_folder(out.parent)
    if not out.exists():
        return
    try:
        mine = {LISTED, *json.loads((out / LISTED).read_text(encoding="utf-8"))["files"]}
    except (OSError, ValueError, LookupError, TypeError) as wrong:
        raise ConfigError(f"{out} exists and is not a page: name another folder") from wrong
    if foreign := [name for name in _files_in(out) if name not in mine]:
        named = ", ".join(foreign[:_NAMED])
        raise ConfigError(f"{out} holds more than a page ({named}): name another folder")
