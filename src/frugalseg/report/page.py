"""write_report: ReportData to one HTML page that needs nothing else.

Here the values are put in the order of the page; `template.html.j2` turns them into HTML and
escapes them all; `style.css` is laid into its head.
"""

import re
from collections.abc import Iterator, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup
from numpy.typing import NDArray

from frugalseg.core.budget import Budget, Footprint
from frugalseg.core.files import write_text
from frugalseg.report import charts, pictures, wording
from frugalseg.report.contents import Example, ReportData

MATRIX_CLASSES = 40
"""More classes than this are shown as a picture: a table of them cannot be read."""

LISTED_CONFUSIONS = 8
LISTED_LAYERS = 12


class Part(NamedTuple):
    """A stretch of a budget bar."""

    kind: str
    label: str
    amount: str
    percent: float


class BudgetBar(NamedTuple):
    """A limit and what fills it, in percent of whichever is more; 100 if there is no limit."""

    title: str
    parts: list[Part]
    limit: float
    is_over: bool


class ClassRow(NamedTuple):
    """One class in the table of IoU."""

    name: str
    color: str
    share: float
    iou: list[float | None]
    change: float | None


class Confusion(NamedTuple):
    """Pixels of one class that were taken for another."""

    label: str
    predicted: str
    share: float
    pixels: int


def write_report(data: ReportData, path: Path) -> None:
    """Write the page to `path`, whole or not at all; what stood there is replaced."""
    write_text(path, render(data))


def render(data: ReportData) -> str:
    """Build the page. It loads nothing, runs no script, and escapes every value."""
    ours = files("frugalseg.report")
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {
        "breakable": _breakable,
        "count": wording.count,
        "hundredths": wording.hundredths,
        "percent": wording.percent,
        "points": wording.points,
        "short": wording.short,
    }
    template = environment.from_string(ours.joinpath("template.html.j2").read_text("utf-8"))
    style = ours.joinpath("style.css").read_text("utf-8")
    return template.render(style=style, data=data, **_view(data))


def _breakable(name: str) -> Markup:
    """Escape a dotted name or a path, and let it break at its joints."""
    return Markup("<wbr>").join(re.split(r"(?<=[./_])", name))


def _view(data: ReportData) -> dict[str, Any]:
    footprint, budget = data.weighing.footprint, data.target.budget
    room = activation_room(budget, footprint)
    base = sum(size for _, size in data.resident)
    matrix = _row_shares(data)
    return {
        "sentence": wording.verdict_sentence(data),
        "gate": wording.gate_sentence(data),
        "colour": list(wording.colour_sentences(data)),
        "gate_passed": wording.gate_passed(data),
        "bars": list(_budget_bars(budget, footprint)),
        "headline": _headline(data),
        "classes": (classes := _class_rows(data)),
        "weakest": next((c for c in reversed(classes) if c.iou[-1] is not None), None),
        "matrix": matrix if len(matrix) <= MATRIX_CLASSES else None,
        "matrix_picture": pictures.heat_map(matrix) if len(matrix) > MATRIX_CLASSES else "",
        "confusions": _confusions(data, matrix),
        "examples": [
            ("Best", [_pictured(e) for e in data.best]),
            ("Worst", [_pictured(e) for e in data.worst]),
        ],
        "training": _training(data),
        "memory": charts.timeline(data.moments, room, base),
        "base": base,
        "chart_height": charts.HEIGHT,
        "room": room,
        "largest_layers": sorted(data.layers, key=lambda row: -row.weight_bytes)[:LISTED_LAYERS],
        "settings": _setting_groups(data.settings),
    }


def activation_room(budget: Budget, footprint: Footprint) -> int | None:
    """Bytes that a device leaves to activations beside this file; None if it sets no limit."""
    rooms = [budget.ram_bytes] if budget.ram_bytes else []
    if budget.total_bytes:
        rooms.append(budget.total_bytes - footprint.storage_bytes)
    return min(rooms, default=None)


def _budget_bars(budget: Budget, footprint: Footprint) -> Iterator[BudgetBar]:
    file = ("file", "network file", footprint.storage_bytes)
    live = ("live", "working memory", footprint.ram_bytes)
    macs = ("macs", "multiply-accumulates", footprint.macs)
    bars = (
        ("File and working memory", budget.total_bytes, [file, live]),
        ("Network file", budget.storage_bytes, [file]),
        ("Working memory", budget.ram_bytes, [live]),
        ("Multiply-accumulates", budget.macs, [macs]),
    )
    set_bars = [bar for bar in bars if bar[1] is not None]
    for title, limit, used in set_bars or [("File and working memory", None, [file, live])]:
        yield _budget_bar(title, limit, used)


def _budget_bar(title: str, limit: int | None, used: list[tuple[str, str, int]]) -> BudgetBar:
    unit = "" if used[0][0] == "macs" else "bytes"
    needed = sum(amount for _, _, amount in used)
    whole = max(needed, limit or 0, 1)
    shown = list(used)
    if limit is not None:
        label = "free" if needed <= limit else "over the limit"
        shown.append(("free" if needed <= limit else "over", label, abs(limit - needed)))
    return BudgetBar(
        title=title if limit is None else f"{title}: limit {wording.count(limit)} {unit}".strip(),
        parts=[
            Part(kind, label, f"{wording.count(amount)} {unit}".strip(), 100 * amount / whole)
            for kind, label, amount in shown
        ],
        limit=100 * limit / whole if limit is not None else 100,
        is_over=limit is not None and needed > limit,
    )


def _headline(data: ReportData) -> list[tuple[str, str, list[float | None]]]:
    named = (
        ("miou", "mIoU", "mean over the classes that occur"),
        ("pixel_accuracy", "Pixel accuracy", "share of pixels that are right"),
        ("mean_class_accuracy", "Mean class accuracy", "every class counts the same"),
        ("fw_iou", "Frequency-weighted IoU", "classes count by their pixels"),
        ("boundary_f1", "Boundary F1", "how well outlines agree"),
    )
    forms = data.scores.values()
    return [(name, hint, [getattr(s, field) for s in forms]) for field, name, hint in named]


def _class_rows(data: ReportData) -> list[ClassRow]:
    """Best first by what is deployed, absent classes last."""
    pixels = np.asarray(data.deployed.confusion, np.float64).sum(axis=1)
    shares = pixels / max(pixels.sum(), 1)
    rows = []
    for i, (name, color) in enumerate(zip(data.labels.names, data.labels.colors, strict=True)):
        iou = [scores.iou[i] for scores in data.scores.values()]
        first, last = iou[0], iou[-1]
        change = None if first is None or last is None or len(iou) == 1 else last - first
        shade = "#{:02x}{:02x}{:02x}".format(*color)
        rows.append(ClassRow(name, shade, float(shares[i]), iou, change))
    return sorted(rows, key=lambda row: -1.0 if row.iou[-1] is None else row.iou[-1])[::-1]


def _row_shares(data: ReportData) -> NDArray[np.float64]:
    """Each row in shares of its label; a row of a class that has no labels is NaN."""
    matrix = np.asarray(data.deployed.confusion, np.float64)
    totals = matrix.sum(axis=1, keepdims=True)
    return matrix / np.where(totals > 0, totals, np.nan)


def _confusions(data: ReportData, shares: NDArray[np.float64]) -> list[Confusion]:
    """List the largest confusions by share of the label, so that rare classes are heard."""
    off = np.nan_to_num(shares)
    np.fill_diagonal(off, 0)
    order = np.argsort(-off, axis=None, kind="stable")[:LISTED_CONFUSIONS]
    names = data.labels.names
    return [
        Confusion(names[i], names[j], float(off[i, j]), data.deployed.confusion[i][j])
        for i, j in (divmod(int(k), len(names)) for k in order)
        if off[i, j] > 0
    ]


def _pictured(example: Example) -> dict[str, Any]:
    height, width = example.image.shape[:2]
    return {
        "name": example.name,
        "miou": example.miou,
        "ratio": f"{width} / {height}",
        "pictures": [
            ("picture", "Picture", pictures.photograph(example.image)),
            ("label", "Label", pictures.photograph(example.label)),
            ("prediction", "Prediction", pictures.photograph(example.prediction)),
        ],
    }


def _training(data: ReportData) -> list[tuple[str, charts.Curve]]:
    curves = (
        ("Loss", charts.curve([(s.step, s.loss) for s in data.steps], wording.short)),
        (
            "mIoU on validation",
            charts.curve([(v.step, v.miou) for v in data.validations], wording.percent),
        ),
        ("Learning rate", charts.curve([(s.step, s.lr) for s in data.steps], wording.short)),
    )
    return [(name, curve) for name, curve in curves if curve]


def _setting_groups(settings: Mapping[str, Any]) -> list[tuple[str, list[tuple[str, str]]]]:
    """Lay out single values first, under no name, then each nested part under its own."""
    nested = {name: v for name, v in settings.items() if isinstance(v, Mapping) and v}
    single = {name: v for name, v in settings.items() if name not in nested}
    groups = [("", list(wording.flat(single)))] if single else []
    return groups + [(name, list(wording.flat(values))) for name, values in nested.items()]
