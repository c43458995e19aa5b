"""All losses. The key is the name of the file and of the function in it."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Protocol

from torch import Tensor

from frugalseg.losses.cross_entropy import cross_entropy
from frugalseg.losses.ohem import ohem


class Loss(Protocol):
    """Logits (N, C, H, W) and train ids (N, H, W) to one number."""

    def __call__(
        self, logits_NCHW: Tensor, labels_NHW: Tensor, *, ignore: int, weights_C: Tensor | None
    ) -> Tensor:
        """Return the loss, a scalar."""


LOSSES: Mapping[str, Loss] = MappingProxyType({"cross_entropy": cross_entropy, "ohem": ohem})
