"""A network and its optimizer as tensors by name, as checkpoints keep them, and back."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

NETWORK, OPTIMIZER = "network", "optimizer"


def packed(network: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Return raw weights as "network.NAME" and moments as "optimizer.NUMBER.NAME"."""
    tensors = {f"{NETWORK}.{name}": tensor for name, tensor in network.state_dict().items()}
    for index, moments in optimizer.state_dict()["state"].items():
        for name, value in moments.items():
            tensors[f"{OPTIMIZER}.{index}.{name}"] = torch.as_tensor(value)
    return tensors


def unpack(
    tensors: Mapping[str, Tensor], network: nn.Module, optimizer: torch.optim.Optimizer
) -> None:
    """Load what `packed` gave; raises what torch does where it belongs to something else."""
    weights: dict[str, Tensor] = {}
    moments: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        kind, _, rest = name.partition(".")
        if kind == NETWORK:
            weights[rest] = tensor
        else:
            index, _, moment = rest.partition(".")
            moments.setdefault(int(index), {})[moment] = tensor
    network.load_state_dict(weights)
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": moments, "param_groups": groups})


def below(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Keep the tensors whose names begin with "PREFIX.", without it.

    >>> list(below("a", {"a.b": torch.zeros(1), "c": torch.zeros(1)}))
    ['b']
    """
    start = f"{prefix}."
    return {n.removeprefix(start): t for n, t in tensors.items() if n.startswith(start)}
