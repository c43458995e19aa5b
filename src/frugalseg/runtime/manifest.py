"""Manifest: what an artifact folder holds, and how to feed it and read it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator

from frugalseg.core.errors import ArtifactError, ConfigError
from frugalseg.core.files import sha256, write_json
from frugalseg.core.inputs import InputSpec
from frugalseg.core.labels import LabelSpace

Output = Literal["scores", "ids"]

NAME = "manifest.json"
MAX_BYTES = 1_000_000


class NetworkFile(BaseModel):
    """One file with a network.

    `input` says what the tensor holds: "uint8" the pixel, "int8" the pixel minus 128. Its
    layout is NHWC. `output` says what comes out: class scores at the native size, NHWC, or class
    ids, NHW, at the size of the input (on an IMX500 at the native size).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: str
    format: Literal["litert", "onnx", "imx500"]
    precision: Literal["int8", "fp32"]
    input: Literal["uint8", "int8"]
    output: Output = "scores"
    bytes: int = Field(gt=0)
    sha256: str
    scores: dict[str, Any] | None = None
    parity: float | None = None

    @field_validator("path")
    @classmethod
    def _stays_inside(cls, path: str) -> str:
        if Path(path).name != path or path in {"", ".", ".."}:
            raise ValueError("a network file lies directly in the artifact's folder")
        return path


class Manifest(BaseModel):
    """An artifact described. The first file is the one to deploy.

    `others` are the files beside those with a network, with their SHA-256; `execution` says how
    the network was laid out for the device, and `board` what lies in its folder of sources.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: Literal[1] = 1
    name: str
    created: str
    frugalseg: str
    labels: dict[str, Any]
    input: dict[str, Any]
    files: tuple[NetworkFile, ...] = Field(min_length=1)
    architecture: dict[str, Any]
    float_scores: dict[str, Any] | None = None
    scored_on: str | None = None
    tolerance_points: float | None = None
    device: str | None = None
    footprint: dict[str, Any] | None = None
    training: dict[str, Any] = {}
    settings: dict[str, Any] = {}
    others: dict[str, str] = {}
    execution: dict[str, Any] | None = None
    board: dict[str, Any] | None = None

    @property
    def label_space(self) -> LabelSpace:
        """The classes."""
        return LabelSpace.from_dict(self.labels)

    @property
    def input_spec(self) -> InputSpec:
        """Size and normalisation of the input."""
        return InputSpec.from_dict(self.input)

    def save(self, folder: Path) -> None:
        """Write `manifest.json`."""
        write_json(folder / NAME, self.model_dump(mode="json"))

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read and check `manifest.json`; raises ArtifactError where it is not one."""
        path = folder / NAME
        if not path.is_file():
            raise ArtifactError(f"{folder} is not an artifact: it has no {NAME}")
        if (size := path.stat().st_size) > MAX_BYTES:
            raise ArtifactError(f"{path} has {size:,} bytes; a manifest has at most {MAX_BYTES:,}")
        try:
            values: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            manifest = cls.model_validate(values)
            _ = manifest.label_space, manifest.input_spec
        except (OSError, ValueError, RecursionError, ConfigError) as wrong:
            raise ArtifactError(f"{path} cannot be read: {wrong}") from wrong
        return manifest

    def checked(self, folder: Path, file: NetworkFile) -> Path:
        """Return the path of one of the files once its hash has been compared."""
        path = folder / file.path
        if not path.is_file():
            raise ArtifactError(f"{folder} is incomplete: {file.path} is missing")
        if sha256(path) != file.sha256:
            raise ArtifactError(f"{path} is damaged or was changed: its hash is not the manifest's")
        return path
