"""Answers: one picture through one engine, to the bytes that go back. Runs in a worker."""

import io
import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from frugalseg.imaging.draw import color_table, overlay
from frugalseg.imaging.read import read_image
from frugalseg.imaging.resize import labels_at, resize_image, resize_labels
from frugalseg.runtime.segmenter import Segmenter
from frugalseg.serve.outlines import polygons
from frugalseg.serve.problems import ProblemError
from frugalseg.serve.regions import (
    Regions,
    TooRaggedError,
    compressed_rle,
    find_regions,
)
from frugalseg.serve.shelf import Model
from frugalseg.serve.wishes import Wish

MOST_REGIONS = 5_000

_ALPHA = 0.5
# A photograph gets little smaller by the default, 6, and takes four times as long.
_LEVEL = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What goes back, and how long each phase took, in seconds."""

    content: bytes
    phases: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Labelled:
    """A picture with its labels at the size wished for, and the scores if the file gives them."""

    image_HWC: NDArray[np.uint8]
    labels_HW: NDArray[np.uint8]
    scores_hwC: NDArray[np.float32] | None


@dataclass(slots=True)
class _Stopwatch:
    phases: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def __call__(self, phase: str) -> Iterator[None]:
        began = time.perf_counter()
        yield
        self.phases[phase] = time.perf_counter() - began


def answer(
    model: Model, number: int, body: bytes, wish: Wish, most_pixels: int, **lead: str
) -> Answer:
    """Segment an encoded picture with the engine of worker `number`.

    `lead` goes first into the JSON. Raises DataError for a picture that cannot be used.
    """
    timed = _Stopwatch()
    with timed("decode"):
        image_HWC = read_image(body, max_pixels=most_pixels)
    with timed("infer"):
        found = _label(model.segmenters[number], image_HWC, wish)
    with timed("encode"):
        if wish.format == "json":
            content = json.dumps(lead | described(model, found, wish)).encode()
        else:
            content = _encoded(model, found, wish)
    return Answer(content=content, phases=timed.phases)


def _label(segmenter: Segmenter, image_HWC: NDArray[np.uint8], wish: Wish) -> Labelled:
    asked = wish.pixels() or (image_HWC.shape[0], image_HWC.shape[1])
    if segmenter.file.output == "ids":
        ids_hw = segmenter.native_labels(image_HWC)
        labels_HW = ids_hw if wish.size == "native" else resize_labels(ids_hw, asked)
        return Labelled(image_HWC=image_HWC, labels_HW=labels_HW, scores_hwC=None)
    scores_hwC = segmenter.scores(image_HWC)
    if wish.tta == "flip":
        mirrored_hwC = segmenter.scores(np.ascontiguousarray(image_HWC[:, ::-1]))
        scores_hwC = (scores_hwC + mirrored_hwC[:, ::-1]) * np.float32(0.5)
    size = (scores_hwC.shape[0], scores_hwC.shape[1]) if wish.size == "native" else asked
    return Labelled(
        image_HWC=image_HWC, labels_HW=labels_at(scores_hwC, size), scores_hwC=scores_hwC
    )


def described(model: Model, found: Labelled, wish: Wish) -> dict[str, Any]:
    """Return the JSON of one picture as plain values."""
    height, width = found.labels_HW.shape
    sure_HW = _confidence(found) if wish.scores else None
    return {
        "model": model.name,
        "version": model.version,
        "sha256": model.file.sha256,
        "width": width,
        "height": height,
        "classes": _classes(model, found.labels_HW, sure_HW),
        **_regions(model, found.labels_HW, sure_HW, wish),
    }


def _classes(
    model: Model, labels_HW: NDArray[np.uint8], sure_HW: NDArray[np.float32] | None
) -> list[dict[str, Any]]:
    space = model.segmenters[0].labels
    ids = labels_HW.ravel()
    counts = np.bincount(ids, minlength=space.num_classes)
    sure = None if sure_HW is None else sure_HW.ravel()
    sums = None if sure is None else np.bincount(ids, sure, space.num_classes)
    return [
        {
            "id": number,
            "name": name,
            "color": "#{:02x}{:02x}{:02x}".format(*color),
            "pixels": int(counts[number]),
            "share": int(counts[number]) / labels_HW.size,
            "score": None if sums is None or not counts[number] else sums[number] / counts[number],
        }
        for number, (name, color) in enumerate(zip(space.names, space.colors, strict=True))
    ]


def _confidence(found: Labelled) -> NDArray[np.float32]:
    """Return for each pixel the softmax score of its label, at the nearest native pixel."""
    assert found.scores_hwC is not None  # Wish.check
    shares_hwC = np.exp(found.scores_hwC - found.scores_hwC.max(axis=-1, keepdims=True))
    shares_hwC /= shares_hwC.sum(axis=-1, keepdims=True)
    native, asked = found.scores_hwC.shape[:2], found.labels_HW.shape
    rows, columns = (
        (2 * np.arange(new) + 1) * old // (2 * new) for old, new in zip(native, asked, strict=True)
    )
    sure_HW: NDArray[np.float32] = shares_hwC[rows[:, None], columns[None, :], found.labels_HW]
    return sure_HW


def _regions(
    model: Model,
    labels_HW: NDArray[np.uint8],
    sure_HW: NDArray[np.float32] | None,
    wish: Wish,
) -> dict[str, Any]:
    """Describe the regions, the largest first; those of the background are left out."""
    if wish.regions == "none":
        return {"regions": [], "regions_left_out": 0}
    try:
        return _listed(model, labels_HW, sure_HW, wish.regions)
    except TooRaggedError as wrong:
        raise ProblemError(
            422, f"the labels are too ragged ({wrong}): ask for a smaller size, or for rle",
            name="too-ragged",
        ) from wrong  # fmt: skip


def _listed(
    model: Model,
    labels_HW: NDArray[np.uint8],
    sure_HW: NDArray[np.float32] | None,
    kind: str,
) -> dict[str, Any]:
    found = find_regions(labels_HW)
    background = model.segmenters[0].labels.background
    wanted = np.flatnonzero(found.classes != background) if background is not None else None
    every = np.arange(len(found.classes)) if wanted is None else wanted
    chosen = every[np.argsort(-found.pixels[every], kind="stable")][:MOST_REGIONS]
    means = None if sure_HW is None else found.means(sure_HW)
    shapes = _shapes(found, chosen, kind)
    listed = [
        {
            "class": int(found.classes[number]),
            "bbox": found.boxes[number].tolist(),
            "pixels": int(found.pixels[number]),
            "score": None if means is None else float(means[number]),
            kind: shape,
        }
        for number, shape in zip(chosen, shapes, strict=True)
    ]
    return {"regions": listed, "regions_left_out": len(every) - len(chosen)}


def _shapes(found: Regions, chosen: NDArray[np.intp], kind: str) -> list[Any]:
    if kind == "rle":
        return [
            compressed_rle(starts, stops, found.size) for starts, stops in found.runs_of(chosen)
        ]
    return list(polygons(found, chosen))


def _encoded(model: Model, found: Labelled, wish: Wish) -> bytes:
    stream = io.BytesIO()
    colors = model.segmenters[0].labels.colors
    if wish.format == "npz":
        if wish.scores and found.scores_hwC is not None:
            np.savez_compressed(stream, ids=found.labels_HW, scores=found.scores_hwC)
        else:
            np.savez_compressed(stream, ids=found.labels_HW)
    elif wish.format == "overlay":
        height, width = found.labels_HW.shape
        picture_HWC = resize_image(found.image_HWC, (height, width))
        alpha = _ALPHA if wish.alpha is None else wish.alpha
        mixed_HWC = overlay(picture_HWC, found.labels_HW, colors, alpha)
        Image.fromarray(mixed_HWC).save(stream, format="PNG", compress_level=_LEVEL)
    else:
        picture = Image.fromarray(found.labels_HW)
        if wish.format == "color":
            picture.putpalette(color_table(colors).tobytes())
        picture.save(stream, format="PNG")
    return stream.getvalue()
