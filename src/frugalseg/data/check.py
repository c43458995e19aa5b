"""What is in a data set, and what is wrong with it: every file is decoded once."""

import hashlib
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from frugalseg.core.errors import DataError
from frugalseg.core.labels import IGNORE, LabelSpace
from frugalseg.core.progress import Progress, silent
from frugalseg.data.dataset import Dataset, Sample

NEAR_EMPTY_SHARE = 0.001
FEW_IMAGES = 5
COMMON_SHARE = 0.05  # a class of more pixels than this may be in few images,
FEW_SHARE = 0.1  # unless those are few beside the others
_SHOWN = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassShare:
    """How much of a split is one class; `pixel_share` is of all pixels, ignored ones too."""

    name: str
    pixels: int
    pixel_share: float
    images: int
    image_share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitReport:
    """One split: how many images of which "HEIGHTxWIDTH", and how the classes share them."""

    name: str
    images: int
    sizes: Mapping[str, int]
    classes: tuple[ClassShare, ...]
    ignore_share: float

    @property
    def pixels(self) -> tuple[int, ...]:
        """Labelled pixels of each class, ignored ones left out."""
        return tuple(share.pixels for share in self.classes)


@dataclass(frozen=True, slots=True, kw_only=True)
class DataReport:
    """What was found. Problems must be mended; warnings are for a person to judge."""

    root: str
    format: str
    labels: LabelSpace
    splits: tuple[SplitReport, ...]
    problems: tuple[str, ...]
    warnings: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether the data set can be trained on."""
        return not self.problems

    def split(self, name: str) -> SplitReport:
        """Give what was found in one split; the data set has it, or KeyError is raised."""
        return {split.name: split for split in self.splits}[name]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {
            "root": self.root,
            "format": self.format,
            "ok": self.ok,
            "labels": self.labels.to_dict(),
            "splits": [
                asdict(s) | {"classes": [asdict(c) for c in s.classes]} for s in self.splits
            ],
            "problems": list(self.problems),
            "warnings": list(self.warnings),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class _Facts:
    """One decoded sample; `pixels` counts each class, and the ignored ones at the end."""

    sample: Sample
    size: tuple[int, int] = (0, 0)
    pixels: tuple[int, ...] = ()
    content: str = ""
    problems: tuple[str, ...] = ()


def check_dataset(
    dataset: Dataset, *, workers: int | None = None, progress: Progress = silent
) -> DataReport:
    """Decode every file, and report sizes, classes, problems (fatal) and warnings."""
    facts = _decoded(dataset, workers, progress)
    good = {name: [f for f in found if not f.problems] for name, found in facts.items()}
    splits = tuple(_split_report(name, good[name], dataset.labels) for name in good)
    return DataReport(
        root=str(dataset.root),
        format=dataset.format,
        labels=dataset.labels,
        splits=splits,
        problems=tuple(p for found in facts.values() for f in found for p in f.problems),
        warnings=(
            *_class_warnings(splits, dataset.labels),
            *_image_warnings(good),
            *_file_warnings(dataset),
        ),
    )


def _decoded(dataset: Dataset, workers: int | None, progress: Progress) -> dict[str, list[_Facts]]:
    samples = [(name, s) for name, split in dataset.splits.items() for s in split]
    found: dict[str, list[_Facts]] = {name: [] for name in dataset.splits}
    with ThreadPoolExecutor(workers or os.cpu_count()) as pool:
        all_facts = pool.map(lambda pair: _facts(dataset, pair[1]), samples)
        for done, ((name, sample), facts) in enumerate(zip(samples, all_facts, strict=True), 1):
            found[name].append(facts)
            progress("check", done, len(samples), sample.name)
    return found


def _facts(dataset: Dataset, sample: Sample) -> _Facts:
    try:
        _, labels_HW = dataset.load(sample)
        content = hashlib.sha256(sample.image.read_bytes()).hexdigest()
    except DataError as wrong:
        return _Facts(sample=sample, problems=wrong.problems or (wrong.summary,))
    counts = np.bincount(labels_HW.ravel(), minlength=256)
    pixels = [*counts[: dataset.labels.num_classes].tolist(), int(counts[IGNORE])]
    size = (labels_HW.shape[0], labels_HW.shape[1])
    return _Facts(sample=sample, size=size, pixels=tuple(pixels), content=content)


def _split_report(name: str, facts: Sequence[_Facts], labels: LabelSpace) -> SplitReport:
    pixels_NC = np.array([f.pixels for f in facts], dtype=np.int64).reshape(
        -1, labels.num_classes + 1
    )
    pixels_C, images_C = pixels_NC.sum(axis=0), (pixels_NC > 0).sum(axis=0)
    total, count = max(int(pixels_C.sum()), 1), max(len(facts), 1)
    sizes = Counter(f"{height}x{width}" for height, width in (f.size for f in facts))
    return SplitReport(
        name=name,
        images=len(facts),
        sizes=dict(sizes.most_common()),
        classes=tuple(
            ClassShare(
                name=class_name,
                pixels=int(pixels_C[i]),
                pixel_share=int(pixels_C[i]) / total,
                images=int(images_C[i]),
                image_share=int(images_C[i]) / count,
            )
            for i, class_name in enumerate(labels.names)
        ),
        ignore_share=int(pixels_C[-1]) / total,
    )


def _class_warnings(splits: Sequence[SplitReport], labels: LabelSpace) -> Iterator[str]:
    by_name = {split.name: split for split in splits if split.images}
    for name in ("train", "val"):
        if name not in by_name:
            yield f"there is no split {name!r} with usable images"
    train, val = by_name.get("train"), by_name.get("val")
    if train is None:
        return
    for i, name in enumerate(labels.names):
        in_train = train.classes[i]
        if not in_train.pixels:
            only = ", only in val" if val and val.classes[i].pixels else " and not in val"
            yield f"class {name!r} never occurs in train{only}: it cannot be learnt"
        else:
            yield from _rarity(in_train, train.images)
        if in_train.pixels and val and not val.classes[i].pixels:
            yield f"class {name!r} never occurs in val: its score will be absent"


def _rarity(share: ClassShare, images: int) -> Iterator[str]:
    if share.pixel_share < NEAR_EMPTY_SHARE:
        yield f"class {share.name!r} is rare in train: {share.pixel_share:.2%} of the pixels"
    seldom = share.pixel_share <= COMMON_SHARE or share.image_share <= FEW_SHARE
    if share.images < FEW_IMAGES and seldom:
        yield (
            f"class {share.name!r} is in {share.images} of the {images} images of train:"
            " few to learn it from"
        )


def _image_warnings(good: Mapping[str, Sequence[_Facts]]) -> Iterator[str]:
    every = [f for facts in good.values() for f in facts]
    sizes = {f.size for f in every}
    if len(sizes) > 1:
        yield f"images have {len(sizes)} different sizes; they are stretched to the input size"
    if bare := [f.sample for f in every if not f.sample.label.exists()]:
        yield f"no label file, taken as all background: {_some(s.image for s in bare)}"
    if blank := [f.sample for f in every if f.pixels[-1] == sum(f.pixels)]:
        yield f"no labelled pixel, all ignored: {_some(s.label for s in blank)}"
    in_train = {f.content: f.sample.name for f in good.get("train", ())}
    if leaks := [f.sample for f in good.get("val", ()) if f.content in in_train]:
        yield f"the same picture is in train and in val: {_some(s.image for s in leaks)}"


def _file_warnings(dataset: Dataset) -> Iterator[str]:
    """Name what lies in the folders of the data set and belongs to no sample."""
    samples = [sample for split in dataset.splits.values() for sample in split]
    used = {path for sample in samples for path in (sample.image, sample.label)}
    folders = {path.parent for path in used if path.parent.is_dir()}
    strange = [
        path
        for folder in sorted(folders)
        for path in sorted(folder.iterdir())
        if path not in used and path not in folders and not path.name.startswith(".")
    ]
    if strange:
        yield f"neither image nor label of a sample, passed over: {_some(strange)}"


def _some(paths: Iterator[Path] | Sequence[Path]) -> str:
    """Name a few files, then a count.

    >>> _some([Path(f"{i}.png") for i in range(7)])
    '0.png, 1.png, 2.png, 3.png, 4.png and 2 more'
    """
    names = [str(path) for path in paths]
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
