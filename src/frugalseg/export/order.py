"""Writes the order of operators that needs least memory into a .tflite file.

LiteRT and TensorFlow Lite Micro run operators as they stand in the file. Any order in which each
one comes after those that it reads is valid, and computes the same to the bit.
"""

from pathlib import Path

from frugalseg.cost.order import best_order
from frugalseg.cost.peak import peak
from frugalseg.cost.tflite import read_tflite
from frugalseg.export.flatbuffer import read_model, write_model


def order(path: Path) -> int:
    """Reorder the file in place; return the bytes by which the peak of live activations falls."""
    graph = read_tflite(path, views=False)
    best = best_order(graph)
    saved = peak(graph).bytes - best.peak_bytes
    if saved > 0:
        model = read_model(path)
        operators = model.subgraphs[0].operators
        model.subgraphs[0].operators = [operators[i] for i in best.ops]
        write_model(model, path)
    return saved
