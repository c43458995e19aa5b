"""How good a segmentation is: one confusion matrix over a whole split, and what follows.

Shape letters: H height, W width, K classes. `confusion[label][prediction]` counts pixels.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from frugalseg.core.errors import ArtifactError, ConfigError, DataError
from frugalseg.core.labels import IGNORE, MAX_CLASSES
from frugalseg.metrics.boundary import BoundaryCounts

Array = NDArray[Any]
VALUES = 256  # of an 8-bit mask


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """Scores over a split; shares are 0 to 1, and `None` means that the class is absent.

    `miou` is the mean over classes that occur in labels or predictions, `mean_class_accuracy`
    over those that occur in labels. `boundary_f1` is described in `metrics.boundary`; it is
    `None` where no two classes ever meet.

    >>> scores = Scores.of([[8, 2, 0], [0, 10, 0], [0, 0, 0]])
    >>> scores.iou[2] is None, round(scores.miou, 4), scores.pixel_accuracy
    (True, 0.8167, 0.9)
    """

    miou: float
    iou: tuple[float | None, ...]
    pixel_accuracy: float
    mean_class_accuracy: float
    fw_iou: float
    boundary_f1: float | None
    confusion: tuple[tuple[int, ...], ...]

    @classmethod
    def of(cls, confusion: Sequence[Sequence[int]], boundary_f1: float | None = None) -> Self:
        """Derive all scores from a confusion matrix, rows being labels."""
        counts_KK = np.asarray(confusion, np.int64)
        total = int(counts_KK.sum())
        if total == 0:
            raise DataError(
                "nothing to score: every pixel of every label is ignored (255);"
                " check the values of the masks against the label space"
            )
        hit_K = counts_KK.diagonal()
        label_K, predicted_K = counts_KK.sum(1), counts_KK.sum(0)
        union_K = label_K + predicted_K - hit_K
        seen_K, labelled_K = union_K > 0, label_K > 0
        iou_K = hit_K / np.maximum(union_K, 1)
        recall_K = hit_K / np.maximum(label_K, 1)
        return cls(
            miou=float(iou_K[seen_K].mean()),
            iou=tuple(
                float(iou) if seen else None for iou, seen in zip(iou_K, seen_K, strict=True)
            ),
            pixel_accuracy=int(hit_K.sum()) / total,
            mean_class_accuracy=float(recall_K[labelled_K].mean()),
            fw_iou=float((label_K * iou_K).sum() / total),
            boundary_f1=boundary_f1,
            confusion=tuple(tuple(int(n) for n in row) for row in counts_KK),
        )

    def to_dict(self, names: Sequence[str]) -> dict[str, Any]:
        """Plain values, ready for JSON; `iou` by class name."""
        if len(names) != len(self.iou):
            raise ConfigError(f"{len(self.iou)} classes were scored, {len(names)} names given")
        return {
            "miou": self.miou,
            "iou": dict(zip(names, self.iou, strict=True)),
            "pixel_accuracy": self.pixel_accuracy,
            "mean_class_accuracy": self.mean_class_accuracy,
            "fw_iou": self.fw_iou,
            "boundary_f1": self.boundary_f1,
            "confusion": [list(row) for row in self.confusion],
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Read what `to_dict` wrote."""
        try:
            return cls(
                **{
                    **values,
                    "iou": tuple(values["iou"].values()),
                    "confusion": tuple(tuple(row) for row in values["confusion"]),
                }
            )
        except (TypeError, KeyError, AttributeError) as wrong:
            raise ArtifactError(
                f"these are not scores as frugalseg writes them: {wrong}"
            ) from wrong


class ScoreKeeper:
    """Adds up a split, picture by picture; `scores` may be asked for at any time.

    `boundary=False` leaves out boundary F1, which takes longer than all else.

    >>> keeper = ScoreKeeper(2)
    >>> keeper.add(np.array([[0, 0, 1, 255]]), np.array([[0, 1, 1, 0]]))
    >>> keeper.scores().confusion
    ((1, 1), (0, 1))
    """

    def __init__(self, num_classes: int, *, boundary: bool = True) -> None:
        if not 1 <= num_classes <= MAX_CLASSES:
            raise ConfigError(f"1 to {MAX_CLASSES} classes can be scored, got {num_classes}")
        self.num_classes = num_classes
        self._confusion_KK = np.zeros((num_classes, num_classes), np.int64)
        self._boundaries = BoundaryCounts(num_classes) if boundary else None

    def add(self, labels_HW: Array, predicted_HW: Array) -> None:
        """Count one picture. Pixels labelled 255 are left out; there is no other exception."""
        labels_HW, predicted_HW = _ids(labels_HW, "labels"), _ids(predicted_HW, "predictions")
        if labels_HW.shape != predicted_HW.shape:
            raise DataError(
                f"labels are {labels_HW.shape}, predictions {predicted_HW.shape}; scores are"
                " taken at the resolution of the label: resize the class scores to it first"
            )
        self._confusion_KK += self._count(labels_HW, predicted_HW)
        if self._boundaries is not None:
            self._boundaries.add(labels_HW, predicted_HW)

    def scores(self) -> Scores:
        """Derive the scores of all pictures added so far."""
        f1 = None if self._boundaries is None else self._boundaries.f1()
        return Scores.of(self._confusion_KK.tolist(), f1)

    def _count(self, labels_HW: Array, predicted_HW: Array) -> Array:
        pairs = labels_HW.astype(np.int32).ravel() * VALUES + predicted_HW.ravel()
        # All 256 values are counted, so that the check for undeclared ones costs nothing.
        counts = np.bincount(pairs, minlength=VALUES * VALUES).reshape(VALUES, VALUES)[:IGNORE]
        n = self.num_classes
        strange = {
            "labels": np.flatnonzero(counts[n:].any(1)) + n,
            "predictions": np.flatnonzero(counts[:, n:].any(0)) + n,
        }
        if problems := [f"{k} hold {v.tolist()}" for k, v in strange.items() if v.size]:
            raise DataError(f"class ids must be 0 to {n - 1} (labels also 255)", problems)
        return counts[:n, :n]


def _ids(ids_HW: Array, what: str) -> NDArray[np.uint8]:
    if ids_HW.ndim != len("HW") or ids_HW.dtype.kind not in "ui":
        raise DataError(
            f"{what} must be class ids of shape (H, W), got {ids_HW.dtype} {ids_HW.shape}"
        )
    if ids_HW.dtype != np.uint8 and ids_HW.size and not 0 <= ids_HW.min() <= ids_HW.max() <= IGNORE:
        raise DataError(f"{what} must be 0 to 255, got {ids_HW.min()} to {ids_HW.max()}")
    return ids_HW.astype(np.uint8, copy=False)
