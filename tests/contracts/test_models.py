"""What every network of the catalog promises. To be listed is to be tested."""

from typing import Any

import pytest
import torch
from torch import Tensor

from frugalseg.core.errors import ConfigError
from frugalseg.core.inputs import MIN_SIDE, InputSpec
from frugalseg.models.catalog import MODELS, Architecture
from frugalseg.models.network import Network
from frugalseg.trace import trace


def build(name: str, seed: int = 0, **settings: Any) -> Network:
    torch.manual_seed(seed)
    return Architecture(name=name, settings={"num_classes": 5} | settings).build()


def pictures(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


ODD_NCHW = pictures(2, 3, 37, 53)


@pytest.mark.parametrize("name", sorted(MODELS))
class TestEveryModel:
    def test_logits_have_the_resolution_of_the_image(self, name: str) -> None:
        assert build(name)(ODD_NCHW).shape == (2, 5, 37, 53)

    @pytest.mark.parametrize("size", [(MIN_SIDE, MIN_SIDE), (17, 40), (33, 16), (48, 64)])
    def test_any_size_works_and_trains(self, name: str, size: tuple[int, int]) -> None:
        net = build(name).train()
        outputs = net.outputs(pictures(2, 3, *size))
        logits = [outputs.scores, *outputs.auxiliary]
        assert all(out.shape[:2] == (2, 5) and out.isfinite().all() for out in logits)
        if outputs.boundary is not None:
            assert outputs.boundary.shape[:2] == (2, 1)
            assert outputs.boundary.isfinite().all()
        assert net(pictures(2, 3, *size)).shape == (2, 5, *size)

    @pytest.mark.parametrize("classes", [1, 2, 256])
    def test_from_one_to_256_classes(self, name: str, classes: int) -> None:
        net = build(name, num_classes=classes)
        assert net.num_classes == classes
        assert net.outputs(ODD_NCHW).scores.shape[1] == classes

    def test_grey_pictures(self, name: str) -> None:
        net = build(name, channels=1)
        assert net.channels == 1
        assert net(pictures(2, 1, 37, 53)).shape == (2, 5, 37, 53)

    def test_gradient_reaches_every_parameter(self, name: str) -> None:
        net = build(name).train()
        outputs = net.outputs(ODD_NCHW)
        heads = [outputs.scores, *outputs.auxiliary, outputs.boundary]
        total = torch.stack([out.square().mean() for out in heads if out is not None]).sum()
        total.backward()
        grads = {n: p.grad for n, p in net.named_parameters()}
        assert [n for n, grad in grads.items() if grad is None] == []
        assert all(grad is not None and grad.isfinite().all() for grad in grads.values())

    def test_the_loss_sees_the_deployed_scores_first(self, name: str) -> None:
        net = build(name).eval()
        torch.testing.assert_close(net.outputs(ODD_NCHW).scores, net.native(ODD_NCHW))

    def test_weights_survive_a_round_trip(self, name: str) -> None:
        first, second = build(name, seed=1).eval(), build(name, seed=2).eval()
        assert not torch.equal(second(ODD_NCHW), first(ODD_NCHW))
        second.load_state_dict(first.state_dict())
        assert torch.equal(second(ODD_NCHW), first(ODD_NCHW))

    def test_equal_seeds_build_equal_networks(self, name: str) -> None:
        first, second = build(name, seed=3).state_dict(), build(name, seed=3).state_dict()
        assert first.keys() == second.keys()
        assert all(torch.equal(first[key], second[key]) for key in first)

    def test_pictures_of_a_batch_do_not_meet_in_evaluation(self, name: str) -> None:
        net = build(name).eval()
        torch.testing.assert_close(net(ODD_NCHW)[1:], net(ODD_NCHW[1:]), atol=1e-5, rtol=1e-4)

    def test_every_operator_can_be_weighed(self, name: str) -> None:
        graph = trace(build(name), InputSpec(height=37, width=53))
        assert graph.uncounted == {}
        assert 0 < graph.params <= sum(p.numel() for p in build(name).parameters())

    @pytest.mark.parametrize(
        "wrong", [{"num_classes": 0}, {"num_classes": 257}, {"num_classes": 2.0}, {"channels": 2}]
    )
    def test_ends_that_cannot_be_are_refused(self, name: str, wrong: dict[str, Any]) -> None:
        with pytest.raises(ConfigError, match=f"{next(iter(wrong))} must be 1"):
            build(name, **wrong)

    def test_an_unknown_setting_is_refused_with_the_nearest_one(self, name: str) -> None:
        with pytest.raises(ConfigError, match="'chanels'; did you mean 'channels'"):
            build(name, chanels=3)
