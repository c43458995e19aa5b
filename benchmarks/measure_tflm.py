"""Estimates of TensorFlow Lite Micro's arena beside what its interpreter reports.

    python -m venv TFLM && TFLM/bin/pip install tflite_micro numpy
    python benchmarks/measure_tflm.py OUT --python TFLM/bin/python --random 100

Networks of the catalog at three sizes, and random ones, are exported to int8 files; what is there
already is not made again. For each, OUT/NAME.json keeps a pair: the graph as the file tells it
and as `trace` does, and what the interpreter reported. Printed are the errors of both estimates.
"""

import argparse
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from random_networks import random_network, settle
from recording import write_records

from frugalseg.core.files import complete_file, write_text
from frugalseg.core.inputs import InputSpec
from frugalseg.core.records import Record, this_machine
from frugalseg.cost.graph import Graph
from frugalseg.cost.tflite import read_tflite
from frugalseg.cost.tflm import arena
from frugalseg.export.litert_int8 import export_litert_int8
from frugalseg.models.catalog import Architecture
from frugalseg.models.network import Network
from frugalseg.toolchain.environment import Environment
from frugalseg.toolchain.tflm import arena as measured_arena
from frugalseg.trace import trace
from frugalseg.workflows.pairs import graph_data

Make = Callable[[], tuple[Network, InputSpec]]
SIZES = ("96x128", "97x131", "176x240")
WITHIN = 0.005
FRUGALNETS = ((0.25, 1), (0.5, 1), (1.0, 2))


def main() -> None:
    """Export, measure, compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--python", required=True, help="a Python that has tflite_micro")
    parser.add_argument("--random", type=int, default=100, help="how many random networks")
    parser.add_argument("--record", metavar="THEME", help="write down both, such as estimates-tflm")
    wish = parser.parse_args()
    wish.out.mkdir(parents=True, exist_ok=True)
    errors: dict[str, list[float]] = {"file": [], "traced": []}
    heads: Counter[str] = Counter()
    records: list[Record] = []
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
            heads[source] += head == 0
            print(f"{name:28} {source:7} head {head:+8,} bytes   total {error:+.3%}", flush=True)
        records += to_records(name, reported, graphs)
    if wish.record:
        versions = {"tflite_micro": reported["tflite_micro"]} if records else {}
        write_records(wish.record, "tflite-micro", records, versions)
    for source, values in errors.items():
        within = sum(error <= WITHIN for error in values)
        exact = sum(error == 0 for error in values)
        print(
            f"{source}: {len(values)} networks, head exact for {heads[source]}, total to the byte"
            f" for {exact}, within {WITHIN:.1%} for {within}, worst {max(values, default=0):.3%}"
        )


def to_records(
    name: str, reported: Mapping[str, Any], graphs: Mapping[str, Graph]
) -> Iterator[Record]:
    """Put what the interpreter reported and what was estimated side by side."""
    for part in ("head", "tail"):
        on = f"tflite_micro {reported['tflite_micro']} on {this_machine()}"
        yield Record(name=f"{name}/{part}_bytes", value=reported[part], kind="measured", on=on)
    for source, graph in graphs.items():
        on = "graph of the exported file" if source == "file" else "traced graph"
        found = arena(graph)
        for part, value in (("head", found.head_bytes), ("tail", found.tail_bytes)):
            yield Record(name=f"{name}/{source}/{part}_bytes", value=value, kind="estimated", on=on)


def networks(num_random: int) -> Iterator[tuple[str, Make]]:
    """Yield names, and what makes a network and the size of its input."""
    for size in SIZES:
        for width, depth in FRUGALNETS:
            settings = {"num_classes": 11, "width": width, "depth": depth}
            yield f"frugalnet_{size}_{width}_{depth}", of_catalog("frugalnet", size, settings)
        for unpool in ("indices", "bilinear"):
            settings = {"num_classes": 11, "unpool": unpool}
            yield f"enet_{size}_{unpool}", of_catalog("enet", size, settings)
    for seed in range(num_random):
        yield f"random_{seed:03}", lambda seed=seed: random_network(seed)


def of_catalog(name: str, size: str, settings: dict[str, Any]) -> Make:
    """Return what makes a network of the catalog, and the size of its input."""
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
    pair = {"reported": reported, **{source: graph_data(graph) for source, graph in graphs.items()}}
    write_text(out / f"{name}.json", json.dumps(pair, separators=(",", ":")) + "\n")
    return reported, graphs


def report(file: Path, python: str) -> dict[str, Any]:
    """Ask the interpreter for head and tail of the arena, in bytes, and for its version."""
    where = Path(python).absolute()
    there = Environment(name="tflm", folder=where.parents[1], python=where)
    told = measured_arena(file, there)
    return {"head": told.head_bytes, "tail": told.tail_bytes, "tflite_micro": told.version}


if __name__ == "__main__":
    main()
