from dataclasses import dataclass

import pytest

from frugalseg.cost.aten import facts


@dataclass
class Of:
    shape: tuple[int, ...]


def convolution(x: Of, weight: Of, *, transposed: bool = False, groups: int = 1) -> list[object]:
    return [x, weight, None, [2, 2], [1, 1], [1, 1], transposed, [0, 0], groups]


def test_macs_of_a_convolution_are_those_of_its_outputs() -> None:
    args = convolution(Of((1, 3, 8, 8)), Of((16, 3, 3, 3)))
    found = facts("convolution", args, Of((1, 16, 4, 4)))
    assert found["macs"] == 16 * 4 * 4 * 27
    assert (found["weight_elements"], found["bias_elements"]) == (432, 16)


def test_macs_of_a_transposed_convolution_are_those_of_its_inputs() -> None:
    args = convolution(Of((1, 8, 4, 4)), Of((8, 5, 2, 2)), transposed=True)
    assert facts("convolution", args, Of((1, 5, 8, 8)))["macs"] == 8 * 4 * 4 * 20


def test_a_depthwise_convolution_is_recognised() -> None:
    args = convolution(Of((1, 8, 8, 8)), Of((8, 1, 3, 3)), groups=8)
    found = facts("convolution", args, Of((1, 8, 4, 4)))
    assert (found["kind"], found["macs"]) == ("depthwise_conv_2d", 8 * 4 * 4 * 9)


def test_attention_counts_both_products() -> None:
    args = [Of((1, 2, 10, 8)), Of((1, 2, 7, 8)), Of((1, 2, 7, 4))]
    assert facts("_scaled_dot_product_x", args, Of(()))["macs"] == 2 * 10 * 7 * (8 + 4)


@pytest.mark.parametrize(
    ("args", "kind"), [((0, 6), "relu6"), ((0, None), "relu"), ((-1, 1), "clamp")]
)
def test_a_clamp_is_a_relu_if_its_bounds_are(args: tuple[object, ...], kind: str) -> None:
    assert facts("hardtanh", (Of((1,)), *args), Of((1,))).get("kind", "clamp") == kind


def test_a_pooling_strides_by_its_kernel_unless_told() -> None:
    window = facts("max_pool2d_with_indices", (Of((1,)), [3, 3]), Of((1,)))["window"]
    assert (window.stride, window.padding) == ((3, 3), ((0, 0), (0, 0)))


def test_padding_of_channels_is_no_padding_of_the_picture() -> None:
    assert "pads" not in facts("constant_pad_nd", (Of((1,)), [0, 0, 0, 0, 0, 5]), Of((1,)))
    assert facts("constant_pad_nd", (Of((1,)), [0, 1]), Of((1,)))["pads"] == ((0, 0), (0, 1))


def test_a_pooling_tells_whether_it_rounds_up_and_how_it_dilates() -> None:
    of = (Of((1,)), [3, 3], [2, 2], [1, 1])
    mean = facts("avg_pool2d", (*of, True, False), Of((1,)))["window"]
    assert (mean.rounds_up, mean.dilation) == (True, (1, 1))
    most = facts("max_pool2d_with_indices", (*of, [2, 2], True), Of((1,)))["window"]
    assert (most.rounds_up, most.dilation) == (True, (2, 2))
    assert not facts("max_pool2d_with_indices", of, Of((1,)))["window"].rounds_up


def test_what_a_transposed_convolution_cuts_off_is_its_padding_less_that_of_its_output() -> None:
    args = convolution(Of((1, 8, 4, 4)), Of((8, 5, 3, 3)), transposed=True)
    args[7] = [1, 0]
    found = facts("convolution", args, Of((1, 5, 8, 7)))
    assert found["spread"].padding == ((1, 0), (1, 1))
    assert found.get("window") is None


def test_a_resize_tells_the_factor_that_it_was_given() -> None:
    x = Of((1, 8, 4, 4))
    sized = facts("upsample_bilinear2d", (x, [6, 8], False), Of((1,)))
    assert "factor" not in sized
    scaled = facts("upsample_bilinear2d", (x, [6, 8], False, 1.5, 2.0), Of((1,)))
    assert scaled["factor"] == (1.5, 2.0)
    nearest = facts("upsample_nearest2d", (x, [8, 8], 2.0, 2.0), Of((1,)))
    assert nearest["factor"] == (2.0, 2.0)
