"""The gate: an exported file that lost too much against the network is not let out."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from frugalseg.core.errors import GateError
from frugalseg.core.inputs import InputSpec
from frugalseg.metrics.scores import Scores
from frugalseg.models.network import Network
from frugalseg.runtime.segmenter import Segmenter
from frugalseg.training.validation import network_scores

PARITY = 1e-4


def check_scores(
    before: Scores, after: Scores, *, tolerance_points: float, names: Sequence[str], file: str
) -> float:
    """Return the mIoU points that the file lost; raise GateError if more than allowed.

    A class that is absent before and appears after counts as found wrongly: its IoU is 0.
    """
    lost = 100 * (before.miou - after.miou)
    if lost <= tolerance_points:  # a NaN compares false, and fails the gate
        return lost
    falls = {
        name: 100 * ((was or 0.0) - (now or 0.0))
        for name, was, now in zip(names, before.iou, after.iou, strict=True)
    }
    worst = sorted((n for n in falls if falls[n] > 0), key=lambda n: -falls[n])
    appeared = [
        n
        for n, was, now in zip(names, before.iou, after.iou, strict=True)
        if was is None and now is not None
    ]
    losses = ", ".join(
        [f"{n} -{falls[n]:.1f}" for n in worst]
        + [f"{n} found where there is none" for n in appeared]
    )
    raise GateError(
        f"{file} loses {lost:.2f} mIoU points against the float network"
        f" ({100 * before.miou:.2f} to {100 * after.miou:.2f}), allowed are"
        f" {tolerance_points:g}. Points lost by class: {losses}. No artifact was written."
        " More calibration pictures may help (--calibration), or some epochs in int8 (train --set"
        " quantize.name=qat); or allow more (--tolerance)."
    )


def check_parity(
    network: Network,
    spec: InputSpec,
    segmenter: Segmenter,
    pictures: Sequence[NDArray[np.uint8]],
) -> float:
    """Return the largest gap between a file's scores and the network's on some pictures.

    A gap is measured in units of 1 + |score|; more than 1e-4 raises GateError.
    """
    gaps = [0.0]
    for picture_HWC in pictures:
        expected = network_scores(network, spec, picture_HWC)
        difference = np.abs(segmenter.scores(picture_HWC) - expected) / (1 + np.abs(expected))
        gaps.append(float(difference.max()))
    gap = float(np.max(gaps))  # unlike max(), it keeps a NaN
    if not gap <= PARITY:  # NaN is a gap too, and compares false
        raise GateError(
            f"{segmenter.file.path} differs from the network by {gap:.1e}, allowed are {PARITY:.0e}"
        )
    return gap
