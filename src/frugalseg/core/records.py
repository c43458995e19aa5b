"""Record: one number with its origin."""

import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One number with its provenance: an estimate can never pass for a measurement.

    >>> Record(name="val/miou", value=0.62, kind="measured", on="2-core x86-64").kind
    'measured'
    """

    name: str
    value: float
    kind: Literal["measured", "estimated", "cited"]
    on: str
    settings: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return asdict(self)


def this_machine() -> str:
    """Name the machine in one line, without its host name.

    >>> "cores" in this_machine()
    True
    """
    import os

    return f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"
