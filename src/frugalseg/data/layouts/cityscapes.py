"""Cityscapes: `leftImg8bit/` and `gtFine/`, by split and city.

    leftImg8bit/train/aachen/aachen_000000_000019_leftImg8bit.png
    gtFine/train/aachen/aachen_000000_000019_gtFine_labelIds.png
    gtFine/train/aachen/aachen_000000_000019_gtFine_labelTrainIds.png

The classes are the 19 that are scored. In labelIds they have the ids 7, 8, 11 and so on; the other
ids up to 33 are ignored. labelTrainIds, which the data set's own scripts write, hold 0 to 18, and
255 for what is ignored. These are taken if every picture has them, otherwise labelIds; one kind is
read for the whole data set. Other values are refused, such as the 19 that some scripts write.

The classes of the test pictures are not public: the split is left out if it has no masks, or if of
eight masks spread over it none has a class (the release has masks with the car's own bonnet and the
border alone). `gtCoarse/` and the other files of `gtFine/` are not read. `labels.yaml` (as in the
layout "folder") may name other classes for the values of the files that are taken.
"""

from functools import partial
from pathlib import Path

from frugalseg.core.errors import DataError
from frugalseg.core.labels import IGNORE, Color, LabelSpace
from frugalseg.data.dataset import Dataset, Sample, refuse
from frugalseg.data.files import cut, files_below, pairs, spread
from frugalseg.data.labels_yaml import from_yaml
from frugalseg.data.masks import ColorTable, rasterise
from frugalseg.data.split import SPLITS
from frugalseg.imaging.read import IMAGE_SUFFIXES

_IMAGE = "_leftImg8bit"
_IDS, _TRAIN_IDS = "_gtFine_labelIds", "_gtFine_labelTrainIds"
_LOOKED_AT = 8
_LAST_ID = 33

# Name, id and colour of the classes whose trainId is 0 to 18, in this order: helpers/labels.py of
# the data set's scripts (cityscapesScripts).
_CLASSES: tuple[tuple[str, int, Color], ...] = (
    ("road", 7, (128, 64, 128)),
    ("sidewalk", 8, (244, 35, 232)),
    ("building", 11, (70, 70, 70)),
    ("wall", 12, (102, 102, 156)),
    ("fence", 13, (190, 153, 153)),
    ("pole", 17, (153, 153, 153)),
    ("traffic light", 19, (250, 170, 30)),
    ("traffic sign", 20, (220, 220, 0)),
    ("vegetation", 21, (107, 142, 35)),
    ("terrain", 22, (152, 251, 152)),
    ("sky", 23, (70, 130, 180)),
    ("person", 24, (220, 20, 60)),
    ("rider", 25, (255, 0, 0)),
    ("car", 26, (0, 0, 142)),
    ("truck", 27, (0, 0, 70)),
    ("bus", 28, (0, 60, 100)),
    ("train", 31, (0, 80, 100)),
    ("motorcycle", 32, (0, 0, 230)),
    ("bicycle", 33, (119, 11, 32)),
)


def detect(root: Path) -> bool:
    """Tell whether this is the layout of `root`."""
    return (root / "leftImg8bit").is_dir() and (root / "gtFine").is_dir()


def read(root: Path) -> Dataset:
    """List the samples; up to eight masks of the test split are decoded, to see if it has any."""
    problems: list[str] = []
    images = {split: cut(f, _IMAGE) for split, f in _files(root, "leftImg8bit", problems).items()}
    labelled = _files(root, "gtFine", problems)
    train_ids = {split: cut(files, _TRAIN_IDS) for split, files in labelled.items()}
    complete = all(images[split].keys() <= train_ids[split].keys() for split in ("train", "val"))
    kind = _TRAIN_IDS if complete else _IDS
    masks = {split: cut(files, kind) for split, files in labelled.items()}
    splits = {
        split: pairs(images[split], masks[split], problems, place=f"gtFine/{split}/*{kind}.png")
        for split in SPLITS
        if masks[split] or split != "test"
    }
    refuse(root, problems)
    labels, table = _classes(root, kind)
    looked_at = spread(splits.get("test", ()), _LOOKED_AT)
    if not any(_has_class(mask, labels, table) for mask in looked_at):
        splits.pop("test", None)
    if not any(splits.values()):
        raise DataError(f"{root}: no images of the form leftImg8bit/train/CITY/*{_IMAGE}.png")
    return Dataset(
        root=root,
        format="cityscapes",
        labels=labels,
        splits={split: samples for split, samples in splits.items() if samples},
        rasterise=partial(rasterise, labels=labels, table=table),
    )


def _files(root: Path, kind: str, problems: list[str]) -> dict[str, dict[str, Path]]:
    return {
        split: files_below(root, root / kind / split, IMAGE_SUFFIXES, problems) for split in SPLITS
    }


def _classes(root: Path, kind: str) -> tuple[LabelSpace, ColorTable]:
    if (path := root / "labels.yaml").is_file():
        return from_yaml(path)
    names, ids, colors = zip(*_CLASSES, strict=True)
    if kind == _TRAIN_IDS:
        return LabelSpace.of(names, colors=colors), ()
    train_id_of = {value: i for i, value in enumerate(ids)}
    from_disk = {value: train_id_of.get(value, IGNORE) for value in range(_LAST_ID + 1)}
    return LabelSpace(names=names, colors=colors, from_disk=from_disk), ()


def _has_class(mask: Path, labels: LabelSpace, table: ColorTable) -> bool:
    sample = Sample(name=mask.stem, image=mask, label=mask)
    try:
        return bool((rasterise(sample, (0, 0), labels=labels, table=table) != IGNORE).any())
    except DataError:  # to be named when it is loaded
        return True
