"""Hugging Face image/label: `images/` and `labels/` with `id2label.json` beside them.

    id2label.json                              {"0": "background", "1": "bag", ...}
    images/train/a.jpg  labels/train/a.png     or, without split folders,
    images/val/b.jpg    labels/val/b.png       images/a.jpg  labels/a.png

`annotations/` may stand for `labels/`, and `data/` for `images/`, as FiftyOne writes its
ImageSegmentationDirectory. The values of a mask are ids of `id2label.json`, with or without gaps;
others are refused, but for 255: unless it has a name of its own, it does not count.

An id other than 255 that is called "unlabeled", "unlabelled", "void", "ignore" or "ignored" is a
class to some and does not count to others. So it is refused until a `labels.yaml` says which:

    ignore: [0]                                # does not count; or [], a class like the others
"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from frugalseg.core.errors import DataError, unknown
from frugalseg.core.labels import IGNORE, LabelSpace, palette
from frugalseg.data.dataset import Dataset, refuse
from frugalseg.data.files import match_inside, matched_splits
from frugalseg.data.masks import rasterise_mask, refuse_two_values
from frugalseg.data.names import VOID_NAMES, background_of, class_label
from frugalseg.data.text import blamed, read_json, read_yaml, shown

_NAMES = "id2label.json"
_IMAGES = ("images", "data")
_LABELS = ("labels", "annotations")


def detect(root: Path) -> bool:
    """Tell whether this is the layout of `root`."""
    ade20k = (root / "images" / "training").is_dir()
    return (root / _NAMES).is_file() and _folders(root) is not None and not ade20k


def read(root: Path) -> Dataset:
    """List the samples and the classes; masks are decoded until one is more than 0 and 255."""
    images, masks = _folders(root) or (root / "images", root / "labels")
    names, ignored = _names(root / _NAMES), _ignored(root / "labels.yaml")
    labels = _label_space(names, ignored, root / _NAMES)
    splits = matched_splits(root, images, masks, partial(match_inside, root=root))
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


def _folders(root: Path) -> tuple[Path, Path] | None:
    images = next((root / name for name in _IMAGES if (root / name).is_dir()), None)
    labels = next((root / name for name in _LABELS if (root / name).is_dir()), None)
    return (images, labels) if images and labels else None


def _label_space(names: dict[int, str], ignored: set[int] | None, path: Path) -> LabelSpace:
    if ignored is None:
        _refuse_void(names, path)
        ignored = set()
    if names.get(IGNORE, "ignore").lower() in VOID_NAMES:
        ignored = {*ignored, IGNORE}
    kept = [number for number in sorted(names) if number not in ignored]
    with blamed(path):
        background = background_of(tuple(names[number] for number in kept))
        return LabelSpace(
            names=tuple(names[number] for number in kept),
            colors=palette(len(kept), background),
            from_disk={number: i for i, number in enumerate(kept)} | dict.fromkeys(ignored, IGNORE),
            background=background,
        )


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
    void = [n for n, name in names.items() if name.lower() in VOID_NAMES and n != IGNORE]
    if void:
        raise DataError(
            f"{path}: id {void[0]} is called {names[void[0]]!r}; write into"
            f" {path.with_name('labels.yaml')} 'ignore: {void}' if such pixels do not count, or"
            " 'ignore: []' if they are a class like the others"
        )
