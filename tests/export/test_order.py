from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from torch import Tensor, cat, nn

from frugalseg.core.inputs import InputSpec
from frugalseg.cost.peak import peak
from frugalseg.cost.tflite import read_tflite
from frugalseg.export.flatbuffer import read_model, write_model
from frugalseg.export.litert_int8 import export_litert_int8
from frugalseg.export.order import order
from frugalseg.models.network import Network

SPEC = InputSpec(height=32, width=48)


class Side(Network):
    """Three branches, each wide in the middle, written down layer by layer."""

    num_classes = 3

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 4, 2, 1)
        self.wide = nn.ModuleList(nn.Conv2d(4, 48, 3, padding=1) for _ in range(3))
        self.narrow = nn.ModuleList(nn.Conv2d(48, 2, 1) for _ in range(3))
        self.head = nn.Conv2d(6, 3, 1)

    def native(self, image_NCHW: Tensor) -> Tensor:
        x = self.stem(image_NCHW)
        wide = [layer(x).relu() for layer in self.wide]
        joined = cat([f(w) for f, w in zip(self.narrow, wide, strict=True)], 1)
        scores: Tensor = self.head(joined)
        return scores


def _scores(path: Path) -> Any:
    interpreter = Interpreter(str(path), experimental_op_resolver_type=OpResolverType.BUILTIN_REF)
    interpreter.allocate_tensors()
    pixels = np.random.default_rng(1).integers(-128, 128, (1, 32, 48, 3), np.int8)
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], pixels)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


def _breadth_first(path: Path) -> None:
    """Order operators by how many come before them on the longest way."""
    graph, model = read_tflite(path, views=False), read_model(path)
    level = dict.fromkeys(graph.inputs, 0)
    for op in graph.ops:
        level |= dict.fromkeys(op.writes, 1 + max(level[name] for name in op.reads))
    operators = model.subgraphs[0].operators
    numbers = sorted(range(len(operators)), key=lambda i: level[graph.ops[i].writes[0]])
    model.subgraphs[0].operators = [operators[i] for i in numbers]
    write_model(model, path)


@pytest.mark.slow
def test_branches_are_run_one_by_one_and_nothing_else_changes(tmp_path: Path) -> None:
    path = tmp_path / "net.tflite"
    noise = np.random.default_rng(0).integers(0, 256, (32, 48, 3), np.uint8)
    export_litert_int8(Side().eval(), SPEC, path, pictures=[noise])
    least, scores = peak(read_tflite(path)).bytes, _scores(path)
    _breadth_first(path)
    worse = peak(read_tflite(path)).bytes
    assert worse > 2 * least
    assert order(path) == worse - least
    assert peak(read_tflite(path)).bytes == least
    assert (_scores(path) == scores).all()
    assert order(path) == 0
