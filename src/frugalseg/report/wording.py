"""Numbers and verdicts in words, the same on every line of the page."""

from collections.abc import Iterator, Mapping
from typing import Any

from frugalseg.report.contents import ReportData

NO_BREAK = "\N{NO-BREAK SPACE}"
MINUS = "\N{MINUS SIGN}"

JUST_SEEN = 0.0005
"""The least share that does not print as 0.0 percent."""

MOST_COLOURED = 3
"""So many classes are named, of those that colour helps most."""

ROUNDING = 1e-9
"""Of a difference of shares: 0.65 - 0.64 is a little more than 0.01."""

_PREFIXES = ((1e9, "G"), (1e6, "M"), (1e3, "k"))
_WHAT = {
    "storage_bytes": ("the network file takes", "bytes"),
    "ram_bytes": ("working memory takes", "bytes"),
    "total_bytes": ("needs", "bytes"),
    "macs": ("needs", "multiply-accumulates"),
}


def count(value: float) -> str:
    """Write a whole number with thousands.

    >>> count(1512004)
    '1,512,004'
    """
    return f"{value:,.0f}"


def short(value: float, unit: str = "") -> str:
    """Write a number for an axis: three digits and a prefix.

    >>> short(1_512_004, "B").replace(NO_BREAK, " "), short(0.00125)
    ('1.51 MB', '0.00125')
    """
    for size, prefix in _PREFIXES:
        if abs(value) >= size:
            return f"{value / size:.3g}{NO_BREAK}{prefix}{unit}"
    return f"{value:.3g}{NO_BREAK}{unit}".rstrip(NO_BREAK)


def percent(share: float | None) -> str:
    """Write a share of 0 to 1 in percent; None is a class or figure that is absent.

    >>> percent(0.6425), percent(None)
    ('64.2\\xa0%', 'absent')
    """
    return "absent" if share is None else f"{hundredths(share)}{NO_BREAK}%"


def hundredths(share: float | None) -> str:
    """Write a share of 0 to 1 for a column in percent, the sign being in its head.

    >>> hundredths(0.6425), hundredths(0.0001), hundredths(None)
    ('64.2', '<0.1', 'absent')
    """
    if share is None:
        return "absent"
    return "<0.1" if 0 < share < JUST_SEEN else f"{100 * share:.1f}"


def points(difference: float) -> str:
    """Write a difference in percentage points, signed.

    >>> points(-0.004) == MINUS + "0.4"
    True
    """
    text = f"{100 * difference:+.1f}"
    return "0.0" if text in {"+0.0", "-0.0"} else text.replace("-", MINUS)


def verdict_sentence(data: ReportData) -> str:
    """Say in one sentence whether the network fits, by how much, and who says so.

    Each limit of the device is named where the network fits, each broken one where not.
    """
    name, verdict = data.target.name, data.verdict
    limits = {n: limit for n, limit in data.target.budget.limits().items() if limit}
    origin = data.weighing.origin(limits or ["total_bytes"])
    if not limits:
        total = count(data.weighing.footprint.total_bytes)
        return f"Runs on {name}, which sets no limit: needs {total} bytes ({origin})"
    if verdict:
        said = [_clause(r, getattr(data.weighing.footprint, r), n) for r, n in limits.items()]
        return f"Fits {name}: {', '.join(said)} ({origin})"
    broken = {e.resource: e for e in verdict.excess}
    said = [
        f"{_clause(r, e.needed, e.allowed)}, {count(e.needed - e.allowed)} too many"
        for r in limits
        if (e := broken.get(r.removesuffix("_bytes")))
    ]
    return f"Does not fit {name}: {'; '.join(said)} ({origin})"


def gate_sentence(data: ReportData) -> str | None:
    """Say what the last form of the network lost against the first, and if that is allowed."""
    if (lost := data.lost_points) is None:
        return None
    first, *_, last = data.scores
    change = f"{'loses' if lost >= 0 else 'gains'} {abs(lost):.1f} points of mIoU"
    said = f"{last} {change} against {first}"
    if data.gate_points is None:
        return f"{said}; no gate was set."
    if gate_passed(data):
        return f"{said}; up to {data.gate_points:.1f} may be lost: the gate is passed."
    return f"{said}; only {data.gate_points:.1f} may be lost: the gate is not passed."


def gate_passed(data: ReportData) -> bool:
    """Whether no more was lost than the gate allows; true where there is no gate."""
    lost = data.lost_points
    return lost is None or data.gate_points is None or lost <= data.gate_points + ROUNDING


def colour_sentences(data: ReportData) -> Iterator[str]:
    """Say how much the network makes use of colour, and what a grey input would save."""
    if data.colour is None:
        return
    form, scores = next(iter(data.scores.items()))
    grey = data.colour.grey
    lost = {
        name: before - after
        for name, before, after in zip(data.labels.names, scores.iou, grey.iou, strict=True)
        if before is not None and after is not None
    }
    most = sorted(lost, key=lambda name: -lost[name])[:MOST_COLOURED]
    named = [f"{name} {points(-lost[name])}" for name in most if lost[name] >= JUST_SEEN]
    yield (
        f"The same pictures without their colour: {form} scores {percent(grey.miou)} of mIoU"
        f" instead of {percent(scores.miou)}" + (f" (most: {', '.join(named)})" if named else "")
    )
    if (need := data.colour.footprint) is not None:
        with_colour = data.weighings[0].footprint.total_bytes
        yield (
            "It takes pictures in colour. The same network for a grey camera"
            " (--set model.settings.channels=1) has to be trained to see what it scores; it takes"
            f" {count(need.total_bytes)} bytes in place of {count(with_colour)} (estimated)"
        )


def flat(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Lay nested settings out as dotted names and text.

    >>> list(flat({"optimizer": {"lr": 0.002}, "classes": ["a", "b"], "resume": None}))
    [('optimizer.lr', '0.002'), ('classes', 'a, b'), ('resume', 'none')]
    """
    for key, value in settings.items():
        if isinstance(value, Mapping) and value:
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", _text(value)


def _text(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return ", ".join(map(_text, value)) or "none"
    if isinstance(value, Mapping):
        return ", ".join(f"{k}: {_text(v)}" for k, v in value.items()) or "none"
    return str(value)


def _clause(resource: str, needed: int, allowed: int) -> str:
    what, unit = _WHAT[resource]
    return f"{what} {count(needed)} of {count(allowed)} {unit}"
