"""mmsegmentation's own layout: `img_dir/` and `ann_dir/`, by split, masks of class ids.

    img_dir/train/a.jpg   ann_dir/train/a.png       likewise val, and test if it has masks
    img_dir/val/b.jpg     ann_dir/val/b.png

Pictures and masks are matched by their path without suffix. 255 is ignored. The classes are named
by `labels.yaml` or `classes.txt` (as in the layout "folder"); with neither, the values found are
the classes.

In mmsegmentation the switch `reduce_zero_label` stands in the program: with it 0 is ignored and 1
is the first class. Here it stands in `labels.yaml`. Masks of 0 to N beside N names are refused
until it is there; 32 masks, spread over the data set, are decoded to see that.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from frugalseg.core.errors import DataError
from frugalseg.core.labels import IGNORE, LabelSpace
from frugalseg.data.dataset import Dataset, Sample, refuse
from frugalseg.data.files import files_below, pairs, spread
from frugalseg.data.labels_yaml import declared
from frugalseg.data.masks import ColorTable, found, rasterise, refuse_stretched
from frugalseg.data.split import SPLIT_FOLDERS
from frugalseg.data.text import read_yaml
from frugalseg.imaging.read import IMAGE_SUFFIXES, has_colors, read_mask

_LOOKED_AT = 32
_KEY = "reduce_zero_label"


def detect(root: Path) -> bool:
    """Tell whether this is the layout of `root`."""
    return (root / "img_dir").is_dir() and (root / "ann_dir").is_dir()


def read(root: Path) -> Dataset:
    """List the samples and learn the classes; if a file names these, few masks are decoded."""
    splits = _splits(root)
    every = [sample for samples in splits.values() for sample in samples]
    masks = [sample.label for sample in every]
    known = declared(root)
    labels, table = known or (found(root, masks), ())
    if known:
        _refuse_shifted(root, spread(every, _LOOKED_AT), labels, table)
    if known:
        refuse_stretched(root, masks, labels, table)
    return Dataset(
        root=root,
        format="mmseg",
        labels=labels,
        splits=splits,
        rasterise=partial(rasterise, labels=labels, table=table),
    )


def _splits(root: Path) -> dict[str, tuple[Sample, ...]]:
    problems: list[str] = []
    splits: dict[str, tuple[Sample, ...]] = {}
    for folder, split in SPLIT_FOLDERS.items():
        images = files_below(root, root / "img_dir" / folder, IMAGE_SUFFIXES, problems)
        masks = files_below(root, root / "ann_dir" / folder, IMAGE_SUFFIXES, problems)
        if not masks and (split == "test" or not images):
            continue
        if split in splits:
            problems.append(f"{root / 'img_dir' / folder}: a second folder for {split!r}")
        splits[split] = pairs(images, masks, problems, place=f"ann_dir/{folder}/*.png")
    refuse(root, problems)
    if not splits:
        raise DataError(f"{root}: no images in img_dir/train, img_dir/val (JPEG, PNG, BMP or WebP)")
    return splits


def _refuse_shifted(
    root: Path, masks: Sequence[Path], labels: LabelSpace, table: ColorTable
) -> None:
    """Refuse 0 to N beside N names, where nobody has said what 0 is."""
    path, number = root / "labels.yaml", labels.num_classes
    plain = dict.fromkeys(range(number)) | {IGNORE: None}
    if labels.from_disk.keys() != plain.keys() or (path.is_file() and _KEY in read_yaml(path)):
        return
    values: set[int] = set()
    for mask in masks:
        if not (table and has_colors(mask)):
            values |= set(np.unique(read_mask(mask)).tolist())
    if max(values - {IGNORE}, default=0) == number:
        raise DataError(
            f"{root}: masks hold the values 0 to {number}, but {number} classes are named. If 0 is"
            f" to be ignored and 1 is {labels.names[0]!r}, write '{_KEY}: true' into {path};"
            f" if 0 is {labels.names[0]!r}, write '{_KEY}: false' and name class {number} too"
        )
