"""Write a cleaned copy of a data set: what cannot be used is left out, the rest is put right."""

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from frugalseg.core.errors import ConfigError, DataError
from frugalseg.core.files import check_folder, complete_folder
from frugalseg.core.labels import palette
from frugalseg.core.progress import Progress, silent
from frugalseg.data.catalog import open_dataset
from frugalseg.data.check.findings import Finding
from frugalseg.data.check.mend import Mended, without_specks, write_picture
from frugalseg.data.check.report import DataReport, check_dataset
from frugalseg.data.dataset import Dataset, Sample
from frugalseg.data.layouts import folder
from frugalseg.data.split import SPLITS
from frugalseg.data.write import LAYOUTS, Written, file_name


@dataclass(frozen=True, slots=True, kw_only=True)
class FixResult:
    """The copy: pictures by split, what was left out and why, what was changed, what is left."""

    folder: Path
    samples: Mapping[str, int]
    dropped: Mapping[str, Sequence[Path]]
    straightened: int
    recoloured: int
    specks: int
    left: Sequence[Finding]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {
            "folder": str(self.folder),
            "samples": dict(self.samples),
            "dropped": {why: [str(path) for path in paths] for why, paths in self.dropped.items()},
            "straightened": self.straightened,
            "recoloured": self.recoloured,
            "specks": self.specks,
            "left": [found.to_dict() for found in self.left],
        }


_Key = tuple[str, Sample]


class _Job(NamedTuple):
    split: str
    name: str
    sample: Sample


def fix_data(
    data: str | Path,
    out: str | Path,
    *,
    specks: bool = False,
    report: DataReport | None = None,
    format: str | None = None,
    map: str | Path | None = None,
    progress: Progress = silent,
) -> FixResult:
    """Write what can be used of `data` to the folder `out`, as images/, masks/ and labels.yaml.

    Left out are samples that cannot be read, those without a labelled pixel, and from train (or
    val) pictures that are, byte for byte, also in val (or test). Pictures that EXIF turns are
    written upright, and grey ones, palettes and those with alpha as RGB; all others are copied.
    With `specks`, regions of one or two pixels get the class around them. `report` is what
    `check_data` found in `data`, so that it need not be looked at again.

    Raises ConfigError for an `out` that is not empty or lies in the data set, and DataError where
    nothing would be left. Nothing is left half written.
    """
    folder_out = Path(out)
    check_place(data, folder_out)
    dataset = open_dataset(data, format=format, map=map, progress=progress)
    check_place(dataset.root, folder_out)  # "belt" is known by now
    found = report or check_dataset(dataset, progress=progress)
    dropped = _dropped(dataset, found)
    jobs = list(_jobs(dataset, {key for keys in dropped.values() for key in keys}))
    if not jobs:
        raise DataError(f"{dataset.root}: no sample can be used, so there is nothing to write")
    with complete_folder(folder_out) as draft:
        done = _write(dataset, jobs, draft, specks, progress)
        after = check_dataset(folder.read(draft), input=found.input, progress=progress)
        if after.problems:
            raise DataError(f"{dataset.root} cannot be put right by itself", after.problems)
    return FixResult(
        folder=folder_out,
        samples=Counter(job.split for job in jobs),
        dropped={why: [s.image for _, s in keys] for why, keys in dropped.items() if keys},
        straightened=sum(mended.straightened for mended in done),
        recoloured=sum(mended.recoloured for mended in done),
        specks=sum(mended.specks for mended in done),
        left=[_moved(left, draft, folder_out) for left in after.findings],
    )


def check_place(data: str | Path, out: Path) -> None:
    """Refuse a folder that is not empty, or lies in the data set, before any work is done."""
    check_folder(out)
    root = Path(data).resolve()
    if root.is_dir() and out.resolve().is_relative_to(root):
        raise ConfigError(f"{out} lies in the data set {data}: name a folder beside it")
    if out.exists() and any(out.iterdir()):
        raise ConfigError(f"{out} is not empty: name a new folder for the copy")


def _dropped(dataset: Dataset, report: DataReport) -> dict[str, list[_Key]]:
    """Choose what is left out, by reason; a sample has one reason."""
    every = [(split, s) for split, samples in dataset.splits.items() for s in samples]
    dropped: dict[str, list[_Key]] = {}
    for kind, why in (("unusable", "cannot be used"), ("all-ignored", "no labelled pixel")):
        files = {path for f in report.findings if f.kind == kind for path in f.files}
        dropped[why] = [key for key in every if _is_in(files, key[1])]
        gone = {*dropped[why]}
        every = [key for key in every if key not in gone]
    # Of one picture in several splits, the copy in the last of SPLITS is kept.
    groups = [g for f in report.findings if f.kind == "copies-across-splits" for g in f.groups]
    of_image: dict[Path, list[_Key]] = {}
    for key in every:
        of_image.setdefault(key[1].image, []).append(key)
    for group in groups:
        copies = [key for path in dict.fromkeys(group) for key in of_image.get(path, ())]
        last = max((SPLITS.index(split) for split, _ in copies), default=0)
        for split, sample in copies:
            if SPLITS.index(split) < last:
                dropped.setdefault(f"in {SPLITS[last]} too", []).append((split, sample))
    return dropped


def _is_in(files: set[Path], sample: Sample) -> bool:
    return sample.image in files or (sample.item < 0 and sample.label in files)


def _jobs(dataset: Dataset, gone: set[_Key]) -> Iterator[_Job]:
    """Name the samples that are kept; names in a split differ and are no paths."""
    for split, samples in dataset.splits.items():
        used: set[str] = set()
        for sample in samples:
            if (split, sample) in gone:
                continue
            plain = file_name(sample.name)
            name = next(
                n for n in (plain, *(f"{plain}-{i}" for i in range(2, 10**6))) if n not in used
            )
            used.add(name)
            yield _Job(split, name, sample)


def _write(
    dataset: Dataset, jobs: Sequence[_Job], out: Path, specks: bool, progress: Progress
) -> list[Mended]:
    layout = LAYOUTS["folder"]
    labels = dataset.labels
    if len(set(labels.colors)) < labels.num_classes:  # as names of classes they would not do
        labels = replace(labels, colors=palette(labels.num_classes, labels.background))
    for kind in ("images", "masks"):
        for split in {job.split for job in jobs}:
            (out / kind / split).mkdir(parents=True)

    def write(job: _Job) -> tuple[Written, Mended]:
        image_HWC, labels_HW = dataset.load(job.sample)
        image, mended = write_picture(
            image_HWC, job.sample.image, out / "images" / job.split / job.name
        )
        if specks:
            labels_HW, count = without_specks(labels_HW)
            mended = replace(mended, specks=count)
        mask = out / "masks" / job.split / f"{job.name}.png"
        mask.write_bytes(layout.encode(labels_HW, labels))
        size = (labels_HW.shape[0], labels_HW.shape[1])
        paths = {"image": str(image.relative_to(out)), "label": str(mask.relative_to(out))}
        return Written(name=job.name, split=job.split, size=size, **paths), mended

    done: list[tuple[Written, Mended]] = []
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for result in pool.map(write, jobs):
            done.append(result)
            progress("fix", len(done), len(jobs), result[0].name)
    layout.finish(out, labels, [written for written, _ in done])
    return [mended for _, mended in done]


def _moved(found: Finding, draft: Path, out: Path) -> Finding:
    """Name the files where they are now."""
    groups = tuple(tuple(out / path.relative_to(draft) for path in group) for group in found.groups)
    return replace(found, groups=groups)
