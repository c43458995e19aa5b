"""Install, list, check and remove the tools of device makers."""

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from frugalseg.core.errors import ToolchainError
from frugalseg.core.progress import Progress, silent
from frugalseg.toolchain.catalog import TOOLCHAINS, toolchain
from frugalseg.toolchain.environment import (
    Environment,
    check_java,
    command,
    folder_of,
    installed,
    is_begun,
    is_installed,
    read_stamp,
    run,
    untested,
)
from frugalseg.toolchain.install import install, remove

PROBE_TIMEOUT_S = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolchainState:
    """A toolchain, and whether it is there: "installed", "half installed" or "not installed".

    `version` is the one installed, else the one that would be. `bytes` is what its folder takes.
    """

    name: str
    state: str
    version: str
    bytes: int
    folder: Path
    purpose: str
    licence: str

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return asdict(self) | {"folder": str(self.folder)}


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolchainCheck:
    """Whether a toolchain works: what it said when it was run, or why it could not be."""

    name: str
    said: str = ""
    problem: str = ""
    warnings: tuple[str, ...] = ()

    @property
    def works(self) -> bool:
        """True where nothing is wrong; an untested version alone is not."""
        return not self.problem

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return asdict(self) | {"works": self.works}


def install_toolchain(
    name: str, *, python: str | Path | None = None, progress: Progress = silent
) -> tuple[str, ...]:
    """Install a toolchain into the user's cache; return the steps that were done, if any was due.

    `python` is the interpreter that its environment is made with; by default one of a suitable
    version is looked for. An install that was interrupted goes on. Raises ToolchainError where
    something that it needs is missing, or a step fails.
    """
    chosen = None if python is None else Path(python)
    return tuple(install(name, python=chosen, progress=progress))


def list_toolchains() -> tuple[ToolchainState, ...]:
    """Tell of each toolchain whether it is there, where, and what it is for."""
    return tuple(map(_state, TOOLCHAINS))


def check_toolchains(names: Sequence[str] = ()) -> tuple[ToolchainCheck, ...]:
    """Run each toolchain once, and compare its packages with those tested.

    Without `names`, those that are installed.
    """
    chosen = names or [name for name in TOOLCHAINS if is_begun(name)]
    return tuple(map(_check, map(_known, chosen)))


def remove_toolchain(name: str) -> bool:
    """Delete a toolchain and nothing else; return whether it was there."""
    return remove(name)


def _known(name: str) -> str:
    return toolchain(name).name


def _state(name: str) -> ToolchainState:
    known, folder = toolchain(name), folder_of(name)
    state = "half installed" if is_begun(name) else "not installed"
    return ToolchainState(
        name=name,
        state="installed" if is_installed(name) else state,
        version=str(read_stamp(folder).get("version") or known.version),
        bytes=_bytes(folder),
        folder=folder,
        purpose=known.purpose,
        licence=known.licence,
    )


def _bytes(folder: Path) -> int:
    """Sum the sizes of the files below a folder."""
    return sum(
        (Path(place) / name).lstat().st_size
        for place, _, names in os.walk(folder)
        for name in names
    )


def _check(name: str) -> ToolchainCheck:
    known, folder = toolchain(name), folder_of(name)
    try:
        environment = installed(name)
        warnings = (*untested(known, folder), *check_java(known))
        said = _probe(environment, known.probe)
    except ToolchainError as wrong:
        return ToolchainCheck(name=name, problem=str(wrong))
    return ToolchainCheck(name=name, said=said, warnings=warnings)


def _probe(environment: Environment, probe: Sequence[str]) -> str:
    program, *args = probe
    start = run if program.endswith(".py") else command
    return start(environment, program, args, timeout_s=PROBE_TIMEOUT_S).strip()
