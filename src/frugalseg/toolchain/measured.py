"""What a toolchain says that a network needs on its device."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """The tool's own figures, in bytes, and its name and version.

    `storage_bytes` is what the network takes where the device keeps it, `ram_bytes` what it needs
    while it runs; `parts` are what the latter is the sum of, where the tool tells them. Where it
    tells no more than what is needed in all, `storage_bytes` is 0. `accepted` is its own word on
    whether the network fits, `in_tiles` whether it does so in tiles only.
    """

    storage_bytes: int
    ram_bytes: int
    tool: str
    accepted: bool = True
    in_tiles: bool = False
    parts: Mapping[str, int] = field(default_factory=dict)
