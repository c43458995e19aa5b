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

from functools import partial
from pathlib import Path

from frugalseg.data.dataset import Dataset
from frugalseg.data.files import match_masks, matched_splits
from frugalseg.data.labels_yaml import declared
from frugalseg.data.layouts.yolo import has_masks
from frugalseg.data.masks import found, rasterise, refuse_stretched


def detect(root: Path) -> bool:
    """Tell whether this is the layout of `root`."""
    return (root / "images").is_dir() and (root / "masks").is_dir() and not has_masks(root)


def read(root: Path) -> Dataset:
    """List the samples and learn the classes; masks are decoded only if no file names these."""
    splits = matched_splits(root, root / "images", root / "masks", partial(match_masks, root=root))
    masks = [sample.label for samples in splits.values() for sample in samples]
    known = declared(root)
    labels, table = known or (found(root, masks), ())
    if known:
        refuse_stretched(root, masks, labels, table)
    return Dataset(
        root=root,
        format="folder",
        labels=labels,
        splits=splits,
        rasterise=partial(rasterise, labels=labels, table=table),
    )
