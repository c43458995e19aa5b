"""Write a data set in another layout, perhaps with other classes or divided anew."""

import json
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from frugalseg.core.errors import ConfigError, DataError, unknown
from frugalseg.core.files import check_folder, complete_file, sha256, write_text
from frugalseg.core.labels import IGNORE
from frugalseg.core.progress import Progress, silent
from frugalseg.data.catalog import END, RECORD, open_dataset
from frugalseg.data.dataset import Dataset, Sample
from frugalseg.data.names import BACKGROUND
from frugalseg.data.remote import is_remote
from frugalseg.data.split import by_source, divide, read_shares
from frugalseg.data.write import LAYOUTS, Layout, Written, background_in, file_name

AT_ONCE = 64

_KEYS = (
    "name", "split", "size", "source", "image", "image_bytes", "label", "label_bytes", "ignored",
)  # fmt: skip

Job = tuple[str, str, Sample]  # name, split, sample


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvertResult:
    """What was written: samples by split, what the layout cannot say, and what was there already.

    `ignored_pixels` became background because the layout knows no others; `renamed` is the class
    that is called "background" now.
    """

    folder: Path
    layout: str
    samples: Mapping[str, int]
    kept: int
    ignored_pixels: int
    adds_background: bool
    renamed: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return asdict(self) | {"folder": str(self.folder)}


def convert(
    data: str | Path,
    out: str | Path,
    *,
    to: str,
    format: str | None = None,
    map: str | Path | None = None,
    split: str | None = None,
    by: str | None = None,
    seed: int = 0,
    progress: Progress = silent,
) -> ConvertResult:
    """Write the data set `data` into the folder `out`, in the layout `to` (see `data.write`).

    Pictures are copied byte by byte. `split` ("0.8/0.2") divides all of them anew; pictures whose
    names have the same source by the regular expression `by` stay together, without it those that
    look alike. `out/convert.jsonl` has a line for each sample with the hashes of what was written;
    a conversion that was cut off goes on from there.

    Raises ConfigError for a layout that is not written and where another conversion is in `out`;
    DataError, with all files named, where samples cannot be read.
    """
    if to not in LAYOUTS:
        raise unknown("layout to write", to, LAYOUTS)
    if by is not None and split is None:
        raise ConfigError(
            "by (--by-source) says which pictures a division keeps together: say with split"
            " (--split) into which shares, such as 0.8/0.2"
        )
    if is_remote(out):
        raise ConfigError(f"{out} is an address: name a folder here")
    folder = Path(out)
    check_folder(folder)
    shares = None if split is None else read_shares(split)
    dataset = open_dataset(data, format=format, map=map, progress=progress)
    if folder.resolve().is_relative_to(dataset.root.resolve()):
        raise ConfigError(f"{folder} lies in the data set itself: name a folder beside it")
    splits = dict(dataset.splits)
    if shares is not None:
        splits = dict(divide(_groups(dataset, by, progress), shares, seed))
    jobs = _named(splits)
    wish = {
        "source": str(dataset.root.absolute()), "layout": to, "split": split, "by": by,
        "seed": seed, "labels": dataset.labels.to_dict(), "samples": len(jobs),
    }  # fmt: skip
    done = _begun(folder, wish, jobs)
    written, lost = _write(_Work(dataset, LAYOUTS[to], folder), jobs, done, progress)
    LAYOUTS[to].finish(folder, dataset.labels, written)
    with (folder / RECORD).open("a", encoding="utf-8") as record:
        record.write(END)
    number = background_in(dataset.labels)
    background = None if number is None else dataset.labels.names[number]
    return ConvertResult(
        folder=folder,
        layout=to,
        samples={name: sum(sample.split == name for sample in written) for name in splits},
        kept=len(done),
        ignored_pixels=0 if LAYOUTS[to].keeps_ignored else lost,
        adds_background=LAYOUTS[to].adds_background and background is None,
        renamed=background if LAYOUTS[to].adds_background and background != BACKGROUND else None,
    )


def _groups(dataset: Dataset, by: str | None, progress: Progress) -> Sequence[Sequence[Sample]]:
    every = [sample for samples in dataset.splits.values() for sample in samples]
    if by is not None:
        return by_source(every, by)
    from frugalseg.data.check.duplicates import groups_of_like

    of_path: dict[Path, list[Sample]] = {}
    for sample in every:
        of_path.setdefault(sample.image, []).append(sample)
    groups = groups_of_like(list(of_path), progress)
    return [[sample for path in group for sample in of_path[path]] for group in groups]


def _named(splits: Mapping[str, Sequence[Sample]]) -> list[Job]:
    """List (name, split, sample): names without folders, none hidden or too long, each once."""
    plain = [file_name(s.name) for samples in splits.values() for s in samples]
    twice = len(set(plain)) < len(plain)
    jobs = [
        (file_name(f"{split}__" * twice + sample.name), split, sample)
        for split, samples in splits.items()
        for sample in samples
    ]
    found = dict[str, Sample]()
    problems = [
        f"{sample.image}: would be called {name}, as {found[name].image}"
        for name, _, sample in jobs
        if found.setdefault(name, sample) is not sample
    ]
    if problems:
        raise DataError("pictures would have the same name", problems)
    return jobs


def _begun(folder: Path, wish: Mapping[str, Any], jobs: Sequence[Job]) -> dict[str, dict[str, Any]]:
    """Return what an earlier call has written and still holds; begin the record if there is none.

    A sample whose files have changed since, or that is in another split now, is written anew.
    """
    path = folder / RECORD
    if not path.is_file():
        if folder.is_dir() and any(folder.iterdir()):
            raise ConfigError(f"{folder} is not empty: name a new folder")
        folder.mkdir(parents=True, exist_ok=True)
        with complete_file(path) as draft:
            draft.write_text(json.dumps(wish) + "\n", encoding="utf-8")
        return {}
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    try:
        before = _object(lines[0], ())
        whole = [line for line in lines[1:] if line.endswith("\n") and line != END]
        found = [_object(line, _KEYS) for line in whole]
    except (IndexError, ValueError) as wrong:
        raise ConfigError(f"{path} is not the record of a conversion: name a new folder") from wrong
    if differ := [key for key in wish if before.get(key) != wish[key]]:
        raise ConfigError(
            f"{folder} holds a conversion with other {', '.join(differ)}: name a new folder"
        )
    write_text(path, "".join([lines[0], *whole]))  # without a line that was cut off, or the end
    for draft in folder.rglob(".draft-*"):
        draft.unlink()
    wanted = {name: (split, _state(sample)) for name, split, sample in jobs}
    kept = dict[str, dict[str, Any]]()
    for line in found:
        is_same = wanted.get(line["name"]) == (line["split"], line["source"])
        if is_same and _is_there(folder, line):
            kept[line["name"]] = line
        else:
            (folder / line["image"]).unlink(missing_ok=True)
            (folder / line["label"]).unlink(missing_ok=True)
    return kept


def _object(line: str, keys: Collection[str]) -> dict[str, Any]:
    """Read a line of the record; raises ValueError where it is another one's."""
    value = json.loads(line)
    if not isinstance(value, dict) or not value.keys() >= {*keys}:
        raise ValueError(f"expected the keys {', '.join(keys)}")
    return value


def _state(sample: Sample) -> list[int]:
    """Return what changes when the picture of a sample or its labels do."""
    told = [sample.item]
    for path in (sample.image, sample.label):
        if path.exists():
            told += [path.stat().st_size, path.stat().st_mtime_ns]
    return told


def _is_there(folder: Path, line: Mapping[str, Any]) -> bool:
    return all(
        (folder / line[kind]).is_file()
        and (folder / line[kind]).stat().st_size == line[f"{kind}_bytes"]
        for kind in ("image", "label")
    )


@dataclass(frozen=True, slots=True)
class _Work:
    dataset: Dataset
    layout: Layout
    folder: Path

    def write(self, name: str, split: str, sample: Sample) -> dict[str, Any] | DataError:
        """Write one sample; return its line of the record, or why it cannot be read."""
        try:
            _, labels_HW = self.dataset.load(sample)
        except DataError as wrong:
            return wrong
        suffix = sample.image.suffix.lower()
        place = {"name": name, "split": split, "suffix": suffix}
        files = {"image": self.layout.image, "label": self.layout.label}
        contents = {
            "image": sample.image.read_bytes(),
            "label": self.layout.encode(labels_HW, self.dataset.labels),
        }
        line: dict[str, Any] = {"name": name, "split": split, "size": labels_HW.shape}
        line["source"] = _state(sample)
        for kind, pattern in files.items():
            path = self.folder / (relative := pattern.format(**place))
            with complete_file(path) as draft:
                draft.write_bytes(contents[kind])
            line |= {kind: relative, f"{kind}_bytes": len(contents[kind])}
            line[f"{kind}_sha256"] = sha256(path)
        return line | {"ignored": int(np.count_nonzero(labels_HW == IGNORE))}


def _write(
    work: _Work,
    jobs: Sequence[Job],
    done: Mapping[str, dict[str, Any]],
    progress: Progress,
) -> tuple[list[Written], int]:
    """Write what is missing; return all samples, and how many of their pixels do not count."""
    lines = dict(done)
    problems: list[str] = []
    missing = [job for job in jobs if job[0] not in done]
    with (work.folder / RECORD).open("a", encoding="utf-8") as record:
        for line in _lines(work, missing):
            if isinstance(line, DataError):
                problems += line.problems or [line.summary]
                continue
            record.write(json.dumps(line) + "\n")
            record.flush()
            lines[line["name"]] = line
            progress("convert", len(lines), len(jobs), line["name"])
    if problems:
        raise DataError(f"{len(problems)} samples cannot be converted", problems)
    ordered = [lines[name] for name, _, _ in jobs]
    samples = [
        Written(
            name=line["name"], split=line["split"], image=line["image"], label=line["label"],
            size=(line["size"][0], line["size"][1]),
        )
        for line in ordered
    ]  # fmt: skip
    return samples, sum(line["ignored"] for line in ordered)


def _lines(work: _Work, jobs: Sequence[Job]) -> Iterator[dict[str, Any] | DataError]:
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for first in range(0, len(jobs), AT_ONCE):
            yield from pool.map(lambda job: work.write(*job), jobs[first : first + AT_ONCE])
