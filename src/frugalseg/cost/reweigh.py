"""What an operator stores and computes, for maps of other shapes."""

from collections.abc import Mapping
from dataclasses import replace
from math import prod

from frugalseg.cost.channels import CONVOLUTIONS, channels_of
from frugalseg.cost.graph import Op, Tensor
from frugalseg.cost.sequences import products
from frugalseg.cost.windows import not_known


def reweighed(op: Op, old: Mapping[str, Tensor], new: Mapping[str, Tensor]) -> Op:
    """Return the operator with what it stores and computes for its new shapes."""
    names = (*op.reads, *op.writes)
    if not op.reads or all(new[name] is old[name] for name in names):
        return op
    if op.kind in CONVOLUTIONS:
        return _convolution(op, old, new)
    if op.kind == "fully_connected":
        return _matrix(op, old, new)
    if op.kind == "batch_matmul" and (macs := products(op, old, new)) is not None:
        return replace(op, macs=macs)
    if op.macs:
        raise not_known(op, "computes with what it reads in a way that is not known")
    was, now = (channels_of(tensors[op.writes[0]].shape) for tensors in (old, new))
    return replace(
        op,
        weight_elements=_numbers(op, op.weight_elements, was, now),
        params=_numbers(op, op.params, was, now),
    )


def _numbers(op: Op, count: int, was: int, now: int) -> int:
    """Count what an operator holds for each channel, or once for all of them."""
    if count == 0 or (was == now and count in {1, was, 2 * was}):
        return count
    if was > 1 and count in {was, 2 * was}:
        return count // was * now
    if was > 1 and count == 1:
        return 1
    raise not_known(op, f"holds {count} numbers for {was} channels")


def _convolution(op: Op, old: Mapping[str, Tensor], new: Mapping[str, Tensor]) -> Op:
    (was_in, was), (now_in, now) = (_in_and_out(op, tensors) for tensors in (old, new))
    if was_in == was == 1 < now_in * now:
        raise not_known(op, "has one channel, so that it cannot be told whether it mixes channels")
    depthwise = op.kind == "depthwise_conv_2d" and op.groups == was_in
    groups = now_in if depthwise else op.groups
    if now_in % groups or now % groups:
        raise not_known(
            op, f"has {groups} groups, but {now_in} channels to read and {now} to write"
        )
    weights = op.weight_elements * op.groups // (was_in * was) * now_in * now // groups
    transposed = op.kind == "transpose_conv"
    entered = new[op.reads[0] if transposed else op.writes[0]].shape
    single = "depthwise_conv_2d" if groups == now_in > 1 else "conv_2d"
    return replace(
        op,
        kind=op.kind if transposed else single,
        macs=prod(entered) * weights // (now_in if transposed else now),
        params=_params(op, op.weight_elements, was, weights, now),
        weight_elements=weights,
        bias_elements=now,
        groups=groups,
    )


def _matrix(op: Op, old: Mapping[str, Tensor], new: Mapping[str, Tensor]) -> Op:
    (was_in, was), (now_in, now) = (_in_and_out(op, tensors) for tensors in (old, new))
    if op.weight_elements not in {was_in * was, (was_in + 1) * was}:
        raise not_known(
            op, f"stores {op.weight_elements} numbers for {was_in} times {was} channels"
        )
    bias = now if op.weight_elements > was_in * was else 0
    return replace(
        op,
        macs=op.macs // (was_in * was) * now_in * now,
        params=_params(op, was_in * was, was, now_in * now, now),
        weight_elements=now_in * now + bias,
    )


def _in_and_out(op: Op, tensors: Mapping[str, Tensor]) -> tuple[int, int]:
    return channels_of(tensors[op.reads[0]].shape), channels_of(tensors[op.writes[0]].shape)


def _params(op: Op, weights: int, bias: int, now_weights: int, now_bias: int) -> int:
    """Count what is trained: weights, bias, both or nothing, if others counted it."""
    known = {
        weights + bias: now_weights + now_bias, bias: now_bias, weights: now_weights, 0: 0,
    }  # fmt: skip
    if op.params not in known:
        raise not_known(op, f"trains {op.params} numbers, for {weights} weights and {bias} biases")
    return known[op.params]
