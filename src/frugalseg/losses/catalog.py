"""All losses. The key is the name of the file and of the function in it."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Protocol

from torch import Tensor

from frugalseg.losses.cross_entropy import cross_entropy
from frugalseg.losses.dice import dice
from frugalseg.losses.focal import focal
from frugalseg.losses.lovasz import lovasz
from frugalseg.losses.ohem import ohem
from frugalseg.losses.surface import surface
from frugalseg.losses.tversky import tversky


class Loss(Protocol):
    """Logits (N, C, H, W) and train ids (N, H, W) to one number."""

    def __call__(
        self, logits_NCHW: Tensor, labels_NHW: Tensor, *, ignore: int, weights_C: Tensor | None
    ) -> Tensor:
        """Return the loss, a scalar."""


LOSSES: Mapping[str, Loss] = MappingProxyType(
    {
        "cross_entropy": cross_entropy,
        "dice": dice,
        "focal": focal,
        "lovasz": lovasz,
        "ohem": ohem,
        "surface": surface,
        "tversky": tversky,
    }
)
