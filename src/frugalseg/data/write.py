"""Layouts that data sets are written in: where a picture and its labels go, and what else."""

import csv
import hashlib
import io
import json
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray
from PIL import Image

from frugalseg.core.errors import DataError, require
from frugalseg.core.files import write_text
from frugalseg.core.labels import IGNORE, Color, LabelSpace
from frugalseg.data.names import background_of
from frugalseg.data.shapes.outlines import outlines

LONGEST_NAME = 200  # bytes; file systems take 255, ending and draft included

_IGNORED_COLOR: Color = (224, 224, 192)  # the border of objects in Pascal VOC
_PARTS = ".parts"


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """A sample in the new layout; paths are relative to its folder, the size is (H, W)."""

    name: str
    split: str
    image: str
    label: str
    size: tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """How a layout is written.

    `image` and `label` are patterns of paths, `encode` gives the content of a label file, and
    `finish` writes what belongs to all samples. `keeps_ignored` says whether pixels that do not
    count can be told; `adds_background` whether what has no class becomes one.
    """

    image: str
    label: str
    encode: Callable[[NDArray[np.uint8], LabelSpace], bytes]
    finish: Callable[[Path, LabelSpace, Sequence[Written]], None]
    keeps_ignored: bool = True
    adds_background: bool = False


def file_name(name: str) -> str:
    """Make a sample's name one that files may have: no folder, no blank, not hidden, not too long.

    >>> file_name("batch_1/a b.c"), file_name("../.a")
    ('batch_1__a_b.c', '__.a')
    """
    flat = name.replace("/", "__").replace("\\", "__").encode(errors="surrogateescape")
    plain = "_".join(flat.decode(errors="ignore").split()).lstrip(".") or "picture"
    if len(plain.encode()) <= LONGEST_NAME:
        return plain
    digest = hashlib.sha256(name.encode(errors="surrogateescape")).hexdigest()[:16]
    return f"{plain.encode()[: LONGEST_NAME - 17].decode(errors='ignore')}_{digest}"


def background_in(labels: LabelSpace) -> int | None:
    """Find the background: the class that is declared to be it, or that is called so."""
    return background_of(labels.names) if labels.background is None else labels.background


def encode_mask(labels_HW: NDArray[np.uint8], labels: LabelSpace) -> bytes:
    """Encode train ids as a PNG with a palette, so that viewers show colours."""
    colors = np.zeros((256, 3), np.uint8)
    colors[: labels.num_classes] = labels.colors
    colors[IGNORE] = _IGNORED_COLOR
    picture = Image.fromarray(labels_HW, mode="P")
    picture.putpalette(colors.tobytes())
    stream = io.BytesIO()
    picture.save(stream, format="PNG")
    return stream.getvalue()


def _polygons(labels_HW: NDArray[np.uint8], labels: LabelSpace) -> bytes:
    height, width = labels_HW.shape
    lines = []
    for number, train_id in _shown(labels_HW, _objects(labels)):
        for points_P2 in outlines(labels_HW == train_id):
            shares = (points_P2 / (width, height)).ravel()
            lines.append(" ".join([str(number), *(f"{share:.8g}" for share in shares)]))
    return "".join(f"{line}\n" for line in lines).encode()


def _runs(labels_HW: NDArray[np.uint8], labels: LabelSpace) -> bytes:
    """Encode each part of a class as COCO does, run by run; pixels that do not count as a crowd."""
    import cv2

    coding = require("pycocotools.mask", extra="coco")
    found: list[dict[str, Any]] = []
    for number, train_id in _shown(labels_HW, [*_objects(labels), IGNORE]):
        is_crowd = train_id == IGNORE
        here_HW = (labels_HW == train_id).astype(np.uint8)
        count, part_HW = (2, here_HW) if is_crowd else cv2.connectedComponents(here_HW)
        for part in range(1, count):
            runs = coding.encode(np.asfortranarray(part_HW == part).astype(np.uint8))
            if area := int(coding.area(runs)):
                found.append({
                    "category_id": 1 if is_crowd else number + 1,
                    "segmentation": {"size": runs["size"], "counts": runs["counts"].decode()},
                    "area": area, "bbox": coding.toBbox(runs).tolist(), "iscrowd": int(is_crowd),
                })  # fmt: skip
    return json.dumps(found).encode()


def _shown(labels_HW: NDArray[np.uint8], train_ids: Sequence[int]) -> list[tuple[int, int]]:
    """Number the train ids, and keep those that a picture shows: few of many."""
    there = {*np.unique(labels_HW).tolist()}
    return [(number, i) for number, i in enumerate(train_ids) if i in there]


def _objects(labels: LabelSpace) -> list[int]:
    """List the classes but the background, which is what is under no object."""
    background = background_in(labels)
    return [i for i in range(labels.num_classes) if i != background]


def write_labels(out: Path, labels: LabelSpace, _written: Sequence[Written] = ()) -> None:
    """Write `labels.yaml`: the classes, their colours, and that 255 does not count."""
    values: dict[str, Any] = {
        "names": list(labels.names),
        "ignore": [IGNORE],
    }
    if len(set(labels.colors)) == labels.num_classes:  # else colours do not tell classes apart
        values["colors"] = [list(color) for color in labels.colors]
    if labels.background is not None:
        values["background"] = labels.names[labels.background]
    write_text(out / "labels.yaml", yaml.safe_dump(values, allow_unicode=True, sort_keys=False))


def _finish_camvid(out: Path, labels: LabelSpace, written: Sequence[Written]) -> None:
    stream = io.StringIO()
    rows = csv.writer(stream, lineterminator="\n")
    rows.writerow(["id", "name", "r", "g", "b"])
    rows.writerows([i, labels.names[i], *labels.colors[i]] for i in range(labels.num_classes))
    rows.writerow([IGNORE, "Void", 0, 0, 0])
    write_text(out / "classes.csv", stream.getvalue())
    write_labels(out, labels)  # which class is background; and that one called void is a class
    _write_lists(out, written, lambda sample: f"{sample.image} {sample.label}")


def _finish_voc(out: Path, labels: LabelSpace, written: Sequence[Written]) -> None:
    write_labels(out, labels, written)
    _write_lists(out / "ImageSets" / "Segmentation", written, lambda sample: sample.name)


def _finish_yolo(out: Path, labels: LabelSpace, written: Sequence[Written]) -> None:
    splits = {split: f"images/{split}" for split in _by_split(written)}
    names = dict(enumerate(labels.names[i] for i in _objects(labels)))
    text = yaml.safe_dump({**splits, "names": names}, allow_unicode=True, sort_keys=False)
    write_text(out / "data.yaml", text)


def _finish_coco(out: Path, labels: LabelSpace, written: Sequence[Written]) -> None:
    categories = [
        {"id": number, "name": labels.names[i], "supercategory": labels.names[i]}
        for number, i in enumerate(_objects(labels), 1)
    ]
    number = 0
    for split, samples in _by_split(written).items():
        annotations: list[dict[str, Any]] = []
        images: list[dict[str, Any]] = []
        for image_id, sample in enumerate(samples, 1):
            height, width = sample.size
            file_name = Path(sample.image).name
            images.append(
                {"id": image_id, "file_name": file_name, "width": width, "height": height}
            )
            for region in json.loads((out / sample.label).read_text(encoding="utf-8")):
                number += 1
                annotations.append({"id": number, "image_id": image_id, **region})
        if not annotations:
            raise DataError(
                f"the split {split} shows no object: a COCO file without annotations is taken for"
                " one that nobody has labelled. Choose another layout, or divide anew"
            )
        values = {"images": images, "annotations": annotations, "categories": categories}
        write_text(out / "annotations" / f"instances_{split}.json", json.dumps(values))
    shutil.rmtree(out / "annotations" / _PARTS)


def _write_lists(folder: Path, written: Sequence[Written], line: Callable[[Written], str]) -> None:
    for split, samples in _by_split(written).items():
        write_text(folder / f"{split}.txt", "".join(f"{line(sample)}\n" for sample in samples))


def _by_split(written: Iterable[Written]) -> dict[str, list[Written]]:
    splits: dict[str, list[Written]] = {}
    for sample in written:
        splits.setdefault(sample.split, []).append(sample)
    return splits


LAYOUTS: Mapping[str, Layout] = MappingProxyType(
    {
        "folder": Layout(
            image="images/{split}/{name}{suffix}", label="masks/{split}/{name}.png",
            encode=encode_mask, finish=write_labels,
        ),
        "camvid": Layout(
            image="{split}/{name}{suffix}", label="{split}annot/{name}.png",
            encode=encode_mask, finish=_finish_camvid,
        ),
        "voc": Layout(
            image="JPEGImages/{name}{suffix}", label="SegmentationClass/{name}.png",
            encode=encode_mask, finish=_finish_voc,
        ),
        "yolo": Layout(
            image="images/{split}/{name}{suffix}", label="labels/{split}/{name}.txt",
            encode=_polygons, finish=_finish_yolo, keeps_ignored=False, adds_background=True,
        ),
        "coco": Layout(
            image="{split}/{name}{suffix}", label=f"annotations/{_PARTS}/{{split}}/{{name}}.json",
            encode=_runs, finish=_finish_coco, adds_background=True,
        ),
    }
)  # fmt: skip
