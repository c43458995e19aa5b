"""Segment a file, a folder or bytes with an artifact. Works where torch is not installed."""

import io
import json
import logging
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from frugalseg.core.errors import ConfigError, DataError, unknown
from frugalseg.core.files import check_folder, complete_file
from frugalseg.core.progress import Progress, silent
from frugalseg.imaging.draw import color_table
from frugalseg.imaging.read import IMAGE_SUFFIXES
from frugalseg.runtime.segmenter import Segmentation, Segmenter, find_artifact

UNREAD = frozenset({".avif", ".dng", ".gif", ".heic", ".tif", ".tiff"})
KINDS = {"ids": ".png", "overlay": ".overlay.png", "json": ".json"}


log = logging.getLogger("frugalseg")


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentResult:
    """The files written, and the pictures that could not be segmented."""

    written: tuple[Path, ...]
    problems: tuple[str, ...]


def segment(
    artifact: str | Path,
    source: str | Path,
    out: str | Path,
    *,
    kinds: Sequence[str] = tuple(KINDS),
    workers: int = 2,
    progress: Progress = silent,
) -> SegmentResult:
    """Segment a picture or every picture in a folder (and below it) into the folder `out`.

    `kinds`: "ids", a PNG whose values are class ids; "overlay"; "json". A picture that cannot be
    read is a problem of its own: the others are still done.
    """
    check_kinds(kinds)
    check_folder(Path(out))
    root = find_artifact(Path(artifact))
    pictures = list(_pictures(Path(source), Path(out).resolve()))
    _check_targets(pictures, Path(out), kinds)
    mine = threading.local()

    def one(job: tuple[Path, Path]) -> tuple[list[Path], str | None]:
        if not hasattr(mine, "segmenter"):
            mine.segmenter = Segmenter.open(root, threads=1 if workers > 1 else 2)
        try:
            result = mine.segmenter.segment(job[0])
        except DataError as wrong:
            return [], str(wrong)
        return _write(result, Path(out) / job[1], kinds), None

    Segmenter.open(root)  # a damaged artifact is told once, before any picture
    written: list[Path] = []
    problems: list[str] = []
    with ThreadPoolExecutor(workers) as pool:
        for done, (paths, problem) in enumerate(pool.map(one, pictures), start=1):
            written += paths
            problems += [problem] if problem else []
            progress("segmenting", done, len(pictures), pictures[done - 1][0].name)
    return SegmentResult(written=tuple(written), problems=tuple(problems))


def check_kinds(kinds: Sequence[str]) -> None:
    """Refuse a kind of output that does not exist."""
    for kind in kinds:
        if kind not in KINDS:
            raise unknown("kind of output", kind, KINDS)


def encode(result: Segmentation, kind: str) -> bytes:
    """Return one output as bytes: a PNG, or JSON text."""
    if kind == "json":
        return (json.dumps(result.to_dict(), indent=2) + "\n").encode()
    if kind == "overlay":
        picture = Image.fromarray(result.overlay())
    else:
        picture = Image.fromarray(result.labels_HW)
        colors = color_table(result.labels.colors)
        picture.putpalette(colors.tobytes())  # the values stay the ids; viewers show colours
    stream = io.BytesIO()
    picture.save(stream, format="PNG")
    return stream.getvalue()


def _pictures(source: Path, out: Path) -> Iterator[tuple[Path, Path]]:
    """Yield each picture with its place below `out`, without a suffix.

    An output folder inside the source holds results of an earlier call, not pictures.
    """
    if source.is_file():
        yield source, Path(source.stem)
        return
    if not source.is_dir():
        raise ConfigError(f"{source} does not exist: expected a picture or a folder of pictures")
    results = out if source.resolve() in out.parents else None
    found = sorted(
        path
        for path in source.rglob("*")
        if path.suffix.lower() in IMAGE_SUFFIXES and results not in path.resolve().parents
    )
    passed_over = Counter(p.suffix.lower() for p in source.rglob("*") if p.suffix.lower() in UNREAD)
    if passed_over:
        told = ", ".join(f"{count} {suffix}" for suffix, count in sorted(passed_over.items()))
        log.warning("passed over, since they cannot be read: %s", told)
    if not found:
        raise ConfigError(
            f"no pictures in {source}: looked for {', '.join(sorted(IMAGE_SUFFIXES))}"
        )
    stems = [p.relative_to(source).with_suffix("") for p in found]
    count = Counter(stems)
    for path, stem in zip(found, stems, strict=True):
        # a.jpg beside a.png: each keeps its suffix, so that neither overwrites the other.
        yield path, stem if count[stem] == 1 else path.relative_to(source)


def _check_targets(pictures: Sequence[tuple[Path, Path]], out: Path, kinds: Sequence[str]) -> None:
    """Refuse to write over a picture of the user's, or one result over another."""
    targets = Counter(_target(out / place, kind) for _, place in pictures for kind in kinds)
    sources = {path.resolve() for path, _ in pictures}
    twice = [str(path) for path, count in targets.items() if count > 1]
    over = [str(path) for path in targets if path.resolve() in sources]
    if twice or over:
        raise DataError(
            "results would be written over pictures or over each other; name another folder",
            [*over, *twice],
        )


def _target(place: Path, kind: str) -> Path:
    return place.with_name(place.name + KINDS[kind])


def _write(result: Segmentation, place: Path, kinds: Sequence[str]) -> list[Path]:
    paths = []
    for kind in kinds:
        path = _target(place, kind)
        with complete_file(path) as draft:
            draft.write_bytes(encode(result, kind))
        paths.append(path)
    return paths
