"""Model memory of the IMX500: what the converter stores for each layer, in bytes.

Found by measuring (imxconv-pt 3.19.2, 8-bit weights): weights lie in blocks of 32 x 32 channels,
each output channel has six bytes beside them, and some operators bring a table.
"""

from math import ceil, prod

from frugalseg.cost.imx500_layers import ARITHMETIC, Layer, Layers
from frugalseg.cost.imx500_maps import BLOCK, Map, whole_blocks

CHANNEL = 6  # bytes beside the weights of an output channel
OF_SIGNED, OF_UNSIGNED = 4, 16  # more of them for a transposed convolution of such a map
ON_VECTOR = 9  # the same where the map is one pixel
TABLE = 512
VECTOR_TABLE = 64  # more for a vector
SMALL = 3  # side of a kernel
FIXED = {"average_pool_2d": 1024, "softmax": 1024}
MOST_ADDED = 10_000  # weights; 9,856 more were accepted, 10,080 were not
CURVED = ("gelu", "hard_sigmoid", "hard_swish", "logistic", "silu", "tanh")
SMOOTH = frozenset({"gelu", "hard_swish", "leaky_relu", "silu"})  # a little below nought
CURVES = {**dict.fromkeys(CURVED, TABLE), "leaky_relu": TABLE + 64}


def model_bytes(net: Layers) -> int:
    """Sum up the layers and what the outputs add."""
    images = sum(net.maps[name].pixels > 1 for name in net.outputs)
    return sum(layer_bytes(layer, net) for layer in net.layers) + BLOCK * images


def layer_bytes(layer: Layer, net: Layers) -> int:
    """Bytes of one layer."""
    curve = CURVES.get(layer.activation or layer.op.kind, 0)
    if curve and layer.activation and net.maps[layer.writes].pixels == 1:
        curve += VECTOR_TABLE
    if layer.is_grouped:
        return _grouped(layer, net) + 2 * curve
    if layer.is_dense:
        return _dense(layer, net) + curve + (TABLE if layer.adds else 0)
    return curve + _other(layer, net)


def is_folded(layer: Layer, net: Layers) -> bool:
    """Whether a stride is done by joining its phases as channels.

    The kernel then is filled up to a multiple of the stride; that may not add many weights.
    """
    if not layer.is_dense or layer.stride == 1:
        return False
    before, after = net.maps[layer.reads[0]], net.maps[layer.writes]
    kernel, stride = layer.window.kernel, layer.stride
    added = prod(ceil(side / stride) * stride for side in kernel) - prod(kernel)
    return added * before.channels * after.channels <= MOST_ADDED


def reads_rows(layer: Layer, sides: Map) -> bool:
    """Whether a convolution takes a map by rows, if it lies so."""
    down, across = layer.window.kernel
    simple = layer.stride == 1 == max(layer.window.dilation)
    return sides.channels < BLOCK and simple and down == across


def even_kernel(side: int) -> int:
    """Make the side of a kernel that goes over rows even, but for 1 and 3."""
    return side + side % 2 * (side > SMALL)


def stays_wide(layer: Layer, net: Layers) -> bool:
    """Whether a stride is done on whole blocks of channels, though there are fewer."""
    strided = layer.is_dense and layer.stride > 1 and not is_folded(layer, net)
    return strided and net.maps[layer.reads[0]].channels < BLOCK


def _dense(layer: Layer, net: Layers) -> int:
    before, after = net.maps[layer.reads[0]], net.maps[layer.writes]
    taps, channels = prod(layer.window.kernel), before.channels
    if channels < BLOCK and len({*layer.window.kernel}) == 1:
        taps = prod(even_kernel(side) for side in layer.window.kernel)
    if before.pixels == 1:
        return (channels + channels % 2 + ON_VECTOR) * after.blocks
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
        beside = CHANNEL + (OF_SIGNED if _is_signed(layer.reads[0], net) else OF_UNSIGNED)
        size = (taps * before.blocks + beside) * after.blocks
    elif kind == "fully_connected":
        size = (before.channels + before.channels % 2 + ON_VECTOR) * after.blocks
    elif kind in ARITHMETIC:
        size = _arithmetic(layer, net)
    return size


def _is_signed(name: str, net: Layers) -> bool:
    writer = net.writer.get(name)
    return name in net.signed or (writer is not None and writer.activation in SMOOTH)


def _arithmetic(layer: Layer, net: Layers) -> int:
    spreads = net.maps[layer.writes].pixels > min(net.maps[name].pixels for name in layer.reads)
    signed = any(name in net.signed for name in layer.reads)
    return TABLE if signed and not spreads else BLOCK
