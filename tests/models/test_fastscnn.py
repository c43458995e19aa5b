from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from frugalseg.core.errors import ConfigError
from frugalseg.core.inputs import InputSpec
from frugalseg.models.fastscnn import GRIDS, FastSCNN, FastSCNNConfig
from frugalseg.models.pyramid import grid_means
from frugalseg.trace import trace


def build(**settings: Any) -> FastSCNN:
    torch.manual_seed(0)
    return FastSCNN(FastSCNNConfig(**{"num_classes": 3, **settings}))


class TestThePaper:
    @pytest.mark.parametrize(
        ("classes", "size", "params", "gmac"),
        [
            (11, "360x480", 1_137_019, 0.562),
            (19, "512x1024", 1_138_051, 1.678),
            (19, "1024x2048", 1_138_051, 6.710),
        ],
    )
    def test_parameters_and_multiply_accumulates(
        self, classes: int, size: str, params: int, gmac: float
    ) -> None:
        graph = trace(build(num_classes=classes), InputSpec.parse(size))
        assert graph.params == params
        assert round(graph.macs / 1e9, 3) == gmac

    def test_heads_for_training_hang_on_the_fine_and_the_global_features(self) -> None:
        outputs = build().train().outputs(torch.randn(2, 3, 64, 96))
        assert outputs.scores.shape == (2, 3, 8, 12)
        assert [out.shape for out in outputs.auxiliary] == [(2, 3, 8, 12), (2, 3, 2, 3)]

    def test_they_are_not_deployed(self) -> None:
        net = build()
        heads = sum(p.numel() for p in net.auxiliary.parameters())
        deployed = trace(net, InputSpec(height=64, width=96)).params
        assert heads > 0
        assert deployed == sum(p.numel() for p in net.parameters()) - heads

    def test_the_fine_branch_is_added_to_the_coarse_one(self) -> None:
        net = build().eval()
        fine, coarse = torch.randn(1, 64, 8, 8), torch.randn(1, 128, 2, 2)
        assert not torch.equal(net.fusion(fine, coarse), net.fusion(2 * fine, coarse))
        assert not torch.equal(net.fusion(fine, coarse), net.fusion(fine, 2 * coarse))


class TestGridMeans:
    @pytest.mark.parametrize("grid", GRIDS)
    def test_where_the_grid_divides_the_map_it_is_adaptive_pooling(self, grid: int) -> None:
        x_NChw = torch.randn(2, 3, 12, 18)
        torch.testing.assert_close(grid_means(x_NChw, grid), F.adaptive_avg_pool2d(x_NChw, grid))

    @pytest.mark.parametrize("size", [(12, 15), (7, 10), (11, 6), (13, 5), (1, 2), (2, 7)])
    @pytest.mark.parametrize("grid", GRIDS)
    def test_windows_cover_each_pixel(self, size: tuple[int, int], grid: int) -> None:
        x_NChw = torch.randn(1, 1, *size, requires_grad=True)
        means = grid_means(x_NChw, grid)
        assert means.shape[-2:] == tuple(min(grid, side) for side in size)
        means.sum().backward()
        assert x_NChw.grad is not None
        assert x_NChw.grad.gt(0).all()

    def test_a_map_of_one_colour_has_that_mean_everywhere(self) -> None:
        for grid in GRIDS:
            means: Tensor = grid_means(torch.full((1, 1, 12, 15), 7.0), grid)
            torch.testing.assert_close(means, torch.full_like(means, 7.0))


class TestSettings:
    def test_depth_is_the_number_of_blocks_of_each_stage(self) -> None:
        assert len(build(depth=1).coarse) == 3 + 1
        assert len(build(depth=4).coarse) == 12 + 1

    def test_width_scales_all_channels(self) -> None:
        net: Any = build(width=0.5)
        assert net.classify[-1].in_channels == 64
        assert net.fine[0][0].out_channels == 16

    @pytest.mark.parametrize(
        ("wrong", "told"),
        [
            ({"width": "1"}, "width must be 0.125 to 4"),
            ({"depth": 0}, "depth must be a whole number from 1 to 12, got 0"),
            ({"depth": 1.0}, "depth must be a whole number"),
        ],
    )
    def test_what_cannot_be_is_refused(self, wrong: dict[str, Any], told: str) -> None:
        with pytest.raises(ConfigError, match=told):
            build(**wrong)
