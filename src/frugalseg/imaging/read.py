"""Files to pixels, safely: a header is read and bounded before anything is decoded.

The plugins of Pillow are opened by signature, not through `Image.open`, for two reasons: only
four formats of its forty are ever tried on a stranger's file, and its check against
decompression bombs, which warns through a process-wide setting, is replaced by our own.
"""

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, ImageOps
from PIL.BmpImagePlugin import BmpImageFile
from PIL.Image import Image, Resampling
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

from frugalseg.core.errors import DataError, TooLargeError, UnknownFormatError

MAX_PIXELS = 64_000_000
MAX_SIDE = 16_384
MAX_RATIO = 100
MAX_SCANS = 60
"""Of a progressive JPEG. Each costs a pass over all pixels, and needs some thirty bytes."""

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp"})
MASK_SUFFIXES = frozenset({".png", ".bmp"})

LOSSY = "a lossy format changes the values of a mask; make the masks again as PNG"

_HEADER_BYTES = 26
_START_OF_SCAN = b"\xff\xda"
_PNG_BIT_DEPTH_AT = 24
_DEEP_BITS = 16
# Pillow stretches grey PNGs of 2 and 4 bits to 0..255; a mask needs the values as they are.
_STRETCH = {1: 1, 2: 85, 4: 17}
_PLAIN_MODES = frozenset({"1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX"})

Source = Path | bytes | BinaryIO
T = TypeVar("T")


def read_image(
    source: Source, *, channels: int = 3, max_pixels: int = MAX_PIXELS
) -> NDArray[np.uint8]:
    """Read a picture upright as HxWx3 (RGB) or HxWx1 (grey).

    Grey, palette and alpha pictures are converted (alpha is dropped). What cannot be converted
    without a choice that is not ours is refused: 16 bits, CMYK; so is what is truncated, too
    large or too narrow.
    """
    with _opened(source) as stream:
        image = _picture(source, stream, max_pixels)
        _check_scans(source, stream, image)
        decoded = _decoded(source, lambda: _plain(image, channels))
    pixels = np.array(decoded, dtype=np.uint8)
    return pixels[..., None] if channels == 1 else pixels


def read_resized(
    source: Source, size: tuple[int, int], *, max_pixels: int = MAX_PIXELS
) -> tuple[NDArray[np.uint8], tuple[int, int]]:
    """Read a picture upright as HxWx3, resized as `resize_image` does; also its own (H, W).

    A large JPEG is decoded at a half, a quarter or an eighth of its size, the last that is not
    below the one wanted: much quicker.
    """
    with _opened(source) as stream:
        image = _picture(source, stream, max_pixels)
        _check_scans(source, stream, image)
        height, width = image.height, image.width
        if isinstance(image, JpegImageFile):
            turned = _is_turned(source, image)
            _decoded(source, lambda: image.draft(None, size if turned else size[::-1]))
            height, width = (width, height) if turned else (height, width)
        decoded = _decoded(source, lambda: _plain(image, channels=3))
    if not isinstance(image, JpegImageFile):
        height, width = decoded.height, decoded.width
    if decoded.size != size[::-1]:
        decoded = decoded.resize(size[::-1], Resampling.BILINEAR)
    return np.array(decoded, dtype=np.uint8), (height, width)


def read_size(source: Source, *, max_pixels: int = MAX_PIXELS) -> tuple[int, int]:
    """Return the (height, width) of a picture as `read_image` gives it, without decoding it."""
    with _opened(source) as stream:
        image = _picture(source, stream, max_pixels)
        size = image.height, image.width
        return size[::-1] if _is_turned(source, image) else size


def _picture(source: Source, stream: BinaryIO, max_pixels: int) -> ImageFile:
    image, bit_depth = _header(source, stream, max_pixels)
    if bit_depth == _DEEP_BITS or image.mode.startswith(("I", "F")):
        raise _refusal(source, "16 bits per channel; convert it to 8 bits")
    if image.mode not in _PLAIN_MODES:
        raise _refusal(source, f"colours are {image.mode}; convert it to RGB")
    return image


def read_mask(path: Path) -> NDArray[np.uint8]:
    """Read a mask as HxW values, just as they are on disk; for a palette, its indices.

    Colours (RGB) are refused, since which colour is which class must be declared; lossy files
    too, since their values have changed.
    """
    with _opened(path) as stream:
        image, bit_depth = _mask_header(path, stream)
        if image.mode in {"LA", "PA"}:
            raise _refusal(path, "mask has transparency; save it without, as 8-bit grey or palette")
        if image.mode not in {"1", "L", "P"}:
            raise _refusal(
                path,
                f"mask has colours ({image.mode}); save class ids as an 8-bit grey or palette"
                " PNG, or declare a colour for each class in labels.yaml",
            )
        values = _decoded(path, lambda: np.array(image, dtype=np.uint8))
    if image.mode == "L" and bit_depth in _STRETCH:
        values //= np.uint8(_STRETCH[bit_depth])
    return values


def has_colors(path: Path) -> bool:
    """Tell by the header whether a mask holds colours (RGB) and not values or indices."""
    with _opened(path) as stream:
        return _mask_header(path, stream)[0].mode not in {"1", "L", "P"}


def read_color_mask(path: Path) -> NDArray[np.uint8]:
    """Read a mask whose classes are colours as HxWx3; palette and grey masks are expanded."""
    with _opened(path) as stream:
        image, _ = _mask_header(path, stream)
        if image.mode not in _PLAIN_MODES:
            raise _refusal(path, f"colours are {image.mode}; convert it to RGB")
        return _decoded(path, lambda: np.array(_as_rgb(image), dtype=np.uint8))


@contextmanager
def _opened(source: Source) -> Iterator[BinaryIO]:
    if isinstance(source, bytes):
        yield io.BytesIO(source)
    elif not isinstance(source, Path):
        yield source if source.seekable() else io.BytesIO(source.read())
    else:
        try:
            stream = source.open("rb")
        except OSError as wrong:
            reason = (wrong.strerror or "cannot be opened").lower()
            raise _refusal(source, reason) from wrong
        with stream:
            yield stream


def _mask_header(path: Path, stream: BinaryIO) -> tuple[ImageFile, int | None]:
    image, bit_depth = _header(path, stream, MAX_PIXELS)
    if isinstance(image, JpegImageFile | WebPImageFile):
        raise _refusal(path, LOSSY)
    if bit_depth == _DEEP_BITS or image.mode.startswith("I"):
        raise _refusal(path, "mask has 16 bits; class ids 0 to 254 need an 8-bit PNG")
    return image, bit_depth


def _header(source: Source, stream: BinaryIO, max_pixels: int) -> tuple[ImageFile, int | None]:
    """Open without decoding, and refuse by size. Also the bit depth, where it is a PNG."""
    start = stream.read(_HEADER_BYTES)
    stream.seek(-len(start), io.SEEK_CUR)
    plugin = _plugin(start)
    if plugin is None:
        kind = "empty file" if not start else "not a JPEG, PNG, BMP or WebP picture"
        raise _refusal(source, kind, UnknownFormatError)
    image = _decoded(source, lambda: plugin(stream))
    _check_size(source, image, max_pixels)
    return image, start[_PNG_BIT_DEPTH_AT] if plugin is PngImageFile else None


def _plugin(start: bytes) -> Callable[[BinaryIO], ImageFile] | None:
    if start.startswith(b"\x89PNG\r\n\x1a\n") and len(start) == _HEADER_BYTES:
        return PngImageFile
    if start.startswith(b"\xff\xd8\xff"):
        return JpegImageFile
    if start.startswith(b"BM"):
        return BmpImageFile
    if start.startswith(b"RIFF") and start[8:12] == b"WEBP":
        return WebPImageFile
    return None


def _check_size(source: Source, image: ImageFile, max_pixels: int) -> None:
    width, height = image.size
    size = f"{width:,} x {height:,} px"
    if width * height > max_pixels:
        reason = f"{size} is more than {max_pixels:,} pixels; make it smaller"
        raise _refusal(source, reason, TooLargeError)
    if max(width, height) > MAX_SIDE:
        reason = f"{size} has a side over {MAX_SIDE:,}; make it smaller"
        raise _refusal(source, reason, TooLargeError)
    if max(width, height) > MAX_RATIO * min(width, height):
        raise _refusal(source, f"{size} is more than {MAX_RATIO} times longer than wide; cut it up")


def _check_scans(source: Source, stream: BinaryIO, image: ImageFile) -> None:
    if not image.info.get("progressive"):
        return
    at = stream.tell()
    scans = stream.read().count(_START_OF_SCAN)
    stream.seek(at)
    if scans > MAX_SCANS:
        raise _refusal(source, f"{scans:,} scans in a JPEG, at most {MAX_SCANS} are read")


def _is_turned(source: Source, image: ImageFile) -> bool:
    """Tell whether EXIF says that a picture lies on its side."""
    exif = _decoded(source, image.getexif)
    return exif.get(ExifTags.Base.Orientation) in {5, 6, 7, 8}


def _decoded(source: Source, decode: Callable[[], T]) -> T:
    # Decoders fail on bad files with whatever exception comes to hand, from OSError to
    # struct.error. Nothing but Pillow runs in here, so all of them mean: this file is bad.
    try:
        return decode()
    except Exception as wrong:
        reason = str(wrong) or type(wrong).__name__
        raise _refusal(source, f"damaged or truncated ({reason}); fetch it again") from wrong


def _plain(image: ImageFile, channels: int) -> Image:
    ImageOps.exif_transpose(image, in_place=True)  # else it copies what is upright already
    if channels == 1 and image.mode in {"1", "L", "LA"}:
        return image.convert("L")
    return _as_rgb(image) if channels == 3 else _as_rgb(image).convert("L")  # noqa: PLR2004


def _as_rgb(image: Image) -> Image:
    if image.mode == "RGB":
        return image
    # By way of RGBA, or Pillow warns about palettes with transparency.
    return image.convert("RGBA").convert("RGB") if "P" in image.mode else image.convert("RGB")


def _refusal(source: Source, reason: str, kind: type[DataError] = DataError) -> DataError:
    name = source if isinstance(source, Path) else "picture"
    return kind(f"{name}: {reason}")
