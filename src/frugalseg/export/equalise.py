"""Cross-layer equalisation: channels of a convolution get ranges alike, without another result.

Nagel, van Baalen, Blankevoort, Welling 2019 (arXiv 1906.04721, section 4.1): where a convolution's
map is read by another one alone, with nothing or a ReLU between, a channel can be divided by a
factor before and multiplied by it afterwards. The factor sqrt(r1 * r2) / r2 makes the ranges r of
the weights for this channel equal on both sides, over a chain of pairs again and again until they
settle. ReLU6, hard swish and other curves forbid it. The paper quantises weights with one scale for
a tensor, where this matters most; LiteRT has one for each output channel.

Groups (but for depthwise convolutions) and transposed convolutions are left as they are.
"""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from frugalseg.core.inputs import InputSpec
from frugalseg.models.network import Network
from frugalseg.trace import record

BETWEEN = frozenset({"relu", "pad", "max_pool_2d", "average_pool_2d", "resize_bilinear"})
ROUNDS = 20
SETTLED = 1e-3
LEAST = 1e-8


def equalise(lowered: Network, spec: InputSpec) -> int:
    """Equalise a network without norms, in place; return how many pairs there were."""
    pairs = list(_pairs(lowered, spec))
    for _ in range(ROUNDS):
        moved = max((_equalise(*pair) for pair in pairs), default=0.0)
        if moved < SETTLED:
            break
    return len(pairs)


@torch.no_grad()
def _equalise(first: nn.Conv2d, second: nn.Conv2d) -> float:
    """Return how far the factors were from 1."""
    r1_C = first.weight.abs().amax((1, 2, 3))
    r2_C = _of_inputs(second).abs().amax((1, 2, 3))
    factor_C = torch.sqrt(r1_C * r2_C) / r2_C.clamp(min=LEAST)
    factor_C = torch.where((r1_C < LEAST) | (r2_C < LEAST), torch.ones_like(factor_C), factor_C)
    first.weight /= factor_C.view(-1, 1, 1, 1)
    if first.bias is not None:
        first.bias /= factor_C
    _of_inputs(second).mul_(factor_C.view(-1, 1, 1, 1))
    return float((factor_C - 1).abs().max())


def _of_inputs(layer: nn.Conv2d) -> Tensor:
    """Look at weights with input channels first."""
    return layer.weight.detach() if layer.groups > 1 else layer.weight.detach().transpose(0, 1)


def _pairs(lowered: Network, spec: InputSpec) -> Iterator[tuple[nn.Conv2d, nn.Conv2d]]:
    graph, modules = record(lowered, spec), dict(lowered.named_modules())
    readers, by_input = graph.num_readers(), {n: op for op in graph.ops for n in op.reads}
    uses = [op.layer for op in graph.ops if op.weight_elements]
    for op in graph.ops:
        first = modules.get(op.layer)
        made = op.writes[0]
        while readers[made] == 1 and made in by_input and by_input[made].kind in BETWEEN:
            made = by_input[made].writes[0]
        if readers[made] != 1 or made not in by_input or not op.weight_elements:
            continue
        second = modules.get(by_input[made].layer)
        if not (_is_plain(first) and _is_plain(second) and by_input[made].weight_elements):
            continue
        if uses.count(op.layer) == uses.count(by_input[made].layer) == 1:
            assert isinstance(first, nn.Conv2d)
            assert isinstance(second, nn.Conv2d)
            yield first, second


def _is_plain(layer: nn.Module | None) -> bool:
    """Whether it is a convolution with all channels in one group, or each in one of its own."""
    return (
        isinstance(layer, nn.Conv2d)
        and layer.groups in (1, layer.in_channels)
        and (layer.groups == 1 or layer.in_channels == layer.out_channels)
    )
