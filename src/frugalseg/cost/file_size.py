"""The size of a .tflite file, from the graph that it will hold.

Its content is exact. The bookkeeping of the format was fitted to files as `export` writes them
(static int8, weights per channel, tensor names of a few letters).
"""

from frugalseg.cost.graph import Graph

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
    weights = sum(op.weight_elements for op in graph.ops)
    channels = sum(op.bias_elements for op in graph.ops)
    return (
        weights
        + channels * (BIAS_BYTES + 2 * (SCALE_BYTES + ZERO_POINT_BYTES))
        + sum(WEIGHTS_BYTES for op in graph.ops if op.bias_elements)
        + len(graph.ops) * OP_BYTES
        + FILE_BYTES
    )
