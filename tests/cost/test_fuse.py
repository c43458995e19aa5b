import pytest

from frugalseg.cost.fuse import fuse
from frugalseg.cost.graph import Op, Window, chain
from frugalseg.cost.peak import peak

STRIDED = Window(kernel=(3, 3), stride=(2, 2))
Pads = tuple[tuple[int, int], tuple[int, int]]


def op(name: str, kind: str, reads: str, write: str) -> Op:
    return Op(name=name, kind=kind, reads=tuple(reads), writes=(write,))


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


def test_a_norm_by_itself_is_a_product_and_a_sum() -> None:
    shapes = dict.fromkeys("abcd", (1, 4, 8, 8))
    graph = chain(
        op("cat", "concatenation", "a", "b"),
        op("norm", "batch_norm", "b", "c"),
        op("relu", "relu", "c", "d"),
        shapes=shapes,
    )
    assert [o.kind for o in fuse(graph).ops] == ["concatenation", "mul", "add"]


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
