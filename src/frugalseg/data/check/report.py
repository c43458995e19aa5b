"""What is in a data set, and what is wrong with it: every file is decoded once."""

import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from frugalseg.core.labels import LabelSpace
from frugalseg.core.progress import Progress, silent
from frugalseg.data.check.classes import class_findings
from frugalseg.data.check.facts import Facts, facts_of
from frugalseg.data.check.findings import Finding, Severity, alone
from frugalseg.data.check.masks import mask_findings
from frugalseg.data.check.pictures import picture_findings
from frugalseg.data.check.sizes import size_findings, usual_size
from frugalseg.data.check.splits import SplitReport, split_report
from frugalseg.data.dataset import Dataset, Sample


@dataclass(frozen=True, slots=True, kw_only=True)
class DataReport:
    """What was found; `input` is the (height, width) for which the smallest objects were judged.

    `unseen` counts the pictures that were not looked at.
    """

    root: str
    format: str
    labels: LabelSpace
    splits: tuple[SplitReport, ...]
    input: tuple[int, int]
    findings: tuple[Finding, ...]
    unseen: int = 0

    @property
    def ok(self) -> bool:
        """Whether the data set can be trained on."""
        return not self.problems

    @property
    def problems(self) -> tuple[str, ...]:
        """What must be mended, in words."""
        return tuple(found.text for found in self.of("problem"))

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a person should judge, in words."""
        return tuple(found.text for found in self.of("warning"))

    def of(self, severity: Severity) -> tuple[Finding, ...]:
        """Give the findings of one severity."""
        return tuple(found for found in self.findings if found.severity == severity)

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
            "input": list(self.input),
            "unseen": self.unseen,
            "splits": [_plain(split) for split in self.splits],
            "findings": [found.to_dict() for found in self.findings],
            "problems": list(self.problems),
            "warnings": list(self.warnings),
        }


def check_dataset(
    dataset: Dataset,
    *,
    input: tuple[int, int] | None = None,
    most: int | None = None,
    workers: int | None = None,
    progress: Progress = silent,
) -> DataReport:
    """Decode every file, and report sizes, classes, and all that was found.

    `input` is the (height, width) of the network; by default the one that training takes. With
    `most`, no more pictures of a split are decoded, spread over it; where that leaves some out,
    only what makes a file unusable is found, since all else is said of a whole data set.
    """
    chosen = {name: _spread(split, most) for name, split in dataset.splits.items()}
    unseen = sum(len(split) - len(chosen[name]) for name, split in dataset.splits.items())
    facts = _decoded(dataset, chosen, workers, progress)
    good = {name: [f for f in found if not f.problems] for name, found in facts.items()}
    splits = tuple(split_report(name, good[name], dataset.labels) for name in good)
    trained = next((s for s in splits if s.name == "train"), splits[0])
    size = input or usual_size(trained)
    findings = [found for split in facts.values() for f in split for found in _problems(f)]
    if not unseen:
        findings += _of_all(dataset, good, splits, size)
    return DataReport(
        root=str(dataset.root),
        format=dataset.format,
        labels=dataset.labels,
        splits=splits,
        input=size,
        findings=tuple(findings),
        unseen=unseen,
    )


def _of_all(
    dataset: Dataset,
    good: Mapping[str, Sequence[Facts]],
    splits: Sequence[SplitReport],
    size: tuple[int, int],
) -> Iterator[Finding]:
    """Tell what is seen in the data set as a whole."""
    every = [f for found in good.values() for f in found]
    yield from class_findings(splits, dataset.labels)
    yield from picture_findings(good, size)
    yield from mask_findings(good, dataset.labels)
    yield from size_findings(every, dataset.labels, size)
    yield from _strangers(dataset)


def _spread(samples: Sequence[Sample], most: int | None) -> Sequence[Sample]:
    """Take every second, third ... sample, so that `most` are left at the most."""
    return samples if most is None else samples[:: max(1, -(-len(samples) // most))]


def _decoded(
    dataset: Dataset,
    chosen: Mapping[str, Sequence[Sample]],
    workers: int | None,
    progress: Progress,
) -> dict[str, list[Facts]]:
    samples = [(name, sample) for name, split in chosen.items() for sample in split]
    found: dict[str, list[Facts]] = {name: [] for name in chosen}
    with ThreadPoolExecutor(workers or os.cpu_count()) as pool:
        all_facts = pool.map(lambda pair: facts_of(dataset, pair[1]), samples)
        for done, ((name, sample), facts) in enumerate(zip(samples, all_facts, strict=True), 1):
            found[name].append(facts)
            progress("check", done, len(samples), sample.name)
    return found


def _problems(facts: Facts) -> Iterator[Finding]:
    for problem in facts.problems:
        yield Finding(
            severity="problem",
            kind="unusable",
            what=problem,
            todo=facts.hint or "mend it, or leave it out: --fix writes a copy without it",
            groups=alone([_meant(facts.sample, problem)]),
        )


def _meant(sample: Sample, problem: str) -> Path:
    own = sample.item < 0 and str(sample.label) in problem
    return sample.label if own else sample.image


def _strangers(dataset: Dataset) -> Iterator[Finding]:
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
        yield Finding(
            severity="warning",
            kind="strange-file",
            what="neither image nor label of a sample, passed over",
            todo="look whether a picture or a mask has a wrong name or an unknown format",
            groups=alone(strange),
        )


def _plain(split: SplitReport) -> dict[str, Any]:
    classes: Sequence[Mapping[str, Any]] = [asdict(share) for share in split.classes]
    shares = [{**c, "regions_by_size": list(c["regions_by_size"])} for c in classes]
    return {**asdict(split), "classes": shares}
