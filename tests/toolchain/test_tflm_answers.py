"""What is made of a worker that answers with nonsense, or not at all: no tool is needed."""

from pathlib import Path

import numpy as np
import pytest

from frugalseg.core.errors import ToolchainError
from frugalseg.toolchain.environment import Environment
from frugalseg.toolchain.tflm import arena, run_model

from .conftest import write_program


def tool(folder: Path, script: str) -> Environment:
    """A stand-in for the tool's Python: `$2` is the request, `$4` the folder for the answer."""
    python = write_program(folder / "bin" / "python", f"#!/bin/sh\n{script}\n")
    return Environment(name="tflm", folder=folder, python=python)


@pytest.mark.parametrize(
    "script",
    [
        "exit 0",
        "echo '{\"head\": 1' > $4/answer.json",
        'echo \'{"head": "1,5", "tail": 2, "total": 3, "version": "1"}\' > $4/answer.json',
        'echo \'{"head": 1, "tail": 2, "total": 4, "version": "1"}\' > $4/answer.json',
        "echo '[]' > $4/answer.json",
        "head -c 100 /dev/urandom > $4/answer.json",
    ],
)
def test_an_answer_that_makes_no_sense_is_refused(tmp_path: Path, script: str) -> None:
    with pytest.raises(ToolchainError, match="no answer that makes sense"):
        arena(Path("x.tflite"), tool(tmp_path, script))


def test_an_answer_is_read(tmp_path: Path) -> None:
    script = 'echo \'{"head": 1, "tail": 2, "total": 3, "version": "1"}\' > $4/answer.json'
    found = arena(Path("x.tflite"), tool(tmp_path, script))
    assert (found.head_bytes, found.tail_bytes, found.total_bytes) == (1, 2, 3)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("Didn't find op for builtin opcode 'GELU'", "it has no operator GELU"),
        ("TFLM failed\nFailed to resize buffer. Requested: 9", "the arena is too small"),
        ("something else", "something else"),
    ],
)
def test_what_the_interpreter_refuses_is_told(tmp_path: Path, said: str, told: str) -> None:
    with pytest.raises(ToolchainError, match=f"refuses x.tflite: {told}"):
        arena(Path("x.tflite"), tool(tmp_path, f'echo "{said}" > $4/problem.txt'))


def test_outputs_that_are_none_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = tool(tmp_path, "echo garbage > $4/outputs.npy")
    monkeypatch.setattr("frugalseg.toolchain.tflm.installed", lambda _: fake)
    with pytest.raises(ToolchainError, match="no answer that makes sense"):
        run_model(Path("x.tflite"), np.zeros((1, 2, 2, 3), np.int8), arena_bytes=1024)
