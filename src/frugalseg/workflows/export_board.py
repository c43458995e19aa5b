"""What an artifact for a board holds beside its network file: sources, and the proof of them.

TensorFlow Lite Micro computes what LiteRT's reference kernels do, to the bit. That is not taken on
trust: where the toolchain is installed, its interpreter runs the file, in the very arena that the
sources state, and labels pictures of the validation split.
"""

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from frugalseg.core.errors import GateError, ToolchainError, require
from frugalseg.core.files import write_json
from frugalseg.core.progress import Progress, silent
from frugalseg.cost.device import Device
from frugalseg.cost.tflite import read_tflite
from frugalseg.cost.tflm import ALIGN, arena
from frugalseg.data.dataset import Dataset
from frugalseg.export.board import FOLDER, BoardArena, BoardModel, write_board
from frugalseg.imaging.read import read_image
from frugalseg.imaging.resize import as_channels, resize_image
from frugalseg.runtime.segmenter import Segmenter
from frugalseg.toolchain import tflm
from frugalseg.toolchain.environment import installed, is_installed

PICTURES = 20
AT_ONCE = 5
PROOF = "proof.json"
PRODUCTS = (
    " In rare cases the two round a product (operator mul) differently; a network without that"
    " operator, such as frugalnet, does not meet it."
)

log = logging.getLogger("frugalseg")

Pictures = Sequence[NDArray[np.uint8]]


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardProof:
    """What the interpreter of TensorFlow Lite Micro did with a file on some pictures.

    It ran in an arena of `arena_bytes`; `is_least` says that it did not in one of 16 bytes less.
    Of the `pixels` that it labelled, shares from 0 to 1 have the class id that LiteRT gives: with
    its reference kernels, where less than 1 fails the export, and with those that the runtime
    uses, which round otherwise.
    """

    tflite_micro: str
    arena_bytes: int
    is_least: bool
    reported_bytes: int
    estimated_bytes: int
    pictures: int
    pixels: int
    equal_to_reference: float
    equal_to_runtime: float


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardExport:
    """The folder with the sources, the arena that they state, and the proof if there is one."""

    folder: Path
    arena: BoardArena
    methods: tuple[str, ...]
    proof: BoardProof | None

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for a manifest."""
        return {
            "folder": self.folder.name,
            "arena": "measured" if self.proof else "estimated",
            "arena_bytes": self.arena.bytes,
            "arena_bytes_32bit_computed": self.arena.bytes_32bit,
            "resolver": list(self.methods),
            "proof": asdict(self.proof) if self.proof else None,
        }


def export_board(
    draft: Path,
    segmenter: Segmenter,
    dataset: Dataset,
    *,
    device: Device,
    progress: Progress = silent,
) -> BoardExport:
    """Write the folder `board` into a draft artifact, for the int8 file that `segmenter` opened.

    Raises ArtifactError for a file that no board can run; GateError where the interpreter cannot
    run it in the arena that was found, or labels a pixel otherwise than LiteRT's reference
    kernels. Without the toolchain nothing is proven: the arena is an estimate, and the log says so.
    """
    path, labels = draft / segmenter.file.path, segmenter.labels
    model = BoardModel.read(path, labels.num_classes)
    graph = read_tflite(path, views=False)
    estimate, narrow = arena(graph), arena(graph, pointer_bytes=4)
    proof = None
    if is_installed(tflm.NAME):
        installed(tflm.NAME)  # raises what is no fault of the network
        bench = _Bench(path, model, segmenter, _pictures(dataset), progress)
        proof = bench.prove(
            least_bytes=estimate.least_bytes, planning_bytes=estimate.planning_bytes
        )
    else:
        log.warning(
            "the arena in %s/ is estimated; `frugalseg toolchain install tflm`, then export again,"
            " would prove it",
            FOLDER,
        )
    stated = BoardArena(
        bytes=proof.arena_bytes if proof else estimate.least_bytes,
        bytes_32bit=narrow.least_bytes,
        measured_with=proof.tflite_micro if proof else None,
        is_least=bool(proof and proof.is_least),
    )
    write_board(draft / FOLDER, model, labels, stated, device=device.name)
    if proof:
        write_json(draft / FOLDER / PROOF, asdict(proof))
    return BoardExport(folder=draft / FOLDER, arena=stated, methods=model.methods, proof=proof)


def _pictures(dataset: Dataset) -> Pictures:
    """Read pictures from the whole of the validation split, evenly."""
    val = dataset.split("val")
    count = min(PICTURES, len(val))
    return [read_image(val[i * len(val) // count].image) for i in range(count)]


@dataclass(frozen=True, slots=True)
class _Bench:
    """A file, what opened it, and the pictures that both are shown."""

    path: Path
    model: BoardModel
    segmenter: Segmenter
    pictures: Pictures
    progress: Progress

    def prove(self, *, least_bytes: int, planning_bytes: int) -> BoardProof:
        """Run and compare; raises GateError where one of them fails."""
        held_NHWC = self._held()
        try:
            report = tflm.arena(self.path)
            room = max(report.total_bytes, planning_bytes)
            room += -room % ALIGN
            ids_NHW = self._ids(self._run(held_NHWC, room))
        except ToolchainError as wrong:
            raise GateError(f"{wrong}. No artifact was written.") from wrong
        expected_NHW = self._ids(reference_outputs(self.path, held_NHWC))
        self._check_equal(ids_NHW, expected_NHW)
        runtime_NHW = np.stack([self.segmenter.native_labels(p) for p in self.pictures])
        return BoardProof(
            tflite_micro=report.version, arena_bytes=room,
            is_least=not self._runs(held_NHWC[:1], room - ALIGN),
            reported_bytes=report.total_bytes, estimated_bytes=least_bytes,
            pictures=len(ids_NHW), pixels=ids_NHW.size,
            equal_to_reference=float((ids_NHW == expected_NHW).mean()),
            equal_to_runtime=float((ids_NHW == runtime_NHW).mean()),
        )  # fmt: skip

    def _held(self) -> NDArray[np.int8]:
        """Return what the input tensor holds for each picture, stretched to its size."""
        _, height, width, channels = self.model.input.shape
        fitted = [as_channels(resize_image(p, (height, width)), channels) for p in self.pictures]
        held_NHWC: NDArray[np.int8] = (np.stack(fitted) ^ 0x80).view(np.int8)
        return held_NHWC

    def _run(self, held_NHWC: NDArray[np.int8], arena_bytes: int) -> NDArray[Any]:
        """Run some pictures at a time, so that it can be seen how far it is."""
        outputs = []
        for start in range(0, len(held_NHWC), AT_ONCE):
            self.progress("proving for the board", start, len(held_NHWC))
            some_NHWC = held_NHWC[start : start + AT_ONCE]
            outputs.append(tflm.run_model(self.path, some_NHWC, arena_bytes=arena_bytes))
        return np.concatenate(outputs)

    def _runs(self, held_NHWC: NDArray[np.int8], arena_bytes: int) -> bool:
        try:
            tflm.run_model(self.path, held_NHWC, arena_bytes=arena_bytes)
        except ToolchainError:
            return False
        return True

    def _ids(self, outputs: NDArray[Any]) -> NDArray[Any]:
        """Return class ids, (N, height, width), as `segment` in the sources does."""
        if self.model.output_is_ids:
            return outputs.reshape(len(outputs), *self.model.output.shape[1:3])
        ids_NHW: NDArray[Any] = outputs.argmax(-1)
        return ids_NHW

    def _check_equal(self, ids_NHW: NDArray[Any], expected_NHW: NDArray[Any]) -> None:
        different_N = (ids_NHW != expected_NHW).sum(axis=(1, 2))
        if not different_N.any():
            return
        raise GateError(
            f"{self.path.name} gives other class ids in TensorFlow Lite Micro than in LiteRT's"
            f" reference kernels: {different_N.sum():,} of {ids_NHW.size:,} pixels, in"
            f" {np.count_nonzero(different_N)} of {len(ids_NHW)} pictures."
            f"{PRODUCTS if 'AddMul' in self.model.methods else ''} No artifact was written."
        )


def reference_outputs(path: Path, held_NHWC: NDArray[np.int8]) -> NDArray[Any]:
    """Run a file through LiteRT's reference kernels; returns its outputs, (N, ...)."""
    litert = require("ai_edge_litert.interpreter", extra=None)
    interpreter = litert.Interpreter(
        model_content=path.read_bytes(),
        experimental_op_resolver_type=litert.OpResolverType.BUILTIN_REF,
    )
    interpreter.allocate_tensors()
    source, result = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    outputs = []
    for held_HWC in held_NHWC:
        interpreter.set_tensor(source["index"], held_HWC[None])
        interpreter.invoke()
        outputs.append(interpreter.get_tensor(result["index"])[0])
    return np.stack(outputs)
