"""Fewer bits, a picture that is not kept, attention: the estimate against what was reported.

`data/imx500_bits` holds pairs of imxconv-pt 3.19.2. `bits` are those of the weights, 8 if absent;
`gone` says that the picture was not kept (--no-input-persistency).
"""

import json
from pathlib import Path
from typing import Any

import pytest

from frugalseg.core.inputs import InputSpec
from frugalseg.cost.device import load_device
from frugalseg.cost.graph import Graph, Op, Window, chain
from frugalseg.cost.imx500 import Imx500Memory, imx500_memory
from frugalseg.cost.imx500_layers import OFF, lower
from frugalseg.cost.imx500_layers import doubts as doubts_of
from frugalseg.cost.imx500_limits import objections
from frugalseg.cost.imx500_weights import layer_bytes, model_bytes

pytest.importorskip("torch", reason="networks are built with torch")

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from frugalseg.models.catalog import Architecture
from frugalseg.trace import record

FILE = Path(__file__).parent / "data" / "imx500_bits" / "pairs.json"
PAIRS: list[dict[str, Any]] = json.loads(FILE.read_text(encoding="utf-8"))
KIB = 1024
ROUGH = 0.02
SAMPLE = 8  # of so many pairs one is for the quick run


def trace(nets: Any, line: str) -> Graph:
    net = nets.Net(line)
    return record(net, InputSpec(height=net.height, width=net.width, channels=net.channels))


@pytest.mark.parametrize(
    "pair",
    [
        pytest.param(pair, id=pair["net"], marks=[pytest.mark.slow] * (number % SAMPLE > 0))
        for number, pair in enumerate(PAIRS)
    ],
)
def test_the_estimate_is_what_the_converter_reported(nets: Any, pair: dict[str, Any]) -> None:
    graph = trace(nets, pair["net"])
    runtime, model = pair["measured"]
    assert model_bytes(lower(graph), pair.get("bits", 8)) == model
    found = imx500_memory(graph, input_stays=not pair.get("gone", False))
    assert abs(found.runtime_bytes - runtime) < KIB


@pytest.mark.parametrize("bits", [2, 4])
def test_fewer_bits_take_part_of_the_memory(nets: Any, bits: int) -> None:
    net = lower(trace(nets, "3x64x64 > conv 64 k1 > conv 64 > dw > up 32 > gap > conv 64 k1"))
    dense = next(layer for layer in net.layers if layer.window.kernel == (3, 3))
    whole, packed = (layer_bytes(dense, net, b) - 6 * 64 for b in (8, bits))
    assert packed == whole * bits // 8
    assert model_bytes(net, bits) < model_bytes(net, 8)


def test_a_narrow_convolution_gains_nothing_from_fewer_bits(nets: Any) -> None:
    narrow = lower(trace(nets, "3x64x64 > conv 24 k1 > conv 40 > gap"))
    assert model_bytes(narrow, 2) == model_bytes(narrow, 8)
    wide = lower(trace(nets, "3x64x64 > conv 32 k1 > conv 40 > gap"))
    assert model_bytes(wide, 2) < model_bytes(wide, 8)


class Attention(nn.Module):
    """Every pixel of a map looks at a map of a sixteenth of the pixels."""

    def __init__(self, channels: int, heads: int, *, fused: bool) -> None:
        super().__init__()
        self.heads, self.fused, self.factor = heads, fused, (channels // heads) ** -0.5
        self.stem = nn.Conv2d(3, channels, 3, 2, 1)
        self.query, self.key, self.value = (nn.Conv2d(channels, channels, 1) for _ in range(3))
        self.end = nn.Conv2d(channels, 4, 1)

    def forward(self, image_NCHW: Tensor) -> Tensor:
        x_NChw = self.stem(image_NCHW).relu()
        small_NChw = F.max_pool2d(x_NChw, 4)
        query, key, value = (
            part.flatten(2).unflatten(1, (self.heads, -1)).transpose(2, 3)
            for part in (self.query(x_NChw), self.key(small_NChw), self.value(small_NChw))
        )
        if self.fused:
            mixed = F.scaled_dot_product_attention(query, key, value)
        else:
            scores = torch.softmax(query @ key.transpose(2, 3) * self.factor, -1)
            mixed = scores @ value
        out: Tensor = self.end(mixed.transpose(2, 3).reshape(x_NChw.shape))
        return out


class Normed(nn.Module):
    """A layer norm over the channels of each pixel."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm = nn.Conv2d(3, 32, 3, 2, 1), nn.LayerNorm(32)
        self.end = nn.Conv2d(32, 4, 1)

    def forward(self, image_NCHW: Tensor) -> Tensor:
        x_NHWC = self.norm(self.stem(image_NCHW).relu().permute(0, 2, 3, 1))
        out: Tensor = self.end(x_NHWC.permute(0, 3, 1, 2))
        return out


def weigh(module: nn.Module, side: int) -> Imx500Memory:
    return imx500_memory(record(module.eval(), InputSpec(height=side, width=side)))


@pytest.mark.parametrize(
    ("channels", "heads", "fused", "measured"),
    [
        (32, 1, False, (82_944, 10_688)),
        (32, 1, True, (82_944, 10_688)),
        (64, 2, False, (91_136, 26_304)),
    ],
)
def test_attention_is_roughly_known_and_doubted(
    channels: int, heads: int, fused: bool, measured: tuple[int, int]
) -> None:
    found = weigh(Attention(channels, heads, fused=fused), 32)
    assert abs(found.runtime_bytes / measured[0] - 1) < ROUGH
    assert abs(found.model_bytes / measured[1] - 1) < ROUGH
    [doubt] = found.doubts
    assert doubt.startswith("batch_matmul (2, ")


def test_a_layer_norm_over_channels_that_come_last_is_weighed() -> None:
    found = weigh(Normed(), 64)
    assert found.model_bytes == 6_240
    assert 147_456 - 64 * KIB <= found.runtime_bytes <= 147_456


@pytest.mark.parametrize(
    ("line", "doubts"),
    [
        ("3x64x64 > conv 32 > conv 32 g4 > conv 4 k1", ()),
        ("3x64x64 > conv 96 > conv 96 g12 > conv 4 k1", ()),
        ("3x64x64 > conv 72 > conv 72 g12 > conv 4 k1", ()),  # 12 convolutions
        (
            "3x64x64 > conv 72 > dw k1 s2 > conv 4 k1",
            (f"depthwise_conv_2d (1, {OFF['depthwise_conv_2d']})",),
        ),
        ("3x64x64 > conv 72 > dw > conv 4 k1", ()),
        ("3x64x64 > conv 32 s2 > up 16 k3 > up 8 k4 s2 > conv 4 k1", ()),
        ("3x64x64 > conv 32 s2 > up 16 k2 s3 > conv 4 k1", ("transpose_conv (1)",)),
    ],
)
def test_what_was_not_measured_is_doubted(nets: Any, line: str, doubts: tuple[str, ...]) -> None:
    assert doubts_of(lower(trace(nets, line))) == doubts


def test_a_transposed_convolution_in_groups_is_refused() -> None:
    """Its message: "Groups > 1 is not supported"."""
    spread = Window(kernel=(2, 2), stride=(2, 2))
    whole = Op(name="up", kind="transpose_conv", reads=("a",), writes=("b",), spread=spread)
    parted = Op(
        name="up", kind="transpose_conv", reads=("a",), writes=("b",), spread=spread, groups=8
    )
    shapes = {"a": (1, 8, 16, 16), "b": (1, 8, 32, 32)}
    assert not [*objections(chain(whole, shapes=shapes))]
    [(op, told)] = objections(chain(parted, shapes=shapes))
    assert (op.name, told) == ("up", "takes no transposed convolution in groups")


# Networks of a convolution in groups (channels, groups), converted in full by imxconv-pt 3.19.2.
CONVERTED = (
    (8, 4), (16, 4), (24, 3), (24, 6), (32, 4), (36, 6), (48, 3), (72, 6), (72, 12),
    (80, 5), (96, 12), (96, 16), (160, 32), (192, 3),
)  # fmt: skip
CRASHED = (
    (12, 4), (20, 2), (20, 4), (24, 2), (28, 4), (32, 2), (48, 8), (64, 2), (64, 4), (80, 2),
    (80, 8), (96, 2), (96, 4), (96, 8), (112, 8), (128, 4), (128, 8),
)  # fmt: skip


def in_groups(channels: int, groups: int, made: int | None = None) -> Graph:
    conv = Op(
        name="conv", kind="conv_2d", reads=("a",), writes=("b",), groups=groups,
        window=Window(kernel=(3, 3), padding=((1, 1), (1, 1))),
    )  # fmt: skip
    shapes = {"a": (1, channels, 8, 10), "b": (1, made or channels, 8, 10)}
    return chain(conv, shapes=shapes)


@pytest.mark.parametrize(("channels", "groups"), CONVERTED)
def test_groups_that_were_converted_are_not_refused(channels: int, groups: int) -> None:
    assert not [*objections(in_groups(channels, groups))]


@pytest.mark.parametrize(("channels", "groups"), CRASHED)
def test_groups_over_which_the_converter_crashes_are_refused(channels: int, groups: int) -> None:
    [(op, told)] = objections(in_groups(channels, groups))
    assert op.name == "conv"
    each = channels // groups
    assert told.startswith(f"takes no {groups} groups of {each} channels; ")


@pytest.mark.parametrize(
    ("channels", "groups", "measured"),
    [
        (72, 6, 66_464), (72, 12, 122_912), (80, 20, 16_736), (80, 8, 25_952), (88, 11, 22_880),
        (96, 16, 160_544), (96, 24, 16_736), (112, 8, 42_720), (112, 16, 163_808),
        (144, 12, 129_440), (160, 10, 110_624), (160, 16, 167_072), (160, 32, 317_600),
    ],
)  # fmt: skip
def test_model_memory_tells_which_groups_are_done_one_by_one(
    nets: Any, channels: int, groups: int, measured: int
) -> None:
    line = f"3x32x40 > conv {channels} s4 > conv {channels} g{groups} > conv 8 k1 linear"
    assert model_bytes(lower(trace(nets, line))) == measured


def test_groups_that_make_no_multiple_of_their_channels_are_refused() -> None:
    """Its message: "Non-integer depth multiplier ... is not supported with group > 1"."""
    [(_, told)] = objections(in_groups(64, 8, 32))
    assert told == "takes no convolution in groups that makes 32 channels of 64, only multiples"
    assert not [*objections(in_groups(16, 2, 32))]


@pytest.mark.parametrize(("name", "size"), [("attendseg", "128x160"), ("regseg", "256x320")])
def test_a_network_over_which_it_crashed_is_refused_before_training(name: str, size: str) -> None:
    network = Architecture(name=name, settings={"num_classes": 11, "width": 0.5}).build()
    told = load_device("imx500").refusals(record(network, spec := InputSpec.parse(size)), spec)
    assert told
    assert all(" channels; groups of" in refusal for refusal in told)


def test_a_pooling_that_rounds_up_is_refused() -> None:
    pool = Op(
        name="pool", kind="max_pool_2d", reads=("a",), writes=("b",),
        window=Window(kernel=(3, 3), stride=(2, 2), rounds_up=True),
    )  # fmt: skip
    net = chain(pool, shapes={"a": (1, 32, 32, 48), "b": (1, 32, 16, 24)})
    [(op, told)] = objections(net)
    assert (op, told) == (pool, "takes no pooling that rounds its size up (ceil_mode)")
    odd = chain(pool, shapes={"a": (1, 32, 33, 49), "b": (1, 32, 16, 24)})
    assert not [*objections(odd)]  # nothing is left to round
