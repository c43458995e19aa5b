"""Runs where TensorFlow Lite Micro is installed: one request a process, its answer in a folder.

    python tflm_worker.py --version
    python tflm_worker.py arena FILE.tflite FOLDER
    python tflm_worker.py run FILE.tflite FOLDER ARENA_BYTES

`arena` writes answer.json; `run` reads inputs.npy (N, H, W, C) and writes outputs.npy. What went
wrong with the network is written as problem.txt. Imports nothing of frugalseg.
"""

import json
import os
import re
import sys
import tempfile
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

ROOMY = 1 << 30  # bytes of address space; what the interpreter does not use costs no memory
PART = r"Arena allocation {} (\d+) bytes"


class ProblemError(Exception):
    """The interpreter refuses the network, or the arena."""


def main(words: list[str]) -> None:
    """Answer one request."""
    match words:
        case ["--version"]:
            import_module("tflite_micro.python.tflite_micro.runtime")  # it may be broken
            sys.stdout.write(version("tflite_micro") + "\n")
        case ["arena", file, folder]:
            answer = arena(Path(file).read_bytes())
            (Path(folder) / "answer.json").write_text(json.dumps(answer), encoding="utf-8")
        case ["run", file, folder, arena_bytes]:
            pictures_NHWC = np.load(Path(folder) / "inputs.npy", allow_pickle=False)
            outputs = run(Path(file).read_bytes(), pictures_NHWC, int(arena_bytes))
            np.save(Path(folder) / "outputs.npy", outputs)
        case _:
            sys.exit(__doc__)


def arena(raw: bytes) -> dict[str, Any]:
    """Read what the recording allocator counts, in bytes."""
    interpreter = interpret(raw, ROOMY)
    _, said = listen(interpreter.print_allocations)
    parts = {part: re.search(PART.format(part), said) for part in ("total", "head", "tail")}
    if missing := [part for part, found in parts.items() if found is None]:
        raise ProblemError(f"its report does not tell {', '.join(missing)}:\n{said}")
    answer: dict[str, Any] = {part: int(found[1]) for part, found in parts.items() if found}
    return {**answer, "version": version("tflite_micro")}


def run(raw: bytes, pictures_NHWC: Any, arena_bytes: int) -> Any:
    """Run each picture in one arena of so many bytes; return what comes out, stacked."""
    interpreter = interpret(raw, arena_bytes)

    def each(picture_HWC: Any) -> Any:
        interpreter.set_input(picture_HWC[None], 0)
        interpreter.invoke()
        return np.array(interpreter.get_output(0))[0]

    return listen(lambda: np.stack([each(picture_HWC) for picture_HWC in pictures_NHWC]))[0]


def interpret(raw: bytes, arena_bytes: int) -> Any:
    """Open a network in an arena."""
    # Here, so that the module can be looked at where the tool is not installed.
    from tflite_micro.python.tflite_micro import runtime  # type: ignore[import-not-found]

    return listen(lambda: runtime.Interpreter.from_bytes(raw, arena_size=arena_bytes))[0]


def listen(act: Callable[[], Any]) -> tuple[Any, str]:
    """Return what `act` returns, and what it wrote to the C library's standard error."""
    with tempfile.TemporaryFile() as kept:
        before = os.dup(2)
        os.dup2(kept.fileno(), 2)
        try:
            value, wrong = act(), None
        except Exception as raised:  # the bindings raise what they like
            value, wrong = None, raised
        finally:
            os.dup2(before, 2)
            os.close(before)
        kept.seek(0)
        said = kept.read().decode(errors="replace")
    if wrong is not None:
        raise ProblemError(f"{wrong}\n{said}".strip()) from wrong
    return value, said


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except ProblemError as problem:
        (Path(sys.argv[3]) / "problem.txt").write_text(str(problem), encoding="utf-8")
