"""labelme: a JSON file beside each picture, in one folder or in `train/`, `val/` and `test/`.

    a.jpg  a.json                              or  train/a.jpg  train/a.json
    b.jpg  b.json                                  val/b.jpg    val/b.json

A file lists `shapes` (label, shape_type, points in pixels) and names its picture in `imagePath`,
relative to itself; `imageHeight` and `imageWidth`, if there, must be the picture's. The copy of
the picture in `imageData` is not looked at. A picture without a file is passed over.

Shapes are drawn in the order of the file, the later one on top. A polygon is filled as
everywhere, a rectangle has two opposite corners (or all four), a circle its centre and a point on
it; a pixel belongs to them if its centre lies inside. A mask is a PNG, not 0 where the object is,
and the box that it fills, both corners included. Lines and points have no area: they are problems.

`labels.txt` gives the classes, one name per line; without it they are the labels found, sorted.
"background" and "_background_" are class 0, which is also what no shape covers; "__ignore__" does
not count. Without split folders the pictures are divided by the hash of their names.
"""

import base64
import contextlib
import io
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL.PngImagePlugin import PngImageFile

from frugalseg.core.errors import DataError
from frugalseg.core.labels import IGNORE, LabelSpace
from frugalseg.data.dataset import Dataset, Sample, refuse
from frugalseg.data.files import inside
from frugalseg.data.names import BACKGROUND, LABELME_BACKGROUND, class_label, class_names
from frugalseg.data.shapes.polygons import fill
from frugalseg.data.split import SPLIT_FOLDERS, divided
from frugalseg.data.text import blamed, head, noted, read_json, read_list, shown
from frugalseg.imaging.read import IMAGE_SUFFIXES, MAX_PIXELS, MAX_SIDE

MARGIN = 0.01  # of a side: how far a point may lie outside, as in the layout "yolo"

_IGNORED = "__ignore__"
_BACKGROUNDS = (BACKGROUND, LABELME_BACKGROUND)
_TRIED = 64  # JSON files that are looked for beside their picture
_MIN_CORNERS = 3
_PNG = b"\x89PNG\r\n\x1a\n"
_POINTS = {"rectangle": (2, 4), "oriented_rectangle": (4,), "circle": (2,), "mask": (2,)}
_OF_SHAPES = ('"shapes"', '"imagePath"', '"imageData"')

Points = tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shape:
    label: str
    kind: str
    points: Points
    png: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _File:
    """What a JSON file says; `size` is (height, width), None where it does not say."""

    image: str
    size: tuple[int, int] | None
    shapes: tuple[_Shape, ...]


def detect(root: Path) -> bool:
    """Tell whether this is the layout of `root`: a JSON file with shapes is beside its picture."""
    files = (
        path
        for folder in (root, *(root / name for name in SPLIT_FOLDERS))
        for path in _json_files(folder)
    )
    beside = (path for path in islice(files, _TRIED) if _has_picture(path))
    return any(word in head(path, "{") for path in beside for word in _OF_SHAPES)


def read(root: Path) -> Dataset:
    """Read all JSON files, since only they know the classes and the pictures; decode nothing."""
    problems: list[str] = []
    found: dict[str, Path] = {}
    loose = _samples(root, root, found, problems)
    splits: dict[str, tuple[Sample, ...]] = {}
    for name in (name for name in SPLIT_FOLDERS if (root / name).is_dir()):
        if SPLIT_FOLDERS[name] in splits:
            problems.append(f"{root / name}: a second folder for {SPLIT_FOLDERS[name]!r}")
        splits[SPLIT_FOLDERS[name]] = _samples(root, root / name, found, problems)
    if loose and any(splits.values()):
        problems.append(f"{root}: {len(loose)} pictures lie beside the split folders; move them in")
    labels, ids = _classes(root / "labels.txt", found, problems)
    refuse(root, problems)
    if not loose and not any(splits.values()):
        raise DataError(f"{root}: no JSON file of labelme")
    return Dataset(
        root=root,
        format="labelme",
        labels=labels,
        splits=divided(loose) if loose else splits,
        rasterise=partial(rasterise_shapes, ids=ids),
    )


def rasterise_shapes(
    sample: Sample, size: tuple[int, int], *, ids: Mapping[str, int]
) -> NDArray[np.uint8]:
    """Draw the shapes of a file over background (0), at the size that it says the picture has.

    Raises DataError with all that is wrong.
    """
    written = _read_file(sample.label)
    labels_HW = np.zeros(written.size or size, dtype=np.uint8)
    problems: list[str] = []
    for number, shape in enumerate(written.shapes, start=1):
        with noted(f"{sample.label} shape {number}", problems):
            if shape.label not in ids:
                raise ValueError(f"no class {shape.label!r}")
            _draw(labels_HW, shape, ids[shape.label])
    refuse(sample.label, problems)
    return labels_HW


def with_background(names: Sequence[str], path: Path) -> tuple[LabelSpace, dict[str, int]]:
    """Put "background" first; also the train id of each name, 255 for the ignored one."""
    behind = [name for name in names if name.lower() in _BACKGROUNDS]
    objects = [name for name in names if name not in behind and name != _IGNORED]
    with blamed(path):
        labels = LabelSpace.of([BACKGROUND, *objects], background=0)
    ids = dict.fromkeys([*behind, *_BACKGROUNDS], 0) | {_IGNORED: IGNORE}
    return labels, ids | {name: number for number, name in enumerate(labels.names)}


def checked_points(written: object) -> Points:
    """Check a list of [x, y]; raises ValueError unless all are finite numbers."""
    if not isinstance(written, list) or not all(
        isinstance(point, list) and len(point) == 2 and all(map(_is_finite, point))  # noqa: PLR2004
        for point in written
    ):
        raise ValueError(f"points are a list of [x, y] in numbers, got {shown(written)}")
    return tuple((float(x), float(y)) for x, y in written)


def checked_size(height: object, width: object) -> tuple[int, int]:
    """Check the size of a picture as a file tells it; raises ValueError beyond what is read."""
    if type(height) is not int or type(width) is not int or min(height, width) < 1:
        raise ValueError(f"a size is two numbers of pixels, got {shown((height, width))}")
    if max(height, width) > MAX_SIDE or height * width > MAX_PIXELS:
        raise ValueError(f"{shown((height, width))} is larger than any picture that is read")
    return height, width


def fill_outline(labels_HW: NDArray[np.uint8], points: Points, value: int) -> None:
    """Fill an outline in pixels; raises ValueError for fewer than three points, or too much."""
    if len(points) < _MIN_CORNERS:
        raise ValueError(f"{len(points)} points; a polygon has at least three")
    _check_within(labels_HW.shape, points)
    fill(labels_HW, np.array(points), value)


def _check_within(shape: tuple[int, ...], points: Points) -> None:
    """Refuse a point outside the picture by more than the margin, with ValueError."""
    height, width = shape
    for x, y in points:
        if not (
            -MARGIN * width <= x <= (1 + MARGIN) * width
            and -MARGIN * height <= y <= (1 + MARGIN) * height
        ):
            raise ValueError(f"point {x:g}, {y:g} is outside the picture of {width} x {height} px")


def _is_finite(number: object) -> bool:
    return (
        isinstance(number, int | float) and not isinstance(number, bool) and abs(number) < 1e9  # noqa: PLR2004
    )


def _has_picture(path: Path) -> bool:
    spellings = (spelt for suffix in IMAGE_SUFFIXES for spelt in (suffix, suffix.upper()))
    return any(path.with_suffix(suffix).is_file() for suffix in spellings)


def _json_files(folder: Path) -> list[Path]:
    try:
        return sorted(
            path
            for path in folder.iterdir()
            if path.suffix.lower() == ".json" and not path.name.startswith(".") and path.is_file()
        )
    except OSError:
        return []


def _samples(
    root: Path, folder: Path, found: dict[str, Path], problems: list[str]
) -> tuple[Sample, ...]:
    """List the samples of a folder; `found` gets each label and the first file that has it."""
    samples: dict[Path, Sample] = {}
    for path in _json_files(folder):
        try:
            written = _read_file(path, root)
            image = _picture(root, path, written.image)
        except DataError as wrong:
            problems += wrong.problems or (wrong.summary,)
            continue
        if image in samples:
            problems.append(f"{path}: {image.name} has labels in {samples[image].label.name} too")
        samples[image] = Sample(name=path.stem, image=image, label=path)
        for shape in written.shapes:
            found.setdefault(shape.label, path)
    return tuple(samples.values())


def _picture(root: Path, path: Path, name: str) -> Path:
    """Find the picture that a file names, be it with the slashes of Windows."""
    image = Path(os.path.normpath(path.parent / name.replace("\\", "/")))
    with contextlib.suppress(OSError):  # a name that is too long for any file
        if image.is_file() and inside(root, image):
            return image
    raise DataError(
        f"{path}: imagePath {shown(name)} is no file in the folder of the data set; it must"
        " be the picture's name, as seen from this file"
    )


def _classes(
    path: Path, found: Mapping[str, Path], problems: list[str]
) -> tuple[LabelSpace, dict[str, int]]:
    if not path.is_file():
        return with_background(sorted(found), path.parent)
    labels, ids = with_background(class_names(read_list(path), path), path)
    problems += [
        f"{where}: label {shown(label)} is not in {path.name}"
        for label, where in found.items()
        if label not in ids
    ]
    return labels, ids


def _read_file(path: Path, root: Path | None = None) -> _File:
    if root and not inside(root, path):
        raise DataError(f"{path}: a link that leaves the folder of the data set; copy the file")
    written = read_json(path)
    if not isinstance(written, dict) or not isinstance(written.get("shapes"), list):
        raise DataError(f"{path}: no list of 'shapes', so this is not a file of labelme; move it")
    if not isinstance(image := written.get("imagePath"), str):
        raise DataError(f"{path}: imagePath must name the picture, got {shown(image)}")
    shapes: list[_Shape] = []
    problems: list[str] = []
    for number, shape in enumerate(written["shapes"], start=1):
        with noted(f"{path} shape {number}", problems):
            shapes.append(_shape(shape))
    size = None
    if (sides := (written.get("imageHeight"), written.get("imageWidth"))) != (None, None):
        with noted(f"{path}: imageHeight and imageWidth", problems):
            size = checked_size(*sides)
    refuse(path, problems)
    return _File(image=image, size=size, shapes=tuple(shapes))


def _shape(written: object) -> _Shape:
    if not isinstance(written, dict) or "label" not in written:
        raise ValueError(f"expected label, points and shape_type, got {shown(written)}")
    label, kind = class_label(written.get("label")), written.get("shape_type") or "polygon"
    points = checked_points(written.get("points"))
    if kind != "polygon" and kind not in list(_POINTS):
        raise ValueError(
            f"{label!r} is of type {shown(kind)}, which has no area; draw a polygon instead"
        )
    if kind == "polygon" and len(points) < _MIN_CORNERS:
        raise ValueError(f"{label!r} is a polygon of {len(points)} points; it needs three or more")
    if kind != "polygon" and len(points) not in _POINTS[kind]:
        raise ValueError(f"{label!r} is a {kind} of {len(points)} points")
    if kind == "mask" and not isinstance(written.get("mask"), str):
        raise ValueError(f"{label!r} is a mask without a PNG in 'mask'")
    png = written["mask"] if kind == "mask" else ""
    return _Shape(label=label, kind=kind, points=points, png=png)


def _draw(labels_HW: NDArray[np.uint8], shape: _Shape, value: int) -> None:
    (x1, y1), (x2, y2) = shape.points[:2]
    if shape.kind == "circle":
        _check_within(labels_HW.shape, shape.points)
        _draw_circle(labels_HW, (x1, y1), float(np.hypot(x2 - x1, y2 - y1)), value)
    elif shape.kind == "mask":
        _draw_mask(labels_HW, (int(x1), int(y1), int(x2) + 1, int(y2) + 1), shape.png, value)
    elif shape.kind == "rectangle" and len(shape.points) == 2:  # noqa: PLR2004
        fill_outline(labels_HW, ((x1, y1), (x2, y1), (x2, y2), (x1, y2)), value)
    else:
        fill_outline(labels_HW, shape.points, value)


def _draw_circle(
    labels_HW: NDArray[np.uint8], center: tuple[float, float], radius: float, value: int
) -> None:
    height, width = labels_HW.shape
    down_H = np.arange(height) + 0.5 - center[1]
    half_H = np.sqrt((radius**2 - down_H**2).clip(0))
    across_W = np.abs(np.arange(width) + 0.5 - center[0])
    labels_HW[(across_W <= half_H[:, None]) & (np.abs(down_H) <= radius)[:, None]] = value


def _draw_mask(
    labels_HW: NDArray[np.uint8], box: tuple[int, int, int, int], png: str, value: int
) -> None:
    """Draw a mask into a box (left, top, right, bottom); its header is read before its pixels."""
    left, top, right, bottom = box
    height, width = labels_HW.shape
    if not (0 <= left < right <= width and 0 <= top < bottom <= height):
        raise ValueError(f"the box of the mask, {box}, is not within {width} x {height} px")
    try:
        content = base64.b64decode(png, validate=True)
    except ValueError as wrong:
        raise ValueError(f"the mask is not base64 ({wrong})") from None
    if not content.startswith(_PNG):
        raise ValueError("the mask is not a PNG")
    # As in imaging/read.py: nothing but Pillow runs in here, and its decoders fail in many ways.
    try:
        image = PngImageFile(io.BytesIO(content))
        fits = image.size == (right - left, bottom - top) and image.mode in {"1", "L", "P"}
        mask_HW = np.array(image) != 0 if fits else None
    except Exception as wrong:
        raise ValueError(f"the mask is damaged ({wrong})") from wrong
    if mask_HW is None:
        raise ValueError(
            f"the mask has {image.size[0]} x {image.size[1]} px ({image.mode}); its box has"
            f" {right - left} x {bottom - top}, and it must be grey, of 8 bits or fewer"
        )
    labels_HW[top:bottom, left:right][mask_HW] = value
