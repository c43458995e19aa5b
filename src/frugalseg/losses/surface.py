"""The boundary loss of Kervadec et al.: a wrong pixel costs its distance to the boundary.

It looks at the scores of the classes and is listed; `boundary` is for networks with a head of
their own for edges, and is not.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from frugalseg.losses.membership import mean_present, memberships


def surface(
    logits_NCHW: Tensor, labels_NHW: Tensor, *, ignore: int, weights_C: Tensor | None = None
) -> Tensor:
    """Return the mean over classes of the mean over pixels of distance * (probability - truth).

    Kervadec et al. 2019, arXiv 1812.07032, section 2: the distance to the boundary of a class is
    positive outside of it and negative inside. The term with the truth is constant; the paper
    drops it, and we keep it, so that the loss of perfect labels is zero. Distances are in longer
    sides of the picture, not in pixels, so that a weight means the same at any size. Classes that
    are absent from the batch are left out, and so is, for one picture, a class that is absent from
    it or fills it: they have no boundary there. `weights_C` has no effect.

    By itself it learns little: the paper adds it to a loss of regions with a weight that grows
    from 0.01. Distances are made on the CPU.
    """
    del weights_C
    predicted_NCHW, truth_NCHW = memberships(logits_NCHW, labels_NHW, ignore=ignore)
    maps_NCHW = np.zeros(truth_NCHW.shape, np.float32)
    for maps_CHW, labels_HW in zip(maps_NCHW, labels_NHW.cpu().numpy(), strict=True):
        for label in np.unique(labels_HW[labels_HW != ignore]):
            maps_CHW[label] = signed_distances(labels_HW, int(label), ignore=ignore)
    distances_NCHW = torch.from_numpy(maps_NCHW).to(predicted_NCHW)
    pixels = (labels_NHW != ignore).sum().clamp(min=1)
    moved_NCHW = distances_NCHW * (predicted_NCHW - truth_NCHW) / max(labels_NHW.shape[-2:])
    return mean_present(moved_NCHW.sum(dim=(0, 2, 3)) / pixels, truth_NCHW)


def signed_distances(
    labels_HW: NDArray[np.int64], label: int, *, ignore: int
) -> NDArray[np.float32]:
    """Return the distance in pixels to the boundary of a class: above 0 outside, 0 or less inside.

    Zero at ignored pixels, of which nobody knows what they are, and everywhere if all labelled
    pixels are of the class.

    >>> signed_distances(np.array([[0, 0, 1, 1, 255]]), 1, ignore=255).tolist()
    [[2.0, 1.0, 0.0, -1.0, 0.0]]
    """
    import cv2

    inside_HW = labels_HW == label
    outside_HW = ~inside_HW & (labels_HW != ignore)
    if not outside_HW.any():
        return np.zeros(labels_HW.shape, np.float32)
    outwards_HW, inwards_HW = (
        cv2.distanceTransform((~goal).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        for goal in (inside_HW, outside_HW)
    )
    signed_HW = outwards_HW * outside_HW - (inwards_HW - 1) * inside_HW
    return signed_HW.astype(np.float32)  # type: ignore[no-any-return]
