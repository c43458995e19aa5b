"""Make, and remove, the environment of a toolchain. What is done is not done again."""

import fcntl
import json
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

from frugalseg.core.errors import ConfigError, ToolchainError
from frugalseg.core.files import check_folder, write_json
from frugalseg.core.progress import Progress, silent
from frugalseg.toolchain.catalog import Toolchain, plain, toolchain
from frugalseg.toolchain.environment import (
    STAMP,
    STEPS,
    check_java,
    folder_of,
    is_installed,
    python_in,
    read_stamp,
    versions,
)
from frugalseg.toolchain.process import run_group

VENV_TIMEOUT_S = 600.0
PIP_TIMEOUT_S = 6 * 3600.0  # a slow line; pip itself gives up on a dead one
PIP = ("-m", "pip", "--disable-pip-version-check", "--no-input", "install", "--quiet")
# What a Python must have, and say, to make an environment.
ASK_PYTHON = "import ensurepip, venv, sys; print('%d.%d' % sys.version_info[:2])"
ASK_TIMEOUT_S = 30.0


def install(name: str, *, python: Path | None = None, progress: Progress = silent) -> list[str]:
    """Make the environment of a toolchain, with `python`; return the steps that were done.

    No step means that all was there. `python` is one of the versions that the lock is for; by
    default it is looked for. Raises ToolchainError where no such Python, or no Java, is found,
    where a step fails, and where another process is at it. What is done by then stays, and the
    next call goes on from there.
    """
    wanted, folder = toolchain(name), folder_of(name)
    check_folder(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _alone(folder):
        lock = sha256(wanted.lock.encode()).hexdigest()
        if is_installed(name) and read_stamp(folder).get("lock_sha256") == lock:
            return []
        check_java(wanted)
        state = _begin(folder, lock)
        maker = find_python(wanted, python) if not state["done"] else None
        folder.mkdir(exist_ok=True)
        (folder / STAMP).unlink(missing_ok=True)  # where there is one, it is of another lock
        steps = _steps(wanted, folder, maker)
        todo = {step: act for step, act in steps if step not in state["done"]}
        for number, (step, act) in enumerate(todo.items()):
            progress(f"installing {name}: {step}", number, len(todo))
            again = state["begun"] == step
            write_json(folder / STEPS, state | {"begun": step})
            act(again)
            state["done"].append(step)
            write_json(folder / STEPS, state)
        write_json(folder / STAMP, _stamp(wanted, folder, lock))
    return list(todo)


def remove(name: str) -> bool:
    """Delete what `install` made; return whether there was anything.

    Raises ConfigError where the folder was not made by it.
    """
    folder = folder_of(name)
    if not folder.is_dir():
        return False
    with _alone(folder):
        _check_ours(folder)
        (folder / STAMP).unlink(missing_ok=True)  # first, so that no half removed one passes
        _empty(folder)
        shutil.rmtree(folder)
        _lock_file(folder).unlink(missing_ok=True)
    return True


def _empty(folder: Path) -> None:
    """Delete all but the list of steps, by which the folder is known as ours."""
    for path in folder.iterdir():
        if path.name != STEPS:
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep other processes from installing and removing the same toolchain meanwhile."""
    with _lock_file(folder).open("w") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ToolchainError(
                f"another process installs or removes the toolchain {folder.name}; wait for it"
            ) from None
        # What we start holds it too: a pip that outlives a kill of ours still writes there.
        os.set_inheritable(held.fileno(), True)
        yield


def _lock_file(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.lock")


def _check_ours(folder: Path) -> None:
    """Refuse a folder that something else made."""
    if not folder.exists():
        return
    if folder.is_symlink() or (any(folder.iterdir()) and not (folder / STEPS).is_file()):
        raise ConfigError(
            f"{folder} was not made by `frugalseg toolchain install`: move it away, or name"
            " another place with FRUGALSEG_CACHE"
        )


def _begin(folder: Path, lock: str) -> dict[str, Any]:
    """Read how far an earlier call came; with another lock, the packages are due again."""
    _check_ours(folder)
    try:
        state = json.loads((folder / STEPS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        state = {}
    done = list(state.get("done", ()))
    if state.get("lock_sha256") != lock:
        done = done[:1]
    if not os.access(python_in(folder), os.X_OK):
        done = []
    return {"lock_sha256": lock, "done": done, "begun": state.get("begun")}


def _steps(
    wanted: Toolchain, folder: Path, maker: Path | None
) -> Iterator[tuple[str, Callable[[bool], None]]]:
    """Name the steps in their order; each is told whether it was begun before.

    The packages of the lock come first, so that what has no hash finds its dependencies there.
    """
    yield "environment", lambda _: _make(folder, maker)
    yield "packages", partial(_hashed, wanted, folder)
    for requirement in wanted.unhashed:
        yield requirement, partial(_unhashed, wanted, folder, requirement)


def _make(folder: Path, maker: Path | None) -> None:
    _empty(folder)  # of an earlier attempt
    run_group([str(maker), "-m", "venv", str(folder)], timeout_s=VENV_TIMEOUT_S)


def find_python(wanted: Toolchain, python: Path | None = None) -> Path:
    """Return the Python that makes the environment: the given one, this one, or one on the PATH.

    Raises ToolchainError that says what is missing.
    """
    known = ", ".join(wanted.pythons)
    if python is not None:
        if (found := _version_of(python)) not in wanted.pythons:
            raise ToolchainError(
                f"the toolchain {wanted.name} needs Python {known} with venv and ensurepip;"
                f" {python} is {found or 'no such Python'}"
            )
        return python
    names = [shutil.which(f"python{version}") for version in wanted.pythons]
    for candidate in (sys.executable, *names):
        if candidate and _version_of(Path(candidate)) in wanted.pythons:
            return Path(candidate)
    raise ToolchainError(
        f"the toolchain {wanted.name} needs Python {known} with venv and ensurepip, which is not on"
        f" the PATH (on Debian: apt install python{wanted.pythons[0]}-venv); or name one with"
        " --python"
    )


def _version_of(python: Path) -> str:
    """Ask a Python for its version; "" if it cannot make environments."""
    try:
        return run_group([str(python), "-c", ASK_PYTHON], timeout_s=ASK_TIMEOUT_S).strip()
    except ToolchainError:
        return ""


def _hashed(wanted: Toolchain, folder: Path, again: bool) -> None:
    with _requirements(wanted.lock) as lock:
        _pip(folder, ["--require-hashes", "--no-deps", "--requirement", str(lock)], again=again)


def _unhashed(wanted: Toolchain, folder: Path, requirement: str, again: bool) -> None:
    """Install what has no hash, with whatever else it needs there; nothing of the lock moves."""
    pins = "\n".join(f"{name}=={version}" for name, version in wanted.pins.items())
    with _requirements(pins) as constraints:
        _pip(folder, ["--constraint", str(constraints), requirement], again=again)


def _pip(folder: Path, words: Sequence[str], *, again: bool) -> None:
    """Install. What an interrupted attempt left may be half written: it is not trusted."""
    anew = ["--ignore-installed"] if again else []
    try:
        run_group([str(python_in(folder)), *PIP, *anew, *words], timeout_s=PIP_TIMEOUT_S)
    except ToolchainError as wrong:
        raise ToolchainError(
            f"{wrong}\nThe toolchain {folder.name} is half installed; the same command goes on."
        ) from wrong


@contextmanager
def _requirements(text: str) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="frugalseg-") as place:
        path = Path(place) / "requirements.txt"
        path.write_text(text, encoding="utf-8")
        yield path


def _stamp(wanted: Toolchain, folder: Path, lock: str) -> dict[str, Any]:
    there = versions(folder)
    return {
        "toolchain": wanted.name,
        "version": there.get(plain(wanted.package)),
        "lock_sha256": lock,
        "python": run_group([str(python_in(folder)), "--version"], timeout_s=ASK_TIMEOUT_S).strip(),
        "machine": platform.machine(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "packages": dict(sorted(there.items())),
    }
