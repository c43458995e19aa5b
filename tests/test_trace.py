import copy
import time
from collections.abc import Callable
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from torch import Tensor, nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402

from frugalseg.core.errors import ConfigError  # noqa: E402
from frugalseg.core.inputs import InputSpec  # noqa: E402
from frugalseg.cost.footprint import weigh  # noqa: E402
from frugalseg.cost.graph import Graph  # noqa: E402
from frugalseg.cost.peak import peak  # noqa: E402
from frugalseg.models.enet import ENet, ENetConfig  # noqa: E402
from frugalseg.models.frugalnet import FrugalNet, FrugalNetConfig  # noqa: E402
from frugalseg.trace import record, trace  # noqa: E402

SMALL = InputSpec(height=16, width=24)
PIXELS = 16 * 24


class Free(nn.Module):
    """A network written as a function, with any modules it needs."""

    def __init__(self, forward: Callable[..., Any], **parts: nn.Module) -> None:
        super().__init__()
        self.parts = nn.ModuleDict(parts)
        self.run = forward

    def forward(self, x_NCHW: Tensor) -> Any:
        return self.run(x_NCHW, **self.parts)


def kinds(graph: Graph) -> list[str]:
    return [op.kind for op in graph.ops]


class TestPublishedFigures:
    def test_enet_has_the_parameters_and_macs_of_its_paper(self) -> None:
        net = ENet(ENetConfig(num_classes=11))
        graph = trace(net, InputSpec(height=360, width=480))
        assert graph.params == sum(p.numel() for p in net.parameters()) == 363_791
        assert round(graph.macs / 1e9, 3) == 1.271
        assert not graph.uncounted


class TestWhatIsDeployed:
    def test_a_network_is_weighed_by_its_native_scores_without_auxiliary_heads(self) -> None:
        net = FrugalNet(FrugalNetConfig(num_classes=5, width=0.25, depth=1))
        graph = trace(net, InputSpec(height=64, width=96))
        auxiliary = sum(p.numel() for p in net.auxiliary.parameters())
        assert graph.params == sum(p.numel() for p in net.parameters()) - auxiliary
        assert graph.tensors[graph.outputs[0]].shape == (1, 5, 16, 24)
        assert not graph.uncounted

    def test_no_padding_of_a_frugalnet_needs_memory(self) -> None:
        net = FrugalNet(FrugalNetConfig(num_classes=5, width=0.25, depth=1))
        for spec in (InputSpec(height=64, width=96), InputSpec(height=65, width=97)):
            assert set(kinds(trace(net, spec))) == {"conv_2d", "add", "mean", "resize_bilinear"}

    def test_the_peak_names_the_layer(self) -> None:
        net = FrugalNet(FrugalNetConfig(num_classes=5, width=0.25, depth=1))
        spec = InputSpec(height=64, width=96)
        report = weigh(record(net, spec), spec)
        assert report.peak_at == "stage2.0 conv_2d"
        assert report.layers[0].layer == "stage2.0"

    def test_tracing_is_quick(self) -> None:
        net = FrugalNet(FrugalNetConfig(num_classes=11, width=1, depth=2))
        trace(net, SMALL)
        start = time.perf_counter()
        trace(net, InputSpec(height=360, width=480))
        assert time.perf_counter() - start < 1


class TestTheModelIsLeftAlone:
    def test_mode_weights_and_hooks_stay(self) -> None:
        net = FrugalNet(FrugalNetConfig(num_classes=2, width=0.25, depth=1)).train()
        before = copy.deepcopy(net.state_dict())
        trace(net, InputSpec(height=64, width=96))
        assert net.training
        assert all(not module._forward_hooks for module in net.modules())
        assert all(torch.equal(before[k], v) for k, v in net.state_dict().items())

    def test_dropout_and_norms_are_those_of_evaluation(self) -> None:
        net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Dropout2d(), nn.ReLU())
        assert kinds(trace(net.train(), SMALL)) == ["conv_2d"]


class TestOperators:
    def test_functional_calls_count(self) -> None:
        weight = nn.Conv2d(3, 8, 3)
        net = Free(lambda x, c: F.relu(F.conv2d(x, c.weight, c.bias, padding=1)), c=weight)
        graph = trace(net, SMALL)
        assert kinds(graph) == ["conv_2d"]
        assert (graph.macs, graph.params) == (PIXELS * 27 * 8, 27 * 8 + 8)

    def test_views_are_free_and_share_memory(self) -> None:
        net = Free(lambda x: x.permute(0, 2, 3, 1).reshape(1, -1) + 1)
        graph = record(net, SMALL)
        assert kinds(graph) == ["add"]
        assert peak(graph).bytes == 2 * 3 * PIXELS

    def test_in_place_and_functional_activations_weigh_the_same(self) -> None:
        graphs = [
            trace(nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(inplace=inplace)), SMALL)
            for inplace in (True, False)
        ]
        assert peak(graphs[0]).bytes == peak(graphs[1]).bytes
        assert kinds(graphs[0]) == kinds(graphs[1])

    def test_a_reader_after_an_in_place_change_sees_the_new_value(self) -> None:
        def forward(x: Tensor) -> Tensor:
            y: Tensor = x * 2
            view: Tensor = y.flatten(1)
            y.relu_()
            return view + 1

        graph = record(Free(forward), SMALL)
        assert kinds(graph) == ["mul", "relu", "add"]
        assert graph.ops[2].reads == graph.ops[1].writes

    def test_writing_into_a_part_rewrites_the_whole(self) -> None:
        def forward(x: Tensor) -> Tensor:
            canvas = torch.zeros(1, 6, 16, 24)
            canvas[:, :3] = x
            added: Tensor = canvas + 1
            return added

        graph = record(Free(forward), SMALL)
        assert kinds(graph) == ["copy", "add"]
        assert graph.tensors[graph.ops[0].writes[0]].shape == (1, 6, 16, 24)

    def test_a_split_copies(self) -> None:
        graph = record(Free(lambda x: torch.cat(x.split([1, 2], dim=1)[::-1], dim=1)), SMALL)
        assert kinds(graph) == ["split", "concatenation"]
        assert len(graph.ops[0].writes) == 2

    def test_indices_that_nobody_reads_need_no_memory(self) -> None:
        graph = record(nn.MaxPool2d(2), SMALL)
        assert peak(graph).bytes == 3 * PIXELS + 3 * PIXELS // 4

    def test_constants_are_computed_at_export(self) -> None:
        net = Free(lambda x, c: F.conv2d(x, c.weight * torch.ones(3, 1, 1)), c=nn.Conv2d(3, 4, 1))
        graph = record(net, SMALL)
        assert kinds(graph) == ["conv_2d"]
        assert graph.params == 12

    def test_shared_weights_are_counted_once_and_unused_ones_never(self) -> None:
        shared, unused = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 99, 1)
        graph = trace(Free(lambda x, a, **_: a(a(x)), a=shared, b=shared, c=unused), SMALL)
        assert graph.params == 12
        assert graph.macs == 2 * 9 * PIXELS

    def test_transposed_convolution_and_matrix_products(self) -> None:
        up = trace(nn.ConvTranspose2d(3, 5, 2, stride=2), SMALL)
        assert (kinds(up), up.macs) == (["transpose_conv"], PIXELS * 3 * 5 * 4)
        line = trace(nn.Linear(24, 7), SMALL)
        assert (kinds(line), line.macs) == (["fully_connected"], 3 * 16 * 24 * 7)
        product = trace(Free(lambda x: x @ x.mT), SMALL)
        assert (kinds(product), product.macs) == (["batch_matmul"], 3 * 16 * 16 * 24)

    def test_attention_counts_both_products(self) -> None:
        graph = trace(Free(lambda x: F.scaled_dot_product_attention(x, x, x)), SMALL)
        assert graph.macs == 2 * 3 * 16 * 16 * 24

    def test_what_is_not_known_is_listed_and_still_needs_memory(self) -> None:
        graph = trace(Free(lambda x: torch.cumsum(torch.cumsum(x, 1), 1).roll(1)), SMALL)
        assert graph.uncounted == {"cumsum": 2, "roll": 1}
        assert peak(graph).bytes == 2 * 3 * PIXELS

    def test_several_outputs_all_live_to_the_end(self) -> None:
        graph = record(Free(lambda x: {"a": x * 2, "b": [x + 1]}), SMALL)
        assert len(graph.outputs) == 2
        assert peak(graph).bytes == 3 * 3 * PIXELS


def test_a_network_that_cannot_take_the_picture_is_a_mistake_of_the_user() -> None:
    with pytest.raises(ConfigError, match="Conv2d cannot be traced for a picture of 16x24"):
        trace(nn.Conv2d(4, 4, 1), SMALL)
