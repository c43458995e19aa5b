"""Estimates of TensorFlow Lite Micro's arena beside what its interpreter reports.

    python -m venv TFLM && TFLM/bin/pip install tflite_micro numpy
    python benchmarks/measure_tflm.py OUT --python TFLM/bin/python --random 100

Networks of the catalog at three sizes, and random ones, are exported to int8 files; what is there
already is not made again. For each, OUT/NAME.json keeps a pair: the graph as the file tells it
and as `trace` does, and what the interpreter reported. Printed are the errors of both estimates.
"""

import argparse
import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from random_networks import random_network, settle

from frugalseg.core.files import complete_file, write_text
from frugalseg.core.inputs import InputSpec
from frugalseg.cost.graph import Graph
from frugalseg.cost.tflite import read_tflite
from frugalseg.cost.tflm import arena
from frugalseg.export.litert_int8 import export_litert_int8
from frugalseg.models.catalog import Architecture
from frugalseg.models.network import Network
from frugalseg.trace import trace

Make = Callable[[], tuple[Network, InputSpec]]
SIZES = ("96x128", "97x131", "176x240")
WITHIN = 0.005
FRUGALNETS = ((0.25, 1), (0.5, 1), (1.0, 2))
# Runs where tflite_micro is installed: reads a file's path, prints what the interpreter reports.
REPORT = """
import sys
from importlib.metadata import version
from tflite_micro.python.tflite_micro import runtime
raw = open(sys.argv[1], "rb").read()
interpreter = runtime.Interpreter.from_bytes(raw, arena_size=1 << 28)
interpreter.print_allocations()
print(version("tflite_micro"))
"""


def main() -> None:
    """Export, measure, compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--python", required=True, help="a Python that has tflite_micro")
    parser.add_argument("--random", type=int, default=100, help="how many random networks")
    wish = parser.parse_args()
    wish.out.mkdir(parents=True, exist_ok=True)
    errors: dict[str, list[float]] = {"file": [], "traced": []}
    for name, make in networks(wish.random):
        try:
            reported, graphs = measure(name, make, wish.out, wish.python)
        except Exception as wrong:  # converters raise anything; the next network may work
            print(f"{name:28} refused: {str(wrong).splitlines()[0][:80]}")
            continue
        for source, graph in graphs.items():
            found = arena(graph)
            head = found.head_bytes - reported["head"]
            error = found.total_bytes / (reported["head"] + reported["tail"]) - 1
            errors[source].append(abs(error))
            print(f"{name:28} {source:7} head {head:+8,} bytes   total {error:+.3%}", flush=True)
    for source, values in errors.items():
        within = sum(error <= WITHIN for error in values)
        exact = sum(error == 0 for error in values)
        print(
            f"{source}: {len(values)} networks, {exact} to the byte, {within} within {WITHIN:.1%},"
            f" worst {max(values, default=0):.3%}"
        )


def networks(num_random: int) -> Iterator[tuple[str, Make]]:
    """Yield names, and what makes a network and the size of its input."""
    for size in SIZES:
        for width, depth in FRUGALNETS:
            settings = {"num_classes": 11, "width": width, "depth": depth}
            yield f"frugalnet_{size}_{width}_{depth}", _of_catalog("frugalnet", size, settings)
        for unpool in ("indices", "bilinear"):
            settings = {"num_classes": 11, "unpool": unpool}
            yield f"enet_{size}_{unpool}", _of_catalog("enet", size, settings)
    for seed in range(num_random):
        yield f"random_{seed:03}", lambda seed=seed: random_network(seed)


def _of_catalog(name: str, size: str, settings: dict[str, Any]) -> Make:
    spec = InputSpec.parse(size)
    return lambda: (settle(Architecture(name=name, settings=settings).build(), 0), spec)


def measure(
    name: str, make: Make, out: Path, python: str
) -> tuple[dict[str, Any], dict[str, Graph]]:
    """Measure a network; return and keep what was reported and both graphs."""
    network, spec = make()
    file = out / f"{name}.tflite"
    if not file.exists():
        noise = np.random.default_rng(0).integers(0, 256, (*spec.size, spec.channels), np.uint8)
        with complete_file(file) as draft:
            export_litert_int8(network, spec, draft, pictures=[noise])
    reported = report(file, python)
    graphs = {"file": read_tflite(file, views=False), "traced": trace(network, spec)}
    pair = {"reported": reported, **{source: to_data(graph) for source, graph in graphs.items()}}
    write_text(out / f"{name}.json", json.dumps(pair, separators=(",", ":")) + "\n")
    return reported, graphs


def report(file: Path, python: str) -> dict[str, Any]:
    """Ask the interpreter for head and tail of the arena, in bytes, and for its version."""
    ran = subprocess.run(
        [python, "-c", REPORT, str(file)], capture_output=True, text=True, check=False
    )
    if ran.returncode:
        raise RuntimeError(ran.stderr.strip().splitlines()[-1])
    parts = {}
    for part in ("head", "tail"):
        line = next(x for x in ran.stderr.splitlines() if f"Arena allocation {part}" in x)
        parts[part] = int(line.split()[-2])
    return {**parts, "tflite_micro": ran.stdout.split()[-1]}


def to_data(graph: Graph) -> dict[str, Any]:
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
    }  # fmt: skip


if __name__ == "__main__":
    main()
