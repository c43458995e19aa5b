"""Pairs: an estimate beside what the tool said, kept as data against which estimates are tested.

A pair for TensorFlow Lite Micro has the format of tests/cost/data/tflm, so that it can be put
there as it is.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import Any

from frugalseg.core.files import cache_folder, write_text
from frugalseg.cost.graph import Graph

DIGEST = 8


def pairs_folder(folder: str | Path | None = None) -> Path:
    """Return where pairs are kept: in the cache, unless `folder` is named."""
    return cache_folder() / "pairs" if folder is None else Path(folder)


def graph_data(graph: Graph) -> dict[str, Any]:
    """Write a graph as lists: tensors are (sides, element bytes), and named by their number."""
    number = {name: i for i, name in enumerate(graph.tensors)}
    return {
        "tensors": [[[*t.shape], t.element_bytes] for t in graph.tensors.values()],
        "ops": [
            [
                op.kind, [number[n] for n in op.reads], [number[n] for n in op.writes],
                op.weight_elements, op.bias_elements, *([op.pads] if op.pads else []),
            ]
            for op in graph.ops
        ],
        "inputs": [number[name] for name in graph.inputs],
        "outputs": [number[name] for name in graph.outputs],
        "num_constants": graph.num_constants,
        **({"offsets": {str(number[name]): at for name, at in graph.offsets.items()}}
           if graph.offsets else {}),
    }  # fmt: skip


def whole_graph_data(graph: Graph) -> dict[str, Any]:
    """Write all that is known of a graph, as a compiler for a device gets to see it."""
    return {
        "tensors": [asdict(tensor) for tensor in graph.tensors.values()],
        "ops": [asdict(op) for op in graph.ops],
        "inputs": list(graph.inputs),
        "outputs": list(graph.outputs),
    }


def keep_pair(folder: Path, name: str, pair: Mapping[str, Any], graph: Mapping[str, Any]) -> Path:
    """Write a pair; the same graph under the same name replaces what was measured before."""
    digest = sha256(json.dumps(graph).encode()).hexdigest()[:DIGEST]
    path = folder / f"{name}_{digest}.json"
    write_text(path, json.dumps(pair, separators=(",", ":")) + "\n")
    return path
