"""Weights are rounded so that a layer's errors make up for each other, and stay so in the file."""

import copy
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from ai_edge_litert.interpreter import Interpreter
from torch import Tensor, nn
from torch.nn import functional as F

from frugalseg.core.errors import ConfigError
from frugalseg.core.inputs import InputSpec
from frugalseg.export.litert_int8 import export_litert_int8
from frugalseg.export.lowering import lower
from frugalseg.export.quantisation import Quantisation
from frugalseg.export.rounding import gptq, nearest, replace_weights
from frugalseg.models.layers import SameConv
from frugalseg.models.network import Network
from frugalseg.training.quantise import round_weight

SPEC = InputSpec(height=32, width=48)


class Mixed(Network):
    """A convolution, a depthwise one, one of two groups, and one that nothing reaches."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.deep = SameConv(8, 8, 3, stride=2, groups=8, bias=True)
        self.two = nn.Conv2d(8, 6, (1, 3), groups=2)
        self.idle = nn.Conv2d(6, 6, 1)

    def native(self, image_NCHW: Tensor) -> Tensor:
        out: Tensor = self.two(F.relu(self.deep(F.relu(self.first(image_NCHW)))))
        return out


@pytest.fixture(scope="module")
def network() -> Network:
    return Mixed().eval()


@pytest.fixture(scope="module")
def feeds() -> list[np.ndarray]:
    """Smooth pictures: neighbours are alike, so that their errors can make up for each other."""
    small = torch.rand(6, 3, 4, 6, generator=torch.Generator().manual_seed(1))
    large = F.interpolate(small, SPEC.size, mode="bicubic")
    return [image.permute(1, 2, 0)[None].numpy() for image in large]


LAYERS = ("first", "deep", "two", "idle")
FOUR_BITS = dict.fromkeys(LAYERS, 4)


@pytest.mark.parametrize("layer", ["first", "deep", "two"])
def test_a_layer_is_off_by_much_less_than_with_nearest_steps(
    network: Network, feeds: list[np.ndarray], layer: str
) -> None:
    images = torch.cat([torch.from_numpy(feed).permute(0, 3, 1, 2) for feed in feeds])
    module = network.get_submodule(layer)
    seen: list[tuple[Tensor, Tensor]] = []
    hook = module.register_forward_hook(lambda _, given, out: seen.append((given[0], out)))
    with torch.no_grad():
        network.native(images)
    hook.remove()

    @torch.no_grad()
    def error(rounded: dict[str, Tensor]) -> float:
        changed = copy.deepcopy(network)
        replace_weights(changed, rounded)
        return float((changed.get_submodule(layer)(seen[0][0]) - seen[0][1]).square().mean())

    assert error(gptq(network, feeds, FOUR_BITS)) < 0.7 * error(nearest(network, feeds, FOUR_BITS))


@pytest.mark.parametrize("bits", [4, 8])
def test_whoever_rounds_them_again_finds_the_same(
    network: Network, feeds: list[np.ndarray], bits: int
) -> None:
    for weight in gptq(network, feeds, dict.fromkeys(LAYERS, bits)).values():
        assert torch.allclose(round_weight(weight, 0, bits), weight, atol=1e-6)


def test_what_no_picture_reaches_is_rounded_to_the_nearest(
    network: Network, feeds: list[np.ndarray]
) -> None:
    found, plain = gptq(network, feeds, FOUR_BITS), nearest(network, feeds, FOUR_BITS)
    assert torch.equal(found["idle"], plain["idle"])
    assert not torch.equal(found["first"], plain["first"])


def test_inputs_that_are_always_zero_do_no_harm(network: Network) -> None:
    dark = [np.zeros((1, *SPEC.size, 3), np.float32)]
    assert all(weight.isfinite().all() for weight in gptq(network, dark, FOUR_BITS).values())


def test_the_file_holds_them(tmp_path: Path, untrained: Callable[..., Network]) -> None:
    network, path = untrained(), tmp_path / "m.tflite"
    pictures = [
        np.random.default_rng(i).integers(0, 256, (*SPEC.size, 3), np.uint8) for i in (0, 1)
    ]
    layer = "stage2.0"
    how = Quantisation(rounding="gptq", bits={layer: 4})
    export_litert_int8(network, SPEC, path, pictures=pictures, how=how)
    lowered = lower(network)
    feeds = [(p[None].astype(np.float32) - SPEC.mean) / SPEC.std for p in pictures]
    wanted_OIHW = gptq(lowered, feeds, how.bits)[layer]
    wanted = wanted_OIHW / (wanted_OIHW.abs().amax((1, 2, 3), keepdim=True) / 7)
    interpreter = Interpreter(str(path))
    stored = [
        interpreter.get_tensor(entry["index"])
        for entry in interpreter.get_tensor_details()
        if entry["shape"].tolist() == list(wanted.permute(0, 2, 3, 1).shape)
    ]
    assert any(np.array_equal(t, wanted.round().permute(0, 2, 3, 1).numpy()) for t in stored)


def test_another_way_to_round_is_refused() -> None:
    with pytest.raises(ConfigError, match="way to round weights 'gptk'; did you mean 'gptq'"):
        Quantisation(rounding="gptk")
