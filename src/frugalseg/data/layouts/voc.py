"""Pascal VOC: `JPEGImages/`, `SegmentationClass/` and `ImageSets/Segmentation/*.txt`.

    VOC2012/JPEGImages/2007_000032.jpg
    VOC2012/SegmentationClass/2007_000032.png          palette PNG; 255, the border, is ignored
    VOC2012/ImageSets/Segmentation/train.txt           a name per line, without folder and suffix

The folder may be this one, or one that holds it as `VOC2012/` or `VOCdevkit/VOC2012/`.

`train.txt`, `val.txt` and `test.txt` choose the pictures; a test list is left out where no name in
it has a mask, as in the public release. Where train and val have no list, the names of
`trainval.txt` are divided by their hash, and without that all masks are. Other lists are not read.
Pictures without mask that no list names are passed over: most of VOC's are such.

The classes are the 21 of VOC, unless `labels.yaml` (as in the layout "folder") or `class_names.txt`
(a name per line, value 0 first, as labelme's script writes it) names others. Masks of VOC's colours
(RGB) are read as well. Without a file that names the classes, 16 masks spread over the data set are
looked at, and a palette that is not VOC's is refused: the classes must then be others, or the
values have been changed.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np

from frugalseg.core.errors import DataError
from frugalseg.core.labels import IGNORE, Color, LabelSpace
from frugalseg.data.dataset import Dataset, Sample, refuse
from frugalseg.data.files import files_below, is_lossy, pairs, plain, spread
from frugalseg.data.labels_yaml import from_yaml
from frugalseg.data.masks import ColorTable, rasterise, refuse_stretched
from frugalseg.data.names import LABELME_BACKGROUND, class_names
from frugalseg.data.split import SPLITS, divided
from frugalseg.data.text import blamed, read_lines, read_list
from frugalseg.imaging.read import IMAGE_SUFFIXES, has_colors, read_color_mask, read_mask

_NAMES = (
    "background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair",
    "cow", "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa",
    "train", "tvmonitor",
)  # fmt: skip
_LOOKED_AT = 16  # masks whose palette is compared, spread over the data set
_SHOWN = 80
_GREY_STEPS = (1, 17, 85, 255)  # how grey PNGs of 8, 4, 2 and 1 bits show the value 1


def detect(root: Path) -> bool:
    """Tell whether this is the layout of `root`."""
    return any(not (top / "labelmap.txt").is_file() for top in _tops(root))


def read(root: Path) -> Dataset:
    """List the samples and learn the classes; a few masks are decoded to compare their palette."""
    top = _top(root)
    problems: list[str] = []
    splits = _splits(top, problems)
    refuse(root, problems)
    every = [sample for samples in splits.values() for sample in samples]
    known = _declared(top) or (top != root and _declared(root))
    labels, table = known or _standard()
    if not known:
        _refuse_other_palettes(root, spread(every, _LOOKED_AT), labels)
    refuse_stretched(top, [sample.label for sample in every], labels, table)
    return Dataset(
        root=root,
        format="voc",
        labels=labels,
        splits=splits,
        rasterise=partial(rasterise, labels=labels, table=table),
    )


def voc_color(value: int) -> Color:
    """Give the colour of a value in VOC's palette: its bits in turn go to red, green and blue.

    >>> voc_color(1), voc_color(15), voc_color(255)
    ((128, 0, 0), (192, 128, 128), (224, 224, 192))
    """
    parts = [0, 0, 0]
    for bit in range(8):
        parts[bit % 3] |= (value >> bit & 1) << (7 - bit // 3)
    return parts[0], parts[1], parts[2]


def image_and_mask_files(top: Path, problems: list[str]) -> tuple[dict[str, Path], dict[str, Path]]:
    """List the pictures and the masks of a VOC tree by name."""
    return (
        files_below(top, top / "JPEGImages", IMAGE_SUFFIXES, problems),
        files_below(top, top / "SegmentationClass", IMAGE_SUFFIXES, problems),
    )


def lists_of(top: Path, problems: list[str]) -> dict[str, Path]:
    """List the files of `ImageSets/Segmentation` by name."""
    return files_below(top, top / "ImageSets" / "Segmentation", {".txt"}, problems)


def listed(
    path: Path,
    images: Mapping[str, Path],
    masks: Mapping[str, Path],
    problems: list[str],
    *,
    unmasked: str = "",
) -> tuple[Sample, ...]:
    """Read a list of names; one without picture or mask is a problem, as is an empty list.

    `unmasked` is what to say of the list if pictures in it have no mask.
    """
    samples: dict[str, Sample] = {}
    lines = [plain(line.strip()) for line in read_lines(path)]
    for number, name in enumerate(lines, start=1):
        if not name:
            continue
        if problem := _problem(name, images, masks, samples):
            problems.append(f"{path} line {number}: {_short(name)} {problem}")
        elif not is_lossy(masks[name], problems):
            samples[name] = Sample(name=name, image=images[name], label=masks[name])
    if unmasked and any(name in images and name not in masks for name in lines):
        problems.append(f"{path}: {unmasked}")
    if not any(lines):
        problems.append(f"{path}: the list is empty; fill it, or remove the file")
    return tuple(samples.values())


def paired(
    images: Mapping[str, Path], masks: Mapping[str, Path], problems: list[str]
) -> dict[str, tuple[Sample, ...]]:
    """Divide all pictures that have a mask; a mask needs its picture, but not the other way."""
    with_mask = {name: path for name, path in images.items() if name in masks}
    return divided(pairs(with_mask, masks, problems, place="SegmentationClass/*.png"))


def require_samples(top: Path, splits: Mapping[str, Sequence[Sample]]) -> None:
    """Refuse a data set without any."""
    if not any(splits.values()):
        raise DataError(
            f"{top}: no picture in JPEGImages has a mask of its name in SegmentationClass"
        )


def _tops(root: Path) -> list[Path]:
    places = (root, *sorted(root.glob("VOC20[0-9][0-9]")), *sorted(root.glob("VOCdevkit/VOC20*")))
    return [
        top
        for top in places
        if (top / "JPEGImages").is_dir() and (top / "SegmentationClass").is_dir()
    ]


def _top(root: Path) -> Path:
    tops = _tops(root)
    if len(tops) > 1:
        years = ", ".join(str(top) for top in tops)
        raise DataError(f"{root}: there are {len(tops)} data sets in it; name one: {years}")
    return tops[0]


def _splits(top: Path, problems: list[str]) -> dict[str, tuple[Sample, ...]]:
    images, masks = image_and_mask_files(top, problems)
    lists = lists_of(top, problems)
    chosen = {name: lists[name] for name in SPLITS if name in lists}
    if "test" in chosen and not _any_mask(chosen["test"], masks):
        del chosen["test"]
    splits = {name: listed(path, images, masks, problems) for name, path in chosen.items()}
    if not splits.keys() & {"train", "val"}:
        if "trainval" in lists:
            splits |= divided(listed(lists["trainval"], images, masks, problems))
        elif not splits:
            splits = paired(images, masks, problems)
    if not problems:
        require_samples(top, splits)
    return splits


def _any_mask(path: Path, masks: Mapping[str, Path]) -> bool:
    return any(plain(line.strip()) in masks for line in read_lines(path))


def _problem(
    name: str,
    images: Mapping[str, Path],
    masks: Mapping[str, Path],
    samples: Mapping[str, Sample],
) -> str:
    if name in samples:
        return "is there twice"
    if name in images and name in masks:
        return ""
    if name in images:
        return f"has no mask; expected SegmentationClass/{_short(name)}.png"
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        return "leaves the folder of the data set"
    return "is no picture of JPEGImages; a line is the name of one, without folder and suffix"


def _short(name: str) -> str:
    return name if len(name) <= _SHOWN else f"{name[:_SHOWN]}..."


def _declared(top: Path) -> tuple[LabelSpace, ColorTable] | None:
    path = top / "labels.yaml"
    if path.is_file():
        return from_yaml(path)
    path = top / "class_names.txt"
    if not path.is_file():
        return None
    names = class_names(read_list(path), path)
    background = names.index(LABELME_BACKGROUND) if LABELME_BACKGROUND in names else None
    colors = [voc_color(value) for value in range(len(names))]
    with blamed(path):
        return LabelSpace.of(names, colors=colors, background=background), ()


def _standard() -> tuple[LabelSpace, ColorTable]:
    colors = [voc_color(value) for value in range(len(_NAMES))]
    table = (*((color, i) for i, color in enumerate(colors)), (voc_color(IGNORE), IGNORE))
    return LabelSpace.of(_NAMES, colors=colors, background=0), table


def _refuse_other_palettes(root: Path, masks: Sequence[Path], labels: LabelSpace) -> None:
    problems: list[str] = []
    for mask in masks:
        with suppress(DataError):  # a damaged file is named when it is loaded
            if shown := _other_colors(mask, labels):
                problems.append(
                    f"{mask}: {shown}, which is not VOC's palette; if the classes are others, name"
                    f" them in {root / 'labels.yaml'}; if they are VOC's, the values were changed"
                )
    refuse(root, problems)


def _other_colors(mask: Path, labels: LabelSpace) -> str:
    """Say which values of a palette mask are not of VOC's colour; grey ones say nothing."""
    if has_colors(mask):
        return ""
    values_HW, colors_HWC = read_mask(mask), read_color_mask(mask)
    values, first = np.unique(values_HW, return_index=True)
    colors = colors_HWC.reshape(-1, 3)[first]
    if any((colors == values[:, None] * step).all() for step in _GREY_STEPS):
        return ""
    return ", ".join(
        f"value {value} has the colour {tuple(color)}"
        for value, color in zip(values.tolist(), colors.tolist(), strict=True)
        if value < labels.num_classes and tuple(color) != labels.colors[value]
    )
