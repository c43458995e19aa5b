"""Where a toolchain lies, whether it is there and whole, and how its programs are run.

An environment is a folder with a virtual environment in it. While it is made, `steps.json` lists
what is done; `installed.json` is written last, so that a folder without it is half made.
"""

import json
import logging
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

from frugalseg.core.errors import ToolchainError
from frugalseg.core.files import cache_folder
from frugalseg.toolchain.catalog import Toolchain, plain, toolchain
from frugalseg.toolchain.process import run_group

STAMP = "installed.json"
STEPS = "steps.json"
SHOWN = 3  # warnings of packages
JAVA_TIMEOUT_S = 60.0
JAVA_VERSION = re.compile(r'version "(?:1\.)?(\d+)')

log = logging.getLogger("frugalseg")


@dataclass(frozen=True, slots=True)
class Environment:
    """A toolchain that is installed: its folder, and the Python in it."""

    name: str
    folder: Path
    python: Path


def folder_of(name: str) -> Path:
    """Return where a toolchain lies once it is installed."""
    return cache_folder() / "toolchains" / toolchain(name).name


def python_in(folder: Path) -> Path:
    """Return the Python of an environment."""
    return folder / "bin" / "python"


def is_installed(name: str) -> bool:
    """Say whether a toolchain is there and whole."""
    return (folder_of(name) / STAMP).is_file()


def is_begun(name: str) -> bool:
    """Say whether an install of a toolchain was begun, be it complete or not."""
    return (folder_of(name) / STEPS).is_file()


def installed(name: str) -> Environment:
    """Find a toolchain that is ready to run.

    Raises ToolchainError where it is missing or half made, with the command that installs it, and
    where the Java that it needs is missing or too old. Warns, once, of untested versions.
    """
    wanted, folder = toolchain(name), folder_of(name)
    install = f"frugalseg toolchain install {name}"
    if not is_installed(name):
        state = "is half installed" if is_begun(name) else "is not installed"
        does = "go on with" if is_begun(name) else "install it with"
        raise ToolchainError(f"the toolchain {name} {state}; {does}: {install}")
    if not os.access(python_in(folder), os.X_OK):
        raise ToolchainError(
            f"the toolchain {name} is broken: {python_in(folder)} cannot be run; install it anew:"
            f" frugalseg toolchain remove {name} && {install}"
        )
    others = untested(wanted, folder)
    for text in (*_first(others), *check_java(wanted)):
        _warn(text)
    return Environment(name=name, folder=folder, python=python_in(folder))


def _first(texts: Sequence[str]) -> Sequence[str]:
    """Shorten a long list of warnings."""
    more = len(texts) - SHOWN
    return texts if more <= 0 else [*texts[:SHOWN], f"... and {more} more packages are untested"]


def read_stamp(folder: Path) -> Mapping[str, Any]:
    """Read what was written when the toolchain was complete; empty if it never was."""
    try:
        stamp: Mapping[str, Any] = json.loads((folder / STAMP).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return stamp


def versions(folder: Path) -> dict[str, str]:
    """Name the version of each package that is in an environment."""
    sites = [str(path) for path in folder.glob("lib/python*/site-packages")]
    return {plain(each.name): each.version for each in distributions(path=sites) if each.name}


def untested(wanted: Toolchain, folder: Path) -> list[str]:
    """List packages of an environment whose version is not the one of the lock."""
    there = versions(folder)
    return [
        f"{wanted.name}: {name} {there.get(name, 'is missing')} is untested; the tested version"
        f" is {version}"
        for name, version in sorted(wanted.pins.items())
        if there.get(name, "is missing").partition("+")[0] != version  # 2.13.0+cpu is 2.13.0
    ]


def check_java(wanted: Toolchain) -> list[str]:
    """Return what is untested about Java, and raise ToolchainError where it does not do."""
    if wanted.java is None:
        return []
    asks = f"the toolchain {wanted.name} needs Java {wanted.java}"
    advice = f"install OpenJDK {wanted.java} (on Debian: apt install openjdk-{wanted.java}-jre)"
    program = shutil.which("java")
    if program is None:
        raise ToolchainError(f"{asks}, and there is no java on the PATH; {advice}")
    # Java tells its version on standard error, and an exit code of 0.
    try:
        told = run_group(["sh", "-c", '"$0" -version 2>&1', program], timeout_s=JAVA_TIMEOUT_S)
    except ToolchainError as wrong:
        raise ToolchainError(f"{asks}, and {program} does not run; {advice}\n{wrong}") from wrong
    found = JAVA_VERSION.search(told)
    if found is None:
        raise ToolchainError(f"{asks}, and {program} does not tell its version; {advice}")
    major = int(found[1])
    if major < wanted.java:
        raise ToolchainError(f"{asks}, and {program} is Java {major}; {advice}")
    if major > wanted.java:
        return [f"{wanted.name}: Java {major} is untested; the tested version is {wanted.java}"]
    return []


def run(
    environment: Environment,
    script: Path | str,
    args: Sequence[str],
    *,
    timeout_s: float,
    needs_package: bool = False,
) -> str:
    """Run a script with the environment's Python and return what it printed.

    With `needs_package`, `import frugalseg` works there: the package that runs here, though not
    its dependencies. Raises ToolchainError as `process.run_group` does.
    """
    words = [str(environment.python), str(script), *args]
    if not needs_package:
        return run_group(words, timeout_s=timeout_s, extra=_path(environment))
    with _package() as place:
        extra = {**_path(environment), "PYTHONPATH": str(place)}
        return run_group(words, timeout_s=timeout_s, extra=extra)


def command(environment: Environment, name: str, args: Sequence[str], *, timeout_s: float) -> str:
    """Run an executable of the environment and return what it printed; raises as `run` does."""
    program = environment.folder / "bin" / name
    return run_group([str(program), *args], timeout_s=timeout_s, extra=_path(environment))


@lru_cache
def _warn(text: str) -> None:
    log.warning("%s", text)


def _path(environment: Environment) -> dict[str, str]:
    """Let programs of the environment find one another."""
    return {"PATH": f"{environment.folder / 'bin'}{os.pathsep}{os.environ.get('PATH', '')}"}


@contextmanager
def _package() -> Iterator[Path]:
    """Make a folder that holds nothing but a link to the package that runs."""
    with tempfile.TemporaryDirectory(prefix="frugalseg-") as name:
        here = Path(__file__).parents[1]
        (Path(name) / here.name).symlink_to(here, target_is_directory=True)
        yield Path(name)
