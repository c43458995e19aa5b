"""ReSORT-IT as distributed: `train/` and `val/`, their masks in `labels/train` and `labels/val`.

    train/a.jpg  labels/train/a.png            the mask is named like its photograph: a.png,
    val/b.jpg    labels/val/b.png              a.jpg.png, or a.jpg where that is a PNG inside

The values are 0 background, 1 aluminium, 2 carton, 3 bottle and 4 nylon; others are refused, and
none is ignored. Another data set in such folders names its classes in `classes.txt`, one per line.
"""

from functools import partial
from pathlib import Path

from frugalseg.core.errors import DataError
from frugalseg.core.labels import LabelSpace
from frugalseg.data.dataset import Dataset, Sample, refuse
from frugalseg.data.files import files_by_stem, leaving
from frugalseg.data.masks import rasterise_mask
from frugalseg.data.names import background_of, class_names
from frugalseg.data.split import SPLITS
from frugalseg.data.text import read_list
from frugalseg.imaging.read import IMAGE_SUFFIXES, MASK_SUFFIXES, has_colors

_NAMES = ("background", "aluminium", "carton", "bottle", "nylon")


def detect(root: Path) -> bool:
    """Tell whether this is the layout of `root`: pictures by split, with masks and no texts."""
    return (
        all(
            (root / split).is_dir() and (root / "labels" / split).is_dir()
            for split in ("train", "val")
        )
        and not (root / "data.yaml").is_file()
    )


def read(root: Path) -> Dataset:
    """List the samples; nothing is decoded, but for the headers of masks that are called .jpg."""
    labels = _classes(root / "classes.txt")
    problems: list[str] = []
    splits = {
        split: _samples(root, split, problems)
        for split in SPLITS
        if (root / split).is_dir() or (root / "labels" / split).is_dir()
    }
    refuse(root, problems)
    if not any(splits.values()):
        raise DataError(f"{root}: no images in {', '.join(splits)} (JPEG, PNG, BMP or WebP)")
    return Dataset(
        root=root,
        format="resortit",
        labels=labels,
        splits=splits,
        rasterise=partial(rasterise_mask, labels=labels),
    )


def _classes(path: Path) -> LabelSpace:
    names: tuple[str, ...] = _NAMES
    if path.is_file():
        names = class_names(read_list(path), path)
    return LabelSpace.of(names, ignore_on_disk=[], background=background_of(names))


def _samples(root: Path, split: str, problems: list[str]) -> tuple[Sample, ...]:
    images, masks = root / split, root / "labels" / split
    image_by_stem = files_by_stem(images, IMAGE_SUFFIXES, problems)
    files = {path.name: path for path in masks.iterdir()} if masks.is_dir() else {}
    left = {name for name in files if not name.startswith(".")}
    samples: list[Sample] = []
    for stem, image in image_by_stem.items():
        found = [files[name] for name in _mask_names(image) if name in files]
        left -= {mask.name for mask in found}
        if len(found) == 1:
            samples.append(Sample(name=stem, image=image, label=found[0]))
        elif found:
            names = " and ".join(mask.name for mask in found)
            problems.append(f"{image}: several masks, {names}; keep one")
        else:
            problems.append(f"{image}: no mask; expected {masks / stem}.png")
    problems += [
        f"{files[name]}: no image for this mask in {images}"
        for name in sorted(left)
        if files[name].suffix.lower() in IMAGE_SUFFIXES
    ]
    problems += _lossy(samples) + leaving(root, samples)
    return tuple(samples)


def _mask_names(image: Path) -> list[str]:
    names = [image.name]
    for suffix in sorted(MASK_SUFFIXES):
        names += [f"{image.stem}{suffix}", f"{image.name}{suffix}"]
    return list(dict.fromkeys(names))


def _lossy(samples: list[Sample]) -> list[str]:
    """Look into the masks that are called .jpg, as their photographs are."""
    problems: list[str] = []
    for sample in samples:
        if sample.label.suffix.lower() not in MASK_SUFFIXES:
            try:
                has_colors(sample.label)
            except DataError as wrong:
                problems.append(str(wrong))
    return problems
