"""Hugging Face image/label: `images/` and `labels/` with `id2label.json` beside them.

    id2label.json                              {"0": "background", "1": "bag", ...}
    images/train/a.jpg  labels/train/a.png     or, without split folders,
    images/val/b.jpg    labels/val/b.png       images/a.jpg  labels/a.png

`annotations/` may stand for `labels/`, and `data/` for `images/`, as FiftyOne writes its
ImageSegmentationDirectory. The values of a mask are ids of `id2label.json`, with or without gaps;
others are refused, but for 255: unless it has a name of its own, it does not count.

An id other than 255 that is called "unlabeled", "unlabelled", "void" or "ignore" is a class to some
and does not count to others. So it is refused until a `labels.yaml` says which:

    ignore: [0]                                # does not count; or [], a class like the others
"""

import contextlib
import json
import reprlib
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from frugalseg.core.errors import ConfigError, DataError, unknown
from frugalseg.core.labels import IGNORE, LabelSpace, palette
from frugalseg.data.dataset import Dataset, Sample, match_masks, rasterise_mask, refuse
from frugalseg.data.names import background_of, read_yaml
from frugalseg.data.split import SPLIT_FOLDERS, divided
from frugalseg.imaging.read import read_mask

MAX_JSON_BYTES = 1 << 30

_NAMES = "id2label.json"
_IMAGES = ("images", "data")
_LABELS = ("labels", "annotations")
_VOID_NAMES = frozenset({"unlabeled", "unlabelled", "void", "ignore"})
_HEAD_CHARACTERS = 4096
_SHOWN_CHARACTERS = 100


def detect(root: Path) -> bool:
    """Tell whether this is the layout of `root`."""
    ade20k = (root / "images" / "training").is_dir()
    return (root / _NAMES).is_file() and _folders(root) is not None and not ade20k


def read(root: Path) -> Dataset:
    """List the samples and the classes; masks are decoded until one is more than 0 and 255."""
    images, masks = _folders(root) or (root / "images", root / "labels")
    names, ignored = _names(root / _NAMES), _ignored(root / "labels.yaml")
    labels = _label_space(names, ignored, root / _NAMES)
    splits = _splits(root, images, masks)
    if IGNORE not in {*names, *(ignored or ())} and labels.num_classes > 1:
        refuse_two_values(
            [sample.label for samples in splits.values() for sample in samples],
            f'give {IGNORE} a name in {root / _NAMES}: that of the object, or "ignore"',
        )
    return Dataset(
        root=root,
        format="huggingface",
        labels=labels,
        splits=splits,
        rasterise=partial(rasterise_mask, labels=labels),
    )


def read_json(path: Path) -> Any:
    """Read a JSON file; a key that is there twice, NaN and a file over 1 GiB are refused."""
    try:
        if (count := path.stat().st_size) > MAX_JSON_BYTES:
            raise DataError(f"{path}: {count:,} bytes; JSON is read up to {MAX_JSON_BYTES:,}")
        text = path.read_text(encoding="utf-8-sig")
        return json.loads(text, object_pairs_hook=_once, parse_constant=_no_number)
    except (OSError, ValueError, RecursionError) as wrong:
        raise DataError(f"{path}: not readable as JSON ({wrong})") from wrong


def head(path: Path, start: str) -> str:
    """Give the first 4096 characters of a text file if it begins with `start`, else nothing."""
    try:
        with path.open(encoding="utf-8-sig", errors="replace") as stream:
            text = stream.read(_HEAD_CHARACTERS)
    except OSError:
        return ""
    return text if text.lstrip().startswith(start) else ""


def inside(root: Path, path: Path) -> bool:
    """Tell whether a file lies in the folder of its data set, symbolic links followed."""
    try:
        return path.resolve().is_relative_to(root.resolve())
    except (OSError, ValueError, RuntimeError):  # RuntimeError: links in a circle
        return False


def matched(root: Path, images: Path, masks: Path, problems: list[str]) -> tuple[Sample, ...]:
    """Match two folders by stem; a link that leaves the data set is a problem too."""
    samples = match_masks(images, masks, problems)
    problems += leaving(root, samples)
    return samples


def leaving(root: Path, samples: Sequence[Sample]) -> list[str]:
    """Name the files of samples that lie outside the data set, by way of symbolic links."""
    return [
        f"{path}: a link that leaves the folder of the data set; copy the file to here"
        for sample in samples
        for path in (sample.image, sample.label)
        if not inside(root, path)
    ]


@contextlib.contextmanager
def noted(where: str, problems: list[str]) -> Iterator[None]:
    """Turn a ValueError into a problem at a place."""
    try:
        yield
    except ValueError as wrong:
        problems.append(f"{where}: {wrong}")


def class_label(written: object) -> str:
    """Check the name of a class; raises ValueError unless it is one line of text."""
    if not isinstance(written, str) or not written.strip() or written.splitlines() != [written]:
        raise ValueError(f"a label is one line of text, got {shown(written)}")
    # JSON can hold control characters, and halves of characters, which nothing can print.
    if {unicodedata.category(letter) for letter in written} & {"Cc", "Cs"}:
        raise ValueError(f"a label is one line of text, got {shown(written)}")
    return written


def shown(written: object) -> str:
    """Write what a file holds for a message, however long or deep it is.

    >>> shown("x" * 99)
    "'xxxxxxxxxxxx...xxxxxxxxxxxxx'"
    """
    return reprlib.repr(written)[:_SHOWN_CHARACTERS]


def refuse_two_values(masks: Sequence[Path], remedy: str) -> None:
    """Refuse masks of 0 and 255 alone; in a sound data set the first mask or so clears it."""
    seen: set[int] = set()
    for mask in masks:
        with contextlib.suppress(DataError):  # it is told when it is loaded, with all others
            seen |= set(np.unique(read_mask(mask)).tolist())
        if seen - {0, IGNORE}:
            return
    if IGNORE in seen:
        raise DataError(
            f"{masks[0].parent}: masks hold only the values 0 and {IGNORE}, and {IGNORE} is"
            f" ignored, so that one class alone remains; {remedy}"
        )


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key {shown(twice)} is there twice")
    return values


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is not a number")


def _folders(root: Path) -> tuple[Path, Path] | None:
    images = next((root / name for name in _IMAGES if (root / name).is_dir()), None)
    labels = next((root / name for name in _LABELS if (root / name).is_dir()), None)
    return (images, labels) if images and labels else None


def _splits(root: Path, images: Path, masks: Path) -> dict[str, tuple[Sample, ...]]:
    problems: list[str] = []
    loose = matched(root, images, masks, problems)
    splits: dict[str, tuple[Sample, ...]] = {}
    for name, split in SPLIT_FOLDERS.items():
        if not any((top / name).is_dir() for top in (images, masks)):
            continue
        if split in splits:
            problems.append(f"{images / name}: a second folder for {split!r}")
        splits[split] = matched(root, images / name, masks / name, problems)
    if loose and splits:
        problems.append(f"{images}: {len(loose)} images lie beside the split folders; move them in")
    refuse(root, problems)
    if not any((loose, *splits.values())):
        raise DataError(f"{root}: no images in {images} (JPEG, PNG, BMP or WebP)")
    return splits or divided(loose)


def _label_space(names: dict[int, str], ignored: set[int] | None, path: Path) -> LabelSpace:
    if ignored is None:
        _refuse_void(names, path)
        ignored = set()
    if names.get(IGNORE, "ignore").lower() in _VOID_NAMES:
        ignored = {*ignored, IGNORE}
    kept = [number for number in sorted(names) if number not in ignored]
    try:
        background = background_of(tuple(names[number] for number in kept))
        return LabelSpace(
            names=tuple(names[number] for number in kept),
            colors=palette(len(kept), background),
            from_disk={number: i for i, number in enumerate(kept)} | dict.fromkeys(ignored, IGNORE),
            background=background,
        )
    except ConfigError as wrong:
        raise DataError(f"{path}: {wrong}") from wrong


def _names(path: Path) -> dict[int, str]:
    written = read_json(path)
    if not isinstance(written, dict):
        raise DataError(f'{path}: expected {{"0": "name", ...}}, got {shown(written)}')
    names: dict[int, str] = {}
    problems: list[str] = []
    for key, name in written.items():
        try:
            names[_mask_value(key)] = class_label(name)
        except ValueError as wrong:
            problems.append(f"{path} id {shown(key)}: {wrong}")
    refuse(path, problems)
    return names


def _mask_value(key: str) -> int:
    if len(key) > len("255") or key not in map(str, range(IGNORE + 1)):
        raise ValueError("an id is a value of the masks, 0 to 255")
    return int(key)


def _ignored(path: Path) -> set[int] | None:
    """Read which ids do not count, None if there is no such file."""
    if not path.is_file():
        return None
    written = read_yaml(path)
    if strange := [key for key in written if key != "ignore"]:
        raise DataError(f"{path}: {unknown('key', strange[0], ['ignore'])}; {_NAMES} has the names")
    values = written.get("ignore")
    if not isinstance(values, list) or not all(
        type(value) is int and 0 <= value <= IGNORE for value in values
    ):
        raise DataError(
            f"{path}: ignore is a list of ids 0 to 255, such as [0] or [], got {shown(values)}"
        )
    return set(values)


def _refuse_void(names: Mapping[int, str], path: Path) -> None:
    void = [n for n, name in names.items() if name.lower() in _VOID_NAMES and n != IGNORE]
    if void:
        raise DataError(
            f"{path}: id {void[0]} is called {names[void[0]]!r}; write into"
            f" {path.with_name('labels.yaml')} 'ignore: {void}' if such pixels do not count, or"
            " 'ignore: []' if they are a class like the others"
        )
