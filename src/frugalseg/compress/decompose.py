"""Weights of layers as products of smaller ones, by their singular values.

Matrices (schemes `channel` and `spatial` of `models.factors`) are cut after their largest singular
values, which is the nearest matrix of that rank; the square roots of these values go to either
side, so that both have the same range in int8. `tucker` begins with the largest singular vectors
of the weights unfolded by each of both channels (HOSVD), and then improves these in turn (HOOI:
De Lathauwer, De Moor, Vandewalle 2000).
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from frugalseg.copying import copied
from frugalseg.core.errors import ConfigError
from frugalseg.models.factors import Factors, Rank, fold, split, unfold, weight_of
from frugalseg.models.network import Network

Floats = NDArray[np.float64]
SWEEPS = 3  # of HOOI


class Spectra:
    """Singular values and vectors of layers, each found once. `weights` are those by layer.

    Raises ConfigError for weights that are no numbers.
    """

    def __init__(self, weights: Mapping[str, Tensor]) -> None:
        self.weights = {name: _sound(name, weight) for name, weight in weights.items()}
        self.sides = lru_cache(maxsize=None)(self._sides)
        self.kept = lru_cache(maxsize=None)(self._kept)

    def _sides(self, name: str, scheme: str) -> tuple[Tensor, Tensor]:
        """Return the left and the right side of a matrix, to be cut to a rank and multiplied."""
        left, values, right = torch.linalg.svd(
            unfold(self.weights[name], scheme), full_matrices=False
        )
        roots = values.sqrt()
        return left * roots, roots[:, None] * right

    def _kept(self, name: str, scheme: str) -> tuple[Floats, ...]:
        """Return the share of the squared norm that each rank keeps, for each rank of a scheme."""
        weight = self.weights[name]
        matrices = (
            (_by_input(weight), weight.flatten(1))
            if scheme == "tucker"
            else (unfold(weight, scheme),)
        )
        return tuple(map(_shares, matrices))

    def cut(self, name: str, rank: Rank) -> Tensor:
        """Return the weights of a layer, as large as before, at a rank of a matrix scheme."""
        scheme, number = str(rank[0]), int(rank[1])
        left, right = self.sides(name, scheme)
        return fold(left[:, :number] @ right[:number], scheme, self.weights[name].shape)


class Truncated:
    """A copy of a network whose layers are cut to ranks but as large as before."""

    def __init__(self, network: Network, spectra: Spectra) -> None:
        self.network, self.spectra = copied(network).eval(), spectra
        self.ranks: dict[str, Rank] = {}

    @torch.no_grad()
    def at(self, ranks: Mapping[str, Rank]) -> Network:
        """Return it at these ranks; only layers whose rank is another one are touched."""
        for name in {*self.ranks, *ranks}:
            rank = ranks.get(name)
            if rank != self.ranks.get(name):
                whole = self.spectra.weights[name]
                cut = whole if rank is None else self.spectra.cut(name, rank)
                weight_of(self.network.get_submodule(name)).copy_(cut)
        self.ranks = dict(ranks)
        return self.network


def decomposed(layer: nn.Module, rank: Rank) -> Factors:
    """Return a layer as smaller ones that compute nearly the same; exactly so at full rank.

    Raises ConfigError for ranks that it cannot have, and for weights that are no numbers.
    """
    factors = split(layer, rank)
    scheme, *ranks = rank
    weight, bias = weight_of(layer), layer.bias
    values = (
        _tucker(weight, [int(n) for n in ranks])
        if scheme == "tucker"
        else _matrices(weight, str(scheme), int(ranks[0]))
    )
    with torch.no_grad():
        for part, value in zip(factors, values, strict=True):
            own = weight_of(part)
            own.copy_(value.reshape(own.shape))
        if isinstance(bias, Tensor):
            last = factors[-1].bias
            assert isinstance(last, Tensor)
            last.copy_(bias)
    return factors


def _matrices(weight: Tensor, scheme: str, rank: int) -> tuple[Tensor, Tensor]:
    left, right = Spectra({"it": weight}).sides("it", scheme)
    left, right = left[:, :rank], right[:rank]
    if (
        scheme == "spatial"
    ):  # rows are (filter, column): the second layer wants (filter, rank, column)
        left = left.reshape(weight.shape[0], weight.shape[3], rank).transpose(1, 2)
    return right, left


def _tucker(weight: Tensor, ranks: Sequence[int]) -> tuple[Tensor, Tensor, Tensor]:
    tensor = _sound("it", weight)
    from_in, from_out = _basis(_by_input(tensor), ranks[0]), _basis(tensor.flatten(1), ranks[1])
    for _ in range(SWEEPS):
        from_in = _basis(_by_input(_project(tensor, "oixy,ob->bixy", from_out)), ranks[0])
        from_out = _basis(_project(tensor, "oixy,ia->oaxy", from_in).flatten(1), ranks[1])
    core = _project(_project(tensor, "oixy,ia->oaxy", from_in), "oaxy,ob->baxy", from_out)
    return from_in.T, core, from_out


def _sound(name: str, weight: Tensor) -> Tensor:
    if not weight.isfinite().all():
        raise ConfigError(f"weights of {name} are no numbers: is the network sound?")
    return weight.detach().cpu().float()


def _project(tensor: Tensor, how: str, basis: Tensor) -> Tensor:
    projected: Tensor = torch.einsum(how, tensor, basis)
    return projected


def _by_input(weight: Tensor) -> Tensor:
    return weight.transpose(0, 1).flatten(1)


def _basis(matrix: Tensor, count: int) -> Tensor:
    left: Tensor = torch.linalg.svd(matrix, full_matrices=False)[0]
    return left[:, :count]


def _shares(matrix: Tensor) -> Floats:
    squares = torch.linalg.svdvals(matrix).double().square().numpy()
    total = squares.sum()
    shares: Floats = np.cumsum(squares) / total if total else np.ones(len(squares))
    return shares
