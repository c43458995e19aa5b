"""The columns that the table of a study can have: what they are called and which record is shown.

A record's name is "<form>/<figure>" for the float network and the files fp32 and int8.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

PER_CLASS = "*"
MEGA, GIGA = 1e-6, 1e-9
PERCENT = 100.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column. Of `records` the first that a run has is shown, times `scale`.

    A column of text has a `fact` instead. `objects` leaves the background out of a column for
    each class.
    """

    title: str
    records: tuple[str, ...] = ()
    scale: float = 1.0
    digits: int = 0
    fact: str = ""
    objects: bool = False


def _percent(title: str, record: str, *, objects: bool = False) -> Column:
    return Column(title=title, records=(record,), scale=PERCENT, digits=1, objects=objects)


COLUMNS: Mapping[str, Column] = MappingProxyType(
    {
        "network": Column(title="network", fact="network"),
        "input": Column(title="input", fact="input"),
        "parameters": Column(title="parameters", records=("parameters",)),
        "gmacs": Column(title="GMAC", records=("macs",), scale=GIGA, digits=3),
        "gflops": Column(title="GFLOPs (2 x MAC)", records=("macs",), scale=2 * GIGA, digits=3),
        "fp32_bytes": Column(title="fp32 bytes", records=("fp32/bytes",)),
        "int8_bytes": Column(title="int8 bytes", records=("int8/bytes",)),
        "fp32_mb": Column(title="fp32 MB", records=("fp32/bytes",), scale=MEGA, digits=2),
        "int8_mb": Column(title="int8 MB", records=("int8/bytes",), scale=MEGA, digits=2),
        "peak_bytes": Column(
            title="peak activation bytes",
            records=("int8/peak_activation_bytes", "peak_activation_bytes"),
        ),
        "miou_float": _percent("mIoU float %", "float/miou"),
        "miou_fp32": _percent("mIoU fp32 file %", "fp32/miou"),
        "miou_int8": _percent("mIoU int8 %", "int8/miou"),
        "lost_points": Column(
            title="lost in int8, points", records=("int8/lost_points",), digits=2
        ),
        "gate": Column(title="int8 gate", fact="gate"),
        "pixel_accuracy_float": _percent("pixel accuracy float %", "float/pixel_accuracy"),
        "pixel_accuracy_int8": _percent("pixel accuracy int8 %", "int8/pixel_accuracy"),
        "boundary_f1_float": _percent("boundary F1 float %", "float/boundary_f1"),
        "boundary_f1_int8": _percent("boundary F1 int8 %", "int8/boundary_f1"),
        "object_miou_float": _percent("object mIoU float %", "float/object_miou"),
        "object_miou_int8": _percent("object mIoU int8 %", "int8/object_miou"),
        "iou_float": _percent("IoU float % *", "float/iou/*"),
        "iou_int8": _percent("IoU int8 % *", "int8/iou/*"),
        "object_iou_float": _percent("IoU float % *", "float/iou/*", objects=True),
        "object_iou_int8": _percent("IoU int8 % *", "int8/iou/*", objects=True),
        "steps": Column(title="steps", records=("steps",)),
        "epochs": Column(title="epochs", records=("epochs",), digits=1),
        "training_minutes": Column(
            title="training, min", records=("training_s",), scale=1 / 60, digits=1
        ),
        "machine": Column(title="trained on", fact="machine"),
    }
)


def expanded(
    names: Sequence[str], classes: Sequence[str], background: str | None
) -> dict[str, Column]:
    """Look columns up by name; one that is for each class becomes as many.

    >>> list(expanded(["miou_int8", "object_iou_int8"], ["ground", "glass"], "ground"))
    ['miou_int8', 'object_iou_int8 glass']
    """
    columns: dict[str, Column] = {}
    for name in names:
        column = COLUMNS[name]
        if not column.title.endswith(PER_CLASS):
            columns[name] = column
            continue
        for label in classes:
            if not (column.objects and label == background):
                columns[f"{name} {label}"] = replace(
                    column,
                    title=column.title.replace(PER_CLASS, label),
                    records=tuple(r.replace(PER_CLASS, label) for r in column.records),
                )
    return columns
