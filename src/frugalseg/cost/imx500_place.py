"""Where the IMX500's converter puts buffers, and with that the run-time memory, in bytes.

Buffers begin at whole KiB. The sum of those that are alive at the fullest step, in whole KiB, is
always reached, as far as seen; only the buffer that lies on top counts to the byte. Which one that
is follows from placing the largest first. Where that needs more than the sum, the converter finds
some better placement: as far as seen mostly with the smallest buffer on top if this alone found no
room or there are many steps, else with the input. A guess there is off by less than a KiB.
"""

from math import ceil

from frugalseg.cost.graph import Graph

KIB = 1024
MANY = 104  # steps; fitted: from there on the input was on top in 2 networks of 11


def runtime_bytes(steps: Graph, stays: str | None) -> int:
    """Place the buffers of steps in order. `stays` names the input where it is never freed."""
    spans = _spans(steps)
    fullest = max(
        (_alive(spans, time) for time in range(-1, len(steps.ops))),
        key=lambda alive: sum(spans[name][2] for name in alive),
    )
    least = sum(spans[name][2] for name in fullest)
    at = _first_fit(spans, stays)
    too_high = max(cell + spans[name][2] for name, cell in at.items()) - least
    if not too_high:
        return max(KIB * cell + steps.tensors[name].bytes for name, cell in at.items())
    smallest = min(fullest, key=lambda name: steps.tensors[name].bytes)
    left_over = too_high == spans[smallest][2] or len(steps.ops) >= MANY
    on_top = stays if stays and not left_over else smallest
    return least * KIB - -steps.tensors[on_top].bytes % KIB


def _alive(spans: dict[str, tuple[int, int, int]], time: int) -> list[str]:
    return [name for name, (first, last, _) in spans.items() if first <= time <= last]


def _spans(steps: Graph) -> dict[str, tuple[int, int, int]]:
    """Return for each buffer the first and last step at which it is alive, and its KiB."""
    first = {name: time for time, op in enumerate(steps.ops) for name in op.writes}
    last = {name: time for time, op in enumerate(steps.ops) for name in op.reads}
    last |= dict.fromkeys(steps.outputs, len(steps.ops))
    spans = {}
    for name, buffer in steps.tensors.items():
        begins = first.get(name, -1)
        spans[name] = (begins, max(begins, last.get(name, -1)), ceil(buffer.bytes / KIB))
    return spans


def _first_fit(spans: dict[str, tuple[int, int, int]], stays: str | None) -> dict[str, int]:
    """Place the largest first, by powers of two; of equals the input last, then by size."""

    def rank(name: str) -> tuple[int, bool, int, int]:
        first, _, cells = spans[name]
        return -cells.bit_length(), name == stays, -cells, -first

    at: dict[str, int] = {}
    placed: list[tuple[int, int, str]] = []
    for name in sorted(spans, key=rank):
        first, last, cells = spans[name]
        free = 0
        for begin, end, other in sorted(placed):
            if spans[other][0] > last or first > spans[other][1]:
                continue
            if begin - free >= cells:
                break
            free = max(free, end)
        at[name] = free
        placed.append((free, free + cells, name))
    return at
