"""All toolchains. The key is what a device names as its `toolchain`.

The pinned versions, with the hashes of their files, are in `locks/NAME.txt`. A worker is a script
of ours that the tool's own Python runs.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType

from frugalseg.core.errors import unknown

PIN = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)==(\S+)", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Toolchain:
    """A tool, what it needs, and how one sees that it works.

    `package` is the one whose version is the tool's. `unhashed` are requirements that are
    installed without a hash, after all others. `probe` is a script of ours, or the name of an
    executable, and its arguments: it must end with 0.
    """

    name: str
    purpose: str
    licence: str
    package: str
    pythons: tuple[str, ...]
    probe: tuple[str, ...]
    unhashed: tuple[str, ...] = ()
    java: int | None = None

    @property
    def lock(self) -> str:
        """The text of the lock file: requirements as pip reads them."""
        source = files("frugalseg.toolchain").joinpath("locks", f"{self.name}.txt")
        return source.read_text(encoding="utf-8")

    @property
    def pins(self) -> dict[str, str]:
        """The tested version of each package, by its name in small letters with dashes."""
        pinned = PIN.findall(self.lock + "\n" + "\n".join(self.unhashed))
        return {plain(name): version for name, version in pinned}

    @property
    def version(self) -> str:
        """The tested version of the tool."""
        return self.pins[plain(self.package)]


def plain(package: str) -> str:
    """Write the name of a package as indexes compare it.

    >>> plain("mct_Quantizers")
    'mct-quantizers'
    """
    return re.sub(r"[-_.]+", "-", package).lower()


def toolchain(name: str) -> Toolchain:
    """Look a toolchain up; raises ConfigError for a name that is not known."""
    if name not in TOOLCHAINS:
        raise unknown("toolchain", name, TOOLCHAINS)
    return TOOLCHAINS[name]


HERE = Path(__file__).parent

TOOLCHAINS: Mapping[str, Toolchain] = MappingProxyType(
    {
        "imx500": Toolchain(
            name="imx500",
            purpose="quantises and converts for Sony's IMX500, and reports its memory",
            licence="property of Sony under its own licence; you install it from its maker",
            package="imx500-converter",
            pythons=("3.11",),
            unhashed=("torch==2.13.0",),
            java=17,
            probe=("imxconv-pt", "--version"),
        ),
        "tflm": Toolchain(
            name="tflm",
            purpose="runs int8 files in TensorFlow Lite Micro, and reports its arena",
            licence="Apache-2.0",
            package="tflite_micro",
            pythons=("3.11", "3.12", "3.13", "3.14"),
            probe=(str(HERE / "tflm_worker.py"), "--version"),
        ),
    }
)
