"""Mixed precision: weights of 4 bits in the layers that bear it best, of 8 in the others.

The sensitivity of a layer is measured, not guessed: how far the scores on a few fixed pictures
move, as the mean Kullback-Leibler divergence of a pixel's classes from those with 8 bits, when the
weights of this layer alone have 4. Layers then get 4 bits in the order of bytes saved for it, until
the file is small enough. That losses add up is taken for granted.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

import torch
from torch import Tensor

from frugalseg.compress.sensitivity import divergence, nats
from frugalseg.core.budget import Budget, Footprint
from frugalseg.core.errors import ConfigError, OverBudgetError, listed
from frugalseg.core.inputs import InputSpec
from frugalseg.cost.file_size import file_bytes
from frugalseg.cost.graph import Graph
from frugalseg.models.network import Network
from frugalseg.trace import record, trace
from frugalseg.training.quantise import Int8, Quantiser
from frugalseg.training.smaller import Quantize

FEW, MANY = 4, 8
LEAST_LOSS = 1e-9
# Kinds that run with weights of 4 bits; not transposed convolutions.
AT_4_BITS = frozenset({"conv_2d", "depthwise_conv_2d", "fully_connected"})


@dataclass(frozen=True, slots=True, kw_only=True)
class BitsPlan:
    """Which layers of a network have weights of 4 bits: data, for any fresh network.

    `weights` counts those of each layer that can have them, `loss` says what that alone moves the
    scores by. `before` and `after` are bytes of the file, estimated.
    """

    network: str
    weights: Mapping[str, int]
    loss: Mapping[str, float]
    bits: Mapping[str, int]
    before: int
    after: int

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Read what `to_dict` wrote; raises ConfigError where it is no plan."""
        try:
            counts = {
                key: {str(name): int(number) for name, number in values[key].items()}
                for key in ("weights", "bits")
            }
            loss = {str(name): float(number) for name, number in values["loss"].items()}
            return cls(**{**values, **counts, "loss": loss})
        except (TypeError, KeyError, ValueError, AttributeError) as wrong:
            raise ConfigError(f"not a plan for bits: {wrong!r}") from wrong


def plan_bits(
    network: Network, name: str, spec: InputSpec, loss: Mapping[str, float], most_bytes: int | None
) -> BitsPlan:
    """Choose the layers that get weights of 4 bits, so that the file has at most `most_bytes`.

    `loss` is what `sensitivity` measured. Without a limit all layers get them. The network is not
    changed. Raises what `check_bytes` does.
    """
    check_bytes(network, name, spec, most_bytes)
    weights, before = weights_of(network, spec), file_bytes(trace(network, spec))
    after, bits = before, dict[str, int]()
    worth = sorted(
        weights, key=lambda layer: -saved_bytes(weights[layer]) / max(loss[layer], LEAST_LOSS)
    )
    for layer in worth:
        if most_bytes is not None and after <= most_bytes:
            break
        bits[layer] = FEW
        after -= saved_bytes(weights[layer])
    return BitsPlan(
        network=name, weights=weights, loss=dict(loss), bits=bits, before=before, after=after
    )


def check_bytes(network: Network, name: str, spec: InputSpec, most_bytes: int | None) -> None:
    """Raise OverBudgetError where 4 bits everywhere are too many, with what they come to."""
    weights = weights_of(network, spec)
    least = file_bytes(trace(network, spec)) - sum(map(saved_bytes, weights.values()))
    if most_bytes is not None and least > most_bytes:
        need = Footprint(storage_bytes=least, ram_bytes=0, macs=0)
        verdict = Budget(storage_bytes=most_bytes).check(need)
        told = f"even with 4 bits everywhere, {name} is too much: {verdict}"
        raise OverBudgetError(told, verdict)


def saved_bytes(weights: int) -> int:
    """Return the bytes that so many weights save with 4 bits."""
    return weights // 2


def apply_bits(network: Network, name: str, spec: InputSpec, plan: BitsPlan) -> dict[str, int]:
    """Return the bits for `export` and for `quantize.bits` of a recipe.

    Raises ConfigError, with the differences, for a network that the plan was not made for.
    """
    own = weights_of(network, spec)
    told = [] if name == plan.network else [f"it is a {name}, the plan is for a {plan.network}"]
    told += [
        f"{layer} has {own.get(layer, 'no')} weights, {plan.weights.get(layer, 'none')} in the plan"
        for layer in sorted({*own, *plan.weights})
        if own.get(layer) != plan.weights.get(layer)
    ]
    told += [
        f"{layer} is to have {bits} bits" for layer, bits in plan.bits.items()
        if bits not in (FEW, MANY) or layer not in plan.weights
    ]  # fmt: skip
    if told:
        raise ConfigError(f"the plan was made for another network{listed(told)}")
    return dict(plan.bits)


def weights_of(network: Network, spec: InputSpec) -> dict[str, int]:
    """Count the weights of each layer that can have 4 bits."""
    return weights_in(record(network, spec))


def weights_in(graph: Graph) -> dict[str, int]:
    """Count the weights of each layer that can have 4 bits, in a recorded network."""
    return {op.layer: op.weight_elements for op in graph.ops if op.kind in AT_4_BITS}


@torch.no_grad()
def sensitivity(network: Network, spec: InputSpec, images_NCHW: Tensor) -> Callable[[str], float]:
    """Return what says by how much weights of 4 bits in one layer alone move the scores."""
    quantiser = Quantiser(Quantize(name="qat"), network, spec)
    with quantiser.on(network, learn=True):
        network.native(images_NCHW)

    @torch.no_grad()
    def scores(bits: dict[str, int]) -> Tensor:
        quantiser.wish = Quantize.model_validate({"name": "qat", "bits": bits})
        return Int8(network, quantiser).native(images_NCHW).log_softmax(1)

    whole = scores({})
    return lambda layer: nats(divergence(scores({layer: FEW}), whole))
