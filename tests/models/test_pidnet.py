from typing import Any

import pytest
import torch
from torch import nn

from frugalseg.core.errors import ConfigError
from frugalseg.core.inputs import InputSpec
from frugalseg.models.layers import resize
from frugalseg.models.pidnet import Decide, Guide, PIDNet, PIDNetConfig
from frugalseg.trace import trace
from frugalseg.training.recipe import load_recipe

CAMVID = InputSpec(height=360, width=480)
SMALL = InputSpec(height=192, width=256)
ALLOWED = {
    "add", "average_pool_2d", "concatenation", "conv_2d", "depthwise_conv_2d", "logistic", "mean",
    "mul", "relu", "resize_bilinear", "sub", "sum",
}  # fmt: skip


def build(**settings: Any) -> PIDNet:
    torch.manual_seed(0)
    return PIDNet(PIDNetConfig(num_classes=11, **settings))


def empty(**settings: Any) -> PIDNet:
    """Build one without numbers, which takes no time."""
    with torch.device("meta"):
        return build(**settings)


def count(*parts: nn.Module) -> int:
    return sum(p.numel() for part in parts for p in part.parameters())


class TestThePaper:
    @pytest.mark.parametrize(
        ("width", "params", "gmac"), [(1.0, 7_624_683, 3.951), (2.0, 28_537_483, 14.863)]
    )
    def test_the_network_without_its_heads_for_training(
        self, width: float, params: int, gmac: float
    ) -> None:
        net = empty(width=width)
        graph = trace(net, CAMVID)
        assert graph.params == params == count(net) - count(net.auxiliary, net.boundary)
        assert round(graph.macs / 1e9, 3) == gmac

    def test_scores_and_boundaries_are_at_an_eighth(self) -> None:
        outputs = build(width=0.25).eval().outputs(torch.randn(1, 3, 128, 192))
        assert outputs.boundary is not None
        shapes = [out.shape for out in (outputs.scores, *outputs.auxiliary, outputs.boundary)]
        assert shapes == [(1, 11, 16, 24), (1, 11, 16, 24), (1, 1, 16, 24)]

    def test_heads_for_training_see_p_after_one_meeting_and_d_after_two(self) -> None:
        reached = []
        for head in ("auxiliary", "boundary"):
            net = build(width=0.25).train()
            outputs = net.outputs(torch.randn(2, 3, 64, 64))
            logits = outputs.auxiliary[0] if head == "auxiliary" else outputs.boundary
            assert logits is not None
            logits.square().mean().backward()
            found = {n.partition(".")[0] for n, p in net.named_parameters() if p.grad is not None}
            reached.append(found - {"stage4", "stage8", "context16", head})
        assert reached == [
            {"detail1", "up1", "guide1"},
            {"edges1", "hint1", "context32", "edges2", "hint2"},
        ]

    def test_its_recipe_is_that_of_the_paper_in_what_counts_how_much(self) -> None:
        loss = load_recipe("pidnet").loss
        assert (loss.name, loss.auxiliary, loss.boundary) == ("ohem", 0.4, 20)
        assert loss.near_boundary == 1


class TestGates:
    def test_the_guide_takes_the_context_where_both_agree(self) -> None:
        net = Guide(8, 4).eval()
        detail_NCHW, context_NChw = torch.randn(2, 8, 6, 10), torch.randn(2, 8, 3, 5)
        raised = resize(context_NChw, (6, 10))
        looks_NCHW = net.of_detail(detail_NCHW) * resize(net.of_context(context_NChw), (6, 10))
        share_N1HW = torch.sigmoid(looks_NCHW.sum(1, keepdim=True))
        expected = (1 - share_N1HW) * detail_NCHW + share_N1HW * raised
        torch.testing.assert_close(net(detail_NCHW, context_NChw), expected)
        assert share_N1HW.std() > 0.01

    def test_at_a_boundary_detail_decides_and_elsewhere_context(self) -> None:
        net = Decide(8).eval()
        detail, context, boundary = (torch.randn(2, 8, 6, 10) for _ in range(3))
        share = boundary.sigmoid()
        expected = net.detail((1 - share) * context + detail) + net.context(
            context + share * detail
        )
        torch.testing.assert_close(net(detail, context, boundary), expected)


class TestDevice:
    def test_operators_are_those_that_devices_have(self) -> None:
        kinds = [op.kind for op in trace(empty(), SMALL).ops]
        assert {*kinds} <= ALLOWED
        assert kinds.count("average_pool_2d") == 3


class TestSettings:
    def test_depth_and_head_change_the_size(self) -> None:
        small, usual, deep = (count(empty(**s)) for s in ({"head": 16}, {}, {"depth": 3}))
        assert small < usual < deep

    @pytest.mark.parametrize("wrong", [{"width": 0.1}, {"depth": 9}, {"head": 4}])
    def test_what_cannot_be_is_refused(self, wrong: dict[str, Any]) -> None:
        with pytest.raises(ConfigError, match=f"{next(iter(wrong))} must be"):
            PIDNetConfig(num_classes=3, **wrong)
