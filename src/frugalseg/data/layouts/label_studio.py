"""Label Studio: an export as JSON beside the pictures, with brush regions and polygons.

    export.json            the export "JSON"; its name does not matter
    images/.../name.jpg    the pictures, in `images/` if it is there, else anywhere

A task names its picture by an address ("/data/upload/1/1b2c3d4e-name.jpg",
"/data/local-files/?d=sub/name.jpg", "s3://bucket/name.jpg"). Nothing is fetched: the name at its
end is looked for among the pictures, first as it is, then without the eight hexadecimal digits
that an upload gets; where several have it, their folders decide. Of the annotations of a task that
were not cancelled the newest counts; a task without one is passed over, one with an empty result
is all background.

Regions are drawn in the order of the export, the later one on top. Brush regions cover the pixels
whose alpha is not 0; polygons (percent of width and height) those whose centre lies inside. Boxes,
ellipses and key points are problems; choices, texts and relations are about no pixels.

    tags/task-1-annotation-2-by-3-tag-bag-0.png        here, or in a folder of any name
    tasks.csv              id,image                    or the export "JSON-MIN"

The export "Brush labels to PNG" has a file for each region, not 0 where it is, and one of the other
two names the pictures. What lies on top is not known: pixels of two classes do not count. Beside a
JSON with annotations such files are passed over, since it says the same and more.

Classes are the labels found, sorted, or the lines of `classes.txt`; "background" is class 0, also
what nothing covers, and "__ignore__" does not count. The pictures are divided by the hash of their
names.
"""

import csv
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from frugalseg.core.errors import DataError
from frugalseg.core.labels import IGNORE, LabelSpace
from frugalseg.data.dataset import Dataset, Sample, refuse
from frugalseg.data.files import inside
from frugalseg.data.layouts.label_studio_pictures import picture_of, pictures_by_name
from frugalseg.data.layouts.labelme import (
    Points,
    checked_points,
    checked_size,
    fill_outline,
    with_background,
)
from frugalseg.data.names import class_label, class_names
from frugalseg.data.shapes.brush import decode_brush
from frugalseg.data.split import divided
from frugalseg.data.text import head, noted, read_json, read_lines, read_list, shown
from frugalseg.imaging.read import read_mask

_TASKS = "tasks.csv"
_TAG = re.compile(r"task-([0-9]{1,18})-annotation-([0-9]{1,18})-by-[^-]*-(.+)-[0-9]+\.png")
_OF_TASKS = ('"completed_by"', '"result"', '"file_upload"', '"was_cancelled"', '"rle"')
_NO_PIXELS = (  # and no sets here: what a file says may be a list, which has no hash
    "choices", "textarea", "rating", "taxonomy", "number", "datetime", "pairwise", "relation"
)  # fmt: skip
_REGIONS = ("brushlabels", "polygonlabels")
Task = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Region:
    """A region: `rle` or `points` (percent) on a picture of `size` (H, W), or a file of its own."""

    label: str
    size: tuple[int, int] | None = None
    points: Points = ()
    rle: bytes = b""
    png: Path | None = None


def detect(root: Path) -> bool:
    """Tell whether this is the layout of `root`."""
    return bool(_exports(root)) or ((root / _TASKS).is_file() and any(_tag_files(root)))


def read(root: Path) -> Dataset:
    """Read the export, since it alone knows the classes and the pictures; decode nothing."""
    if len(exports := _exports(root)) > 1:
        raise DataError(f"{root}: several exports, {', '.join(p.name for p in exports)}; keep one")
    source = exports[0] if exports else root / _TASKS
    tasks = _tasks(root, source)
    problems: list[str] = []
    layers = None if any("annotations" in task for task in tasks) else _layers(root, problems)
    pictures = pictures_by_name(root)
    samples: dict[str, Sample] = {}
    regions: list[tuple[_Region, ...]] = []
    for number, task in enumerate(tasks, start=1):
        where = f"{source} task {shown(task.get('id', number))}"
        with noted(where, problems):
            found = (
                _annotated(task, where, problems)
                if layers is None
                else layers.pop(_number(task.get("id")), None)
            )
            if found is None:
                continue
            image = picture_of(root, task.get("data", task), pictures)
            if image.stem in samples:
                raise ValueError(f"{image.name} has the name of another task's picture; keep one")
            samples[image.stem] = Sample(
                name=image.stem, image=image, label=source, item=len(regions)
            )
            regions.append(found)
    if layers:
        problems.append(f"{source}: no task {', '.join(map(str, layers))}, which masks belong to")
    labels, ids = _classes(root, {region.label for found in regions for region in found}, problems)
    refuse(root, problems)
    if not samples:
        raise DataError(f"{source}: no task with an annotation or a mask; export as JSON")
    return Dataset(
        root=root,
        format="label_studio",
        labels=labels,
        splits=divided(tuple(samples.values())),
        rasterise=partial(rasterise_regions, regions=tuple(regions), ids=ids),
    )


def rasterise_regions(
    sample: Sample,
    size: tuple[int, int],
    *,
    regions: Sequence[Sequence[_Region]],
    ids: Mapping[str, int],
) -> NDArray[np.uint8]:
    """Draw the regions of a task over background (0), at the size that they were drawn at.

    Raises DataError with all that is wrong.
    """
    own = regions[sample.item]
    if own:
        size = own[0].size or _size_of(own[0].png)
    labels_HW, drawn_HW = np.zeros(size, dtype=np.uint8), np.zeros(size, dtype=np.bool_)
    problems: list[str] = []
    for number, region in enumerate(own, start=1):
        where = region.png or f"{sample.label}: {sample.image.name} region {number}"
        with noted(f"{where} ({region.label})", problems):
            here_HW, value = _covered(region, size), ids[region.label]
            if region.png:  # which one is on top is not known
                clash_HW = here_HW & drawn_HW & (labels_HW != value)
                labels_HW[here_HW & ~drawn_HW] = value
                labels_HW[clash_HW] = IGNORE
                drawn_HW |= here_HW
            else:
                labels_HW[here_HW] = value
    refuse(sample.label, problems)
    return labels_HW


def _size_of(png: Path | None) -> tuple[int, int]:
    height, width = read_mask(png).shape if png else (0, 0)
    return height, width


def _covered(region: _Region, size: tuple[int, int]) -> NDArray[np.bool_]:
    here_HW = read_mask(region.png) if region.png else np.zeros(size, dtype=np.uint8)
    drawn_on = here_HW.shape if region.png else region.size
    if drawn_on != size:
        raise ValueError(
            f"drawn on a picture of (height, width) {drawn_on}, the first region on one of {size}"
        )
    if region.rle:
        return decode_brush(region.rle, size)
    if region.points:
        height, width = size
        points = tuple((x / 100 * width, y / 100 * height) for x, y in region.points)
        fill_outline(here_HW, points, 1)
    return here_HW.astype(np.bool_)


def _exports(root: Path) -> list[Path]:
    """List the JSON files that begin as a list of tasks does."""
    return [
        path
        for path in _visible(root)
        if path.suffix.lower() == ".json"
        and path.is_file()
        and any(word in head(path, "[") for word in _OF_TASKS)
    ]


def _tag_files(root: Path) -> Iterator[Path]:
    """Find the files of "Brush labels to PNG", in the folder or one below it."""
    for path in _visible(root):
        below = _visible(path) if path.is_dir() else [path]
        yield from (file for file in below if _TAG.fullmatch(file.name))


def _visible(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))


def _tasks(root: Path, source: Path) -> list[Task]:
    if not inside(root, source):
        raise DataError(f"{source}: a link that leaves the folder of the data set; copy the file")
    try:
        tasks = (
            list(csv.DictReader(read_lines(source), skipinitialspace=True))
            if source.name == _TASKS
            else read_json(source)
        )
    except csv.Error as wrong:
        raise DataError(f"{source}: not readable as CSV ({wrong})") from wrong
    if not isinstance(tasks, list) or not all(isinstance(task, dict) for task in tasks):
        raise DataError(f"{source}: expected a list of tasks; export as JSON")
    return tasks


def _annotated(task: Task, where: str, problems: list[str]) -> tuple[_Region, ...] | None:
    """Read the newest annotation of a task that was not cancelled, None if there is none."""
    written = task.get("annotations")
    if not isinstance(written, list) or not all(isinstance(entry, dict) for entry in written):
        raise ValueError(f"annotations are a list of objects, got {shown(written)}")
    kept = [entry for entry in written if not entry.get("was_cancelled")]
    if not kept:
        return None
    results = max(kept, key=_age).get("result")
    if type(results) is not list:
        raise ValueError(f"result is a list of regions, got {shown(results)}")
    regions: list[_Region] = []
    for number, result in enumerate(results, start=1):
        with noted(f"{where} region {number}", problems):
            if not isinstance(result, dict) or "type" not in result:
                raise ValueError(f"expected an object with a type, got {shown(result)}")
            if result["type"] not in _NO_PIXELS:
                regions.append(_region(result))
    return tuple(regions)


def _age(annotation: Task) -> tuple[str, int]:
    """Order annotations: the times are of one form (ISO 8601, UTC), so they compare as text."""
    time = annotation.get("updated_at") or annotation.get("created_at")
    return str(time or ""), _number(annotation.get("id"))


def _number(written: object) -> int:
    return int(str(written)) if re.fullmatch("[0-9]{1,18}", str(written), re.ASCII) else -1


def _region(result: Task) -> _Region:
    kind, value = result.get("type"), result.get("value")
    if kind not in _REGIONS or not isinstance(value, dict):
        raise ValueError(
            f"type {shown(kind)}; only brush labels and polygon labels say which pixels are meant"
        )
    if not isinstance(names := value.get(kind), list) or len(names) != 1:
        raise ValueError(f"{kind} must name one label, got {shown(names)}")
    if result.get("image_rotation"):
        raise ValueError("drawn on a turned picture; turn the picture itself, and draw again")
    label = class_label(names[0])
    size = checked_size(result.get("original_height"), result.get("original_width"))
    if kind == "polygonlabels":
        points = checked_points(value.get("points"))
        if len(points) < 3:  # noqa: PLR2004
            raise ValueError(f"{len(points)} points; a polygon has at least three")
        return _Region(label=label, size=size, points=points)
    rle = value.get("rle")
    if value.get("format") != "rle" or not isinstance(rle, list) or not rle:
        raise ValueError("a brush has the format 'rle' and a list of bytes in 'rle'")
    try:
        return _Region(label=label, size=size, rle=bytes(rle))
    except (TypeError, ValueError):
        raise ValueError("'rle' holds something else than the numbers 0 to 255") from None


def _layers(root: Path, problems: list[str]) -> dict[int, tuple[_Region, ...]]:
    """Group the files by task, each with the label in its name; the newest annotation counts."""
    files = {path: match for path in _tag_files(root) if (match := _TAG.fullmatch(path.name))}
    newest: dict[int, int] = defaultdict(int)
    for match in files.values():
        newest[int(match[1])] = max(newest[int(match[1])], int(match[2]))
    declared = _declared(root)
    tags = {match[3].partition("-")[0] for match in files.values()}
    layers: dict[int, tuple[_Region, ...]] = defaultdict(tuple)
    for path, match in files.items():
        task = int(match[1])
        with noted(str(path), problems):
            if not inside(root, path):
                raise ValueError("a link that leaves the folder of the data set; copy the file")
            if int(match[2]) == newest[task]:
                label = class_label(_label_of(match[3], tags, declared))
                layers[task] += (_Region(label=label, png=path),)
    return dict(layers)


def _label_of(name: str, tags: set[str], declared: Sequence[str]) -> str:
    """Part "tag-label", in both of which "-" may occur; a region of two labels has both."""
    label = name.partition("-")[2]
    if label in declared or (not declared and len(tags) == 1):
        return label
    fits = [known for known in declared if name.endswith(f"-{known}")]
    if len(fits) != 1 or name.removesuffix(f"-{fits[0]}").endswith(
        tuple(f"-{d}" for d in declared)
    ):
        raise ValueError(
            f"which part of {name!r} is the label is not certain; write the labels into"
            " classes.txt, one per line"
        )
    return fits[0]


def _declared(root: Path) -> tuple[str, ...]:
    path = root / "classes.txt"
    if not path.is_file():
        return ()
    return class_names(read_list(path), path)


def _classes(root: Path, found: set[str], problems: list[str]) -> tuple[LabelSpace, dict[str, int]]:
    declared = _declared(root)
    labels, ids = with_background(declared or sorted(found), root / "classes.txt")
    if strange := sorted(found - set(ids)):
        problems.append(f"{root / 'classes.txt'}: labels {shown(strange)} are not in it")
    return labels, ids
