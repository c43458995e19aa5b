"""The plainest layout: `images/` and `masks/`, matched by stem.

    images/train/a.jpg  masks/train/a.png       or, without split folders,
    images/val/b.jpg    masks/val/b.png         images/a.jpg  masks/a.png

Without split folders an image goes to val if the hash of its stem divides by five, so that it
never changes sides when others are added.

What the values of the masks mean stands in `labels.yaml` (below), or as one name per line in
`classes.txt`; with neither, the values found are the classes, and 255 is ignored.

    names: [background, bag]                   # or {0: background, 1: bag}
    values: {0: background, 255: bag}          # if values on disk are not 0, 1, 2 ...
    ignore: [254]                              # values that do not count; [255] if left out
    reduce_zero_label: true                    # value 0 does not count, 1 is the first class
    colors: [[0, 0, 0], [230, 25, 75]]         # for drawing, and to read RGB masks
    background: background

`ignore` may hold colours too, for RGB masks. Without `names` and `values`, the names are those of
`classes.txt`.
"""

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from frugalseg.core.errors import DataError, unknown
from frugalseg.core.labels import IGNORE, Color, LabelSpace, palette
from frugalseg.data.dataset import ColorTable, Dataset, Sample, from_colors, rasterise_mask, refuse
from frugalseg.data.files import match_masks
from frugalseg.data.layouts.yolo import has_masks
from frugalseg.data.names import background_of, class_names
from frugalseg.data.split import SPLIT_FOLDERS, divided
from frugalseg.data.text import read_list, read_yaml
from frugalseg.imaging.read import has_colors, read_color_mask, read_mask

_KEYS = ("names", "values", "ignore", "colors", "background", "reduce_zero_label")
_MAX_VALUE = 255
_STRETCHED = (
    "masks hold only the values 0 and {high}: is {high} the object? Write into {path}:"
    " 'values: {{0: background, {high}: object}}'"
)


def detect(root: Path) -> bool:
    """Tell whether this is the layout of `root`."""
    return (root / "images").is_dir() and (root / "masks").is_dir() and not has_masks(root)


def read(root: Path) -> Dataset:
    """List the samples and learn the classes; masks are decoded only if no file names these."""
    splits = _splits(root)
    masks = [sample.label for samples in splits.values() for sample in samples]
    known = declared(root)
    labels, table = known or (found(root, masks), ())
    if known and labels.from_disk.get(IGNORE) == IGNORE and labels.num_classes > 1:
        refuse_stretched(root, masks, table)
    return Dataset(
        root=root,
        format="folder",
        labels=labels,
        splits=splits,
        rasterise=partial(rasterise, labels=labels, table=table),
    )


def _splits(root: Path) -> dict[str, tuple[Sample, ...]]:
    problems: list[str] = []
    images, masks = root / "images", root / "masks"
    named = sorted(
        {f.name for top in (images, masks) for f in top.iterdir() if f.name in SPLIT_FOLDERS}
    )
    loose = match_masks(images, masks, problems, root=root)
    splits: dict[str, tuple[Sample, ...]] = {}
    for name in named:
        if SPLIT_FOLDERS[name] in splits:
            problems.append(f"{images / name}: a second folder for {SPLIT_FOLDERS[name]!r}")
        found = match_masks(images / name, masks / name, problems, root=root)
        splits[SPLIT_FOLDERS[name]] = found
    if named and loose:
        problems.append(
            f"{images}: {len(loose)} images lie beside the folders {', '.join(named)};"
            " move them into one"
        )
    refuse(root, problems)
    if not any((loose, *splits.values())):
        raise DataError(f"{root}: no images in {images} (JPEG, PNG, BMP or WebP)")
    return splits or divided(loose)


def declared(root: Path) -> tuple[LabelSpace, ColorTable] | None:
    """Read what `labels.yaml` or `classes.txt` says about the classes; None if neither is there."""
    path = root / "labels.yaml"
    if path.is_file():
        return from_yaml(path)
    path = root / "classes.txt"
    if not path.is_file():
        return None
    names = class_names(read_list(path), path)
    return LabelSpace.of(names, background=background_of(names)), ()


def from_yaml(path: Path) -> tuple[LabelSpace, ColorTable]:
    """Read `labels.yaml`: the classes, and their colours if it declares them."""
    written = read_yaml(path)
    if strange := [key for key in written if key not in _KEYS]:
        raise DataError(f"{path}: {unknown('key', strange[0], _KEYS)}")
    values = _value_names(written.get("values"), path)
    listed = path.with_name("classes.txt")
    default_names = list(dict.fromkeys(values.values()))
    if not default_names and listed.is_file():
        default_names = read_list(listed)
    names = class_names(written.get("names", default_names), path)
    if strangers := sorted(set(values.values()) - set(names)):
        raise DataError(f"{path}: values name classes that are not in names: {strangers}")
    from_disk = {v: names.index(name) for v, name in values.items()}
    first = _first_class(written, path)
    from_disk = from_disk or {first + i: i for i in range(len(names))}
    default = [] if IGNORE in from_disk else [IGNORE]
    ignored, ignored_colors = _ignored(written.get("ignore", default), path)
    ignored += range(first)
    if both := sorted(set(ignored) & set(from_disk)):
        raise DataError(f"{path}: values {both} are both a class and ignored")
    background = _background(written.get("background"), names, path)
    colors = _colors(written.get("colors"), names, path)
    labels = LabelSpace(
        names=names,
        colors=colors or palette(len(names), background),
        from_disk=from_disk | dict.fromkeys(ignored, IGNORE),
        background=background,
    )
    table = [(color, i) for i, color in enumerate(colors)]
    if colors:
        table += [(color, IGNORE) for color in ignored_colors]
    if len({color for color, _ in table}) < len(table):
        raise DataError(f"{path}: two classes have the same colour, or it is also ignored")
    return labels, tuple(table)


def _first_class(written: Mapping[str, Any], path: Path) -> int:
    """Give the value of the first class: 1 if `reduce_zero_label` says so, else 0."""
    reduce = written.get("reduce_zero_label", False)
    if not isinstance(reduce, bool):
        raise DataError(f"{path}: reduce_zero_label is true or false, got {reduce!r}")
    if reduce and written.get("values"):
        raise DataError(
            f"{path}: values says what each value means; leave reduce_zero_label out, and put 0"
            " into ignore if it does not count"
        )
    return int(reduce)


def _value_names(written: object, path: Path) -> dict[int, str]:
    if written is None:
        return {}
    if not isinstance(written, Mapping) or not all(
        _is_value(v) and isinstance(name, str) for v, name in written.items()
    ):
        raise DataError(
            f"{path}: values maps numbers 0 to 255 to class names, such as"
            f" {{0: background, 255: object}}; got {written!r}"
        )
    return dict(written)


def _ignored(written: Any, path: Path) -> tuple[list[int], list[Color]]:
    entries = written if isinstance(written, list) else [written]
    values = [entry for entry in entries if _is_value(entry)]
    colors = [(e[0], e[1], e[2]) for e in entries if _is_color(e)]
    if len(values) + len(colors) < len(entries):
        raise DataError(
            f"{path}: ignore is a list of values 0 to 255 (or of colours), got {written!r}"
        )
    return values, colors


def _background(written: object, names: tuple[str, ...], path: Path) -> int | None:
    if written is None:
        return background_of(names)
    if written in names:
        return names.index(str(written))
    if type(written) is int and 0 <= written < len(names):  # True is an int too
        return written
    raise DataError(f"{path}: background {written!r} is not one of {list(names)}")


def _colors(written: Any, names: tuple[str, ...], path: Path) -> tuple[Color, ...]:
    if written is None:
        return ()
    if isinstance(written, Mapping):
        written = [written.get(name) for name in names]
    if (
        not isinstance(written, list)
        or len(written) != len(names)
        or not all(map(_is_color, written))
    ):
        raise DataError(
            f"{path}: colors needs [red, green, blue], each 0 to 255, for each of the"
            f" {len(names)} classes; got {written!r}"
        )
    return tuple((r, g, b) for r, g, b in written)


def _is_value(entry: object) -> bool:
    return isinstance(entry, int) and not isinstance(entry, bool) and 0 <= entry <= _MAX_VALUE


def _is_color(entry: object) -> bool:
    channels = 3
    return isinstance(entry, list) and len(entry) == channels and all(map(_is_value, entry))


def found(root: Path, masks: Sequence[Path]) -> LabelSpace:
    """Take the values that occur for the classes; refuse where that would be a guess."""
    with ThreadPoolExecutor() as pool:
        results = list(pool.map(_values_or_problem, masks))
    refuse(root, [result for result in results if isinstance(result, str)])
    values = set().union(*(result for result in results if not isinstance(result, str)))
    if len(values) == 2 and 0 in values and 1 not in values:  # noqa: PLR2004
        high = max(values)
        raise DataError(f"{root}: " + _STRETCHED.format(high=high, path=root / "labels.yaml"))
    classes = sorted(values - {IGNORE})
    if classes != list(range(len(classes))) or not classes:
        raise DataError(
            f"{root}: masks hold the values {classes or [IGNORE]}, which are not 0, 1, 2 ..."
            f" without gaps; write into {root / 'labels.yaml'} what each one means, such as"
            f" 'values: {{0: background, {max(values)}: object}}'"
        )
    return LabelSpace.of([f"class_{value}" for value in classes])


def _values_or_problem(mask: Path) -> set[int] | str:
    try:
        return set(np.unique(read_mask(mask)).tolist())
    except DataError as wrong:
        return str(wrong)


def refuse_stretched(root: Path, masks: Iterable[Path], table: ColorTable) -> None:
    """Refuse masks of 0 and 255 alone; in a sound data set the first mask or so clears it."""
    seen: set[int] = set()
    for mask in masks:
        if table and has_colors(mask):
            return
        seen |= set(np.unique(read_mask(mask)).tolist())
        if seen - {0, IGNORE}:
            return
    if IGNORE in seen:
        text = _STRETCHED.format(high=IGNORE, path=root / "labels.yaml")
        raise DataError(
            f"{root}: {text}; as it is, {IGNORE} is ignored and one class alone remains"
        )


def rasterise(
    sample: Sample, size: tuple[int, int], *, labels: LabelSpace, table: ColorTable
) -> NDArray[np.uint8]:
    """Read a mask as train ids: of colours if there is a table and the mask has colours."""
    if table and has_colors(sample.label):
        return from_colors(read_color_mask(sample.label), sample.label, table)
    return rasterise_mask(sample, size, labels=labels)
