"""Which operators of a float .tflite file hold the weights of which layers of a network.

A converter names maps, not weights, and fuses what it likes; so weights are found by their values,
which it leaves as they are, in whatever order of axes.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from frugalseg.core.errors import ConfigError
from frugalseg.cost.fuse import CONVOLUTIONS
from frugalseg.export.flatbuffer import read_model
from frugalseg.export.tidy import operator_names
from frugalseg.models.network import Network

WEIGHTED = CONVOLUTIONS | {"fully_connected"}
WEIGHTS = 1  # the input of these operators that holds them


def weighted_operators(path: Path, lowered: Network) -> dict[str, tuple[str, str]]:
    """Return kind and map of the operator that has the weights of a layer, by layer.

    A layer is a path of modules in the network, which has no norms left.
    """
    model = read_model(path)
    graph, kinds = model.subgraphs[0], operator_names(model)
    found = dict[bytes, tuple[str, str]]()
    for op in graph.operators:
        kind = kinds[op.opcodeIndex].lower()
        if kind in WEIGHTED:
            name = bytes(graph.tensors[int(op.outputs[0])].name).decode()
            found[_values(model, int(op.inputs[WEIGHTS]))] = kind, name
    layers = {
        name: _key(layer.weight.detach().numpy())
        for name, layer in lowered.named_modules()
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear)
    }
    return {name: found[key] for name, key in layers.items() if key in found}


def check_layers(lowered: Network, layers: Iterable[str]) -> None:
    """Raise ConfigError for layers that are not there or cannot have weights of 4 bits."""
    known = {
        name for name, layer in lowered.named_modules() if isinstance(layer, nn.Conv2d | nn.Linear)
    }
    if strange := [layer for layer in layers if layer not in known]:
        raise ConfigError(
            f"no layer with weights for 4 bits is called {', '.join(strange)}; there are"
            f" {', '.join(sorted(known))}"
        )


def operators_of(path: Path, lowered: Network, layers: list[str]) -> list[tuple[str, str]]:
    """Return kind and map of the operators of some layers.

    Raises ConfigError for a layer that the file has not, such as one of a head for training.
    """
    found = weighted_operators(path, lowered)
    if gone := [layer for layer in layers if layer not in found]:
        raise ConfigError(f"no weights of 4 bits: {', '.join(gone)} is not in the file")
    return [found[layer] for layer in layers]


def _values(model: Any, tensor: int) -> bytes:
    data = model.buffers[model.subgraphs[0].tensors[tensor].buffer].data
    return b"" if data is None else _key(np.asarray(data, np.uint8).view(np.float32))


def _key(weight: NDArray[np.float32]) -> bytes:
    return np.sort(weight + 0.0, axis=None).tobytes()  # -0.0, which sorts as 0.0, becomes it
