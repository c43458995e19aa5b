"""Masks that can be read and yet look wrong."""

from collections.abc import Iterator, Mapping, Sequence

from frugalseg.core.labels import IGNORE, LabelSpace
from frugalseg.data.check.facts import Facts
from frugalseg.data.check.findings import Finding, Severity, alone

USUAL_SHARE = 0.9
"""Where more of the masks than this have ignored pixels, those without are worth a look."""

ENOUGH_MASKS = 10
"""Fewer masks than these do not make a custom."""


def mask_findings(good: Mapping[str, Sequence[Facts]], labels: LabelSpace) -> Iterator[Finding]:
    """Tell of masks that are blank or of one value, that lack void, and that have specks."""
    every = [f for facts in good.values() for f in facts]
    yield from _blank(every, labels)
    yield from _void(every, labels)
    if specked := sorted((f for f in every if f.specks), key=lambda f: -f.specks):
        count = sum(f.specks for f in specked)
        yield Finding(
            severity="note",
            kind="specks",
            what=f"{count:,} region{'s' * (count > 1)} of one or two pixels",
            todo="look whether they are slips of the pen; --fix-specks gives them the class"
            " around them",
            groups=alone(f.label_file for f in specked),
        )


def _blank(every: Sequence[Facts], labels: LabelSpace) -> Iterator[Finding]:
    bare = [f for f in every if not f.sample.label.exists()]
    yield from _told(
        "warning", "no-label-file", "no label file, taken as all background", bare,
        "label these pictures, or take them out if they show objects", pictures=True,
    )  # fmt: skip
    yield from _told(
        "warning", "all-ignored", "no labelled pixel, all ignored",
        [f for f in every if not f.classes],
        "label them, or take them out: nothing is learnt from them",
    )  # fmt: skip
    whole = [f for f in every if len(f.classes) == 1 and not f.pixels[-1]]
    empty = [f for f in whole if f.classes[0] == labels.background]
    yield from _told(
        "note", "only-background", "only background in the mask",
        [f for f in empty if f.sample.label.exists()],
        "fine if these pictures show no object; else label them",
    )  # fmt: skip
    yield from _told(
        "warning", "one-class", "one class covers the whole mask",
        [f for f in whole if f.classes[0] != labels.background],
        "look whether the outline is there: a mask of one value is often a failed export",
    )  # fmt: skip


def _void(every: Sequence[Facts], labels: LabelSpace) -> Iterator[Finding]:
    with_void = sum(1 for f in every if f.pixels[-1])
    without = [f for f in every if not f.pixels[-1]]
    declared = sorted(v for v, i in labels.from_disk.items() if i == IGNORE and v != IGNORE)
    if declared and not with_void and every:
        what = f"void is declared (value {', '.join(map(str, declared))}) and occurs in no mask"
        todo = "look whether the value is right: pixels that should not count may be a class now"
        yield Finding(severity="note", kind="void-missing", what=what, todo=todo)
    if with_void >= ENOUGH_MASKS and with_void > USUAL_SHARE * len(every):
        yield from _told(
            "note", "void-missing", f"no ignored pixel, unlike {with_void:,} other masks", without,
            "look whether they were labelled in another way, or outlines were left out",
        )  # fmt: skip


def _told(
    severity: Severity, kind: str, what: str, facts: Sequence[Facts], todo: str,
    *, pictures: bool = False,
) -> Iterator[Finding]:  # fmt: skip
    if facts:
        files = alone(f.sample.image if pictures else f.label_file for f in facts)
        yield Finding(severity=severity, kind=kind, what=what, todo=todo, groups=files)
