"""Facts: what one picture and its labels say when they are decoded, once."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL.BmpImagePlugin import BmpImageFile
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

from frugalseg.core.errors import DataError
from frugalseg.core.labels import IGNORE, LabelSpace
from frugalseg.data.check.duplicates import fingerprint
from frugalseg.data.check.regions import regions_of
from frugalseg.data.dataset import Dataset, Sample
from frugalseg.imaging.read import read_mask

SPECK_PIXELS = 2
"""A region of so many pixels or fewer is taken for a slip of the pen, not for an object."""

OUTLINE_WIDTH = 7
"""Pixels; undeclared values that are nowhere wider lie along outlines. Those of VOC have 5."""

FEW_VALUES = 2
"""More undeclared values than these, in outlines, are mixtures and not a value for "void"."""

_PLUGINS: Mapping[bytes, Callable[[BinaryIO], ImageFile]] = {
    b"\xff\xd8": JpegImageFile, b"\x89P": PngImageFile, b"BM": BmpImageFile, b"RI": WebPImageFile
}  # fmt: skip
_ORIENTATION, _UPRIGHT = 0x0112, 1


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Facts:
    """One decoded sample; `pixels` counts each class, and the ignored ones at the end.

    `areas` has a column for each class and area that regions have: class, pixels, how many such
    regions. `mode` is Pillow's name for the colours in the file; `turned` says whether its header
    has the picture turned. With problems, all else is empty.
    """

    sample: Sample
    size: tuple[int, int] = (0, 0)
    pixels: tuple[int, ...] = ()
    areas: NDArray[np.int64] = field(default_factory=lambda: np.zeros((3, 0), np.int64))
    content: str = ""
    print: bytes | None = None
    mode: str = "RGB"
    turned: bool = False
    problems: tuple[str, ...] = ()
    hint: str = ""

    @property
    def label_file(self) -> Path:
        """The file to name for these labels; the picture where one file labels many."""
        return self.sample.label if self.sample.item < 0 else self.sample.image

    @property
    def specks(self) -> int:
        """How many regions have one or two pixels."""
        return int(self.areas[2, self.areas[1] <= SPECK_PIXELS].sum())

    @property
    def classes(self) -> list[int]:
        """Train ids that occur."""
        return [i for i, count in enumerate(self.pixels[:-1]) if count]


def facts_of(dataset: Dataset, sample: Sample) -> Facts:
    """Decode one sample; what cannot be read is told in the facts and not raised."""
    try:
        image_HWC, labels_HW = dataset.load(sample)
        content = hashlib.sha256(sample.image.read_bytes()).hexdigest()
    except DataError as wrong:
        problems = wrong.problems or (wrong.summary,)
        return Facts(sample=sample, problems=problems, hint=_outline_hint(dataset.labels, sample))
    mode, turned = header_of(sample.image)
    found = regions_of(labels_HW)
    pixels = np.bincount(found.labels, weights=found.areas, minlength=256).astype(np.int64)
    of_class = found.labels != IGNORE
    kinds = np.stack([found.labels[of_class].astype(np.int64), found.areas[of_class]])
    unique, counts = np.unique(kinds, axis=1, return_counts=True)
    return Facts(
        sample=sample,
        size=(labels_HW.shape[0], labels_HW.shape[1]),
        pixels=(*pixels[: dataset.labels.num_classes].tolist(), int(pixels[IGNORE])),
        areas=np.concatenate([unique, counts[None]]),
        content=content,
        print=fingerprint(image_HWC),
        mode=mode,
        turned=turned,
    )


def header_of(path: Path) -> tuple[str, bool]:
    """Read Pillow's mode, and whether EXIF turns it, of a picture that is known to open."""
    with path.open("rb") as stream:
        plugin = _PLUGINS[stream.read(2)]
        stream.seek(0)
        image = plugin(stream)
        # A PNG without these would be decoded to its end in search of them.
        said = plugin is not PngImageFile or not {"exif", "XML:com.adobe.xmp"}.isdisjoint(
            image.info
        )
        turned = said and image.getexif().get(_ORIENTATION, _UPRIGHT) != _UPRIGHT
        return image.mode, turned


def _outline_hint(labels: LabelSpace, sample: Sample) -> str:
    """Say what to do where the undeclared values of a mask all lie along outlines."""
    try:
        values_HW = read_mask(sample.label)
    except DataError:
        return ""
    strange_HW = ~np.isin(values_HW, list(labels.from_disk))
    if not strange_HW.any() or not _is_thin(strange_HW):
        return ""
    strange = np.unique(values_HW[strange_HW]).tolist()
    if len(strange) > FEW_VALUES:
        return (
            "the undeclared values lie along outlines only, many of them: this mask was smoothed"
            " when it was resized; make it again with nearest neighbour"
        )
    return (
        f"{strange} lies along outlines only: if it stands for void, declare it as a value that"
        f" is ignored (labels.yaml: 'ignore: {strange}')"
    )


def _is_thin(marked_HW: NDArray[np.bool_]) -> bool:
    """Tell whether no square of 8x8 pixels is marked throughout, one wider than any outline."""
    side = OUTLINE_WIDTH + 1
    if min(marked_HW.shape) < side:
        return False
    sums_HW = np.pad(marked_HW.cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))
    whole = sums_HW[side:, side:] - sums_HW[:-side, side:] - sums_HW[side:, :-side]
    return bool((whole + sums_HW[:-side, :-side] < side * side).all())
