"""Pictures that are there twice, or differ from the others in size or kind."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from frugalseg.data.check.duplicates import like_groups
from frugalseg.data.check.facts import Facts
from frugalseg.data.check.findings import Finding, Severity, alone

MAX_STRETCH = 1.5
"""To be stretched so much more one way than the other makes of a circle an ellipse of 3 to 2; a
4:3 picture in an input of 3:4 is stretched by 1.8. Training varies shapes by less."""

_KINDS = {
    "grey": ({"1", "L", "LA"}, "they are read as RGB of three equal channels"),
    "of a palette": ({"P", "PA"}, "they are read as RGB"),
    "with alpha": ({"RGBA", "LA", "PA"}, "alpha is dropped, and what lies below it shows"),
}


def picture_findings(
    good: Mapping[str, Sequence[Facts]], size: tuple[int, int]
) -> Iterator[Finding]:
    """Tell of different sizes, odd kinds and copies; `size` is the network's (height, width)."""
    every = [f for facts in good.values() for f in facts]
    yield from _sizes(every, size)
    yield from _kinds(every)
    yield from _copies(good)


def _sizes(every: Sequence[Facts], size: tuple[int, int]) -> Iterator[Finding]:
    if len(sizes := Counter(f.size for f in every)) > 1:
        yield Finding(
            severity="warning",
            kind="sizes",
            what=f"images have {len(sizes)} different sizes; they are stretched to the input size",
            todo="choose an input of the shape that most of them have",
        )
    odd = [f for f in every if _stretch(f.size, size) > MAX_STRETCH]
    if odd:
        shape = f"{size[0]}x{size[1]}"
        yield Finding(
            severity="note",
            kind="stretched",
            what=f"stretched by more than {MAX_STRETCH} one way in an input of {shape}",
            todo="crop these pictures, turn them, or choose an input of another shape",
            groups=alone(f.sample.image for f in odd),
        )


def _stretch(old: tuple[int, int], new: tuple[int, int]) -> float:
    """Say how much more one side grows than the other, 1 or more.

    >>> _stretch((480, 640), (640, 480)) == _stretch((640, 480), (480, 640)) == 16 / 9
    True
    """
    ratio = old[0] * new[1] / (old[1] * new[0])
    return max(ratio, 1 / ratio)


def _kinds(every: Sequence[Facts]) -> Iterator[Finding]:
    for name, (modes, effect) in _KINDS.items():
        found = [f for f in every if f.mode in modes]
        if found and len(found) < len(every):
            some = "1 picture is" if len(found) == 1 else f"{len(found)} pictures are"
            what = f"{some} {name}, the others are not; {effect}"
            todo = "fine if they are meant so; --fix writes all as RGB"
            yield _note(f"picture-{name.split()[-1]}", what, todo, found)
        elif found and name == "grey":
            what = "all pictures are grey"
            todo = "a network of one channel is enough (--set model.settings.channels=1)"
            yield Finding(severity="note", kind="all-grey", what=what, todo=todo)
    if turned := [f for f in every if f.turned]:
        what = "turned by their EXIF header; they are read, and their masks taken, upright"
        todo = "other programs may not turn them; --fix writes them upright"
        yield _note("turned", what, todo, turned)


def _note(kind: str, what: str, todo: str, facts: Sequence[Facts]) -> Finding:
    files = alone(f.sample.image for f in facts)
    return Finding(severity="note", kind=kind, what=what, todo=todo, groups=files)


def _copies(good: Mapping[str, Sequence[Facts]]) -> Iterator[Finding]:
    split_of = {id(f): name for name, facts in good.items() for f in facts}
    by_content: dict[str, list[Facts]] = {}
    for facts in good.values():
        for f in facts:
            by_content.setdefault(f.content, []).append(f)
    exact = [copies for copies in by_content.values() if len(copies) > 1]
    first = [copies[0] for copies in by_content.values()]
    alike = [
        [f for i in group for f in by_content[first[i].content]]
        for group in like_groups([f.print for f in first])
        if len(group) > 1
    ]
    for groups, kind, word in (
        (exact, "copies", "the same"),
        (alike, "near-copies", "nearly the same"),
    ):
        across: dict[str, list[list[Facts]]] = {}
        within: list[list[Facts]] = []
        for group in groups:
            splits = dict.fromkeys(split_of[id(f)] for f in group)
            where = " and in ".join(splits)
            (across.setdefault(where, []) if len(splits) > 1 else within).append(group)
        for where, found in across.items():
            what = f"{word} picture is in {where}"
            todo = "keep it in one split only, or scores tell nothing; "
            todo += "--fix drops it from train" if kind == "copies" else "divide by source"
            yield _twice("warning", f"{kind}-across-splits", what, todo, found)
        if within:
            what = f"{word} picture more than once in a split"
            yield _twice("note", kind, what, "keep one of each, unless they are meant", within)


def _twice(
    severity: Severity, kind: str, what: str, todo: str, groups: Sequence[Sequence[Facts]]
) -> Finding:
    files: tuple[tuple[Path, ...], ...] = tuple(
        tuple(f.sample.image for f in group) for group in groups
    )
    return Finding(severity=severity, kind=kind, what=what, todo=todo, groups=files)
