"""The static graph computes what the network computes, and asks for no shape."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from frugalseg.core.errors import ConfigError
from frugalseg.core.inputs import InputSpec
from frugalseg.export.imx500_static import static_graph
from frugalseg.models.catalog import Architecture
from frugalseg.models.network import Network


@pytest.mark.parametrize("size", [(64, 96), (66, 93)])
@pytest.mark.parametrize("name", ["frugalnet", "enet"])
def test_it_computes_the_same(name: str, size: tuple[int, int]) -> None:
    settings = {"num_classes": 3} | ({"width": 0.25} if name == "frugalnet" else {})
    network = Architecture(name=name, settings=settings).build().eval()
    spec = InputSpec(height=size[0], width=size[1])
    image_NCHW = torch.randn(1, 3, *size, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = network.native(image_NCHW)
        torch.testing.assert_close(static_graph(network, spec, "scores")(image_NCHW), expected)
        ids = static_graph(network, spec, "ids")(image_NCHW)
    torch.testing.assert_close(ids, expected.argmax(1))


def test_every_convolution_is_a_module_and_no_shape_is_asked_for() -> None:
    network = Architecture(name="frugalnet", settings={"num_classes": 3, "width": 0.25}).build()
    graph = static_graph(network, InputSpec(height=64, width=64), "ids").graph
    functions = {node.target for node in graph.nodes if node.op == "call_function"}
    assert not functions & {F.conv2d, torch.conv2d, getattr}
    assert "size" not in {node.target for node in graph.nodes if node.op == "call_method"}


class Grouped(Network):
    num_classes, channels = 4, 3

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(6, 1, 3, 3))
        self.bias = nn.Parameter(torch.randn(6))

    def native(self, image_NCHW: Tensor) -> Tensor:
        return F.conv2d(image_NCHW, self.weight, self.bias, stride=2, padding=1, groups=3)


def test_groups_strides_and_bias_of_a_function_survive() -> None:
    network, image = Grouped(), torch.randn(1, 3, 64, 64)
    found = static_graph(network, InputSpec(height=64, width=64), "scores")(image)
    torch.testing.assert_close(found, network.native(image))


class Pooled(Grouped):
    def native(self, image_NCHW: Tensor) -> Tensor:
        return F.max_pool2d(image_NCHW, 2, ceil_mode=True)


@pytest.mark.parametrize(("width", "rounds"), [(64, False), (65, True)])
def test_a_pooling_rounds_up_only_where_that_changes_something(width: int, rounds: bool) -> None:
    found = static_graph(Pooled(), InputSpec(height=64, width=width), "scores")
    (pool,) = (node for node in found.graph.nodes if "ceil_mode" in node.kwargs)
    assert pool.kwargs["ceil_mode"] is rounds
    image = torch.randn(1, 3, 64, width)
    torch.testing.assert_close(found(image), Pooled().native(image))


class Fickle(Grouped):
    def native(self, image_NCHW: Tensor) -> Tensor:
        return image_NCHW if image_NCHW.mean() > 0 else -image_NCHW


def test_a_network_whose_path_depends_on_the_picture_is_refused() -> None:
    with pytest.raises(ConfigError, match="Fickle has no static graph"):
        static_graph(Fickle(), InputSpec(height=64, width=64), "scores")
