"""What a network needs (`Footprint`), what a device allows (`Budget`), and how they compare."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

from frugalseg.core.errors import ConfigError

Origin = Literal["estimated", "measured"]

FIGURES: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "storage_bytes": frozenset({"storage_bytes"}),
        "ram_bytes": frozenset({"ram_bytes"}),
        "total_bytes": frozenset({"storage_bytes", "ram_bytes"}),
        "macs": frozenset({"macs"}),
    }
)
"""The figures of a footprint, each with the fields that it is the sum of."""

_FIELDS = ("storage_bytes", "ram_bytes", "macs")


@dataclass(frozen=True, slots=True, kw_only=True)
class Footprint:
    """What one forward pass needs on a device: a fact, never a limit.

    `storage_bytes` is what the network takes where the device keeps it, in most cases its file;
    `ram_bytes` what it needs while it runs, counted as the device's runtime does. `measured`
    names the fields that were measured; the others are estimates.

    >>> need = Footprint(
    ...     storage_bytes=400_000, ram_bytes=90_000, macs=7,
    ...     measured=frozenset({"storage_bytes"}),
    ... )
    >>> need.total_bytes, need.origin_of("storage_bytes"), need.origin_of("total_bytes")
    (490000, 'measured', 'estimated')
    """

    storage_bytes: int
    ram_bytes: int
    macs: int
    measured: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        if strange := sorted(self.measured - set(_FIELDS)):
            raise ValueError(f"measured names fields of a footprint, got {', '.join(strange)}")

    @property
    def total_bytes(self) -> int:
        """Both together, for devices where they share one memory."""
        return self.storage_bytes + self.ram_bytes

    def origin_of(self, name: str) -> Origin:
        """Say where a figure comes from; a sum is measured only if all its parts are."""
        if name not in FIGURES:
            raise ValueError(f"no figure {name!r} in a footprint; it has {', '.join(FIGURES)}")
        return "measured" if FIGURES[name] <= self.measured else "estimated"

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {name: getattr(self, name) for name in _FIELDS} | {"measured": sorted(self.measured)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Excess:
    """One limit that is broken. Units: bytes, except for `macs` and `parameters`."""

    resource: str
    needed: int
    allowed: int

    def __str__(self) -> str:
        unit = "" if self.resource in {"macs", "parameters"} else " bytes"
        return (
            f"{self.resource} needs {self.needed:,}{unit} of {self.allowed:,}"
            f" ({self.needed - self.allowed:,} too many)"
        )


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a footprint fits, and every limit that it breaks. True if it fits."""

    excess: tuple[Excess, ...] = ()

    def __bool__(self) -> bool:
        return not self.excess

    def __str__(self) -> str:
        return "; ".join(map(str, self.excess)) if self.excess else "fits"


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """The limits of a device in bytes and multiply-accumulates; `None` where it sets none.

    >>> board = Budget(total_bytes=2_000_000)
    >>> need = Footprint(storage_bytes=400_000, ram_bytes=1_700_000, macs=0)
    >>> print(board.check(need))
    total needs 2,100,000 bytes of 2,000,000 (100,000 too many)
    """

    storage_bytes: int | None = None
    ram_bytes: int | None = None
    total_bytes: int | None = None
    macs: int | None = None

    def __post_init__(self) -> None:
        for name, limit in self.limits().items():
            if limit is not None and limit <= 0:
                raise ConfigError(f"{name} must be positive or absent, got {limit}")

    def limits(self) -> dict[str, int | None]:
        """Name each limit."""
        return {
            "storage_bytes": self.storage_bytes,
            "ram_bytes": self.ram_bytes,
            "total_bytes": self.total_bytes,
            "macs": self.macs,
        }

    def check(self, footprint: Footprint) -> Verdict:
        """Compare, and report every limit broken, not only the first."""
        return Verdict(
            tuple(
                Excess(
                    resource=name.removesuffix("_bytes"),
                    needed=getattr(footprint, name),
                    allowed=limit,
                )
                for name, limit in self.limits().items()
                if limit is not None and getattr(footprint, name) > limit
            )
        )
