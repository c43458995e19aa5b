"""Ultralytics semantic segmentation: `data.yaml`, `images/<split>` and `masks/<split>`.

    names: {0: background, 1: bag}             # data.yaml; a list of names will do
    train: images/train                        # relative to `path` in it, or to the file
    val: images/val
    masks_dir: masks                           # stands in a path for "images"; "masks" if left out
    label_mapping: {7: 0, 8: 1, 9: ignore_label}   # values on disk, if they are not the class ids

A mask has the stem of its picture, and its values are class ids; 255 does not count. With a
`label_mapping` only the values in it are known (and 255, if it has no other meaning there): what
is not in it is refused. Where a split is not named, `images/<split>` is taken. No path may leave
the data set's folder.

Without `masks_dir` a `data.yaml` beside `labels/` is of the layout "yolo".
"""

import contextlib
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from frugalseg.core.errors import DataError
from frugalseg.core.labels import IGNORE, LabelSpace, palette
from frugalseg.data.dataset import Dataset, Sample, refuse
from frugalseg.data.files import inside, match_inside
from frugalseg.data.layouts.yolo import has_masks, named_folder
from frugalseg.data.masks import rasterise_mask, refuse_two_values
from frugalseg.data.names import background_of, class_names
from frugalseg.data.split import SPLITS, folders_of
from frugalseg.data.text import blamed, read_yaml, shown

_IGNORED = "ignore_label"


def detect(root: Path) -> bool:
    """Tell whether this is the layout of `root`."""
    return has_masks(root)


def read(root: Path) -> Dataset:
    """List the samples and the classes; masks are decoded until one is more than 0 and 255."""
    path = root / "data.yaml"
    written = read_yaml(path)
    names = class_names(written.get("names"), path)
    mapping = _mapping(written.get("label_mapping"), len(names), path)
    labels = _label_space(names, mapping, path)
    splits = _splits(root, written)
    if IGNORE not in mapping and labels.num_classes > 1:
        refuse_two_values(
            [sample.label for samples in splits.values() for sample in samples],
            f"write 'label_mapping: {{0: 0, {IGNORE}: 1}}' into {path} if {IGNORE} is class 1, or"
            f" '{IGNORE}: {_IGNORED}' in it if it does not count",
        )
    return Dataset(
        root=root,
        format="ultralytics",
        labels=labels,
        splits=splits,
        rasterise=partial(rasterise_mask, labels=labels),
    )


def _mapping(written: object, count: int, path: Path) -> dict[int, int]:
    """Read values on disk and the train id of each; below 0 there are none in a mask."""
    if written is None:
        return {}
    if not isinstance(written, Mapping) or not written:
        raise DataError(f"{path}: label_mapping maps values to class ids, got {shown(written)}")
    problems = [
        f"{path}: label_mapping: {shown(value)}: {shown(train_id)}; it maps a value up to"
        f" {IGNORE} to a class id, 0 to {count - 1}, or to {_IGNORED!r}"
        for value, train_id in written.items()
        if type(value) is not int
        or value > IGNORE
        or not (train_id == _IGNORED or (type(train_id) is int and 0 <= train_id < count))
    ]
    refuse(path, problems)
    return {
        value: IGNORE if train_id == _IGNORED else train_id
        for value, train_id in written.items()
        if value >= 0
    }


def _label_space(names: tuple[str, ...], mapping: dict[int, int], path: Path) -> LabelSpace:
    background = background_of(names)
    with blamed(path):
        return LabelSpace(
            names=names,
            colors=palette(len(names), background),
            from_disk={IGNORE: IGNORE} | (mapping or {i: i for i in range(len(names))}),
            background=background,
        )


def _splits(root: Path, written: dict[str, Any]) -> dict[str, tuple[Sample, ...]]:
    path = root / "data.yaml"
    problems: list[str] = []
    splits: dict[str, tuple[Sample, ...]] = {}
    for split in SPLITS:
        samples: dict[str, Sample] = {}
        for images in _image_folders(root, written, folders_of(split), problems):
            masks = _mask_folder(root, images, written.get("masks_dir", "masks"))
            if masks is None:
                name = shown(written.get("masks_dir", "masks"))
                problems.append(
                    f"{path}: masks_dir: no folder {name} beside the images in {images}"
                )
                continue
            for sample in match_inside(images, masks, problems, root=root):
                if sample.name in samples:
                    problems.append(f"{sample.image}: same name as {samples[sample.name].image}")
                samples[sample.name] = sample
        if samples:
            splits[split] = tuple(samples.values())
    refuse(root, problems)
    if not splits:
        raise DataError(f"{root}: no images (JPEG, PNG, BMP or WebP) where {path} says")
    return splits


def _image_folders(
    root: Path, written: dict[str, Any], keys: tuple[str, ...], problems: list[str]
) -> list[Path]:
    """Find the folders of pictures of a split; "images" must be in their path."""
    key = next((key for key in keys if written.get(key)), None)
    if key is None:
        return [root / "images" / name for name in keys if (root / "images" / name).is_dir()]
    base = written.get("path") or ""
    entries = written[key] if isinstance(written[key], list) else [written[key]]
    folders: list[Path] = []
    for entry in entries:
        texts = isinstance(entry, str) and isinstance(base, str)
        folder = named_folder(root, base, entry) if texts else None
        if folder is None or "images" not in folder.relative_to(root).parts:
            problems.append(
                f"{root / 'data.yaml'}: {key}: {shown(entry)} is not a folder of {root} with"
                " 'images' in its path"
            )
        else:
            folders.append(folder)
    return folders


def _mask_folder(root: Path, images: Path, masks: object) -> Path | None:
    """Put the folder of masks in the place of the last "images" of a path."""
    parts = list(images.relative_to(root).parts)
    parts[len(parts) - 1 - parts[::-1].index("images")] = masks if isinstance(masks, str) else ""
    folder = root.joinpath(*parts)
    with contextlib.suppress(OSError):  # a name that is too long for any folder
        if isinstance(masks, str) and folder.is_dir() and inside(root, folder):
            return folder
    return None
