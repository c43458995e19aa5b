import copy

import torch
from torch import nn

from frugalseg.core.inputs import InputSpec
from frugalseg.export.bias import correct
from frugalseg.export.equalise import equalise
from frugalseg.export.rounding import nearest
from frugalseg.models.network import Network
from frugalseg.training.quantise import round_weight

SPEC = InputSpec(height=16, width=24)


class Chain(Network):
    """Convolutions in a row, one of them depthwise, whose channels differ by a lot."""

    channels = num_classes = 3

    def __init__(self, act: type[nn.Module] = nn.ReLU) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.middle, self.last = (
            nn.Conv2d(3, 8, 3, padding=1),
            nn.Conv2d(8, 8, 3, padding=1, groups=8),
            nn.Conv2d(8, 3, 1),
        )
        self.act = act()
        with torch.no_grad():
            self.first.weight *= 10 ** torch.linspace(-2, 2, 8).view(-1, 1, 1, 1)

    def native(self, image_NCHW: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.last(self.act(self.middle(self.act(self.first(image_NCHW)))))
        return out


def test_channels_get_ranges_alike_and_the_result_stays() -> None:
    network = Chain().eval()
    before = copy.deepcopy(network)
    assert equalise(network, SPEC) == 2
    images = torch.randn(2, 3, *SPEC.size)
    expected = before.native(images)
    gap = (network.native(images) - expected).abs().max()
    assert gap < 1e-4 * expected.abs().max()
    out_C, in_C = (layer.weight.abs().amax((1, 2, 3)) for layer in (network.first, network.middle))
    torch.testing.assert_close(out_C, in_C, rtol=0.05, atol=0)
    was = before.first.weight.abs().amax((1, 2, 3))
    assert out_C.max() / out_C.min() < 0.1 * was.max() / was.min()


def test_other_activations_are_left_alone() -> None:
    network = Chain(nn.ReLU6).eval()
    before = copy.deepcopy(network.state_dict())
    assert equalise(network, SPEC) == 0
    assert all(torch.equal(t, before[n]) for n, t in network.state_dict().items())


def test_a_map_with_two_readers_is_left_alone() -> None:
    class Twice(Chain):
        def native(self, image_NCHW: torch.Tensor) -> torch.Tensor:
            first = self.act(self.first(image_NCHW))
            out: torch.Tensor = self.last(self.middle(first) + first)
            return out

    assert equalise(Twice().eval(), SPEC) == 0


def test_a_corrected_bias_brings_the_mean_back() -> None:
    network = Chain().eval()
    feeds = [torch.rand(1, 32, 48, 3).numpy() for _ in range(4)]
    images = torch.cat([torch.from_numpy(f).permute(0, 3, 1, 2) for f in feeds])
    bits = {"first": 4, "middle": 4, "last": 4}
    corrected = copy.deepcopy(network)
    correct(corrected, feeds, nearest(network, feeds, bits))

    def shift(changed: Chain) -> float:
        rounded = copy.deepcopy(changed)
        with torch.no_grad():
            for layer in (rounded.first, rounded.middle, rounded.last):
                layer.weight.copy_(round_weight(layer.weight, 0, 4))
            gap = rounded.native(images) - network.native(images)
        return float(gap.mean((0, 2, 3)).abs().mean())

    assert shift(corrected) < 0.6 * shift(network)
