"""All file formats. The key is the name of the file that writes it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Literal, Protocol

from frugalseg.core.inputs import InputSpec
from frugalseg.export.calibration import Pictures
from frugalseg.export.litert import export_litert
from frugalseg.export.litert_int8 import export_litert_int8
from frugalseg.export.onnx import export_onnx
from frugalseg.export.quantisation import Quantisation
from frugalseg.models.network import Network


class Write(Protocol):
    """Writes `network` as `path`."""

    def __call__(
        self,
        network: Network,
        spec: InputSpec,
        path: Path,
        *,
        pictures: Pictures,
        how: Quantisation = ...,
        shared: Path | None = ...,
    ) -> None:
        """Write the file; formats in float need neither `pictures` nor `how`.

        `shared` is a folder in which files of the same network may leave work for each other.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """A file format: who writes it, what runs it, what its input tensor holds."""

    write: Write
    file: str
    engine: Literal["litert", "onnx"]
    precision: Literal["int8", "fp32"]
    input: Literal["uint8", "int8"]


FORMATS: Mapping[str, Format] = MappingProxyType(
    {
        "litert_int8": Format(
            write=export_litert_int8,
            file="model.int8.tflite",
            engine="litert",
            precision="int8",
            input="int8",
        ),
        "litert": Format(
            write=export_litert,
            file="model.fp32.tflite",
            engine="litert",
            precision="fp32",
            input="uint8",
        ),
        "onnx": Format(
            write=export_onnx,
            file="model.fp32.onnx",
            engine="onnx",
            precision="fp32",
            input="uint8",
        ),
    }
)
