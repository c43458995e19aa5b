"""A picture of a study: accuracy over a cost, with the networks that none surpasses in both.

Written as SVG, which every browser and most text processors show.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

from frugalseg.report.charts import ticks
from frugalseg.report.wording import NO_BREAK, short

WIDTH, HEIGHT = 760, 480
LEFT, RIGHT, TOP, BOTTOM = 64, 24, 48, 56
FONT = 12
CHARACTER = 0.56 * FONT  # the mean width of one, of a sans serif
INK, FAINT, LINE, DOT = "#222", "#e4e4e4", "#b85c00", "#26849a"
STEPS = (1, 2, 5)
LEAST_POWERS = 0.8  # of ten, so that there is a round number within
LEAST_SCORE = 0.5
THIN = 4.0

Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One network: what it costs, and how good it is in percent, ± `spread` over seeds."""

    name: str
    cost: float
    score: float
    spread: float = 0.0


def front(points: Sequence[Point]) -> list[Point]:
    """Return the points that no other one surpasses: none is as cheap or cheaper and better.

    >>> a, b, c = (Point(name=n, cost=c, score=s) for n, c, s in
    ...            (("a", 1, 50), ("b", 2, 40), ("c", 3, 60)))
    >>> [point.name for point in front([a, b, c])]
    ['a', 'c']
    """
    best, kept = -math.inf, []
    for point in sorted(points, key=lambda p: (p.cost, -p.score)):
        if point.score > best:
            kept.append(point)
            best = point.score
    return kept


def scatter(points: Sequence[Point], *, title: str, cost: str, unit: str, score: str) -> str:
    """Draw accuracy over cost, the latter on a scale of powers of ten; costs are above 0."""
    frame = _Frame.around(points)
    boxes = [*map(frame.dot, points), *_lines(frame, front(points))]
    parts = [*_axes(frame, cost, unit, score), *_front(frame, front(points))]
    for point in points:
        x, y = frame.x(point.cost), frame.y(point.score)
        high, low = frame.y(point.score + point.spread), frame.y(point.score - point.spread)
        if point.spread:
            parts.append(f'<path d="M{x:.1f} {high:.1f}V{low:.1f}" stroke="{DOT}"/>')
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{DOT}"/>')
    for point in sorted(points, key=lambda p: -p.score):
        box = _label(frame, point, boxes)
        boxes.append(box)
        parts += _named(frame, point, box)
    head = f'<text x="{LEFT}" y="24" font-size="15" font-weight="bold">{escape(title)}</text>'
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}"'
            f' width="{WIDTH}" height="{HEIGHT}" font-family="sans-serif" font-size="{FONT}"'
            f' fill="{INK}">',
            f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
            head, *parts, "</svg>", "",
        ]
    )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class _Frame:
    """From values to pixels. `low` and `high` are powers of ten of the cost."""

    low: float
    high: float
    marks: Sequence[float]

    @classmethod
    def around(cls, points: Sequence[Point]) -> "_Frame":
        costs = [math.log10(point.cost) for point in points]
        spare = max(0.0, LEAST_POWERS - (max(costs) - min(costs))) / 2
        low, high = min(costs) - spare, max(costs) + spare
        reach = [s for p in points for s in (p.score - p.spread, p.score + p.spread)]
        return cls(
            low=low - 0.06 * (high - low),
            high=high + 0.18 * (high - low),  # room for the names
            marks=ticks(max(0.0, min(reach) - LEAST_SCORE), max(reach) + LEAST_SCORE, 5),
        )

    def x(self, cost: float) -> float:
        share = (math.log10(cost) - self.low) / (self.high - self.low)
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    def y(self, score: float) -> float:
        share = (score - self.marks[0]) / (self.marks[-1] - self.marks[0])
        return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)

    def dot(self, point: Point) -> Box:
        """The place of a dot with its spread."""
        x, high = self.x(point.cost), self.y(point.score + point.spread)
        return x - 5, high - 5, x + 5, self.y(point.score - point.spread) + 5

    def holds(self, box: Box) -> bool:
        left, top, right, bottom = box
        return left >= LEFT and right <= WIDTH and top >= TOP - FONT and bottom <= HEIGHT - BOTTOM


def _axes(frame: _Frame, cost: str, unit: str, score: str) -> Iterator[str]:
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM
    for mark in frame.marks:
        y = frame.y(mark)
        yield f'<path d="M{LEFT} {y:.1f}H{right}" stroke="{FAINT}"/>'
        yield f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{mark:g}</text>'
    for value in _round(frame):
        x = frame.x(value)
        yield f'<path d="M{x:.1f} {TOP}V{bottom}" stroke="{FAINT}"/>'
        shown = short(value, unit).replace(NO_BREAK, " ")
        yield f'<text x="{x:.1f}" y="{bottom + 18}" text-anchor="middle">{shown}</text>'
    yield f'<text x="{LEFT}" y="{HEIGHT - 12}">{escape(cost)}</text>'
    up = (TOP + bottom) / 2
    yield (
        f'<text transform="translate(16 {up}) rotate(-90)" text-anchor="middle">'
        f"{escape(score)}</text>"
    )


def _round(frame: _Frame) -> list[float]:
    """Round costs within the frame: 1, 2, 5 of each power of ten, or less often if many."""
    powers = range(math.floor(frame.low), math.ceil(frame.high) + 1)
    inside = [
        step * 10.0**power
        for power in powers
        for step in STEPS
        if frame.low <= math.log10(step * 10.0**power) <= frame.high
    ]
    if len(inside) > 2 * len(STEPS):
        tens = [value for value in inside if math.log10(value).is_integer()]
        return tens if len(tens) > 1 else inside
    return inside


def _front(frame: _Frame, points: Sequence[Point]) -> Iterator[str]:
    """A staircase: right until the next better one, then up to it."""
    first, *others = points
    path = f"M{frame.x(first.cost):.1f} {frame.y(first.score):.1f}"
    path += "".join(f"H{frame.x(p.cost):.1f}V{frame.y(p.score):.1f}" for p in others)
    yield (
        f'<path d="{path}H{WIDTH - RIGHT}" fill="none" stroke="{LINE}" stroke-width="1.5"'
        ' stroke-dasharray="5 3"/>'
    )
    yield (
        f'<text x="{WIDTH - RIGHT}" y="{HEIGHT - 12}" text-anchor="end" fill="{LINE}">'
        "dashed: none is both cheaper and better</text>"
    )


def _lines(frame: _Frame, points: Sequence[Point]) -> Iterator[Box]:
    """Boxes around the stretches of the staircase, for names to keep off."""
    for here, after in zip(points, [*points[1:], None], strict=True):
        x, y = frame.x(here.cost), frame.y(here.score)
        end = WIDTH - RIGHT if after is None else frame.x(after.cost)
        yield x, y - THIN, end, y + THIN
        if after is not None:
            yield end - THIN, frame.y(after.score), end + THIN, y


def _label(frame: _Frame, point: Point, taken: Sequence[Box]) -> Box:
    """Find a place for the name: beside the dot, else farther off, where it covers least."""
    x, y = frame.x(point.cost), frame.y(point.score)
    wide = CHARACTER * len(point.name)
    places = [
        (left, y + down - FONT / 2, left + wide, y + down + FONT / 2)
        for far in (8, 18, 30, 44, 60)
        for left, down in (
            (x + far, 0), (x - far - wide, 0), (x - wide / 2, -far - 3), (x - wide / 2, far + 3),
            (x + far * 0.7, -far * 0.9), (x + far * 0.7, far * 0.9),
            (x - far * 0.7 - wide, -far * 0.9), (x - far * 0.7 - wide, far * 0.9),
        )
    ]  # fmt: skip
    inside = [box for box in places if frame.holds(box)] or places[:1]
    return min(inside, key=lambda box: sum(_shared(box, other) for other in taken))


def _named(frame: _Frame, point: Point, box: Box) -> Iterator[str]:
    """The name, and a thin line to its dot where it stands apart."""
    left, top, right, bottom = box
    x, y = frame.x(point.cost), frame.y(point.score)
    near_x, near_y = min(max(x, left), right), min(max(y, top), bottom)
    if math.hypot(near_x - x, near_y - y) > FONT:
        path = f"M{x:.1f} {y:.1f}L{near_x:.1f} {near_y:.1f}"
        yield f'<path d="{path}" stroke="#999" stroke-width="0.7"/>'
    side, anchor = (right, ' text-anchor="end"') if right < x else (left, "")
    yield f'<text x="{side:.1f}" y="{bottom - 2:.1f}"{anchor}>{escape(point.name)}</text>'


def _shared(one: Box, other: Box) -> float:
    """The area that two boxes share."""
    wide = min(one[2], other[2]) - max(one[0], other[0])
    high = min(one[3], other[3]) - max(one[1], other[1])
    return max(0.0, wide) * max(0.0, high)
