"""Segmenter: an artifact at work. Needs numpy, Pillow and one engine; no PyTorch."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from frugalseg.core.errors import ArtifactError, DataError
from frugalseg.core.labels import LabelSpace
from frugalseg.imaging.draw import colorize, overlay
from frugalseg.imaging.read import read_image
from frugalseg.imaging.resize import as_channels, labels_at, resize_image, resize_labels
from frugalseg.runtime.engines import Engine, open_engine
from frugalseg.runtime.manifest import NAME, Manifest, NetworkFile

PILLOW_MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA")

Picture = Path | str | bytes | BinaryIO | Image.Image | NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Segmentation:
    """The labels of one picture, (H, W) train ids at the picture's own size."""

    image_HWC: NDArray[np.uint8]
    labels_HW: NDArray[np.uint8]
    labels: LabelSpace

    @property
    def shares(self) -> dict[str, float]:
        """Share of the picture's pixels by class name, 0 to 1, all classes in order."""
        counts = np.bincount(self.labels_HW.ravel(), minlength=self.labels.num_classes)
        total = self.labels_HW.size
        return {n: int(c) / total for n, c in zip(self.labels.names, counts, strict=True)}

    def colored(self) -> NDArray[np.uint8]:
        """Return the labels in the colours of the classes, (H, W, 3)."""
        return colorize(self.labels_HW, self.labels.colors)

    def overlay(self, alpha: float = 0.5) -> NDArray[np.uint8]:
        """Return the picture with the colours of the classes over it, (H, W, 3)."""
        return overlay(self.image_HWC, self.labels_HW, self.labels.colors, alpha)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        height, width = self.labels_HW.shape
        return {"width": width, "height": height, "shares": self.shares}


class Segmenter:
    """An artifact, opened. Not to be shared between threads: open one for each.

    Usage:

        segmenter = Segmenter.open("out/artifact")
        result = segmenter.segment("photo.jpg")
        result.shares["bottle"]
    """

    def __init__(self, manifest: Manifest, file: NetworkFile, engine: Engine) -> None:
        self.manifest, self.file = manifest, file
        self.labels, self.input = manifest.label_space, manifest.input_spec
        self._engine = engine

    @classmethod
    def open(cls, path: str | Path, *, file: str | None = None, threads: int = 2) -> Self:
        """Open an artifact folder, or the folder of a `fit` that holds one.

        `file` names one of its network files; by default it is the one to deploy. Raises
        ArtifactError if the folder is not an artifact, or was changed since it was written.
        """
        folder = find_artifact(Path(path))
        manifest = Manifest.load(folder)
        by_name = {entry.path: entry for entry in manifest.files}
        if file is not None and file not in by_name:
            raise ArtifactError(f"{folder} has no {file}; it has {', '.join(by_name)}")
        chosen = by_name[file] if file else manifest.files[0]
        engine = open_engine(
            manifest.checked(folder, chosen), chosen, manifest.input_spec,
            manifest.label_space.num_classes, threads=threads,
        )  # fmt: skip
        return cls(manifest, chosen, engine)

    def segment(self, picture: Picture) -> Segmentation:
        """Label a picture: a path, encoded bytes, a Pillow image, uint8 (H, W, 3) RGB or (H, W).

        Raises DataError for a picture that cannot be used.
        """
        image_HWC = _pixels(picture)
        return Segmentation(
            image_HWC=image_HWC, labels_HW=self.labels_of(image_HWC), labels=self.labels
        )

    def labels_of(self, image_HWC: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the train ids of RGB pixels, (H, W)."""
        size = (image_HWC.shape[0], image_HWC.shape[1])
        if self.file.output == "ids":
            return resize_labels(self.native_labels(image_HWC), size)
        return labels_at(self.scores(image_HWC), size)

    def scores(self, image_HWC: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the network's scores at its native size, (h, w, classes).

        Raises ArtifactError for a file that gives ids alone.
        """
        if self.file.output == "ids":
            raise ArtifactError(f"{self.file.path} gives class ids, no scores")
        scores_hwC: NDArray[np.float32] = self._run(image_HWC)
        return scores_hwC

    def native_labels(self, image_HWC: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return train ids at the network's native size, (h, w), as a device sees them."""
        result: NDArray[Any] = self._run(image_HWC)
        ids_hw: NDArray[Any] = result if self.file.output == "ids" else result.argmax(-1)
        return ids_hw.astype(np.uint8)

    def _run(self, image_HWC: NDArray[np.uint8]) -> NDArray[Any]:
        pixels = as_channels(resize_image(image_HWC, self.input.size), self.input.channels)
        return self._engine(np.ascontiguousarray(pixels))


def holds_artifact(path: Path) -> bool:
    """Whether the folder is an artifact, or has one named `artifact` inside."""
    return any((folder / NAME).is_file() for folder in (path, path / "artifact"))


def find_artifact(path: Path) -> Path:
    """Return the folder itself if it is an artifact, or the one named `artifact` inside it."""
    if holds_artifact(path):
        return path if (path / NAME).is_file() else path / "artifact"
    if path.is_file():
        raise ArtifactError(f"{path} is a file; an artifact is a folder with {NAME}")
    raise ArtifactError(f"no artifact at {path}: expected a folder with {NAME}")


def _pixels(picture: Picture) -> NDArray[np.uint8]:
    """Return RGB pixels, (H, W, 3), whatever the network takes."""
    if isinstance(picture, Image.Image):
        return _of_pillow(picture)
    if isinstance(picture, np.ndarray):
        return _of_array(picture)
    return read_image(Path(picture) if isinstance(picture, str) else picture)


def _of_pillow(picture: Image.Image) -> NDArray[np.uint8]:
    if picture.mode not in PILLOW_MODES:
        raise DataError(
            f"a Pillow image of mode {picture.mode} cannot be used; expected one of"
            f" {', '.join(PILLOW_MODES)}: convert it first"
        )
    upright = ImageOps.exif_transpose(picture)
    # By way of RGBA, or Pillow warns about palettes with transparency.
    plain = upright.convert("RGBA") if "P" in upright.mode else upright
    return np.asarray(plain.convert("RGB"), np.uint8)


def _of_array(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    plain = picture.ndim in {2, 3} and picture.shape[2:] in {(), (3,)} and picture.size
    if picture.dtype != np.uint8 or not plain:
        raise DataError(
            "expected uint8 of shape (H, W, 3), or (H, W) if grey,"
            f" got {picture.dtype} of shape {picture.shape}"
        )
    return np.stack([picture] * 3, axis=2) if picture.shape[2:] == () else picture
