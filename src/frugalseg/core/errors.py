"""The one tree of errors. Each knows the exit code with which the command line ends.

FrugalsegError
├── ConfigError         a setting, name or argument is wrong             exit 2
├── DataError           images or masks are wrong; lists every problem   exit 2
│   ├── UnknownFormatError  a file is of no kind that can be read
│   └── TooLargeError       a picture has too many pixels, by its header
├── ArtifactError       an artifact, checkpoint or file is damaged       exit 2
├── MissingExtraError   an optional package is not installed             exit 2
├── ToolchainError      a device maker's tool is missing or broken       exit 2
│   └── RefusedError    it ran, and could not convert the network        exit 1
├── OverBudgetError     the network does not fit the device              exit 1
└── GateError           the exported file lost too much accuracy         exit 1
"""

from collections.abc import Sequence
from difflib import get_close_matches
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from frugalseg.core.budget import Verdict

LISTED_PROBLEMS = 20


class FrugalsegError(Exception):
    """What a user can mend. Anything else that is raised is a bug of ours."""

    exit_code = 2


class ConfigError(FrugalsegError):
    """A setting, a name or an argument is wrong."""


class ArtifactError(FrugalsegError):
    """A file of ours (artifact, checkpoint) is missing, damaged or from another release."""


class MissingExtraError(FrugalsegError):
    """An optional package is not installed."""


class ToolchainError(FrugalsegError):
    """A device maker's tool is not installed, needs something, crashed, or took too long."""


class RefusedError(ToolchainError):
    """A device maker's tool ran, and refused the network or failed on it."""

    exit_code = 1


class DataError(FrugalsegError):
    """Images or masks are wrong. `.problems` holds all of them; the text shows up to 20.

    >>> print(DataError("2 files cannot be used", ["a.png: truncated", "b.png: truncated"]))
    2 files cannot be used:
      a.png: truncated
      b.png: truncated
    """

    def __init__(self, summary: str, problems: Sequence[str] = ()) -> None:
        self.summary = summary
        self.problems = tuple(problems)
        super().__init__(summary + listed(self.problems))


class UnknownFormatError(DataError):
    """A file is of no kind that can be read: not a picture, or not one of ours."""


class TooLargeError(DataError):
    """A picture says in its header that it has more pixels than are wanted."""


class OverBudgetError(FrugalsegError):
    """A network does not fit. Read `.verdict`; never parse the text."""

    exit_code = 1

    def __init__(self, message: str, verdict: "Verdict") -> None:
        self.verdict = verdict
        super().__init__(message)


class GateError(FrugalsegError):
    """The exported file is worse than the network by more than the tolerance."""

    exit_code = 1


def listed(problems: Sequence[str]) -> str:
    """Format problems as indented lines, to 20, then a count.

    >>> listed([])
    ''
    """
    if not problems:
        return ""
    lines = list(problems[:LISTED_PROBLEMS])
    if (more := len(problems) - LISTED_PROBLEMS) > 0:
        lines.append(f"... and {more} more")
    return ":" + "".join(f"\n  {line}" for line in lines)


def unknown(kind: str, name: str, known: "Iterable[str]") -> ConfigError:
    """Build the error for a name that is not in a catalog.

    >>> print(unknown("device", "cup", ["cpu", "mcu-2mb"]))
    no device 'cup'; did you mean 'cpu'? Known: cpu, mcu-2mb
    """
    names = sorted(known)
    near = get_close_matches(name, names, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else "."
    return ConfigError(f"no {kind} {name!r}{hint} Known: {', '.join(names)}")


def require(module: str, *, extra: str | None) -> ModuleType:
    """Import `module`, or say which extra brings it; None if every install does.

    >>> require("json", extra="train").dumps([1])
    '[1]'
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as missing:
        if missing.name != module.partition(".")[0]:
            raise  # the module is there but broken: that is another story
        wanted = f"'frugalseg[{extra}]'" if extra else "frugalseg"
        raise MissingExtraError(
            f"this needs {module}, which is not installed: pip install {wanted}"
        ) from missing
