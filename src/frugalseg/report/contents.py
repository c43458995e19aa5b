"""ReportData: everything that the page shows, as values; refused if it contradicts itself."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from frugalseg.core.budget import FIGURES, Budget, Footprint, Verdict
from frugalseg.core.errors import DataError
from frugalseg.core.labels import LabelSpace
from frugalseg.core.records import Record
from frugalseg.metrics.scores import Scores

MAX_EXAMPLES = 8
_PARTS = {"storage_bytes": "file", "ram_bytes": "working memory", "macs": "MACs"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The device that the network was made for."""

    name: str
    title: str
    budget: Budget


@dataclass(frozen=True, slots=True, kw_only=True)
class Weighing:
    """A footprint and how it came about; `source` follows an origin in a sentence.

    >>> need = Footprint(
    ...     storage_bytes=7, ram_bytes=5, macs=3, measured=frozenset({"storage_bytes"})
    ... )
    >>> weighing = Weighing(footprint=need, source="from the exported file")
    >>> weighing.origin(["macs"])
    'estimated from the exported file'
    >>> weighing.origin(["total_bytes"])
    'file measured, working memory estimated from the exported file'
    """

    footprint: Footprint
    source: str

    def origin(self, figures: Iterable[str]) -> str:
        """Say where these figures come from, each part of a sum by itself."""
        parts = frozenset[str]().union(*(FIGURES[figure] for figure in figures))
        by_origin: dict[str, list[str]] = {"measured": [], "estimated": []}
        for part, word in _PARTS.items():
            if part in parts:
                by_origin[self.footprint.origin_of(part)].append(word)
        told = {origin: words for origin, words in by_origin.items() if words}
        if len(told) == 1:
            return f"{next(iter(told))} {self.source}"
        return ", ".join(f"{' and '.join(w)} {o}" for o, w in told.items()) + f" {self.source}"


class TrainingStep(NamedTuple):
    """What was logged at one step of training."""

    step: int
    loss: float
    lr: float


class TrainingScore(NamedTuple):
    """A validation during training."""

    step: int
    miou: float


class Moment(NamedTuple):
    """What is in memory while one operator runs, its largest tensors by name and bytes.

    What is there all the time is not in it.
    """

    op: str
    live_bytes: int
    tensors: tuple[tuple[str, int], ...] = ()


class Layer(NamedTuple):
    """One layer by size."""

    name: str
    weight_bytes: int
    params: int
    macs: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Colour:
    """What the first form of the network scores on the same pictures in grey.

    `footprint` is the estimate for the same network with a grey input; None where the device
    takes no such pictures.
    """

    grey: Scores
    footprint: Footprint | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Example:
    """One picture, and it again with label and prediction laid over: uint8 (H, W, 3) each.

    `miou` is that of this picture alone; None where all its pixels are ignored.
    """

    name: str
    image: NDArray[np.uint8]
    label: NDArray[np.uint8]
    prediction: NDArray[np.uint8]
    miou: float | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ReportData:
    """What the report of one run says. Empty parts are named as such on the page.

    `weighings` run from the first estimate to the best figure: the last one decides.
    `scores` has a column for each form of the network, such as "float" and "int8": the last
    is what the device runs. The gate compares it with the first, in points of mIoU.
    `scored_on` says on what, such as "val, 101 pictures". `moments` are counted as the device
    does; below them lies what is `resident`, in memory all the time, by name and bytes.
    """

    title: str
    created: datetime
    target: Target
    labels: LabelSpace
    weighings: Sequence[Weighing]
    scores: Mapping[str, Scores]
    scored_on: str
    gate_points: float | None = None
    colour: Colour | None = None
    notes: Sequence[str] = ()
    best: Sequence[Example] = ()
    worst: Sequence[Example] = ()
    steps: Sequence[TrainingStep] = ()
    validations: Sequence[TrainingScore] = ()
    moments: Sequence[Moment] = ()
    resident: Sequence[tuple[str, int]] = ()
    layers: Sequence[Layer] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    records: Sequence[Record] = ()

    def __post_init__(self) -> None:
        if problems := list(_problems(self)):
            raise DataError("a report cannot be made of this", problems)

    @property
    def weighing(self) -> Weighing:
        """The weighing that decides."""
        return self.weighings[-1]

    @property
    def verdict(self) -> Verdict:
        """Whether the network fits, by the weighing that decides."""
        return self.target.budget.check(self.weighing.footprint)

    @property
    def deployed(self) -> Scores:
        """The scores of what the device runs."""
        return list(self.scores.values())[-1]

    @property
    def lost_points(self) -> float | None:
        """Points of mIoU from the first form to the last; None where there is one only."""
        forms = list(self.scores.values())
        return 100 * (forms[0].miou - forms[-1].miou) if len(forms) > 1 else None


def _problems(data: ReportData) -> Iterator[str]:
    if not data.weighings:
        yield "weighings: none given, expected at least one footprint"
    if not data.scores:
        yield "scores: none given, expected at least those of the deployed file"
    grey = {"in grey": data.colour.grey} if data.colour else {}
    for form, scores in {**data.scores, **grey}.items():
        yield from _score_problems(form, scores, data.labels.num_classes)
    for moment in data.moments:
        if moment.live_bytes < 0:
            yield f"moment {moment.op}: {moment.live_bytes} bytes alive, expected 0 or more"
    for name, size in data.resident:
        if size < 0:
            yield f"resident {name}: {size} bytes, expected 0 or more"
    yield from _group_problems("best", data.best)
    yield from _group_problems("worst", data.worst)


def _group_problems(group: str, examples: Sequence[Example]) -> Iterator[str]:
    if len(examples) > MAX_EXAMPLES:
        yield f"{group}: {len(examples)} examples, expected at most {MAX_EXAMPLES}"
    for example in examples:
        yield from _example_problems(example)


def _score_problems(form: str, scores: Scores, classes: int) -> Iterator[str]:
    if len(scores.iou) != classes:
        yield f"scores {form}: IoU of {len(scores.iou)} classes, expected {classes}"
    if {len(scores.confusion), *map(len, scores.confusion)} != {classes}:
        yield f"scores {form}: the confusion matrix is not {classes} x {classes}"
    means = (scores.miou, scores.pixel_accuracy, scores.mean_class_accuracy, scores.fw_iou)
    for value in (*means, scores.boundary_f1, *scores.iou):
        if value is not None and not 0 <= value <= 1:
            yield f"scores {form}: {value} is not a share of 0 to 1"


def _example_problems(example: Example) -> Iterator[str]:
    for part in ("image", "label", "prediction"):
        pixels: NDArray[np.uint8] = getattr(example, part)
        if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:  # noqa: PLR2004
            yield (
                f"example {example.name}: {part} is {pixels.dtype} {pixels.shape},"
                " expected uint8 (height, width, 3)"
            )
        elif pixels.size == 0:
            yield f"example {example.name}: {part} has no pixels"
