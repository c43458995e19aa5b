"""The geometry of the charts: values in, places and paths out; the template draws them.

A chart is as wide as its column. Heights are pixels, horizontal places are percent or the
units of a stretched view box, so that text keeps its size on a phone.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean

from frugalseg.report.contents import Moment
from frugalseg.report.wording import count, short

HEIGHT = 150
"""Of the area in which data is drawn, in pixels."""

WIDTH = 1000
"""Of the view box of a curve, which is stretched to the width of the column."""

MAX_POINTS = 200
FAR_ABOVE = 2.5


@dataclass(frozen=True, slots=True)
class Tick:
    """A label on an axis: pixels from the top, or percent from the left."""

    place: float
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """A line over the steps of training; `band` spans the extremes where points were merged."""

    line: str
    band: str
    rows: tuple[Tick, ...]
    columns: tuple[Tick, ...]
    first: str
    last: str
    undrawn: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One operator in the memory chart."""

    top: float
    height: float
    text: str
    is_peak: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """Memory operator by operator, above a `base` that is there all the time.

    `base_top` is where that ends; `limit_top` is None where the limit is off the chart.
    """

    bars: tuple[Bar, ...]
    rows: tuple[Tick, ...]
    peak: int
    peak_left: float
    peak_top: float
    base_top: float
    limit_top: float | None


def ticks(low: float, high: float, wanted: int = 4) -> list[float]:
    """Choose about `wanted` round numbers that span low to high.

    >>> ticks(0, 0.7)
    [0.0, 0.2, 0.4, 0.6, 0.8]
    """
    span = (high - low) or abs(high) or 1.0
    power = 10.0 ** math.floor(math.log10(span / wanted))
    step = next(m * power for m in (1, 2, 5, 10) if m * power * wanted >= span * 0.999)
    start, stop = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(i * step, 12) for i in range(start, max(stop, start + 1) + 1)]


def curve(values: Sequence[tuple[int, float]], text: Callable[[float], str]) -> Curve | None:
    """Lay out a curve; values that are not finite are counted, not drawn. None if none is."""
    finite = sorted((step, value) for step, value in values if math.isfinite(value))
    if not finite:
        return None
    marks = ticks(min(v for _, v in finite), max(v for _, v in finite))
    left, right = finite[0][0], max(finite[-1][0], finite[0][0] + 1)

    def x(step: float) -> float:
        return round((step - left) / (right - left) * WIDTH, 1)

    def y(value: float) -> float:
        return round((marks[-1] - value) / (marks[-1] - marks[0]) * HEIGHT, 1)

    groups = _groups(finite)
    middles = [(x(fmean(s for s, _ in g)), [v for _, v in g]) for g in groups]
    upper = [f"{place} {y(max(v))}" for place, v in middles]
    lower = [f"{place} {y(min(v))}" for place, v in reversed(middles)]
    return Curve(
        line="M" + " L".join(f"{place} {y(fmean(v))}" for place, v in middles) + " h0",
        band="M" + " L".join(upper + lower) + "Z" if len(groups) < len(finite) else "",
        rows=tuple(Tick(y(m), text(m)) for m in marks),
        columns=_columns(left, finite[-1][0]),
        first=text(finite[0][1]),
        last=text(finite[-1][1]),
        undrawn=len(values) - len(finite),
    )


def timeline(
    moments: Sequence[Moment], limit_bytes: int | None, base_bytes: int = 0
) -> Timeline | None:
    """Lay out memory over the operators, above the base; None if there are none.

    A limit far above the peak is left off the chart: it would press the bars flat.
    """
    if not moments:
        return None
    sizes = [base_bytes + m.live_bytes for m in moments]
    peak = sizes.index(max(sizes))
    shown = limit_bytes is not None and 0 <= limit_bytes <= FAR_ABOVE * max(sizes)
    marks = ticks(0, max([*sizes, limit_bytes or 0] if shown else sizes))

    def y(size: float) -> float:
        return round((marks[-1] - size) / marks[-1] * HEIGHT, 1)

    return Timeline(
        bars=tuple(
            Bar(
                top=y(size),
                height=round(y(base_bytes) - y(size), 1),
                text=f"{i + 1}. {m.op}: {count(m.live_bytes)} bytes",
                is_peak=i == peak,
            )
            for i, (m, size) in enumerate(zip(moments, sizes, strict=True))
        ),
        rows=tuple(Tick(y(m), short(m, "B")) for m in marks),
        peak=peak,
        peak_left=round(100 * (peak + 0.5) / len(moments), 2),
        peak_top=y(sizes[peak]),
        base_top=y(base_bytes),
        limit_top=y(limit_bytes) if shown and limit_bytes is not None else None,
    )


def _groups(values: list[tuple[int, float]]) -> list[list[tuple[int, float]]]:
    """Merge neighbours where there are more points than a screen shows."""
    size = math.ceil(len(values) / MAX_POINTS)
    return [values[i : i + size] for i in range(0, len(values), size)]


def _columns(left: int, right: int) -> tuple[Tick, ...]:
    """Three labels: at the edges and in the middle, all of them true."""
    middle = (left + right) // 2
    if middle in {left, right}:
        return (Tick(0, short(left)),) if left == right else _ends(left, right)
    place = round(100 * (middle - left) / (right - left), 2)
    first, last = _ends(left, right)
    return first, Tick(place, short(middle)), last


def _ends(left: int, right: int) -> tuple[Tick, Tick]:
    return Tick(0, short(left)), Tick(100, short(right))
