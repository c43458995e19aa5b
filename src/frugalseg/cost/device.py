"""Device: a target and its limits, read from a TOML file. A user can bring one.

title = "Door bell, 1 MB"        # for people
runtime = "tflite-micro"         # litert | tflite-micro
memory = "shared"                # shared: file and activations in one memory
                                 # separate: each its own; file: only the file is limited
margin = 0.05                    # share of each limit that `fit` keeps free; default 0
default_input = "96x128"         # optional: the size when the user names none
notes = "..."                    # optional
sources = ["..."]                # optional: where the figures come from

[budget]                         # each optional: what is absent is not limited
file_bytes = 1_000_000
peak_activation_bytes = 300_000
total_bytes = 1_000_000          # file and peak activations together
macs = 50_000_000
"""

import tomllib
from dataclasses import dataclass, fields
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, get_args

from frugalseg.core.budget import Budget, Footprint, Verdict
from frugalseg.core.errors import ConfigError, unknown
from frugalseg.core.inputs import InputSpec

Runtime = Literal["litert", "tflite-micro"]
Memory = Literal["file", "separate", "shared"]
MAX_FILE_BYTES = 1_000_000
SUFFIX = ".toml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """A target: its limits, what runs the network there, how its memory is divided."""

    name: str
    title: str
    runtime: Runtime
    memory: Memory
    budget: Budget
    margin: float = 0.0
    default_input: InputSpec | None = None
    notes: str = ""
    sources: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for key, allowed in (("runtime", Runtime), ("memory", Memory)):
            if getattr(self, key) not in get_args(allowed):
                raise unknown(key, str(getattr(self, key)), get_args(allowed))
        if not 0 <= self.margin < 1:
            raise ConfigError(
                f"margin is the share of the budget kept free, 0 to under 1; got {self.margin}"
            )

    @property
    def target(self) -> Budget:
        """The budget less the margin: what an estimate must keep to.

        >>> load_device("mcu-2mb").target.total_bytes
        1900000
        """
        return Budget(
            **{
                name: limit if limit is None else int(limit * (1 - self.margin))
                for name, limit in self.budget.limits().items()
            }
        )

    def check(self, footprint: Footprint) -> Verdict:
        """Compare: what was measured with the budget, an estimate with the budget less the margin.

        A sum with an estimate in it is an estimate.
        """
        whole, target = self.budget.limits(), self.target.limits()
        return Budget(
            **{
                name: (whole if footprint.origin_of(name) == "measured" else target)[name]
                for name in whole
            }
        ).check(footprint)


def device_names() -> tuple[str, ...]:
    """Names of the devices that come with frugalseg, sorted.

    >>> device_names()
    ('cpu', 'mcu-2mb', 'mcu-512k', 'smart-camera-10mb')
    """
    shipped = files("frugalseg.cost").joinpath("devices").iterdir()
    return tuple(
        sorted(entry.name.removesuffix(SUFFIX) for entry in shipped if entry.name.endswith(SUFFIX))
    )


def load_device(name_or_path: str | Path) -> Device:
    """Read a device by name, or from a TOML file (a path that ends in .toml).

    >>> load_device("smart-camera-10mb").budget.file_bytes
    10000000
    """
    if str(name_or_path).endswith(SUFFIX):
        path = Path(name_or_path)
        return _parse(path.stem, _text(path), str(path))
    name = str(name_or_path)
    if name not in device_names():
        raise unknown("device", name, device_names())
    source = files("frugalseg.cost").joinpath("devices", name + SUFFIX)
    return _parse(name, source.read_text(encoding="utf-8"), f"device {name}")


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise ConfigError(f"{path} is too large to be the description of a device")
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as wrong:
        raise ConfigError(f"cannot read the device file {path}: {wrong}") from wrong


def _parse(name: str, text: str, where: str) -> Device:
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as wrong:
        raise ConfigError(f"{where} is not TOML: {wrong}") from wrong
    known = [field.name for field in fields(Device) if field.name != "name"]
    _check_keys(values, known, f"key in {where}")
    for key in ("title", "runtime", "memory"):
        if key not in values:
            raise ConfigError(f"{where} lacks {key!r}; it needs title, runtime and memory")
    problems = [
        f"{key} must be {expected}, got {values[key]!r}"
        for key, (types, expected) in TYPES.items()
        if key in values and not isinstance(values[key], types)
    ]
    if problems:
        raise ConfigError(f"{where}: " + "; ".join(problems))
    if "default_input" in values:
        values["default_input"] = InputSpec.parse(values["default_input"])
    values["sources"] = tuple(values.get("sources", ()))
    return Device(**{**values, "name": name, "budget": _budget(values.get("budget", {}), where)})


TYPES: dict[str, tuple[type | tuple[type, ...], str]] = {
    "title": (str, "text"),
    "runtime": (str, "text"),
    "memory": (str, "text"),
    "notes": (str, "text"),
    "default_input": (str, "a size such as '96x128'"),
    "margin": ((int, float), "a number"),
    "sources": (list, "a list of texts"),
    "budget": (dict, "a table of limits"),
}


def _budget(limits: dict[str, Any], where: str) -> Budget:
    _check_keys(limits, [field.name for field in fields(Budget)], f"limit in {where}")
    for name, limit in limits.items():
        if type(limit) is not int:
            raise ConfigError(f"{where}: {name} must be a whole number, got {limit!r}")
    return Budget(**limits)


def _check_keys(values: dict[str, Any], known: list[str], what: str) -> None:
    for key in values:
        if key not in known:
            raise unknown(what, key, known)
