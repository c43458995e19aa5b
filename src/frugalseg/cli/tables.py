"""Text tables for a terminal, and numbers as people read them."""

from collections.abc import Sequence

from frugalseg.metrics.scores import Scores


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
