"""The parts of a recipe that prepare a network for being made smaller."""

from typing import Annotated, Literal

from pydantic import Field

from frugalseg.core.parse import Part


class Sparsity(Part):
    """Scales of norms are pressed towards zero, for pruning afterwards: see `training.sparsity`."""

    name: Literal["none", "bn", "cap"] = "none"
    weight: float = Field(default=1e-4, gt=0)


class LowRank(Part):
    """Layers are pressed towards `ranks`, for factorising afterwards: see `training.low_rank`."""

    ranks: dict[str, list[str | int]] = Field(default_factory=dict)
    weight: float = Field(default=1.0, gt=0, description="at the end of the run; it begins at 0")
    every: int = Field(default=1, ge=1, description="steps from one pressing to the next")


class Quantize(Part):
    """The network computes as its int8 file will, and learns through it: `training.quantise`.

    It begins after the share `start` of the run. `bits` are those of the weights of single
    layers ("head.0"), where they are not 8.
    """

    name: Literal["none", "qat"] = "none"
    start: Annotated[float, Field(ge=0, lt=1)] = 0.0
    bits: dict[str, Literal[4, 8]] = Field(default_factory=dict)
