"""Device: a target and its limits, read from a TOML file. A user can bring one.

like = "mcu-2mb"                 # optional: start from this device; a table replaces its table
title = "Door bell, 1 MB"        # for people
runtime = "tflite-micro"         # litert | tflite-micro | imx500: what runs the network, and so
                                 # how memory is planned
memory = "shared"                # shared: network and working memory in one
                                 # separate: each its own; storage: only what is kept is limited
margin = 0.05                    # share of each limit that an estimate must leave free; default 0
channel_multiple = 1             # channels are stored in multiples of this
weight_bits = [8]                # what its kernels take
activation_bits = [8]
toolchain = "tflm"               # optional: the maker's tool that confirms
notes = "..."                    # optional
sources = ["..."]                # optional: where the figures come from

[budget]                         # each optional: what is absent is not limited
storage_bytes = 1_000_000        # flash: the network file
ram_bytes = 300_000              # while it runs
total_bytes = 1_000_000          # both together
macs = 50_000_000

[reserved]                       # what firmware and camera take of it; default 0
ram_bytes = 40_000               # also: storage_bytes, total_bytes

[input]
default = "96x128"               # the size when the user names none
least = "64x64"
most = "640x640"
channels = [1, 3]
normalised_by = "network"        # or device
letterbox = true                 # whether the picture can be padded

[operators]                      # names as TFLite has them, in small letters
only = ["conv_2d", "relu"]       # either these alone,
without = ["gelu"]               # or all but these
most_inputs = {concatenation = 10}
"""

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from importlib.resources import files
from pathlib import Path
from shlex import quote
from typing import Annotated, Any, Literal, Self

from pydantic import Field, PrivateAttr, field_validator, model_validator

from frugalseg.core.budget import Budget, Footprint, Verdict
from frugalseg.core.errors import ConfigError, unknown
from frugalseg.core.inputs import InputSpec
from frugalseg.core.parse import Part, or_value_error, parse
from frugalseg.cost.aten import NAMESAKES, RENAMED
from frugalseg.cost.graph import Graph, Op
from frugalseg.cost.imx500_limits import objections

MAX_FILE_BYTES = 1_000_000
SUFFIX = ".toml"
# What an operator may be called: as in our graphs, and what TFLite knows beside.
KINDS = frozenset({
    *NAMESAKES, *RENAMED.values(), "attention", "batch_matmul", "conv_2d", "depthwise_conv_2d",
    "dequantize", "fully_connected", "one_hot", "quantize", "range", "reduce_any", "reduce_prod",
    "reshape", "scatter_nd", "select", "sign", "strided_slice", "topk_v2", "transpose",
    "transpose_conv",
})  # fmt: skip

Runtime = Literal["litert", "tflite-micro", "imx500"]
TOOLCHAINS: Mapping[Runtime, str] = {"tflite-micro": "tflm", "imx500": "imx500"}
# What can be limited, in bytes, by how the memory is divided.
LIMITED: Mapping[str, frozenset[str]] = {
    "shared": frozenset({"storage_bytes", "ram_bytes", "total_bytes"}),
    "separate": frozenset({"storage_bytes", "ram_bytes"}),
    "storage": frozenset({"storage_bytes"}),
}
Bytes = Annotated[int, Field(gt=0, strict=True)]
Taken = Annotated[int, Field(ge=0, strict=True)]


class Limits(Part):
    """The `[budget]` table, in bytes and multiply-accumulates."""

    storage_bytes: Bytes | None = None
    ram_bytes: Bytes | None = None
    total_bytes: Bytes | None = None
    macs: Bytes | None = None


class Reserved(Part):
    """The `[reserved]` table: bytes that are not the network's to use."""

    storage_bytes: Taken = 0
    ram_bytes: Taken = 0
    total_bytes: Taken = 0


class InputLimits(Part):
    """The `[input]` table; sizes as HEIGHTxWIDTH."""

    default: str | None = None
    least: str | None = None
    most: str | None = None
    channels: tuple[Literal[1, 3], ...] = (1, 3)
    normalised_by: Literal["network", "device"] = "network"
    letterbox: bool = True

    @field_validator("default", "least", "most")
    @classmethod
    def _is_a_size(cls, text: str | None) -> str | None:
        return text if text is None else str(or_value_error(InputSpec.parse, text))

    @model_validator(mode="after")
    def _leave_a_size(self) -> Self:
        for low, high in (("least", "most"), ("least", "default"), ("default", "most")):
            small, large = getattr(self, low), getattr(self, high)
            if small and large and not _within(small, large):
                raise ValueError(f"{low} {small} is above {high} {large}")
        return self


class Operators(Part):
    """The `[operators]` table."""

    only: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    most_inputs: dict[str, Annotated[int, Field(gt=0, strict=True)]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _exist(self) -> Self:
        if self.only and self.without:
            raise ValueError("give only, or without, not both")
        wrong = [n for n in (*self.only, *self.without, *self.most_inputs) if n not in KINDS]
        if wrong:
            more = f". Nor is there {', '.join(map(repr, wrong[1:]))}" if wrong[1:] else ""
            raise ValueError(f"{unknown('operator', wrong[0], KINDS)}{more}")
        return self


class Device(Part):
    """A target: its limits, what runs the network there, how its memory is divided."""

    name: str
    like: str | None = None
    title: str
    runtime: Runtime
    memory: Literal["shared", "separate", "storage"]
    limits: Limits = Field(default=Limits(), alias="budget")
    reserved: Reserved = Reserved()
    margin: float = Field(default=0.0, ge=0, lt=1)
    input: InputLimits = InputLimits()
    operators: Operators = Operators()
    channel_multiple: int = Field(default=1, ge=1, strict=True)
    weight_bits: tuple[Literal[2, 4, 8, 16, 32], ...] = (8,)
    activation_bits: tuple[Literal[8, 16, 32], ...] = (8,)
    toolchain: Literal["tflm", "imx500"] | None = None
    notes: str = ""
    sources: tuple[str, ...] = ()
    _argument: str = PrivateAttr(default="")

    @model_validator(mode="after")
    def _leaves_something(self) -> Self:
        for name, taken in self.reserved:
            limit = getattr(self.limits, name)
            if taken and limit is None:
                raise ValueError(f"reserved {name} {taken:,}, but [budget] has no {name}")
            if taken and taken >= limit:
                raise ValueError(f"reserved {name} {taken:,} leave nothing of {limit:,}")
        return self

    @model_validator(mode="after")
    def _limits_are_of_its_memory(self) -> Self:
        limited = {name for name, limit in self.limits if limit is not None} - {"macs"}
        if self.memory == "shared" and limited and "total_bytes" not in limited:
            raise ValueError('memory is "shared": [budget] needs total_bytes, or memory "separate"')
        if strange := sorted(limited - LIMITED[self.memory]):
            raise ValueError(
                f'memory is "{self.memory}", which has no {", ".join(strange)} to limit in'
                f" [budget], but {', '.join(sorted(LIMITED[self.memory]))}"
            )
        return self

    @model_validator(mode="after")
    def _tool_is_of_the_runtime(self) -> Self:
        if self.toolchain and self.toolchain != TOOLCHAINS.get(self.runtime):
            raise ValueError(
                f"toolchain {self.toolchain!r} measures nothing of runtime {self.runtime!r}"
            )
        return self

    @property
    def argument(self) -> str:
        """What names it on a command line: the name of one that is shipped, else its file."""
        return quote(self._argument or self.name)

    @property
    def budget(self) -> Budget:
        """What the network may use: the limits less what is reserved."""
        taken = self.reserved.model_dump()
        return Budget(
            **{
                name: None if limit is None else limit - taken.get(name, 0)
                for name, limit in self.limits
            }
        )

    @property
    def design_budget(self) -> Budget:
        """The budget less the margin: what an estimate must keep to.

        >>> load_device("mcu-2mb").design_budget.total_bytes
        1900000
        """
        return Budget(
            **{
                name: limit if limit is None else int(limit * (1 - self.margin))
                for name, limit in self.budget.limits().items()
            }
        )

    def room(self, storage_bytes: int) -> int | None:
        """Return what an estimate may use of RAM beside a network of so many bytes; None: all.

        >>> load_device("mcu-2mb").room(800_000)
        1100000
        """
        design = self.design_budget
        together = None if design.total_bytes is None else design.total_bytes - storage_bytes
        limits = [limit for limit in (design.ram_bytes, together) if limit is not None]
        return max(0, min(limits)) if limits else None

    def check(self, footprint: Footprint) -> Verdict:
        """Compare: what was measured with the budget, an estimate with the budget less the margin.

        A sum with an estimate in it is an estimate.
        """
        whole, design = self.budget.limits(), self.design_budget.limits()
        return Budget(
            **{
                name: (whole if footprint.origin_of(name) == "measured" else design)[name]
                for name in whole
            }
        ).check(footprint)

    def refusals(self, graph: Graph, spec: InputSpec) -> list[str]:
        """Say why the device cannot run a network at all, whatever its size; empty if it can."""
        return [*self._input_refusals(spec), *_gathered(self._objections(graph))]

    def _input_refusals(self, spec: InputSpec) -> list[str]:
        told = []
        if spec.channels not in self.input.channels:
            told.append(f"takes pictures of {self.input.channels} channels, not {spec.channels}")
        for text, compare in ((self.input.least, min), (self.input.most, max)):
            bound = None if text is None else InputSpec.parse(text)
            if bound and any(
                compare(side, limit) != limit
                for side, limit in zip(spec.size, bound.size, strict=True)
            ):
                told.append(
                    f"takes pictures of {'at least' if compare is min else 'at most'}"
                    f" {bound}, not {spec}"
                )
        return told

    def _objections(self, graph: Graph) -> Iterator[tuple[Op, str]]:
        """Yield the operators that the device does not run, and why."""
        for op in graph.ops:
            allowed = op.kind in self.operators.only if self.operators.only else True
            if not allowed or op.kind in self.operators.without:
                yield op, f"has no operator {op.kind}"
            most = self.operators.most_inputs.get(op.kind)
            if most is not None and len(op.reads) > most:
                yield op, f"takes at most {most} inputs to {op.kind}, not {len(op.reads)}"
        if self.runtime == "imx500":
            yield from objections(graph)


def _within(small: str, large: str) -> bool:
    """Say whether one size, HEIGHTxWIDTH, is no larger than another on either side."""
    sides = zip(InputSpec.parse(small).size, InputSpec.parse(large).size, strict=True)
    return all(side <= limit for side, limit in sides)


def _gathered(objections: Iterable[tuple[Op, str]]) -> list[str]:
    """Tell each once, with the first layer that it is about."""
    layers: dict[str, list[str]] = {}
    for op, told in objections:
        layers.setdefault(told, []).append(op.layer or "the network")
    return [
        f"{told} (in {names[0]}{f' and {len(names) - 1} more' if len(names) > 1 else ''})"
        for told, names in layers.items()
    ]


def device_names() -> tuple[str, ...]:
    """Names of the devices that come with frugalseg, sorted."""
    shipped = files("frugalseg.cost").joinpath("devices").iterdir()
    return tuple(
        sorted(entry.name.removesuffix(SUFFIX) for entry in shipped if entry.name.endswith(SUFFIX))
    )


def load_device(name_or_path: str | Path) -> Device:
    """Read a device by name, or from a TOML file (a path that ends in .toml).

    Raises ConfigError, with every mistake, for what is not the description of a device.

    >>> load_device("smart-camera-10mb").budget.storage_bytes
    10000000
    """
    values, where = _values(str(name_or_path))
    device = parse(Device, {**values, "name": Path(name_or_path).stem}, f"{where} is wrong")
    device._argument = str(name_or_path)
    return device


def _values(name_or_path: str) -> tuple[dict[str, Any], str]:
    """Return the file's values, with those of the device that it is like below them."""
    if name_or_path.endswith(SUFFIX):
        path = Path(name_or_path)
        values, where = _toml(_text(path), str(path)), f"the device file {path}"
    else:
        if name_or_path not in device_names():
            raise unknown("device", name_or_path, device_names())
        source = files("frugalseg.cost").joinpath("devices", name_or_path + SUFFIX)
        where = f"the device {name_or_path}"
        values = _toml(source.read_text(encoding="utf-8"), where)
    if "name" in values:
        raise ConfigError(f"{where} is wrong: a device is named like its file; leave `name` out")
    if (like := values.get("like")) is None:
        return values, where
    if like not in device_names():
        raise unknown(f"device to be like, in {where},", str(like), device_names())
    below: Mapping[str, Any] = _values(str(like))[0]
    return {**below, **values}, where


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise ConfigError(f"{path} is too large to be the description of a device")
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as wrong:
        raise ConfigError(f"cannot read the device file {path}: {wrong}") from wrong


def _toml(text: str, where: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as wrong:
        raise ConfigError(f"{where} is not TOML: {wrong}") from wrong
