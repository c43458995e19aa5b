"""What a run writes down as it goes: metrics.csv and TensorBoard."""

import csv
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from torch.utils.tensorboard import SummaryWriter

from frugalseg.core.files import write_text

COLUMNS = ("step", "progress", "elapsed_s", "lr", "loss", "miou", "pixel_accuracy")


class RunLog:
    """Appends rows to `metrics.csv` and to TensorBoard; a resumed run drops what it will redo."""

    def __init__(self, folder: Path, *, from_step: int) -> None:
        self.path = folder / "metrics.csv"
        rows = [row for row in read_log(self.path) if row["step"] <= from_step]
        lines = [",".join(COLUMNS), *(_line(row) for row in rows)]
        write_text(self.path, "\n".join(lines) + "\n")
        self.board: Any = SummaryWriter(str(folder / "tensorboard"), purge_step=from_step + 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.board.close()

    def add(self, **values: float | None) -> None:
        """Write one row; columns that are not given stay empty."""
        with self.path.open("a", encoding="utf-8") as stream:
            stream.write(_line(values) + "\n")
        step = values["step"]
        for name in ("lr", "loss", "miou", "pixel_accuracy"):
            if values.get(name) is not None:
                self.board.add_scalar(name, values[name], step)


def read_log(path: Path) -> list[dict[str, float]]:
    """Read the rows of a metrics.csv, leaving out empty fields; no file, no rows.

    A last line that was cut off in the middle is dropped.
    """
    if not path.is_file():
        return []
    whole, _, _ = path.read_text(encoding="utf-8").rpartition("\n")
    rows = list(csv.DictReader(whole.splitlines()))
    return [
        {name: float(text) for name, text in row.items() if text}
        for row in rows
        if None not in row.values() and row.get("step")
    ]


def _line(values: Any) -> str:
    shown = (values.get(name) for name in COLUMNS)
    return ",".join("" if value is None else f"{value:.6g}" for value in shown)
