from collections.abc import Callable

import pytest
import torch
from torch import nn

from frugalseg.core.inputs import InputSpec
from frugalseg.export.lowering import Deployed, example, lower
from frugalseg.models.catalog import MODELS, Architecture
from frugalseg.models.network import Network

SPEC = InputSpec(height=48, width=64)
# Folding a norm into a convolution reorders float operations.
CLOSE = 1e-4


@pytest.mark.parametrize("name", sorted(MODELS))
def test_lowering_computes_the_same(name: str) -> None:
    network = Architecture(name=name, settings={"num_classes": 3}).build().eval()
    image_NCHW = torch.randn(1, 3, 48, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = network.native(image_NCHW)
        torch.testing.assert_close(
            lower(network).native(image_NCHW), expected, atol=CLOSE, rtol=CLOSE
        )


def test_lowering_leaves_the_network_as_it_was(untrained: Callable[..., Network]) -> None:
    network = untrained().train()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    lowered = lower(network)
    assert network.training
    assert not lowered.training
    assert before.keys() == network.state_dict().keys()
    assert all(torch.equal(before[n], t) for n, t in network.state_dict().items())


def test_no_batch_norm_is_left_in_a_frugalnet(untrained: Callable[..., Network]) -> None:
    assert not any(isinstance(m, nn.BatchNorm2d) for m in lower(untrained()).modules())


def test_raw_pixels_and_normalised_ones_give_the_same(untrained: Callable[..., Network]) -> None:
    network = lower(untrained())
    pixels = example(SPEC, raw=True)
    assert pixels.dtype == torch.uint8
    raw = Deployed(network, SPEC, raw=True)(pixels)
    assert raw.shape == (1, 12, 16, 3)
    normalised = Deployed(network, SPEC, raw=False)(example(SPEC, raw=False))
    torch.testing.assert_close(raw, normalised)
