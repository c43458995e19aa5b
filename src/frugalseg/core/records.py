"""Record: one number with its origin."""

import os
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

VECTOR_UNITS = ("avx2", "avx512f", "avx_vnni", "avx512_vnni", "amx_int8", "asimddp", "i8mm")


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
    """Name the machine in one line: cores, processor, vector units; without its host name.

    Whether there are int8 dot products (VNNI) decides how quick int8 is beside fp32.

    >>> "cores" in this_machine()
    True
    """
    facts = [f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"]
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(encoding="utf-8").splitlines() if cpuinfo.is_file() else []
    about = {
        key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)
    }
    facts += [about["model name"]] if "model name" in about else []
    flags = set(about.get("flags", about.get("Features", "")).split())
    facts += [unit for unit in VECTOR_UNITS if unit in flags]
    return ", ".join(facts)
