"""The size of a .tflite file, from the graph that it will hold.

Its content is exact. The bookkeeping of the format was fitted to files as `export` writes them
(static int8, weights per channel, tensor names of a few letters).
"""

from frugalseg.cost.graph import Graph, Op

BIAS_BYTES, SCALE_BYTES, ZERO_POINT_BYTES = 4, 4, 8
# Fitted to exported frugalnets of 26 k to 1.4 M weights: 0 to 0.3 % too high on them. Long class
# names, which the metadata holds, add their letters.
FILE_BYTES = 1_520  # header, signature, metadata with some class names
OP_BYTES = 200  # an operator, the tensor that it writes, and that tensor's scale
WEIGHTS_BYTES = 142  # the two tensors, weight and bias, of an operator that has both


def file_bytes(graph: Graph) -> int:
    """Estimate the .tflite file.

    A weight is a byte. Weights and bias have a scale and a zero point for each output channel.
    """
    return sum(map(_op_bytes, graph.ops)) + FILE_BYTES


def layer_bytes(weights: int, channels: int) -> int:
    """Estimate what an operator with so many weights adds to a file, making so many channels.

    >>> layer_bytes(64, 8)
    630
    """
    scales = channels * (BIAS_BYTES + 2 * (SCALE_BYTES + ZERO_POINT_BYTES))
    return weights + scales + WEIGHTS_BYTES + OP_BYTES


def _op_bytes(op: Op) -> int:
    if op.bias_elements:
        return layer_bytes(op.weight_elements, op.bias_elements)
    return op.weight_elements + OP_BYTES
