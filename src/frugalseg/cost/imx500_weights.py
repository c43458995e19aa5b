"""Model memory of the IMX500: what the converter stores for each layer, in bytes.

Found by measuring (imxconv-pt 3.19.2): weights lie in blocks of 32 x 32 channels, each output
channel has six bytes beside them, and some operators bring a table. Weights of 4 or 2 bits are
packed into bytes, but for convolutions that read fewer than 32 channels with a square kernel.
"""

from math import ceil, prod

from frugalseg.cost.imx500_layers import ARITHMETIC, POINT, Layer, Layers, parts_of
from frugalseg.cost.imx500_maps import BLOCK, Map, whole_blocks

CHANNEL = 6  # bytes beside the weights of an output channel
SPREAD = 4  # more for a transposed convolution; of a map without signs, for each of its phases
ON_VECTOR = 9  # the same where the map is one pixel
TABLE = 512
VECTOR_TABLE = 64  # more for a vector
PRODUCT = 160  # bytes of a product of matrices, and two for each column
SMALL = 3  # side of a kernel
LEAST_GROUPED = 4  # side of a kernel in groups
BYTE = 8  # bits
FIXED = {"average_pool_2d": 1024, "softmax": 1024}
MOST_ADDED = 10_000  # weights; 9,856 more were accepted, 10,080 were not
CURVED = ("gelu", "hard_sigmoid", "hard_swish", "logistic", "silu", "tanh")
SMOOTH = frozenset({"gelu", "hard_swish", "leaky_relu", "silu"})  # a little below nought
CURVES = {**dict.fromkeys(CURVED, TABLE), "leaky_relu": TABLE + 64}


def model_bytes(net: Layers, bits: int = BYTE) -> int:
    """Sum up the layers, with weights of 2, 4 or 8 bits, and what the outputs add."""
    images = sum(net.maps[name].pixels > 1 for name in net.outputs)
    return sum(layer_bytes(layer, net, bits) for layer in net.layers) + BLOCK * images


def layer_bytes(layer: Layer, net: Layers, bits: int = BYTE) -> int:
    """Bytes of one layer, with weights of 2, 4 or 8 bits."""
    curve = CURVES.get(layer.activation or layer.op.kind, 0)
    if curve and layer.activation and net.maps[layer.writes].pixels == 1:
        curve += VECTOR_TABLE
    parts = parts_of(layer, net.maps)
    if len(parts) > 1:
        return sum(layer_bytes(part, net, bits) for part in parts)
    if layer.is_grouped:
        return _grouped(layer, net, bits) + 2 * (curve + (TABLE if layer.adds else 0))
    if layer.is_dense:
        return _dense(layer, net, bits) + curve + (TABLE if layer.adds else 0)
    return curve + _other(layer, net, bits)


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


def grouped_kernel(layer: Layer) -> int:
    """Side of the square of an even number of rows, 4 at least, that a kernel in groups fills."""
    longest = max(layer.window.kernel)
    return max(LEAST_GROUPED, longest + longest % 2)


def stays_wide(layer: Layer, net: Layers) -> bool:
    """Whether a stride is done on whole blocks of channels, though there are fewer."""
    strided = layer.is_dense and layer.stride > 1 and not is_folded(layer, net)
    return strided and net.maps[layer.reads[0]].channels < BLOCK


def _dense(layer: Layer, net: Layers, bits: int) -> int:
    before, after = net.maps[layer.reads[0]], net.maps[layer.writes]
    if before.pixels == 1:
        return _on_vector(before, after, bits)
    taps, channels = prod(layer.window.kernel), before.channels
    is_square = len({*layer.window.kernel}) == 1
    if channels < BLOCK and is_square:
        taps = prod(even_kernel(side) for side in layer.window.kernel)
    wide = stays_wide(layer, net) and bits == BYTE
    if wide or is_folded(layer, net):
        taps = prod(ceil(side / layer.stride) for side in layer.window.kernel)
        channels = (before.blocks if wide else channels) * layer.stride**2
    weights = taps * whole_blocks(channels)
    is_packed = channels >= BLOCK or not is_square
    return ((weights * bits // BYTE if is_packed else weights) + CHANNEL) * after.blocks


def _grouped(layer: Layer, net: Layers, bits: int) -> int:
    """A byte holds weights of several channels; these fill whole blocks of bytes."""
    after, taps = net.maps[layer.writes], grouped_kernel(layer) ** 2
    each = net.maps[layer.reads[0]].channels // layer.op.groups
    blocks = ceil(after.blocks * each * bits / BYTE / BLOCK)
    return blocks * BLOCK * taps + CHANNEL * after.blocks


def _on_vector(before: Map, after: Map, bits: int) -> int:
    row = ceil(before.channels * bits / BYTE)
    return (row + row % 2 + ON_VECTOR) * after.blocks


def _other(layer: Layer, net: Layers, bits: int) -> int:
    kind, before, after = layer.op.kind, net.maps[layer.reads[0]], net.maps[layer.writes]
    size = FIXED.get(kind, 0)
    if kind == "transpose_conv":
        taps = layer.op.weight_elements // (before.channels * after.channels)
        is_signed = _is_signed(layer.reads[0], net)
        phases = 1 if is_signed else prod((layer.op.spread or POINT).stride)
        size = (taps * before.blocks * bits // BYTE + CHANNEL + SPREAD * phases) * after.blocks
    elif kind == "fully_connected":
        size = _on_vector(before, after, bits)
    elif kind == "layer_norm":
        size = TABLE + CHANNEL * after.blocks
    elif kind == "batch_matmul":  # each head is a product of its own
        size = (PRODUCT + 2 * after.blocks) * after.height
    elif kind in ARITHMETIC:
        size = _arithmetic(layer, net)
    return size


def _is_signed(name: str, net: Layers) -> bool:
    writer = net.writer.get(name)
    return name in net.signed or (writer is not None and writer.activation in SMOOTH)


def _arithmetic(layer: Layer, net: Layers) -> int:
    """With numbers that are not computed no table is needed, but those are stored."""
    if len(layer.reads) == 1:
        return 2 * BLOCK + whole_blocks(max(1, layer.op.params))
    spreads = net.maps[layer.writes].pixels > min(net.maps[name].pixels for name in layer.reads)
    signed = any(name in net.signed for name in layer.reads)
    joined = any(_is_joined(name, net) for name in layer.reads)
    return TABLE if signed and not spreads and not joined else BLOCK


def _is_joined(name: str, net: Layers) -> bool:
    writer = net.writer.get(name)
    if writer is None:
        return False
    return writer.op.kind == "concatenation" or len(parts_of(writer, net.maps)) > 1
