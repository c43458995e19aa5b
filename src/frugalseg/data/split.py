"""Training, validation and test: what their folders are called, and how pictures are divided."""

import hashlib
import re
from collections.abc import Mapping, Sequence

from frugalseg.core.errors import ConfigError
from frugalseg.data.dataset import Sample

SPLITS = ("train", "val", "test")
SPLIT_FOLDERS = {
    "train": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
}
VAL_EVERY = 5


def folders_of(split: str) -> tuple[str, ...]:
    """Name the folders that a split may lie in, the likeliest first.

    >>> folders_of("val")
    ('val', 'valid', 'validation')
    """
    return tuple(name for name, meant in SPLIT_FOLDERS.items() if meant == split)


def divided(samples: tuple[Sample, ...]) -> dict[str, tuple[Sample, ...]]:
    """Split by the hash of the names: every fifth is for validation, whatever is added later."""
    hashes = {s.name: _name_hash(s.name) for s in samples}
    val = {name for name, number in hashes.items() if number % VAL_EVERY == 0}
    if len(samples) > 1 and len(val) in {0, len(samples)}:
        val = {min(hashes, key=lambda name: hashes[name])}
    return {
        "train": tuple(s for s in samples if s.name not in val),
        "val": tuple(s for s in samples if s.name in val),
    }


def _name_hash(name: str) -> int:
    data = name.encode(errors="surrogateescape")  # a name on disk need not be UTF-8
    return int(hashlib.sha256(data).hexdigest(), 16)


def read_shares(text: str) -> dict[str, float]:
    """Read "0.8/0.2" or "0.7/0.2/0.1" as shares of train, val and test.

    Raises ConfigError for shares that are not numbers above 0 with the sum 1.

    >>> read_shares("0.8/0.2")
    {'train': 0.8, 'val': 0.2}
    """
    words = text.split("/")
    try:
        shares = [float(word) for word in words]
    except ValueError:
        shares = []
    if len(shares) not in {2, 3} or not all(share > 0 for share in shares):
        raise ConfigError(f"shares are such as 0.8/0.2 or 0.7/0.2/0.1, got {text!r}")
    if abs(sum(shares) - 1) > 1e-6:  # noqa: PLR2004
        raise ConfigError(f"shares must have the sum 1, those of {text!r} have {sum(shares):g}")
    return dict(zip(SPLITS, shares, strict=False))


def by_source(samples: Sequence[Sample], pattern: str) -> list[list[Sample]]:
    """Group samples of the same source: what the first group of the pattern, or all of it, finds.

    Raises ConfigError for a pattern that is none, and for samples whose name it does not find.

    >>> from pathlib import Path
    >>> samples = [Sample(name=n, image=Path(n), label=Path(n)) for n in ("a.rf.1", "a.rf.2")]
    >>> [len(group) for group in by_source(samples, r"^(.*)\\.rf\\.")]
    [2]
    """
    try:
        source = re.compile(pattern)
    except re.error as wrong:
        raise ConfigError(f"{pattern!r} is no regular expression: {wrong}") from wrong
    groups: dict[str, list[Sample]] = {}
    strange = []
    for sample in samples:
        if (found := source.search(sample.name)) is None:
            strange.append(sample.name)
        else:
            key = found.group(1) if source.groups else found.group()
            groups.setdefault(key or "", []).append(sample)
    if strange:
        shown = ", ".join(strange[:3])
        raise ConfigError(f"{pattern!r} is not found in {len(strange)} names, such as {shown}")
    return list(groups.values())


def divide(
    groups: Sequence[Sequence[Sample]], shares: Mapping[str, float], seed: int = 0
) -> dict[str, tuple[Sample, ...]]:
    """Give whole groups to splits, each to the one that lacks most samples to its share.

    The largest come first, those of a size in the order of a hash; no split stays empty. Raises
    ConfigError where there are fewer groups than splits.
    """
    if len(groups) < len(shares):
        raise ConfigError(
            f"{len(groups)} groups of pictures that belong together are too few for"
            f" {', '.join(shares)}"
        )
    total = sum(map(len, groups))
    room = {split: share * total for split, share in shares.items()}
    divided: dict[str, list[Sample]] = {split: [] for split in shares}
    ordered = sorted(groups, key=lambda group: (-len(group), _hash(group, seed)))
    for number, group in enumerate(ordered):
        empty = [split for split in shares if not divided[split]]
        open_to = empty if len(empty) == len(groups) - number else shares
        split = max(open_to, key=lambda split: room[split])
        divided[split] += group
        room[split] -= len(group)
    return {
        split: tuple(sorted(samples, key=lambda sample: sample.name))
        for split, samples in divided.items()
    }


def _hash(group: Sequence[Sample], seed: int) -> bytes:
    first = min(sample.name for sample in group)
    return hashlib.sha256(f"{seed} {first}".encode()).digest()
