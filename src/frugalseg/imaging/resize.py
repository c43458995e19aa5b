"""Resizing: pictures, labels and scores, each by the one rule that is right for it."""

from collections.abc import Iterator
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

BAND_BYTES = 8_000_000
"""Of enlarged scores that are held at once where only their labels are wanted."""


def resize_image(image_HWC: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Resize a picture to (height, width): bilinear, smoothed where it shrinks.

    >>> resize_image(np.zeros((4, 6, 1), np.uint8), (2, 3)).shape
    (2, 3, 1)
    """
    if image_HWC.shape[:2] == size:
        return image_HWC
    grey = image_HWC.shape[2] == 1
    picture = Image.fromarray(image_HWC[..., 0] if grey else image_HWC)
    resized = np.array(picture.resize(size[::-1], Image.Resampling.BILINEAR), dtype=np.uint8)
    return resized[..., None] if grey else resized


def as_channels(image_HWC: NDArray[np.uint8], channels: int) -> NDArray[np.uint8]:
    """Turn RGB into grey (ITU-R 601 luma, as Pillow does) where the network wants one channel.

    >>> as_channels(np.full((1, 1, 3), 7, np.uint8), 1).tolist()
    [[[7]]]
    """
    if image_HWC.shape[2] == channels:
        return image_HWC
    luma = image_HWC @ np.array([0.299, 0.587, 0.114])
    grey: NDArray[np.uint8] = luma.round().astype(np.uint8)[..., None]
    return grey


def resize_labels(labels_HW: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Resize labels to (height, width): each pixel takes the label at its centre.

    >>> resize_labels(np.array([[0, 7]], np.uint8), (2, 4)).tolist()
    [[0, 0, 7, 7], [0, 0, 7, 7]]
    """
    if labels_HW.shape == size:
        return labels_HW
    rows, columns = (
        (2 * np.arange(new) + 1) * old // (2 * new)
        for old, new in zip(labels_HW.shape, size, strict=True)
    )
    resized_HW: NDArray[np.uint8] = labels_HW.take(rows, axis=0).take(columns, axis=1)
    return resized_HW


def resize_scores(scores_hwC: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """Enlarge class scores to (C, height, width), bilinear with half-pixel centres.

    The same rule as `interpolate(..., align_corners=False)` of the network in training.

    >>> ramp_hwC = np.array([[[0.0], [1.0]]], np.float32)
    >>> resize_scores(ramp_hwC, (1, 4)).tolist()
    [[[0.0, 0.25, 0.75, 1.0]]]
    """
    scores_CHW = np.empty((scores_hwC.shape[2], *size), np.float32)
    for rows, band_CRW in _bands(scores_hwC, size):
        scores_CHW[:, rows] = band_CRW
    return scores_CHW


def labels_at(scores_hwC: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Enlarge class scores and give each pixel its best class, band by band.

    The labels are those of `argmax_labels(resize_scores(...))`, without the memory for the scores
    of all classes at full size.

    >>> labels_at(np.array([[[0.0, 1.0], [3.0, 1.0]]], np.float32), (1, 4)).tolist()
    [[1, 1, 0, 0]]
    """
    labels_HW = np.empty(size, np.uint8)
    for rows, band_CRW in _bands(scores_hwC, size):
        labels_HW[rows] = argmax_labels(band_CRW)
    return labels_HW


def _bands(
    scores_hwC: NDArray[np.float32], size: tuple[int, int]
) -> Iterator[tuple[slice, NDArray[np.float32]]]:
    """Yield the enlarged scores in bands of rows.

    Everyone takes them from here: products of other shapes may round otherwise.
    """
    height, width, classes = scores_hwC.shape
    scores_Chw = np.ascontiguousarray(scores_hwC.transpose(2, 0, 1), dtype=np.float32)
    down, across = _bilinear(height, size[0]), _bilinear(width, size[1]).T
    step = max(1, BAND_BYTES // (classes * size[1] * scores_Chw.itemsize))
    for top in range(0, size[0], step):
        rows = slice(top, top + step)
        yield rows, np.matmul(np.matmul(down[rows], scores_Chw), across)


def argmax_labels(scores_CHW: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Give each pixel its best class; the first one of several that are equal.

    >>> argmax_labels(np.array([[[1.0, 0.0, 2.0]], [[0.5, 3.0, 2.0]]], np.float32)).tolist()
    [[0, 1, 0]]
    """
    # Class by class: four times as fast as argmax(axis=0), which strides over whole planes.
    best_HW = scores_CHW[0].copy()
    labels_HW = np.zeros(best_HW.shape, dtype=np.uint8)
    for label, score_HW in enumerate(scores_CHW[1:], start=1):
        np.copyto(labels_HW, np.uint8(label), where=score_HW > best_HW)
        np.maximum(best_HW, score_HW, out=best_HW)
    return labels_HW


@lru_cache(maxsize=32)
def _bilinear(old: int, new: int) -> NDArray[np.float32]:
    """Build the matrix (new, old) that interpolates along one side; its rows sum to 1."""
    position = np.clip((np.arange(new) + 0.5) * (old / new) - 0.5, 0, old - 1)
    below = np.floor(position).astype(np.intp)
    above = np.minimum(below + 1, old - 1)
    share = position - below
    weights = np.zeros((new, old))
    each = np.arange(new)
    np.add.at(weights, (each, below), 1 - share)
    np.add.at(weights, (each, above), share)
    weights_32 = weights.astype(np.float32)
    weights_32.setflags(write=False)  # it is cached, and shared by all callers
    return weights_32
