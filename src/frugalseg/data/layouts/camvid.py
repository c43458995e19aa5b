"""CamVid as SegNet lays it out: `train/` beside `trainannot/`, likewise val and perhaps test.

`train.txt` and the like, if there, choose and order the images: one "train/X.png
trainannot/X.png" per line, of which the last two parts of each path count. `classes.csv`
(id,name,r,g,b) names the classes; a row named void or unlabelled is ignored. A `labels.yaml`, as
the layout `folder` has it, comes before. Without either: the eleven classes of SegNet, void 11.
No link may leave the data set's folder.
"""

import csv
import os
from functools import partial
from pathlib import Path

from frugalseg.core.errors import DataError
from frugalseg.core.labels import IGNORE, Color, LabelSpace
from frugalseg.data.dataset import Dataset, Sample, refuse
from frugalseg.data.files import inside, leaving, match_masks
from frugalseg.data.labels_yaml import from_yaml
from frugalseg.data.masks import rasterise_mask
from frugalseg.data.names import VOID_NAMES
from frugalseg.data.split import SPLITS
from frugalseg.data.text import blamed, read_lines, shown

_VOID = 11
_MAX_NAME_BYTES = 255  # of file systems
_STANDARD: dict[str, Color] = {
    "Sky": (128, 128, 128),
    "Building": (128, 0, 0),
    "Pole": (192, 192, 128),
    "Road": (128, 64, 128),
    "Pavement": (60, 40, 222),
    "Tree": (128, 128, 0),
    "SignSymbol": (192, 128, 128),
    "Fence": (64, 64, 128),
    "Car": (64, 0, 128),
    "Pedestrian": (64, 64, 0),
    "Bicyclist": (0, 128, 192),
}


def detect(root: Path) -> bool:
    """Tell whether this is the layout of `root`."""
    return any((root / split).is_dir() and (root / f"{split}annot").is_dir() for split in SPLITS)


def read(root: Path) -> Dataset:
    """List the samples and the classes, without decoding anything."""
    labels = _labels(root)
    problems: list[str] = []
    splits = {
        split: _listed(root, split, problems)
        for split in SPLITS
        if (root / split).is_dir() or (root / f"{split}annot").is_dir()
    }
    refuse(root, problems)
    if not any(splits.values()):
        raise DataError(f"{root}: no images in {', '.join(splits)} (JPEG, PNG, BMP or WebP)")
    return Dataset(
        root=root,
        format="camvid",
        labels=labels,
        splits=splits,
        rasterise=partial(rasterise_mask, labels=labels),
    )


def _listed(root: Path, split: str, problems: list[str]) -> tuple[Sample, ...]:
    path = root / f"{split}.txt"
    if not path.is_file():
        return match_masks(root / split, root / f"{split}annot", problems, root=root)
    if not inside(root, path):
        problems.append(f"{path}: a link that leaves {root}; put the file itself there")
        return ()
    samples: dict[str, Sample] = {}
    for number, line in enumerate(read_lines(path), start=1):
        if not (words := line.split()):
            continue
        where = f"{path} line {number}"
        if len(words) != 2:  # noqa: PLR2004
            problems.append(f"{where}: expected an image and a mask, got {shown(line.strip())}")
            continue
        try:
            image, mask = (_inside(root, word) for word in words)
        except ValueError as wrong:
            problems.append(f"{where}: {wrong}")
            continue
        missing = [str(file) for file in (image, mask) if not file.is_file()]
        problems += [f"{where}: no such file: {file}" for file in missing]
        if image.stem in samples:
            problems.append(f"{where}: {words[0]} is there twice")
        samples[image.stem] = Sample(name=image.stem, image=image, label=mask)
    problems += leaving(root, list(samples.values()))
    return tuple(samples.values())


def _inside(root: Path, word: str) -> Path:
    """Find a listed file by the last two parts of its path, which must lie in `root`."""
    path = Path(word)
    parts = path.relative_to(path.anchor).parts[-2:]
    if ".." in parts:
        raise ValueError(f"{shown(word)} leaves the folder of the data set")
    if max(map(len, map(os.fsencode, parts)), default=0) > _MAX_NAME_BYTES:
        raise ValueError(f"{shown(word)}: a name of more than {_MAX_NAME_BYTES} bytes")
    if len(parts) != 2:  # noqa: PLR2004
        raise ValueError(f"{shown(word)}: expected a folder and a name, such as train/a.png")
    return root.joinpath(*parts)


def _labels(root: Path) -> LabelSpace:
    if (root / "labels.yaml").is_file():
        return from_yaml(root / "labels.yaml")[0]
    if (root / "classes.csv").is_file():
        return _from_csv(root / "classes.csv")
    return LabelSpace.of(list(_STANDARD), colors=list(_STANDARD.values()), ignore_on_disk=[_VOID])


def _from_csv(path: Path) -> LabelSpace:
    """Number the classes in the order of their ids; void may have any id."""
    rows = csv.DictReader(read_lines(path))
    try:
        classes = sorted(
            (int(row["id"]), row["name"], (int(row["r"]), int(row["g"]), int(row["b"])))
            for row in rows
        )
    except (KeyError, TypeError, ValueError, csv.Error) as wrong:
        raise DataError(f"{path}: expected the columns id,name,r,g,b; {wrong!r}") from wrong
    if not all(isinstance(name, str) for _, name, _ in classes):
        raise DataError(f"{path}: a row has no name; expected the columns id,name,r,g,b")
    ids = [number for number, _, _ in classes]
    if twice := sorted({number for number in ids if ids.count(number) > 1}):
        raise DataError(f"{path}: ids must differ; there twice: {', '.join(map(str, twice))}")
    void = [number for number, name, _ in classes if name.lower() in VOID_NAMES]
    named = [row for row in classes if row[0] not in void]
    from_disk = {number: i for i, (number, _, _) in enumerate(named)}
    with blamed(path):
        return LabelSpace(
            names=tuple(name for _, name, _ in named),
            colors=tuple(color for _, _, color in named),
            from_disk=from_disk | dict.fromkeys(void or [IGNORE], IGNORE),
        )
