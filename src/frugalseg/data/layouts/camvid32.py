"""CamVid with all of its 32 classes, as first released or as Kaggle has it; masks are colours.

    701_StillsRaw_full/0001TP_006690.png         train/0001TP_006690.png
    LabeledApproved_full/0001TP_006690_L.png     train_labels/0001TP_006690_L.png
    label_colors.txt ("64 128 64   Animal")      class_dict.csv (name,r,g,b)

On the right: likewise val and test; masks may also be named like their pictures. On the left the
colours are those of the release if `label_colors.txt` is not there. `labels.yaml` (as in the layout
"folder") wins over either file. Void is ignored, so 31 classes remain.

The release has no splits. Its 701 pictures are frames of four drives, so they are not divided by
chance but as SegNet did and all who compare with it: 367 for training, 101 (frames 7959 to 8159 of
0016E5) for validation, 233 (Seq05VD, and 0001TP from frame 8550) for testing. Pictures of other
names are divided by their hash.

One mask of the release, Seq05VD_f02610_L.png, has 175 pixels of colours that no class has; in this
file that many are ignored, anywhere else a colour without a class is refused. A test split without
any mask is left out.
"""

import csv
import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from frugalseg.core.errors import DataError
from frugalseg.core.labels import IGNORE, Color, LabelSpace
from frugalseg.data.colors import color_classes
from frugalseg.data.dataset import Dataset, Sample, refuse
from frugalseg.data.files import files_below, pairs
from frugalseg.data.labels_yaml import from_yaml
from frugalseg.data.masks import ColorTable, from_colors, rasterise
from frugalseg.data.split import SPLITS, divided
from frugalseg.data.text import read_lines
from frugalseg.imaging.read import IMAGE_SUFFIXES, read_color_mask

_PICTURES, _MASKS = "701_StillsRaw_full", "LabeledApproved_full"
_ENDING = "_L"
_FLAWED, _FLAWED_PIXELS = "Seq05VD_f02610_L", 175
_FRAME = re.compile(r"(0001TP|0006R0|0016E5|Seq05VD)_f?([0-9]{5,6})")
_FIRST_TEST_FRAME = 8550
_VAL_FRAMES = range(7959, 8160)

# label_colors.txt of the release, in its order.
_STANDARD: dict[str, Color] = {
    "Animal": (64, 128, 64),
    "Archway": (192, 0, 128),
    "Bicyclist": (0, 128, 192),
    "Bridge": (0, 128, 64),
    "Building": (128, 0, 0),
    "Car": (64, 0, 128),
    "CartLuggagePram": (64, 0, 192),
    "Child": (192, 128, 64),
    "Column_Pole": (192, 192, 128),
    "Fence": (64, 64, 128),
    "LaneMkgsDriv": (128, 0, 192),
    "LaneMkgsNonDriv": (192, 0, 64),
    "Misc_Text": (128, 128, 64),
    "MotorcycleScooter": (192, 0, 192),
    "OtherMoving": (128, 64, 64),
    "ParkingBlock": (64, 192, 128),
    "Pedestrian": (64, 64, 0),
    "Road": (128, 64, 128),
    "RoadShoulder": (128, 128, 192),
    "Sidewalk": (0, 0, 192),
    "SignSymbol": (192, 128, 128),
    "Sky": (128, 128, 128),
    "SUVPickupTruck": (64, 128, 192),
    "TrafficCone": (0, 0, 64),
    "TrafficLight": (0, 64, 64),
    "Train": (192, 64, 128),
    "Tree": (128, 128, 0),
    "Truck_Bus": (192, 128, 192),
    "Tunnel": (64, 0, 64),
    "VegetationMisc": (192, 192, 0),
    "Void": (0, 0, 0),
    "Wall": (64, 192, 0),
}


def detect(root: Path) -> bool:
    """Tell whether this is the layout of `root`."""
    return _is_release(root) or (
        (root / "class_dict.csv").is_file()
        and any((root / s).is_dir() and (root / f"{s}_labels").is_dir() for s in SPLITS)
    )


def read(root: Path) -> Dataset:
    """List the samples and the classes, without decoding anything."""
    labels, table = _classes(root)
    problems: list[str] = []
    if _is_release(root):
        splits = _as_segnet(_matched(root, _PICTURES, _MASKS, problems))
    else:
        splits = {
            split: _matched(root, split, f"{split}_labels", problems)
            for split in SPLITS
            if (root / split).is_dir() or (root / f"{split}_labels").is_dir()
        }
    refuse(root, problems)
    if not any(splits.values()):
        raise DataError(f"{root}: no images in {', '.join(splits)} (JPEG, PNG, BMP or WebP)")
    return Dataset(
        root=root,
        format="camvid32",
        labels=labels,
        splits=splits,
        rasterise=partial(_rasterise, labels=labels, table=table),
    )


def _is_release(root: Path) -> bool:
    return (root / _PICTURES).is_dir() and (root / _MASKS).is_dir()


def _classes(root: Path) -> tuple[LabelSpace, ColorTable]:
    if (path := root / "labels.yaml").is_file():
        return from_yaml(path)
    if (path := root / "class_dict.csv").is_file():
        return color_classes(_rows_of_csv(path), path)
    path = root / "label_colors.txt"
    rows = _rows_of_text(path) if path.is_file() else list(_STANDARD.items())
    return color_classes(rows, path)


def _rows_of_csv(path: Path) -> list[tuple[str, Color]]:
    try:
        header, *rows = [row for row in csv.reader(read_lines(path)) if any(row)]
        at = [[cell.strip().lower() for cell in header].index(key) for key in ("name", *"rgb")]
        return [_row(*(row[i].strip() for i in at)) for row in rows]
    except (ValueError, IndexError, csv.Error) as wrong:
        raise DataError(f"{path}: expected the columns name,r,g,b; {wrong}") from wrong


def _rows_of_text(path: Path) -> list[tuple[str, Color]]:
    rows: list[tuple[str, Color]] = []
    problems: list[str] = []
    for number, line in enumerate(read_lines(path), start=1):
        try:
            if words := line.split(maxsplit=3):
                red, green, blue, name = words
                rows.append(_row(name.strip(), red, green, blue))
        except ValueError:
            problems.append(
                f"{path} line {number}: expected red, green, blue and a name, such as"
                f" '64 128 64 Animal', got {line.strip()[:80]!r}"
            )
    refuse(path, problems)
    return rows


def _row(name: str, red: str, green: str, blue: str) -> tuple[str, Color]:
    return name, (int(red), int(green), int(blue))


def _matched(root: Path, pictures: str, masks: str, problems: list[str]) -> tuple[Sample, ...]:
    images = files_below(root, root / pictures, IMAGE_SUFFIXES, problems)
    mask_of: dict[str, Path] = {}
    for name, path in files_below(root, root / masks, IMAGE_SUFFIXES, problems).items():
        own = name if name in images else name.removesuffix(_ENDING)
        if own in mask_of:
            problems.append(f"{path}: a second mask for {own}, beside {mask_of[own].name}")
        mask_of[own] = path
    if pictures == "test" and not mask_of:
        return ()
    return pairs(images, mask_of, problems, place=f"{masks}/*{_ENDING}.png")


def _as_segnet(samples: tuple[Sample, ...]) -> Mapping[str, tuple[Sample, ...]]:
    split_of = {sample.name: _split(sample.name) for sample in samples}
    if "" in split_of.values():
        return divided(samples)
    return {split: tuple(s for s in samples if split_of[s.name] == split) for split in SPLITS}


def _split(name: str) -> str:
    """Tell the split of a frame of CamVid; "" for another picture.

    >>> _split("0001TP_006690"), _split("0016E5_07959"), _split("Seq05VD_f02610"), _split("cat")
    ('train', 'val', 'test', '')
    """
    if not (found := _FRAME.fullmatch(name)):
        return ""
    drive, frame = found.group(1), int(found.group(2))
    if drive == "Seq05VD" or (drive == "0001TP" and frame >= _FIRST_TEST_FRAME):
        return "test"
    return "val" if drive == "0016E5" and frame in _VAL_FRAMES else "train"


def _rasterise(
    sample: Sample, size: tuple[int, int], *, labels: LabelSpace, table: ColorTable
) -> NDArray[np.uint8]:
    if sample.label.stem != _FLAWED:
        return rasterise(sample, size, labels=labels, table=table)
    mask_HWC = read_color_mask(sample.label)
    colors, counts = np.unique(mask_HWC.reshape(-1, 3), axis=0, return_counts=True)
    known = {color for color, _ in table}
    strange = {
        (r, g, b): count
        for (r, g, b), count in zip(colors.tolist(), counts.tolist(), strict=True)
        if (r, g, b) not in known
    }
    if sum(strange.values()) <= _FLAWED_PIXELS:
        table = (*table, *((color, IGNORE) for color in strange))
    return from_colors(mask_HWC, sample.label, table)
