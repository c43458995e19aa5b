"""Windows over other maps, by hand; `tests/search/test_graphs.py` has all networks of the zoo."""

from dataclasses import replace

import pytest

from frugalseg.core.errors import ConfigError
from frugalseg.cost.graph import Op, Window, chain
from frugalseg.cost.rescale import rescale
from frugalseg.cost.windows import placed, with_pads_alone, with_pads_inside


def pooling(kernel: int, stride: int, before: int, *, rounds_up: bool) -> Op:
    pads = ((before, before), (before, before))
    window = Window(
        kernel=(kernel, kernel), stride=(stride, stride), padding=pads, rounds_up=rounds_up
    )
    return Op(
        name="pool", kind="average_pool_2d", reads=("a",), writes=("b",), window=window
    )  # fmt: skip


def half(side: int, *, pads: tuple[int, int]) -> Op:
    window = Window(kernel=(3, 3), stride=(2, 2), padding=(pads, pads))
    return Op(
        name="half conv_2d", kind="conv_2d", layer="half", reads=("a",), writes=("b",),
        window=window, weight_elements=72, bias_elements=8, macs=72 * (-(-side // 2)) ** 2,
    )  # fmt: skip


def test_a_convolution_pads_an_even_side_at_the_end_and_an_odd_one_on_both() -> None:
    found = placed(half(8, pads=(0, 1)), (8, 8), (4, 4), (9, 12))
    assert found is not None
    assert found[0] == (5, 6)
    assert found[1].padding == ((1, 1), (0, 1))


def test_what_pads_in_another_way_is_not_explained() -> None:
    assert placed(half(8, pads=(1, 1)), (8, 8), (4, 4), (9, 12)) is None


def test_a_mean_has_its_kernel_cut_to_a_map_that_one_window_covers() -> None:
    sides, window = placed(pooling(5, 2, 1, rounds_up=True), (8, 8), (4, 4), (2, 7)) or ((), None)
    assert sides == (1, 4)
    assert window is not None
    assert window.kernel == (2, 5)
    assert window.padding == ((0, 0), (2, 2))


def test_a_kernel_that_was_cut_does_not_tell_what_it_is_elsewhere() -> None:
    with pytest.raises(ConfigError, match=r"pool .* cut to the 2 px"):
        placed(pooling(2, 8, 0, rounds_up=True), (2, 2), (1, 1), (16, 16))


def test_a_grid_has_as_many_windows_over_any_map() -> None:
    sides, window = placed(pooling(8, 5, 0, rounds_up=False), (33, 33), (6, 6), (65, 4)) or (
        (),
        None,
    )
    assert sides == (6, 4)
    assert window is not None
    assert (window.kernel, window.stride) == ((15, 1), (10, 1))


def test_a_grid_of_single_pixels_is_left_out_by_the_networks() -> None:
    with pytest.raises(ConfigError, match="would change nothing"):
        placed(pooling(8, 5, 0, rounds_up=False), (33, 33), (6, 6), (5, 4))


def test_pads_come_and_go_with_the_picture() -> None:
    net = chain(half(9, pads=(1, 1)), shapes={"a": (1, 1, 9, 9), "b": (1, 8, 5, 5)})
    even = rescale(replace(net, pads_same=True), size=(8, 9))
    pad, conv = even.ops
    assert (pad.name, pad.pads, conv.reads) == ("half pad", ((0, 1), (1, 1)), ("half pad:0",))
    assert {name: tensor.shape[2:] for name, tensor in even.tensors.items()} == {
        "a": (8, 9), "half pad:0": (9, 11), "b": (4, 5),
    }  # fmt: skip
    assert with_pads_alone(with_pads_inside(even)) == even
    odd = rescale(even, size=(7, 9))
    assert [op.kind for op in odd.ops] == ["conv_2d"]
    assert {*odd.tensors} == {"a", "b"}


def test_a_network_over_a_small_picture_does_not_tell_a_larger_one() -> None:
    net = chain(half(9, pads=(1, 1)), shapes={"a": (1, 1, 9, 9), "b": (1, 8, 5, 5)})
    with pytest.raises(ConfigError, match="from 9x9 to 8x10 without recording it anew"):
        rescale(replace(net, pads_same=True), size=(8, 10))


def test_a_resize_that_two_rules_explain_is_not_guessed() -> None:
    """Of 16 px, 8 are the half of the picture and twice the quarter; of 9 they are not."""
    quarter = Op(
        name="quarter", kind="max_pool_2d", reads=("a",), writes=("b",),
        window=Window(kernel=(4, 4), stride=(4, 4), rounds_up=True),
    )  # fmt: skip
    up = Op(name="up", kind="resize_bilinear", reads=("b",), writes=("c",))
    shapes = {"a": (1, 8, 16, 16), "b": (1, 8, 4, 4), "c": (1, 8, 8, 8)}
    net = replace(chain(quarter, up, shapes=shapes), pads_same=True)
    assert rescale(net, size=(8, 8)).tensors["c"].shape == (1, 8, 4, 4)
    with pytest.raises(ConfigError, match="goes to a size that no other map tells"):
        rescale(net, size=(9, 9))
