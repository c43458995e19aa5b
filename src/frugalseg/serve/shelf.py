"""The shelf: which models are served, and how they are exchanged while they are."""

import json
import logging
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from frugalseg.core.errors import ArtifactError, FrugalsegError
from frugalseg.runtime.card import model_card
from frugalseg.runtime.manifest import NAME as MANIFEST
from frugalseg.runtime.manifest import Manifest, NetworkFile
from frugalseg.runtime.segmenter import Segmenter, find_artifact, holds_artifact

CARD = "MODEL_CARD.md"
MOST_CARD_BYTES = 1_000_000
VERSION_DIGITS = 12

_NAME = re.compile(r"[^/\\\x00-\x1f\x7f]{1,100}")

log = logging.getLogger("frugalseg.serve")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Model:
    """An artifact that is open, with one engine for each worker.

    Requests hold on to the model that they began with; it ends with the last of them. The version
    is the start of the network file's SHA-256. `native_size` is (height, width) of what it gives.
    """

    manifest: Manifest
    manifest_text: bytes
    file: NetworkFile
    content: bytes
    card: str
    segmenters: tuple[Segmenter, ...]
    native_size: tuple[int, int]

    @property
    def name(self) -> str:
        """Name of the model, the same for all its versions."""
        return self.manifest.name

    @property
    def version(self) -> str:
        """Twelve digits of the network file's hash."""
        return self.file.sha256[:VERSION_DIGITS]

    @property
    def created(self) -> datetime:
        """When it was exported."""
        when = datetime.fromisoformat(self.manifest.created)
        return when if when.tzinfo else when.replace(tzinfo=UTC)

    def to_dict(self, *, default: bool) -> dict[str, Any]:
        """Plain values, ready for JSON: what a client may want to know."""
        manifest, file = self.manifest, self.file
        labels, spec = manifest.label_space, manifest.input_spec
        colors = ("#{:02x}{:02x}{:02x}".format(*color) for color in labels.colors)
        below = f"v1/models/{quote(self.name, safe='')}/versions/{self.version}"
        return {
            "name": self.name,
            "version": self.version,
            "default": default,
            "sha256": file.sha256,
            "format": file.format,
            "precision": file.precision,
            "bytes": file.bytes,
            "output": file.output,
            "input": {"height": spec.height, "width": spec.width, "channels": spec.channels},
            "labels": [
                {"id": number, "name": name, "color": color}
                for number, (name, color) in enumerate(zip(labels.names, colors, strict=True))
            ],
            "background": labels.background,
            "scores": file.scores,
            "scored_on": manifest.scored_on,
            "footprint": manifest.footprint,
            "device": manifest.device,
            "created": manifest.created,
            "links": {part: f"{below}/{part}" for part in ("card", "manifest", "file")},
        }


def open_model(path: Path, *, workers: int, threads: int) -> Model:
    """Open an artifact for `workers` engines of `threads` threads each.

    Raises ArtifactError where it is not one, was changed since it was written, or changes now.
    """
    folder = find_artifact(path)
    before = _signature(folder)
    try:
        segmenters = tuple(Segmenter.open(folder, threads=threads) for _ in range(workers))
        file = segmenters[0].file
        model = Model(
            manifest=segmenters[0].manifest,
            manifest_text=(folder / MANIFEST).read_bytes(),
            file=file,
            content=(folder / file.path).read_bytes(),
            card=_card(folder, segmenters[0].manifest),
            segmenters=segmenters,
            native_size=_native_size(segmenters[0]),
        )
        _ = model.created, json.dumps(model.to_dict(default=False), allow_nan=False)
    except (OSError, ValueError) as wrong:
        raise ArtifactError(f"{folder} cannot be opened: {wrong}") from wrong
    if not _NAME.fullmatch(model.name):
        raise ArtifactError(f"{folder}: a name of up to 100 characters without / is wanted")
    if _signature(folder) != before:
        raise ArtifactError(f"{folder} changes while it is read")
    return model


def _native_size(segmenter: Segmenter) -> tuple[int, int]:
    """Run it once: that tells the size of what it gives, and that it runs at all."""
    spec = segmenter.input
    grey_HWC = np.full((*spec.size, spec.channels), 128, np.uint8)
    height, width = segmenter.native_labels(grey_HWC).shape
    return height, width


def _card(folder: Path, manifest: Manifest) -> str:
    path = folder / CARD
    if not path.is_file() or path.stat().st_size > MOST_CARD_BYTES:
        return model_card(manifest)
    return path.read_text(encoding="utf-8")


Signature = tuple[tuple[str, int, int, int], ...]


def _signature(folder: Path) -> Signature:
    """Return what tells that a folder has changed: names, sizes, times and places of its files."""
    facts = ((path.name, path.stat()) for path in sorted(folder.iterdir()) if path.is_file())
    return tuple((name, stat.st_size, stat.st_mtime_ns, stat.st_ino) for name, stat in facts)


@dataclass(slots=True)
class _Place:
    """A folder that is watched: as it was at the last look, and the model that it gave."""

    signature: Signature
    model: Model | None
    missed: bool = False


@dataclass(slots=True, kw_only=True)
class Shelf:
    """Models by name and version, the first one the default.

    A source is an artifact, or a folder of artifacts, to two levels below. A source that is named
    must open at the start; later, what does not open is told, and what stood there before stays.
    """

    sources: Sequence[Path]
    workers: int
    threads: int
    outcomes: dict[str, int] = field(
        default_factory=lambda: {"loaded": 0, "refused": 0, "dropped": 0}
    )
    _places: dict[Path, _Place] = field(default_factory=dict)
    _models: tuple[Model, ...] = ()

    @property
    def models(self) -> tuple[Model, ...]:
        """All models, the default first."""
        return self._models

    def load(self) -> None:
        """Open everything; raises ArtifactError for a source of which nothing can be opened."""
        for source in self.sources:
            if not source.exists():
                raise ArtifactError(f"no artifact at {source}: there is no such folder")
            if holds_artifact(source):
                open_model(source, workers=1, threads=1)
        self.refresh()
        for source in self.sources:
            if not any(self._places[folder].model for folder in _artifacts(source)):
                raise ArtifactError(f"nothing in {source} is an artifact that can be opened")

    def refresh(self) -> None:
        """Look at all folders, open what changed beside what is served, and exchange them."""
        found = [folder for source in self.sources for folder in _artifacts(source)]
        for folder in found:
            self._look(folder)
        self._drop(set(found))
        order = [*found, *(folder for folder in self._places if folder not in found)]
        models = (self._places[folder].model for folder in order if folder in self._places)
        self._models = tuple(model for model in models if model is not None)

    def find(self, name: str | None, version: str | None) -> Model | None:
        """Return a model; by default the first one, in its newest version."""
        if not self._models:
            return None
        wanted = name if name is not None else self._models[0].name
        named = [model for model in self._models if model.name == wanted]
        if version is not None:
            named = [model for model in named if model.version == version]
        return max(named, key=lambda model: model.created, default=None)

    def _look(self, folder: Path) -> None:
        place = self._places.get(folder)
        try:
            signature = _signature(folder)
        except OSError:
            return  # it goes just now
        if place is not None and place.signature == signature:
            place.missed = False
            return
        try:
            model = open_model(folder, workers=self.workers, threads=self.threads)
        except FrugalsegError as wrong:
            self.outcomes["refused"] += 1
            log.error("model not loaded: %s", wrong)  # noqa: TRY400  a trace says no more
            self._places[folder] = _Place(signature, place.model if place else None)
            return
        self.outcomes["loaded"] += 1
        log.info("model loaded: %s, version %s", model.name, model.version)
        self._places[folder] = _Place(signature, model)

    def _drop(self, found: set[Path]) -> None:
        """Take away what is gone for two looks: a folder that is exchanged is absent for one."""
        named = {folder for source in self.sources for folder in (source, source / "artifact")}
        for folder in [f for f in self._places if f not in found and f not in named]:
            if not self._places[folder].missed:
                self._places[folder].missed = True
                continue
            del self._places[folder]
            self.outcomes["dropped"] += 1
            log.info("model dropped: its folder is gone")


def _artifacts(source: Path) -> Iterator[Path]:
    """Yield the artifact that a source is, or those up to two levels below it, in order."""
    if holds_artifact(source):
        yield find_artifact(source)
        return
    for level in ("*", "*/*"):
        for path in sorted(source.glob(f"{level}/{MANIFEST}")):
            if not any(part.startswith(".") for part in path.relative_to(source).parts):
                yield path.parent
