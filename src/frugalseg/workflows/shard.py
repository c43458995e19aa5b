"""Write a data set as tar shards: few large files, quick to fetch from elsewhere."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from frugalseg.core.errors import ConfigError, DataError
from frugalseg.core.files import complete_folder, sha256, write_json
from frugalseg.core.progress import Progress, silent
from frugalseg.data.catalog import open_dataset
from frugalseg.data.dataset import Dataset, Sample
from frugalseg.data.layouts.shards import MASK, RECORD, Member, shards_of, write_shard
from frugalseg.data.remote import is_remote
from frugalseg.data.write import encode_mask, file_name, write_labels
from frugalseg.workflows.fix_data import check_place

SHARD_BYTES = 256_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """A shard that was written."""

    file: str
    samples: int
    bytes: int
    sha256: str


def shard(
    data: str | Path,
    out: str | Path,
    *,
    shard_bytes: int = SHARD_BYTES,
    format: str | None = None,
    map: str | Path | None = None,
    progress: Progress = silent,
) -> tuple[Shard, ...]:
    """Write `data` into the new folder `out`, in shards of about `shard_bytes`.

    Pictures are copied byte by byte, labels written as masks. `out/shards.json` has the hash of
    each shard. Raises ConfigError where `out` is not empty, DataError for samples that cannot be
    read.
    """
    if is_remote(out):
        raise ConfigError(f"{out} is an address: name a folder here, and copy it there")
    folder = Path(out)
    check_place(data, folder)
    if shard_bytes < 1:
        raise ConfigError(f"a shard has 1 byte or more, got {shard_bytes}")
    dataset = open_dataset(data, format=format, map=map, progress=progress)
    with complete_folder(folder) as draft:
        made = _write(dataset, draft, shard_bytes, partial(progress, "shard"))
        write_labels(draft, dataset.labels)
        write_json(draft / RECORD, {"shards": [asdict(one) for one in made]})
    return tuple(made)


def _write(
    dataset: Dataset, folder: Path, shard_bytes: int, progress: Callable[..., None]
) -> list[Shard]:
    total = sum(len(samples) for samples in dataset.splits.values())
    made, problems = list[Shard](), list[str]()
    for split, samples in dataset.splits.items():
        members = _members(dataset, samples, problems)
        for number, found in enumerate(shards_of(members, shard_bytes)):
            path = folder / f"{split}-{number:06}.tar"
            write_shard(path, found)
            size = path.stat().st_size
            made.append(Shard(file=path.name, samples=len(found), bytes=size, sha256=sha256(path)))
            progress(sum(one.samples for one in made), total, path.name)
    if problems:
        raise DataError(f"{len(problems)} samples cannot be written", problems)
    return made


def _members(dataset: Dataset, samples: Sequence[Sample], problems: list[str]) -> Iterator[Member]:
    seen = dict[str, Sample]()
    for sample in samples:
        key = file_name(sample.name).replace(".", "_")
        if seen.setdefault(key, sample) is not sample:
            problems.append(f"{sample.image}: would be called {key}, as {seen[key].image}")
            continue
        try:
            _, labels_HW = dataset.load(sample)
        except DataError as wrong:
            problems += wrong.problems or [wrong.summary]
            continue
        picture = (sample.image.suffix.lower().removeprefix("."), sample.image.read_bytes())
        mask = (MASK, encode_mask(labels_HW, dataset.labels))
        yield Member(key=key, files=(picture, mask))
