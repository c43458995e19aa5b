"""What a manifest says of an export, whatever the format."""

from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Protocol

from frugalseg.core.records import this_machine
from frugalseg.cost.device import Device
from frugalseg.data.dataset import Dataset
from frugalseg.metrics.scores import Scores
from frugalseg.runtime.manifest import Manifest, NetworkFile
from frugalseg.training.checkpoint import Checkpoint

LIBRARIES = ("torch", "litert-torch", "ai-edge-quantizer", "ai-edge-litert", "onnx", "numpy")


class Wish(Protocol):
    """What was asked of an export."""

    @property
    def device(self) -> Device | None:
        """The device, if one was named."""

    @property
    def tolerance_points(self) -> float:
        """The mIoU points that may be lost."""

    @property
    def calibration(self) -> int:
        """How many pictures set the ranges of int8."""


def bare_manifest(kept: Checkpoint, files: Sequence[NetworkFile]) -> Manifest:
    """Describe files of a network that were not scored yet."""
    return Manifest(
        name=f"{kept.architecture.name} {kept.input}",
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        frugalseg=version("frugalseg"),
        labels=kept.labels.to_dict(),
        input=kept.input.to_dict(),
        files=tuple(files),
        architecture=kept.architecture.to_dict(),
    )


def whole_manifest(
    kept: Checkpoint,
    files: Sequence[NetworkFile],
    float_scores: Scores,
    dataset: Dataset,
    wish: Wish,
) -> Manifest:
    """Describe files with all that is known of how they were made."""
    return bare_manifest(kept, files).model_copy(
        update={
            "float_scores": float_scores.to_dict(kept.labels.names),
            "scored_on": f"val, {len(dataset.split('val'))} pictures",
            "tolerance_points": wish.tolerance_points,
            "device": None if wish.device is None else wish.device.name,
            "training": {
                "recipe": dict(kept.recipe),
                "step": kept.step,
                "elapsed_s": round(kept.elapsed_s, 1),
            },
            "settings": {
                "calibration_pictures": wish.calibration,
                "libraries": {name: _version(name) for name in LIBRARIES},
                "machine": this_machine(),
            },
        }
    )


def _version(library: str) -> str | None:
    try:
        return version(library)
    except PackageNotFoundError:
        return None
