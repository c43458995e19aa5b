"""The layouts of data sets that can be read, and the one function that opens any of them."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

from frugalseg.core.errors import ConfigError, DataError, unknown
from frugalseg.core.files import cache_folder
from frugalseg.core.progress import Progress, silent
from frugalseg.data.class_map import told, view
from frugalseg.data.coco import instances, panoptic, stuff
from frugalseg.data.dataset import Dataset
from frugalseg.data.files import refuse_links
from frugalseg.data.layouts import (
    ade20k,
    camvid,
    camvid32,
    cityscapes,
    cvat,
    folder,
    huggingface,
    label_studio,
    labelme,
    mmseg,
    resortit,
    roboflow,
    shards,
    ultralytics,
    voc,
    yolo,
)
from frugalseg.data.remote import fetched, is_remote

RECORD = "convert.jsonl"  # of `data convert`: a line for each sample, and one at the end
END = '{"complete": true}\n'

BELT_NAME = "belt"
BELT_ARGUMENTS: Mapping[str, Any] = MappingProxyType(
    {"train": 400, "val": 100, "seed": 0, "size": (192, 256)}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """A layout: what it looks like, whether a folder has it, and how to read it."""

    layout: str
    detect: Callable[[Path], bool]
    read: Callable[[Path], Dataset]


FORMATS: Mapping[str, Format] = MappingProxyType(
    {
        name: Format(layout=layout, detect=module.detect, read=module.read)
        for name, (layout, module) in {
            "folder": ("images/ and masks/ (with train/ and val/ in both, or without)", folder),
            "camvid": ("train/ and trainannot/, val/ and valannot/", camvid),
            "yolo": ("data.yaml, images/ and labels/", yolo),
            "coco": (
                "annotations/instances_*.json, annotations.json, or */_annotations.coco.json",
                instances,
            ),
            "coco-panoptic": ("panoptic_*.json and a folder of PNGs of that name", panoptic),
            "coco-stuff": ("stuffthingmaps*/train2017 and val2017, and images", stuff),
            "ultralytics": ("data.yaml, images/ and masks/", ultralytics),
            "huggingface": ("id2label.json, images/ and labels/ (or annotations/)", huggingface),
            "roboflow": ("train/ and valid/ with _classes.csv, X.jpg and X_mask.png", roboflow),
            "labelme": ("X.jpg and X.json in one folder, or in train/ and val/", labelme),
            "label_studio": ("a JSON export of tasks beside the pictures", label_studio),
            "resortit": ("train/ and labels/train/, val/ and labels/val/", resortit),
            "shards": ("labels.yaml and train-000000.tar, val-000000.tar, ...", shards),
            "voc": ("JPEGImages/, SegmentationClass/ and ImageSets/Segmentation/*.txt", voc),
            "cvat": ("labelmap.txt, JPEGImages/ and SegmentationClass/", cvat),
            "cityscapes": ("leftImg8bit/ and gtFine/", cityscapes),
            "ade20k": ("images/training and annotations/training, the same for validation", ade20k),
            "mmseg": ("img_dir/ and ann_dir/, with train/ and val/ in both", mmseg),
            "camvid32": (
                "class_dict.csv, train/ and train_labels/; or 701_StillsRaw_full/ and"
                " LabeledApproved_full/",
                camvid32,
            ),
        }.items()
    }
)


def open_dataset(
    source: str | Path,
    *,
    format: str | None = None,
    map: str | Path | None = None,
    cache: Path | None = None,
    progress: Progress = silent,
) -> Dataset:
    """Open a folder in any layout that is known; "belt" is the embedded set.

    `map` is a file that says which classes are seen as one, or the word "supercategories" (see
    `data.class_map`); what it does is told through `progress`. The embedded set is drawn once, into
    a folder below `cache` (by default the user's cache folder). For a folder of that name write
    "./belt".
    """
    if map is not None:
        seen_through = view(map)
        dataset = open_dataset(source, format=format, cache=cache, progress=progress)
        dataset = seen_through(dataset)
        progress("class map", 1, 1, told(dataset.labels.class_map))
        return dataset
    if source == BELT_NAME:
        return _belt(cache or cache_folder(), progress)
    root = (
        fetched(str(source), cache=cache, progress=progress) if is_remote(source) else Path(source)
    )
    if not root.is_dir():
        what = "not a folder" if root.exists() else "no such folder"
        raise DataError(f"{root}: {what}; name the folder of a data set, or {BELT_NAME!r}")
    _refuse_unfinished(root)
    refuse_links(root)
    if format is None:
        format = _detected(root)
    if format not in FORMATS:
        raise unknown("data format", format, FORMATS)
    if not FORMATS[format].detect(root):
        raise DataError(f"{root}: not of the layout {format!r}, which is {FORMATS[format].layout}")
    return FORMATS[format].read(root)


def _detected(root: Path) -> str:
    if not any(root.iterdir()):
        raise DataError(
            f"{root}: the folder is empty; a data set has one of the layouts", _layouts()
        )
    names = [name for name, layout in FORMATS.items() if layout.detect(root)]
    if len(names) > 1:
        raise ConfigError(f"{root} could be {' or '.join(names)}; say which with format=")
    if not names:
        raise DataError(f"{root}: no data set of a known layout; expected one of", _layouts())
    return names[0]


def _refuse_unfinished(root: Path) -> None:
    """Refuse the folder of a conversion that has not come to its end."""
    path = root / RECORD
    if path.is_file():
        with path.open("rb") as stream:
            stream.seek(max(0, path.stat().st_size - len(END)))
            if stream.read() != END.encode():
                raise DataError(f"{root}: a conversion that was cut off; call it again to end it")


def _layouts() -> list[str]:
    return [f"{name}: {format.layout}" for name, format in FORMATS.items()]


def _belt(cache: Path, progress: Progress) -> Dataset:
    from frugalseg import __version__
    from frugalseg.data.belt.scene import write_belt

    root = cache / f"{BELT_NAME}-{__version__}-{_belt_hash()}"
    if not root.is_dir():  # it appears under its name when it is complete
        write_belt(root, **BELT_ARGUMENTS, progress=partial(progress, BELT_NAME))
    return replace(folder.read(root), format=BELT_NAME)


def _belt_hash() -> str:
    """Hash the arguments, and the code that draws: a changed scene is another data set."""
    code = sorted((Path(__file__).parent / "belt").glob("*.py"))
    content = [json.dumps(dict(BELT_ARGUMENTS)).encode(), *(file.read_bytes() for file in code)]
    return hashlib.sha256(b"".join(content)).hexdigest()[:8]
