"""What an ATen operator is to a device: kind, multiply-accumulates, numbers stored, geometry.

Only shapes are looked at, so that this needs no PyTorch; `trace` brings the arguments.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from math import prod
from typing import Any, Protocol

from frugalseg.cost.graph import Window

FLAT = 2  # axes of a matrix, and of a picture
Facts = dict[str, Any]  # fields of an `Op`


class Shaped(Protocol):
    """A tensor, as far as it matters here."""

    @property
    def shape(self) -> Sequence[int]:
        """Sides."""


# Other ways to look at the same bytes.
VIEWS = frozenset({
    "_reshape_alias", "_unsafe_view", "alias", "clone", "contiguous", "detach", "expand",
    "lift_fresh", "permute", "reshape", "squeeze", "t", "transpose", "unflatten", "unsqueeze",
    "view",
})  # fmt: skip
# A view only if nothing is left out; else an operator that copies, in LiteRT.
VIEWS_IF_WHOLE = frozenset({
    "_to_copy", "narrow", "select", "slice", "split", "split_with_sizes",
})  # fmt: skip
# These take a tensor for its shape alone; the result is a constant.
FILLS = frozenset({
    "empty_like", "full_like", "new_empty", "new_full", "new_ones", "new_zeros", "ones_like",
    "zeros_like",
})  # fmt: skip

# Operators without multiply-accumulates in our sense, of the same name in TFLite or of another.
NAMESAKES = frozenset({
    "abs", "add", "clamp", "copy", "cos", "div", "elu", "exp", "floor", "gelu", "leaky_relu",
    "log", "maximum", "mean", "minimum", "mul", "neg", "pow", "relu", "relu6", "rsqrt",
    "silu", "sin", "slice", "split", "sqrt", "square", "sub", "sum", "tanh",
})  # fmt: skip
RENAMED: Mapping[str, str] = {
    "_adaptive_avg_pool2d": "average_pool_2d", "_prelu_kernel": "prelu",
    "_safe_softmax": "softmax", "_softmax": "softmax", "_to_copy": "cast",
    "adaptive_max_pool2d": "max_pool_2d", "amax": "reduce_max", "argmax": "arg_max",
    "avg_pool2d": "average_pool_2d", "cat": "concatenation", "clamp_min": "clamp",
    "constant_pad_nd": "pad", "eq": "equal", "ge": "greater_equal", "gt": "greater",
    "hardsigmoid": "hard_sigmoid", "hardswish": "hard_swish", "hardtanh": "clamp",
    "index_select": "gather", "le": "less_equal", "lt": "less",
    "max_pool2d_with_indices": "max_pool_2d", "native_batch_norm": "batch_norm",
    "native_group_norm": "group_norm", "native_layer_norm": "layer_norm",
    "pixel_shuffle": "depth_to_space", "pixel_unshuffle": "space_to_depth",
    "reflection_pad2d": "mirror_pad", "repeat": "tile", "replication_pad2d": "mirror_pad",
    "select": "slice", "sigmoid": "logistic", "split_with_sizes": "split", "stack": "pack",
    "upsample_bilinear2d": "resize_bilinear", "upsample_nearest2d": "resize_nearest_neighbor",
    "where": "select_v2",
}  # fmt: skip


def facts(name: str, args: Sequence[Any], made: Shaped) -> Facts:
    """Describe the operator `name` that made `made` of `args`; empty if it is not known.

    >>> facts("relu", (), None), facts("fft_fft2", (), None)
    ({'kind': 'relu'}, {})
    """
    if name.startswith("_scaled_dot_product"):
        return _attention(args)
    if name in MATRIX:
        return MATRIX[name](args, made)
    if name not in NAMESAKES and name not in RENAMED:
        return {}
    geometry = GEOMETRY[name](args) if name in GEOMETRY else {}
    return {"kind": RENAMED.get(name, name), **geometry}


def _convolution(args: Sequence[Any], made: Shaped) -> Facts:
    x, weight, _, stride, padding, dilation, transposed, left_over, groups = args
    found: Facts = {
        # Each element on the many-to-one side meets the weights of one channel.
        "macs": prod((x if transposed else made).shape) * prod(weight.shape[1:]),
        "weight_elements": prod(weight.shape),
        "bias_elements": made.shape[1],  # LiteRT stores zeros where there is none
        "groups": groups,
    }
    flat = len(stride) == FLAT
    window = _window(weight.shape[2:], stride, padding, dilation) if flat else None
    if transposed:
        return {"kind": "transpose_conv", **found, "spread": _less(window, left_over)}
    depthwise = groups > 1 and weight.shape[1] == 1
    found["window"] = window
    return {"kind": "depthwise_conv_2d" if depthwise else "conv_2d", **found}


def _product(left: int, right: int) -> Callable[[Sequence[Any], Shaped], Facts]:
    def found(args: Sequence[Any], made: Shaped) -> Facts:
        kind = "fully_connected" if len(args[right].shape) == FLAT else "batch_matmul"
        return {"kind": kind, "macs": prod(made.shape) * args[left].shape[-1]}

    return found


def _attention(args: Sequence[Any]) -> Facts:
    query, key, value, *_ = (tensor.shape for tensor in args[:3])
    pairs = prod(query[:-1]) * key[-2]
    return {"kind": "attention", "macs": pairs * (query[-1] + value[-1])}


def _less(window: Window | None, left_over: Sequence[int]) -> Window | None:
    """Cut less off at the end, by the output padding of a transposed convolution."""
    if window is None:
        return None
    (top, bottom), (left, right) = window.padding
    down, across = _pair(left_over)
    return replace(window, padding=((top, bottom - down), (left, right - across)))


# Trailing arguments are absent where they are the default.
def _mean_pool(args: Sequence[Any]) -> Facts:
    names = ("kernel", "stride", "padding", "rounds_up")
    return _pool(**dict(zip(names, args[1:], strict=False)))


def _max_pool(args: Sequence[Any]) -> Facts:
    names = ("kernel", "stride", "padding", "dilation", "rounds_up")
    return _pool(**dict(zip(names, args[1:], strict=False)))


def _pool(
    kernel: Sequence[int],
    stride: Sequence[int] = (),
    padding: Sequence[int] = (0,),
    dilation: Sequence[int] = (1,),
    rounds_up: bool = False,
) -> Facts:
    window = _window(kernel, stride or kernel, padding, dilation)
    return {"window": replace(window, rounds_up=rounds_up)}


def _bilinear(args: Sequence[Any]) -> Facts:
    return _factor(args[3:])


def _nearest(args: Sequence[Any]) -> Facts:
    return _factor(args[2:])


def _factor(scales: Sequence[float | None]) -> Facts:
    down, across = (*scales, None, None)[:2]
    return {} if down is None or across is None else {"factor": (float(down), float(across))}


def _pad(args: Sequence[Any]) -> Facts:
    left, right, top, bottom, *rest = (*args[1], 0, 0)[: max(4, len(args[1]))]
    return {} if any(rest) else {"pads": ((top, bottom), (left, right))}


def _clamp(args: Sequence[Any]) -> Facts:
    match tuple(args[1:]):
        case (0, 6):
            return {"kind": "relu6"}
        case (0,) | (0, None):
            return {"kind": "relu"}
    return {}


def _batch_norm(args: Sequence[Any]) -> Facts:
    # Means and variances end up in the scale and the offset, a number each per channel.
    return {"weight_elements": args[0].shape[1]}


MATRIX: Mapping[str, Callable[[Sequence[Any], Shaped], Facts]] = {
    "addmm": _product(1, 2),
    "baddbmm": _product(1, 2),
    "bmm": _product(0, 1),
    "convolution": _convolution,
    "mm": _product(0, 1),
}
GEOMETRY: Mapping[str, Callable[[Sequence[Any]], Facts]] = {
    "avg_pool2d": _mean_pool,
    "clamp": _clamp,
    "clamp_min": _clamp,
    "constant_pad_nd": _pad,
    "hardtanh": _clamp,
    "max_pool2d_with_indices": _max_pool,
    "native_batch_norm": _batch_norm,
    "upsample_bilinear2d": _bilinear,
    "upsample_nearest2d": _nearest,
}


def _window(
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
) -> Window:
    down, across = _pair(padding)
    return Window(
        kernel=_pair(kernel),
        stride=_pair(stride),
        dilation=_pair(dilation),
        padding=((down, down), (across, across)),
    )


def _pair(values: Sequence[int]) -> tuple[int, int]:
    first, *rest = values
    return int(first), int(rest[0] if rest else first)
