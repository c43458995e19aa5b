"""Engines: each runs one network file on one picture of the right size."""

import contextlib
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from frugalseg.core.errors import ArtifactError, require
from frugalseg.core.inputs import InputSpec
from frugalseg.runtime.manifest import NetworkFile

EXTERNAL_DATA_BELOW = "session.model_external_initializers_file_folder_path"

IDS_HW = 2  # axes

_ONE_AT_A_TIME = threading.Lock()

Engine = Callable[[NDArray[np.uint8]], NDArray[Any]]
"""Pixels (H, W, channels) to scores (h, w, classes), or to ids (H, W), as the file has it.

Not to be shared between threads.
"""


class Loaded(NamedTuple):
    """An engine with what its file says of itself: one text for each input and output tensor."""

    run: Engine
    takes: list[str]
    gives: list[tuple[Any, ...]]


def open_engine(
    path: Path, file: NetworkFile, spec: InputSpec, num_classes: int, *, threads: int = 2
) -> Engine:
    """Load a network file into the engine for its format.

    Raises MissingExtraError if that engine is not installed, ArtifactError for a file that is
    damaged, does not take and give what the manifest says, or runs on its device alone.
    """
    if file.format not in ENGINES:
        raise ArtifactError(
            f"{path.name} runs on a Sony {file.format.upper()} alone: its scores are in the"
            " manifest, and README.md in the artifact says how it gets there"
        )
    loaded = ENGINES[file.format](path, threads)
    wanted = [_tensor(file.input, (1, spec.height, spec.width, spec.channels))]
    problems = []
    if loaded.takes != wanted:
        problems.append(f"it takes {', '.join(loaded.takes)}, expected {wanted[0]}")
    if not _gives(loaded, file, spec, num_classes):
        given = ", ".join(map(str, loaded.gives))
        expected = f"{num_classes} classes, NHWC" if file.output == "scores" else f"ids of {spec}"
        problems.append(f"it gives {given}, expected {expected}")
    if problems:
        raise ArtifactError(f"{path.name} is not what its manifest says: {'; '.join(problems)}")
    return loaded.run


def _gives(loaded: Loaded, file: NetworkFile, spec: InputSpec, num_classes: int) -> bool:
    if file.output == "ids":
        return loaded.gives == [(1, *spec.size)]
    match loaded.gives:
        case [(1, _, _, classes)]:
            return bool(classes == num_classes)
    return False


def _tensor(element: str, shape: tuple[Any, ...]) -> str:
    return f"{element} {shape}"


def _litert(path: Path, threads: int) -> Loaded:
    interpreter_module = require("ai_edge_litert.interpreter", extra=None)
    try:
        with _hushed():
            interpreter = interpreter_module.Interpreter(
                model_content=path.read_bytes(), num_threads=threads
            )
            interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as wrong:
        raise ArtifactError(f"LiteRT cannot run {path.name}: {wrong}") from wrong
    inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
    takes = [_tensor(np.dtype(i["dtype"]).name, tuple(i["shape"].tolist())) for i in inputs]
    gives = [tuple(o["shape"].tolist()) for o in outputs]

    def run(pixels_HWC: NDArray[np.uint8]) -> NDArray[Any]:
        source, target = inputs[0], outputs[0]
        scale, zero = target["quantization"]
        interpreter.set_tensor(source["index"], _fed(pixels_HWC, source["dtype"])[None])
        interpreter.invoke()
        result: NDArray[Any] = interpreter.get_tensor(target["index"])[0]
        if result.ndim == IDS_HW:
            return result.astype(np.uint8)
        scores: NDArray[np.float32] = result.astype(np.float32)
        real: NDArray[np.float32] = (scores - np.float32(zero)) * np.float32(scale)
        return scores if scale == 0 else real

    return Loaded(run, takes, gives)


@contextlib.contextmanager
def _hushed() -> Iterator[None]:
    """Keep what LiteRT greets with off standard error; its errors are in its exceptions too."""
    with _ONE_AT_A_TIME, contextlib.ExitStack() as undo:
        with contextlib.suppress(OSError):  # a process may have no standard error
            kept = os.dup(2)
            undo.callback(os.close, kept)
            nowhere = os.open(os.devnull, os.O_WRONLY)
            undo.callback(os.close, nowhere)
            os.dup2(nowhere, 2)
            undo.callback(os.dup2, kept, 2)
        yield


def _onnx(path: Path, threads: int) -> Loaded:
    runtime = require("onnxruntime", extra="onnx")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    # Weights outside the file are looked for below this path. It is a file, so none are found:
    # what a stranger's network names is never read.
    options.add_session_config_entry(EXTERNAL_DATA_BELOW, str(path.absolute()))
    try:
        session = runtime.InferenceSession(
            path.read_bytes(), options, providers=["CPUExecutionProvider"]
        )
    except Exception as wrong:
        raise ArtifactError(f"ONNX Runtime cannot run {path.name}: {wrong}") from wrong
    inputs = session.get_inputs()
    takes = [
        _tensor(i.type.removeprefix("tensor(").removesuffix(")"), tuple(i.shape)) for i in inputs
    ]
    gives = [tuple(o.shape) for o in session.get_outputs()]

    def run(pixels_HWC: NDArray[np.uint8]) -> NDArray[np.float32]:
        source = inputs[0]
        held = _fed(pixels_HWC, np.int8 if source.type == "tensor(int8)" else np.uint8)
        scores: NDArray[np.float32] = session.run(None, {source.name: held[None]})[0][0]
        return scores

    return Loaded(run, takes, gives)


def _fed(pixels_HWC: NDArray[np.uint8], dtype: Any) -> NDArray[Any]:
    """Return what the input tensor holds: the pixel, or the pixel minus 128."""
    return (pixels_HWC ^ 0x80).view(np.int8) if dtype == np.int8 else pixels_HWC


ENGINES: Mapping[str, Callable[[Path, int], Loaded]] = MappingProxyType(
    {"litert": _litert, "onnx": _onnx}
)
