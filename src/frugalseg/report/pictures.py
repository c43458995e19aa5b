"""Pictures as data: URIs, small enough that a page of many stays light."""

import base64
import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

MAX_WIDTH = 360
MAX_BYTES = 24_000
HEAT = (38, 132, 152)
"""Dark enough for a white page, light enough for a dark one."""


def photograph(pixels: NDArray[np.uint8]) -> str:
    """Shrink to at most 360 px wide and embed as JPEG, coarser until it is at most 24 kB."""
    picture = Image.fromarray(pixels)
    scale = min(1.0, MAX_WIDTH / picture.width, 2 * MAX_WIDTH / picture.height)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    if scale < 1:
        picture = picture.resize(size, Image.Resampling.LANCZOS)
    encoded = b""
    for quality in (84, 72, 55, 35, 18, 6):
        stream = io.BytesIO()
        # Full chroma: a thin class border in an overlay is colour, and would smear.
        picture.save(stream, "JPEG", quality=quality, subsampling=0)
        encoded = stream.getvalue()
        if len(encoded) <= MAX_BYTES:
            break
    return _uri("jpeg", encoded)


def heat_map(shares: NDArray[np.float64]) -> str:
    """Embed a matrix of shares 0..1 as PNG, one pixel a cell; NaN and 0 are clear."""
    tones = np.empty((*shares.shape, 4), np.uint8)
    tones[..., :3] = HEAT
    tones[..., 3] = np.rint(255 * np.sqrt(np.nan_to_num(shares)))  # faint confusions show
    stream = io.BytesIO()
    Image.fromarray(tones, "RGBA").save(stream, "PNG", optimize=True)
    return _uri("png", stream.getvalue())


def _uri(kind: str, encoded: bytes) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(encoded).decode('ascii')}"
