"""Model memory of the IMX500: what the converter stores for each layer, in bytes.

Found by measuring (imxconv-pt 3.19.2, 8-bit weights): weights lie in blocks of 32 x 32 channels,
each output channel has six bytes beside them, and some operators bring a table.
"""

from math import ceil, prod

from frugalseg.cost.imx500_layers import (
    ARITHMETIC,
    BLOCK,
    CONVOLUTIONS,
    RESIZES,
    Layer,
    Layers,
    whole_blocks,
)

CHANNEL = 6  # bytes beside the weights of an output channel
TABLE = 512
SPREAD = 3  # for each channel, a vector over a map
FIXED = {"average_pool_2d": 1024, "softmax": 1024}
FOLDED_BELOW = 1_408  # channels before times after; between 1280 (folded) and 1536 (not)
CURVED = ("gelu", "hard_sigmoid", "hard_swish", "logistic", "silu", "tanh")
CURVES = {**dict.fromkeys(CURVED, TABLE), "leaky_relu": TABLE + 64}


def model_bytes(net: Layers) -> int:
    """Sum up the layers and what the outputs add."""
    images = sum(net.maps[name].pixels > 1 for name in net.outputs)
    return sum(layer_bytes(layer, net) for layer in net.layers) + BLOCK * images


def layer_bytes(layer: Layer, net: Layers) -> int:
    """Bytes of one layer."""
    curve = CURVES.get(layer.activation or layer.op.kind, 0)
    if layer.is_grouped:
        return _grouped(layer, net) + 2 * curve
    if layer.is_dense:
        return _dense(layer, net) + curve
    return curve + _other(layer, net)


def is_folded(layer: Layer, net: Layers) -> bool:
    """Whether a stride is done by copying stride x stride pixels into the channels of one.

    The first layer is; behind it, where there are few channels before and after.
    """
    if not layer.is_dense or layer.stride == 1:
        return False
    before, after = net.maps[layer.reads[0]], net.maps[layer.writes]
    few = before.channels <= BLOCK and before.channels * after.channels < FOLDED_BELOW
    return few or layer.reads[0] in net.inputs


def stays_wide(layer: Layer, net: Layers) -> bool:
    """Whether a stride is done on whole blocks of channels, though there are fewer."""
    strided = layer.is_dense and layer.stride > 1 and not is_folded(layer, net)
    return strided and net.maps[layer.reads[0]].channels < BLOCK


def _dense(layer: Layer, net: Layers) -> int:
    before, after = net.maps[layer.reads[0]], net.maps[layer.writes]
    taps, channels = prod(layer.window.kernel), before.channels
    if before.pixels == 1 and net.writer[layer.reads[0]].op.kind in CONVOLUTIONS:
        return (channels + CHANNEL) * after.blocks + 160  # exact where channels fill blocks
    wide = stays_wide(layer, net)
    if wide or is_folded(layer, net):
        taps = prod(ceil(side / layer.stride) for side in layer.window.kernel)
        channels = (before.blocks if wide else channels) * layer.stride**2
    return (taps * whole_blocks(channels) + CHANNEL) * after.blocks


def _grouped(layer: Layer, net: Layers) -> int:
    after = net.maps[layer.writes]
    each = net.maps[layer.reads[0]].channels // layer.op.groups
    return after.blocks * (each * prod(side + 1 for side in layer.window.kernel) + CHANNEL)


def _other(layer: Layer, net: Layers) -> int:
    kind, before, after = layer.op.kind, net.maps[layer.reads[0]], net.maps[layer.writes]
    size = FIXED.get(kind, 0)
    if kind == "transpose_conv":
        taps = layer.op.weight_elements // (before.channels * after.channels)
        # Of the last term only the cases of one block and of two were seen.
        size = (taps * before.blocks + CHANNEL) * after.blocks + TABLE * BLOCK // after.blocks
    elif kind == "fully_connected":
        size = (before.blocks + CHANNEL) * after.blocks + 64
    elif kind == "mean" and net.readers.get(layer.writes):
        size = BLOCK
    elif kind in RESIZES and before.pixels == 1:
        size = 64
    elif kind in ARITHMETIC:
        size = _arithmetic(layer, net)
    return size


def _arithmetic(layer: Layer, net: Layers) -> int:
    if net.maps[layer.writes].pixels > 1 == min(net.maps[name].pixels for name in layer.reads):
        return SPREAD * net.maps[layer.writes].blocks
    return TABLE if any(name in net.signed for name in layer.reads) else BLOCK
