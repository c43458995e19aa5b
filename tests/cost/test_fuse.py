from typing import Any

import pytest

from frugalseg.cost.fuse import fuse
from frugalseg.cost.graph import Op, Window, chain
from frugalseg.cost.peak import peak

STRIDED = Window(kernel=(3, 3), stride=(2, 2))
Pads = tuple[tuple[int, int], tuple[int, int]]


def op(name: str, kind: str, reads: str, write: str, **facts: Any) -> Op:
    return Op(name=name, kind=kind, reads=tuple(reads), writes=(write,), **facts)


def padded_conv(pads: Pads, *, side: int = 8) -> list[str]:
    high, wide = side + sum(pads[0]), side + sum(pads[1])
    graph = chain(
        Op(name="pad", kind="pad", reads=("a",), writes=("b",), pads=pads),
        Op(name="conv", kind="conv_2d", reads=("b",), writes=("c",), window=STRIDED),
        shapes={"a": (1, 3, side, side), "b": (1, 3, high, wide), "c": (1, 4, 4, 4)},
    )
    return [op.kind for op in fuse(graph).ops]


def test_padding_as_same_does_it_disappears() -> None:
    assert padded_conv(((0, 1), (0, 1))) == ["conv_2d"]
    assert padded_conv(((1, 1), (1, 1)), side=7) == ["conv_2d"]


@pytest.mark.parametrize("pads", [((1, 1), (1, 1)), ((1, 0), (1, 0)), ((0, 3), (0, 3))])
def test_other_padding_stays(pads: Pads) -> None:
    assert padded_conv(pads) == ["pad", "conv_2d"]


def test_symmetric_padding_of_a_strided_convolution_costs_a_copy() -> None:
    window = Window(kernel=(3, 3), stride=(2, 2), padding=((1, 1), (1, 1)))
    conv = Op(name="conv", kind="conv_2d", reads=("a",), writes=("b",), window=window)
    fused = fuse(chain(conv, shapes={"a": (1, 3, 8, 8), "b": (1, 4, 4, 4)}))
    assert [op.kind for op in fused.ops] == ["pad", "conv_2d"]
    assert peak(fused).bytes == 3 * 8 * 8 + 3 * 10 * 10


@pytest.mark.parametrize("dilation", [1, 2, 8])
def test_symmetric_padding_at_stride_one_is_free(dilation: int) -> None:
    window = Window(
        kernel=(3, 3), dilation=(dilation, dilation), padding=((dilation,) * 2, (dilation,) * 2)
    )
    conv = Op(name="conv", kind="conv_2d", reads=("a",), writes=("b",), window=window)
    fused = fuse(chain(conv, shapes={"a": (1, 3, 9, 8), "b": (1, 4, 9, 8)}))
    assert [op.kind for op in fused.ops] == ["conv_2d"]


def test_norm_and_activation_disappear_into_the_convolution() -> None:
    shapes = dict.fromkeys("abcd", (1, 4, 8, 8))
    fused = fuse(
        chain(
            op("conv", "conv_2d", "a", "b"),
            op("norm", "batch_norm", "b", "c"),
            op("relu", "relu6", "c", "d"),
            shapes=shapes,
        )
    )
    assert [(o.kind, o.reads, o.writes) for o in fused.ops] == [("conv_2d", ("a",), ("d",))]


def test_an_activation_stays_if_something_else_reads_before_it() -> None:
    shapes = dict.fromkeys("abcd", (1, 4, 8, 8))
    graph = chain(
        op("conv", "conv_2d", "a", "b"),
        op("relu", "relu", "b", "c"),
        op("add", "add", "bc", "d"),
        shapes=shapes,
    )
    assert [o.kind for o in fuse(graph).ops] == ["conv_2d", "relu", "add"]


def test_a_norm_by_itself_is_a_depthwise_convolution_that_takes_in_the_activation() -> None:
    shapes = dict.fromkeys("abcd", (1, 4, 8, 8))
    graph = chain(
        op("pool", "average_pool_2d", "a", "b"),
        op("norm", "batch_norm", "b", "c", params=8, weight_elements=4),
        op("relu", "relu", "c", "d"),
        shapes=shapes,
    )
    pool, norm = fuse(graph).ops
    assert (pool.kind, norm.kind, norm.reads, norm.writes) == (
        "average_pool_2d", "depthwise_conv_2d", ("b",), ("d",),
    )  # fmt: skip
    assert (norm.params, norm.weight_elements, norm.bias_elements, norm.groups) == (8, 4, 4, 4)


def test_prelu_is_spelled_out_as_litert_computes_it() -> None:
    shapes = dict.fromkeys("ab", (1, 4, 8, 8))
    fused = fuse(chain(op("act", "prelu", "a", "b"), shapes=shapes))
    assert [o.kind for o in fused.ops] == ["relu", "mul", "mul", "sub"]
    assert peak(fused).bytes == 3 * 4 * 8 * 8


def test_fusing_twice_changes_nothing() -> None:
    window = Window(kernel=(3, 3), stride=(2, 2), padding=((1, 1), (1, 1)))
    graph = chain(
        Op(name="conv", kind="conv_2d", reads=("a",), writes=("b",), window=window),
        op("act", "prelu", "b", "c"),
        shapes={"a": (1, 3, 8, 8), "b": (1, 4, 4, 4), "c": (1, 4, 4, 4)},
    )
    assert fuse(fuse(graph)) == fuse(graph)


def kinds_of(*ops: Op, **shapes: tuple[int, ...]) -> list[str]:
    return [o.kind for o in fuse(chain(*ops, shapes=shapes)).ops]


MAP = (1, 4, 8, 8)
POOL = Window(kernel=(3, 3), stride=(2, 2), padding=((1, 1), (1, 1)))


def test_a_maximum_is_padded_by_an_operator_of_its_own() -> None:
    pool = Op(name="pool", kind="max_pool_2d", reads=("a",), writes=("b",), window=POOL)
    assert kinds_of(pool, a=MAP, b=(1, 4, 4, 4)) == ["padv2", "max_pool_2d"]


def test_a_convolution_of_one_channel_is_depthwise() -> None:
    assert kinds_of(op("c", "conv_2d", "a", "b"), a=(1, 1, 8, 8), b=MAP) == ["depthwise_conv_2d"]
    assert kinds_of(op("c", "conv_2d", "a", "b"), a=(1, 2, 8, 8), b=MAP) == ["conv_2d"]


def test_what_is_computed_twice_is_computed_once() -> None:
    window = Window(kernel=(2, 2), stride=(2, 2))
    half = (1, 4, 4, 4)
    first, second, other = (
        Op(name=w, kind=kind, reads=("a",), writes=(w,), window=window)
        for w, kind in (("b", "max_pool_2d"), ("c", "max_pool_2d"), ("d", "average_pool_2d"))
    )
    fused = fuse(
        chain(first, second, other, op("add", "add", "bc", "e"), op("sum", "add", "de", "f"),
              shapes={"a": MAP, **dict.fromkeys("bcdef", half)})
    )  # fmt: skip
    assert [o.kind for o in fused.ops] == ["max_pool_2d", "average_pool_2d", "add", "add"]
    assert fused.ops[2].reads == ("b",)


def test_a_pad_of_channels_is_one_operator() -> None:
    wide = (1, 8, 8, 8)
    graph = chain(
        op("pad", "pad", "a", "b"), op("conv", "conv_2d", "a", "c"), op("add", "add", "cb", "d"),
        shapes={"a": MAP, "b": wide, "c": wide, "d": wide},
    )  # fmt: skip
    assert [o.kind for o in fuse(graph).ops] == ["pad", "conv_2d", "add"]


def test_what_has_no_int8_kernel_is_computed_in_float() -> None:
    graph = chain(
        op("exp", "exp", "a", "b"), op("log", "log", "b", "c"), op("relu", "relu", "c", "d"),
        shapes=dict.fromkeys("abcd", MAP),
    )  # fmt: skip
    fused = fuse(graph)
    assert [o.kind for o in fused.ops] == ["dequantize", "exp", "log", "quantize", "relu"]
    assert [fused.tensors[o.writes[0]].element_bytes for o in fused.ops] == [4, 4, 4, 1, 1]


def joined(*ops: Op, **shapes: tuple[int, ...]) -> list[str]:
    """Return what the concatenation at the end reads through a QUANTIZE."""
    fused = fuse(chain(*ops, shapes=shapes))
    writer = {name: o for o in fused.ops for name in o.writes}
    return [
        writer[name].reads[0]
        for name in fused.ops[-1].reads
        if name in writer and writer[name].kind == "quantize"
    ]


def relu_conv(reads: str, middle: str, write: str) -> tuple[Op, Op]:
    return op(middle, "conv_2d", reads, middle), op(write, "relu", middle, write)


def shapes(names: str) -> dict[str, tuple[int, ...]]:
    return {name: (1, 8, 8, 8) if name == "z" else MAP for name in names}


class TestJoins:
    def test_maps_of_convolutions_are_joined_as_they_are(self) -> None:
        ops = (*relu_conv("a", "b", "c"), *relu_conv("a", "d", "e"))
        assert joined(*ops, op("z", "concatenation", "ce", "z"), **shapes("abcdez")) == []

    def test_whoever_else_reads_them(self) -> None:
        ops = (*relu_conv("a", "b", "c"), op("d", "conv_2d", "c", "d"))
        assert joined(*ops, op("z", "concatenation", "cd", "z"), **shapes("abcdz")) == []

    def test_so_are_maps_that_were_resized(self) -> None:
        ops = (*relu_conv("a", "b", "c"), op("d", "resize_bilinear", "c", "d"))
        assert joined(*ops, op("z", "concatenation", "cd", "z"), **shapes("abcdz")) == []

    def test_and_what_was_joined_before(self) -> None:
        ops = (*relu_conv("a", "b", "c"), op("d", "concatenation", "cc", "d"))
        assert joined(*ops, op("z", "concatenation", "cd", "z"), **shapes("abcdz")) == []

    def test_the_input_has_the_scale_of_pixels_and_is_quantised_anew(self) -> None:
        ops = (op("b", "conv_2d", "a", "b"), op("c", "max_pool_2d", "a", "c"))
        assert joined(*ops, op("z", "concatenation", "bc", "z"), **shapes("abcz")) == ["c"]
        assert joined(*ops, op("z", "concatenation", "ab", "z"), **shapes("abcz")) == ["a"]

    @pytest.mark.parametrize("kind", ["logistic", "softmax", "tanh"])
    def test_so_is_what_has_a_scale_of_its_own_kernel(self, kind: str) -> None:
        ops = (op("b", "conv_2d", "a", "b"), op("c", kind, "b", "c"), op("d", "pad", "c", "d"))
        assert joined(*ops, op("z", "concatenation", "bd", "z"), **shapes("abcdz")) == ["d"]

    def test_a_map_that_left_such_a_scale_is_free(self) -> None:
        ops = (op("b", "logistic", "a", "b"), op("c", "conv_2d", "b", "c"))
        assert joined(*ops, op("z", "concatenation", "cc", "z"), **shapes("abcz")) == []
