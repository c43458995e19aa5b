"""Run a tool so that nothing of it outlives us: one process group, one time limit."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from frugalseg.core.errors import ToolchainError

LAST_LINES = 12
# What would lead a tool's Python to packages of ours or of the user's.
NOT_THEIRS = ("PYTHONHOME", "PYTHONPATH", "PYTHONSTARTUP", "VIRTUAL_ENV", "__PYVENV_LAUNCHER__")


def run_group(
    words: Sequence[str], *, timeout_s: float, extra: Mapping[str, str] | None = None
) -> str:
    """Run a command and return what it printed, decoded as UTF-8 as far as that goes.

    `extra` is added to the environment, in which numbers have a decimal point. Raises
    ToolchainError where the command cannot be started, ends with a code other than 0 (with the
    last lines that it said) or runs longer than `timeout_s` seconds. Whatever ends it, Ctrl-C
    too, all processes of its group are ended with it.
    """
    told = _title(words)
    with _start(words, extra or {}) as running:
        try:
            out, err = running.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            raise ToolchainError(
                f"{told} did not end within {timeout_s:g} s and was stopped; it may hang, or the"
                " machine may be too slow for this network"
            ) from None
        finally:
            _end(running)
    said = out.decode(errors="replace")
    if running.returncode:
        lines = last_lines(err.decode(errors="replace").strip() or said)
        raise ToolchainError(f"{told} {ending(running.returncode)}{lines}")
    return said


def ending(code: int) -> str:
    """Say how a process ended.

    >>> ending(3), ending(-11)
    ('ended with code 3', 'crashed (SIGSEGV)')
    """
    if code >= 0:
        return f"ended with code {code}"
    try:
        return f"crashed ({signal.Signals(-code).name})"
    except ValueError:
        return f"crashed (signal {-code})"


def last_lines(text: str) -> str:
    """Format the end of what a tool said; nothing for nothing."""
    lines = [line.rstrip() for line in text.splitlines() if line.strip()][-LAST_LINES:]
    return ", having said:" + "".join(f"\n  {line}" for line in lines) if lines else ""


def _title(words: Sequence[str]) -> str:
    """Name a command in a few words: a module, a script, or else the program."""
    match words:
        case [program, "-m", module, *_]:
            return f"{Path(program).name} -m {module}"
        case [_, script, *_] if script.endswith(".py"):
            return Path(script).name
    return Path(words[0]).name


def _start(words: Sequence[str], extra: Mapping[str, str]) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            words, env=_environment(extra), start_new_session=True, close_fds=False,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
    except OSError as wrong:
        raise ToolchainError(f"cannot start {words[0]}: {wrong.strerror}") from wrong


def _environment(extra: Mapping[str, str]) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if key not in NOT_THEIRS}
    return {**kept, "LC_ALL": "C.UTF-8", "PYTHONNOUSERSITE": "1", "PYTHONSAFEPATH": "1", **extra}


def _end(running: subprocess.Popen[bytes]) -> None:
    """End the group: the process, if it runs, and what it started and left behind."""
    with contextlib.suppress(ProcessLookupError, PermissionError):  # nothing is left of it
        os.killpg(running.pid, signal.SIGKILL)
