"""`labels.yaml` and `classes.txt`: what the values of masks mean. Their keys: layout `folder`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from frugalseg.core.errors import DataError, unknown
from frugalseg.core.labels import IGNORE, Color, LabelSpace, palette
from frugalseg.data.masks import ColorTable
from frugalseg.data.names import background_of, class_names
from frugalseg.data.text import read_list, read_yaml

_KEYS = ("names", "values", "ignore", "colors", "background", "reduce_zero_label")
_MAX_VALUE = 255


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
