"""Text tables for a terminal, and numbers as people read them."""

from collections.abc import Sequence
from math import ceil

from frugalseg.core.budget import Footprint
from frugalseg.metrics.scores import Scores

BLOCKS = "▁▂▃▄▅▆▇█"


def table(head: Sequence[str], rows: Sequence[Sequence[str]], *, left: int = 1) -> str:
    """Align columns; the first `left` ones to the left, the others to the right.

    >>> print(table(["class", "IoU"], [["sky", "90.1 %"]]))
    class     IoU
    sky    90.1 %
    """
    widths = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]
    lines = [
        "  ".join(
            cell.ljust(width) if i < left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in (head, *rows)
    ]
    return "\n".join(lines)


def bars(values: Sequence[float], width: int = 72) -> str:
    """Draw values as a row of blocks, each as high as the highest of those that it stands for.

    >>> bars([1, 2, 8, 4]), bars([1, 8, 2, 4], width=2)
    ('▁▂█▄', '█▄')
    """
    share = max(1, -(-len(values) // width))
    highest = [max(values[i : i + share]) for i in range(0, len(values), share)]
    top = max(highest, default=0) or 1
    return "".join(BLOCKS[max(0, ceil(value / top * len(BLOCKS)) - 1)] for value in highest)


def percent(value: float | None) -> str:
    """Write a share.

    >>> percent(0.6234), percent(None)
    ('62.3 %', 'absent')
    """
    return "absent" if value is None else f"{100 * value:.1f} %"


def score_rows(columns: Sequence[Scores], names: Sequence[str]) -> list[list[str]]:
    """Write scores as rows, one column for each of `columns`."""
    figures = {
        "mIoU": "miou", "pixel accuracy": "pixel_accuracy",
        "mean class accuracy": "mean_class_accuracy", "freq. weighted IoU": "fw_iou",
        "boundary F1": "boundary_f1",
    }  # fmt: skip
    rows = [[t, *(percent(getattr(s, f)) for s in columns)] for t, f in figures.items()]
    return rows + [
        [f"  IoU {name}", *(percent(s.iou[i]) for s in columns)] for i, name in enumerate(names)
    ]


def footprint_rows(need: Footprint) -> list[list[str]]:
    """Name what a network needs on its device, each figure with its origin."""
    rows = (("storage", "storage_bytes"), ("working memory", "ram_bytes"))
    return [
        [name, f"{getattr(need, figure):,} bytes ({need.origin_of(figure)})"]
        for name, figure in rows
    ]
