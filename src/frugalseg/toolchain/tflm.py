"""TensorFlow Lite Micro: what its interpreter needs for a file, and what it computes."""

import json
import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from frugalseg.core.errors import ToolchainError
from frugalseg.toolchain.environment import Environment, installed
from frugalseg.toolchain.environment import run as run_script

NAME = "tflm"
WORKER = Path(__file__).with_name("tflm_worker.py")
ARENA_TIMEOUT_S = 300.0
RUN_TIMEOUT_S = 3600.0  # reference kernels take seconds for a large picture
MISSING_OPERATOR = re.compile(r"find op for builtin opcode '(\w+)'")
SHORT = re.compile(r"[Ff]ailed to (?:resize buffer|allocate)")


@dataclass(frozen=True, slots=True, kw_only=True)
class ArenaReport:
    """What the interpreter took of its arena, in bytes, as its recording allocator counts."""

    head_bytes: int
    tail_bytes: int
    total_bytes: int
    version: str


def arena(file: Path, environment: Environment | None = None) -> ArenaReport:
    """Let the interpreter measure the arena that a .tflite file needs.

    Runs in the toolchain that is installed, or in another `environment`. Raises ToolchainError
    where it is missing, and where the interpreter refuses the file: an operator that it lacks is
    named.
    """
    with tempfile.TemporaryDirectory(prefix="frugalseg-") as name:
        there = environment or installed(NAME)
        _ask(there, ["arena", str(file), name], f"{file}", ARENA_TIMEOUT_S)
        with _sense():
            told = json.loads((Path(name) / "answer.json").read_text(encoding="utf-8"))
            found = ArenaReport(
                head_bytes=int(told["head"]),
                tail_bytes=int(told["tail"]),
                total_bytes=int(told["total"]),
                version=str(told["version"]),
            )
            if found.total_bytes != found.head_bytes + found.tail_bytes:
                raise ValueError(f"head and tail are not the total of {found}")
    return found


def run_model(file: Path, pictures_NHWC: NDArray[np.int8], *, arena_bytes: int) -> NDArray[Any]:
    """Run a .tflite file on pictures as its input tensor holds them; returns (N, ...) outputs.

    All run in one arena of so many bytes. Raises ToolchainError where that does not suffice,
    where the interpreter lacks an operator, which is named, or does not take the pictures.
    """
    with tempfile.TemporaryDirectory(prefix="frugalseg-") as name:
        np.save(Path(name) / "inputs.npy", pictures_NHWC)
        what = f"{file} in an arena of {arena_bytes:,} bytes"
        words = ["run", str(file), name, str(arena_bytes)]
        _ask(installed(NAME), words, what, RUN_TIMEOUT_S)
        with _sense():
            outputs: NDArray[Any] = np.load(Path(name) / "outputs.npy", allow_pickle=False)
    return outputs


def _ask(environment: Environment, words: Sequence[str], what: str, timeout_s: float) -> None:
    """Run the worker; `words` are what, with which file, and in which folder it answers."""
    run_script(environment, WORKER, words, timeout_s=timeout_s)
    problem = Path(words[2]) / "problem.txt"
    if problem.exists():
        said = problem.read_text(encoding="utf-8")
        raise ToolchainError(f"TensorFlow Lite Micro refuses {what}: {_why(said)}")


@contextmanager
def _sense() -> Iterator[None]:
    """Read an answer, or say that it is none."""
    try:
        yield
    except (OSError, ValueError, KeyError, TypeError) as wrong:
        raise ToolchainError(f"{WORKER.name} gave no answer that makes sense: {wrong}") from wrong


def _why(said: str) -> str:
    """Say in one line what the interpreter says in several."""
    if lacks := MISSING_OPERATOR.findall(said):
        return f"it has no operator {', '.join(dict.fromkeys(lacks))}"
    if SHORT.search(said):
        return f"the arena is too small ({' '.join(said.splitlines()[1:2])})"
    return said
