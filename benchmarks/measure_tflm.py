"""Estimates of TensorFlow Lite Micro's arena beside what its interpreter reports.

    python -m venv TFLM && TFLM/bin/pip install tflite_micro numpy
    python benchmarks/measure_tflm.py OUT --python TFLM/bin/python --random 100

Networks of the catalog at three sizes, and random ones, are exported to int8 files. For each,
OUT/NAME.json keeps a pair: the graph as the file tells it and as `trace` does, and what the
interpreter reported. Files and pairs that are there are not made again: a change of the exporter
or of `trace` wants an empty folder. Printed are the errors of both estimates.

Two processes share the work with `--part 1/2` and `--part 2/2`; `--there` then sums up what is
there, and makes nothing.
"""

import argparse
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from random_networks import random_network, settle
from recording import write_records

from frugalseg.core.files import complete_file, write_text
from frugalseg.core.inputs import InputSpec
from frugalseg.core.records import Record, this_machine
from frugalseg.cost.graph import Graph, Op, Tensor
from frugalseg.cost.tflite import read_tflite
from frugalseg.cost.tflm import arena
from frugalseg.export.litert_int8 import export_litert_int8
from frugalseg.models.catalog import MODELS, Architecture
from frugalseg.models.network import Network
from frugalseg.toolchain.environment import Environment
from frugalseg.toolchain.tflm import arena as measured_arena
from frugalseg.trace import trace
from frugalseg.workflows.pairs import graph_data

Make = Callable[[], tuple[Network, InputSpec]]
Pair = tuple[dict[str, Any], dict[str, Graph]]  # what was reported, and the graph by its source
SOURCES = ("file", "traced")
SIZES = ("96x128", "97x131", "176x240")
WITHIN = 0.005
FRUGALNETS = ((0.25, 1), (0.5, 1), (1.0, 2))


def main() -> None:
    """Export, measure, compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--python", required=True, help="a Python that has tflite_micro")
    parser.add_argument("--random", type=int, default=100, help="how many random networks")
    parser.add_argument("--part", default="1/1", help="which networks, such as 2/2: each second")
    parser.add_argument("--there", action="store_true", help="only those whose pairs are there")
    parser.add_argument("--record", metavar="THEME", help="write down both, such as estimates-tflm")
    wish = parser.parse_args()
    wish.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    part, parts = map(int, wish.part.split("/"))
    found: dict[str, Pair] = {}
    for name, make in islice(networks(wish.random), part - 1, None, parts):
        if wish.there and not (wish.out / f"{name}.json").exists():
            continue
        try:
            found[name] = measure(name, make, wish.out, wish.python)
        except Exception as wrong:  # converters raise anything; the next network may work
            print(f"{name:28} refused: {str(wrong).splitlines()[0][:80]}")
            continue
        for source, (head, total) in errors(found[name]).items():
            print(f"{name:28} {source:7} head {head:+8,} bytes   total {total:+.3%}", flush=True)
    if wish.record:
        records = [record for name, pair in found.items() for record in to_records(name, pair)]
        versions = sorted({reported["tflite_micro"] for reported, _ in found.values()})
        settings = {"tflite_micro": versions, "networks": len(found), "random": wish.random}
        print(write_records(wish.record, "tflite-micro", records, settings))
    for source in SOURCES:
        summarise(source, [errors(pair)[source] for pair in found.values()])


def errors(pair: Pair) -> dict[str, tuple[int, float]]:
    """Return by how many bytes each estimate of the head is off, and the total by which share."""
    reported, graphs = pair
    off = {}
    for source, graph in graphs.items():
        found = arena(graph)
        total = found.total_bytes / (reported["head"] + reported["tail"]) - 1
        off[source] = (found.head_bytes - reported["head"], total)
    return off


def summarise(source: str, off: Sequence[tuple[int, float]]) -> None:
    """Print how far off the estimates from one kind of graph are."""
    heads = sum(head == 0 for head, _ in off)
    totals = [abs(total) for _, total in off]
    exact, within = (sum(total <= limit for total in totals) for limit in (0, WITHIN))
    print(
        f"{source}: {len(off)} networks, head exact for {heads}, total to the byte for {exact},"
        f" within {WITHIN:.1%} for {within}, worst {max(totals, default=0):.3%}"
    )


def to_records(name: str, pair: Pair) -> Iterator[Record]:
    """Put what the interpreter reported and what was estimated side by side."""
    reported, graphs = pair
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
        yield from others(size)
    for seed in range(num_random):
        yield f"random_{seed:03}", lambda seed=seed: random_network(seed)


def others(size: str) -> Iterator[tuple[str, Make]]:
    """Yield what the catalog holds beside those two, in the form that a board can run."""
    for name, entry in MODELS.items():
        if name not in {"enet", "frugalnet"}:
            friendly = {"act": "relu"} if "act" in entry.settings else {}
            settings = {"num_classes": 11, **friendly}
            yield "_".join([name, size, *friendly.values()]), of_catalog(name, size, settings)


def of_catalog(name: str, size: str, settings: dict[str, Any]) -> Make:
    """Return what makes a network of the catalog, and the size of its input."""
    spec = InputSpec.parse(size)
    return lambda: (settle(Architecture(name=name, settings=settings).build(), 0), spec)


def measure(name: str, make: Make, out: Path, python: str) -> Pair:
    """Measure a network and keep the pair, or read the pair that is there."""
    kept = out / f"{name}.json"
    if kept.exists():
        pair = json.loads(kept.read_text(encoding="utf-8"))
        return pair["reported"], {source: from_data(pair[source]) for source in SOURCES}
    network, spec = make()
    file = out / f"{name}.tflite"
    if not file.exists():
        noise = np.random.default_rng(0).integers(0, 256, (*spec.size, spec.channels), np.uint8)
        with complete_file(file) as draft:
            export_litert_int8(network, spec, draft, pictures=[noise])
    reported = report(file, python)
    graphs = {"file": read_tflite(file, views=False), "traced": trace(network, spec)}
    pair = {"reported": reported, **{source: graph_data(graph) for source, graph in graphs.items()}}
    write_text(kept, json.dumps(pair, separators=(",", ":")) + "\n")
    return reported, graphs


def from_data(data: Mapping[str, Any]) -> Graph:
    """Read a graph that `graph_data` wrote: all that the arena depends on."""
    sides = [(tuple(shape), element_bytes) for shape, element_bytes in data["tensors"]]
    ops = [
        Op(
            name=f"{i} {kind}",
            kind=kind,
            reads=tuple(map(str, reads)),
            writes=tuple(map(str, writes)),
            weight_elements=weights,
            bias_elements=biases,
            pads=tuple(map(tuple, pads[0])) if pads else None,
        )
        for i, (kind, reads, writes, weights, biases, *pads) in enumerate(data["ops"])
    ]
    return Graph(
        tensors={
            str(i): Tensor(name=str(i), shape=shape, element_bytes=element_bytes)
            for i, (shape, element_bytes) in enumerate(sides)
        },
        ops=tuple(ops),
        inputs=tuple(map(str, data["inputs"])),
        outputs=tuple(map(str, data["outputs"])),
        num_constants=data["num_constants"],
        offsets=data.get("offsets", {}),
    )


def report(file: Path, python: str) -> dict[str, Any]:
    """Ask the interpreter for head and tail of the arena, in bytes, and for its version."""
    where = Path(python).absolute()
    there = Environment(name="tflm", folder=where.parents[1], python=where)
    told = measured_arena(file, there)
    return {"head": told.head_bytes, "tail": told.tail_bytes, "tflite_micro": told.version}


if __name__ == "__main__":
    main()
