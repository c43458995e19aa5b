"""COCO panoptic: `panoptic_<split>.json` and, beside it, the folder `panoptic_<split>/` of PNGs.

    annotations/panoptic_<split>.json  annotations/panoptic_<split>/   or both in the top folder;
    images in <split>/, images/<split>/, images/ or input_images/

A pixel of a PNG holds the id of a segment, R + 256 G + 65536 B, and `segments_info` in the JSON
tells its category. Classes are the categories in the order of their ids, which may have gaps; there
is no background. The id 0 and segments with `iscrowd` are ignored (255).

A single file whose name tells no split is divided by the hash of the image's name. The PNGs with
two channels (category and number) are not read: nothing tells them from the others for sure.
"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from frugalseg.core.errors import DataError
from frugalseg.core.labels import IGNORE, LabelSpace
from frugalseg.data.coco.cache import open_index, user_folder
from frugalseg.data.coco.index import supercategories, train_id_of
from frugalseg.data.coco.layout import Part, check_names, image_folders, open_parts, split_told
from frugalseg.data.dataset import Dataset, Sample, refuse
from frugalseg.data.text import shown
from frugalseg.imaging.read import read_color_mask

_PREFIX = "panoptic_"
_ID_BITS = 24
_VOID = 0


def detect(root: Path) -> bool:
    """Tell whether this is the layout of `root`."""
    return bool(_parts(root))


def read(root: Path, *, cache: Path | None = None) -> Dataset:
    """List the samples and learn the classes; raises DataError with all that is wrong.

    Large annotation files are indexed once, below `cache` (by default the user's cache folder).
    """
    cache = cache or user_folder()
    parts = _parts(root)
    if not parts:
        raise DataError(f"{root}: no {_PREFIX}*.json with a folder of the same name beside it")
    opened = open_parts(root, parts, "panoptic", cache)
    names = [category.name for category in opened.categories]
    check_names(root, names)
    return Dataset(
        root=root,
        format="coco-panoptic",
        labels=LabelSpace.of(names),
        splits=opened.splits,
        rasterise=partial(
            rasterise_segments,
            annotations={str(part.masks): part.annotations for part in parts},
            cache=cache,
            train_ids={category.id: i for i, category in enumerate(opened.categories)},
        ),
        supercategories=supercategories(opened.categories),
    )


def rasterise_segments(
    sample: Sample,
    _size: tuple[int, int],
    *,
    annotations: Mapping[str, Path],
    cache: Path,
    train_ids: Mapping[int, int],
) -> NDArray[np.uint8]:
    """Turn the PNG of an image into train ids, at its own size.

    Raises DataError where the PNG and the JSON have not the same segments.
    """
    path = next(p for folder, p in annotations.items() if sample.label.is_relative_to(folder))
    (entry,) = open_index(path, "panoptic", cache).annotations(sample)
    where = f"{path}: annotation of {sample.image.name}"
    found = _segments(entry.get("segments_info"), train_ids, where)
    table = np.zeros(1 << _ID_BITS, np.uint16)  # pages that are not touched take no memory
    table[list(found)] = np.fromiter(found.values(), np.uint16) + 1
    red_HW, green_HW, blue_HW = np.moveaxis(read_color_mask(sample.label).astype(np.int32), -1, 0)
    ids_HW = red_HW | green_HW << 8 | blue_HW << 16
    labels_HW: NDArray[np.uint16] = table[ids_HW]
    seen = np.zeros(1 << _ID_BITS, np.bool_)
    seen[ids_HW] = True
    problems = [
        f"{where}: segment {number} is in the JSON, but not in {sample.label}"
        for number in found
        if number != _VOID and not seen[number]
    ]
    if not labels_HW.all():
        strange = np.unique(ids_HW[labels_HW == 0]).tolist()
        problems.append(
            f"{sample.label}: {len(strange)} segments that are not in {path}:"
            f" {', '.join(map(str, strange[:5]))}"
        )
    refuse(sample.label, problems)
    return np.subtract(labels_HW, 1, dtype=np.uint16).astype(np.uint8)


def _segments(told: Any, train_ids: Mapping[int, int], where: str) -> dict[int, int]:
    """Give the train id of each segment id, that of void included."""
    if type(told) is not list:
        raise DataError(f"{where}: 'segments_info' is a list, got {shown(told)}")
    found = {_VOID: IGNORE}
    problems: list[str] = []
    for at, segment in enumerate(told):
        try:
            number = _segment_id(segment, found)
            found[number] = train_id_of(segment, train_ids)
        except ValueError as wrong:
            problems.append(f"{where}: segments_info[{at}]: {wrong}")
    refuse(Path(where), problems)
    return found


def _segment_id(segment: Any, found: Mapping[int, int]) -> int:
    if type(segment) is not dict:
        raise ValueError(f"expected an object, got {shown(segment)}")
    number = segment.get("id")
    if type(number) is not int or not 0 < number < 1 << _ID_BITS:
        raise ValueError(f"'id' is 1 to {(1 << _ID_BITS) - 1:,}, got {shown(number)}")
    if number in found:
        raise ValueError(f"a second segment with the id {number}")
    return number


def _parts(root: Path) -> list[Part]:
    return [
        Part(
            annotations=path,
            split=split_told(tag := path.stem.removeprefix(_PREFIX)),
            folders=(*image_folders(root, tag), root / "input_images"),
            masks=path.with_suffix(""),
        )
        for folder in (root / "annotations", root)
        for path in sorted(folder.glob(f"{_PREFIX}*.json"))
        if path.with_suffix("").is_dir()
    ]
