"""Resident memory of LiteRT with XNNPACK on Linux, measured, beside its estimate.

    python benchmarks/measure_rss.py OUT --random 100

Each measurement is a process of its own (rss_worker.py). There a network of one addition is loaded
and run first, all pages of the libraries are made resident, and freed memory is given back: the
empty interpreter. Then the file is read, loaded and run three times; what counts is the peak of
resident memory since (VmHWM, reset through clear_refs, or Rss if larger), less what it was before.
So the file counts, which is the same whether it is read or mapped, and the libraries do not. The
picture exists before. The median of some runs is kept.

Networks of the catalog at five sizes, and random ones, are exported to int8 files; what is there
already is not made again. For each, OUT/NAME.json keeps a pair: the graph as the file tells it
and as `trace` does, and the bytes measured.
"""

import argparse
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from measure_tflm import of_catalog, others
from random_networks import random_network
from recording import write_records

from frugalseg.core.files import complete_file, write_text
from frugalseg.core.records import Record, this_machine
from frugalseg.cost.file_size import file_bytes
from frugalseg.cost.graph import Graph
from frugalseg.cost.memory import as_run
from frugalseg.cost.tflite import read_tflite
from frugalseg.cost.xnnpack import resident
from frugalseg.export.flatbuffer import schema, write_model
from frugalseg.export.litert_int8 import export_litert_int8
from frugalseg.trace import trace

THREADS = (1, 2)  # the second is what runtime/engines.py uses
WITHIN = 0.1
SHAPES = (
    ("frugalnet", "96x128", {"width": 0.25, "depth": 1}),
    ("frugalnet", "97x131", {"width": 0.5, "depth": 1}),
    ("frugalnet", "176x240", {"width": 1.0, "depth": 2}),
    ("frugalnet", "240x320", {"width": 2.0, "depth": 1}),
    ("frugalnet", "480x640", {"width": 0.25, "depth": 1}),
    ("frugalnet", "480x640", {"width": 2.0, "depth": 2}),
    ("enet", "96x128", {"unpool": "indices"}),
    ("enet", "97x131", {"unpool": "bilinear"}),
    ("enet", "176x240", {"unpool": "indices"}),
    ("enet", "360x480", {"unpool": "indices"}),
)
OTHER_SIZES = ("97x131", "176x240")  # of networks that no constant was fitted on
NUM_CLASSES = 11
SMALL = (4, 4, 1)
WORKER = Path(__file__).with_name("rss_worker.py")


def main() -> None:
    """Export, measure, compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--random", type=int, default=12, help="how many random networks")
    parser.add_argument("--only", help="networks whose name holds this pattern; default: all")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--record", metavar="THEME", help="write down both, such as estimates-rss")
    wish = parser.parse_args()
    wish.out.mkdir(parents=True, exist_ok=True)
    small = wish.out / "small.tflite"
    write_small(small)
    errors: dict[str, list[float]] = {"file": [], "traced": []}
    records: list[Record] = []
    for name, file, traced in networks(wish.out, wish.random, wish.only or ""):
        pair = measure(file, small, traced, wish.repeats)
        kept = {key: value for key, value in pair.items() if key != "estimated"}
        write_text(wish.out / f"{name}.json", json.dumps(kept, separators=(",", ":")) + "\n")
        for source, values in errors.items():
            error = pair["estimated"][source] / pair["measured"]["threads 1"] - 1
            values.append(error)
            print(f"{name:28} {source:7} {pair['measured']} {error:+.1%}", flush=True)
        records += to_records(name, pair)
    if wish.record:
        write_records(wish.record, "host", records, {"repeats": wish.repeats, "only": wish.only})
    for source, values in errors.items():
        within = sum(abs(error) <= WITHIN for error in values)
        print(
            f"{source}: {len(values)} networks, {within} within {WITHIN:.0%},"
            f" from {min(values):+.1%} to {max(values):+.1%}"
        )


def networks(out: Path, num_random: int, only: str) -> Iterator[tuple[str, Path, Graph]]:
    """Export what is missing; yield names, files and traced graphs."""
    makes = [
        (f"{name}_{size}_{'_'.join(map(str, settings.values()))}",
         of_catalog(name, size, {"num_classes": NUM_CLASSES, **settings}))
        for name, size, settings in SHAPES
    ]  # fmt: skip
    makes += [each for size in OTHER_SIZES for each in others(size)]
    makes += [(f"random_{seed:03}", partial(random_network, seed)) for seed in range(num_random)]
    for name, make in makes:
        if not re.search(only, name):
            continue
        network, spec = make()
        file = out / f"{name}.tflite"
        if not file.exists():
            noise = np.random.default_rng(0).integers(0, 256, (*spec.size, spec.channels), np.uint8)
            with complete_file(file) as draft:
                export_litert_int8(network, spec, draft, pictures=[noise])
        yield name, file, as_run(trace(network, spec))


def measure(file: Path, small: Path, traced: Graph, repeats: int) -> dict[str, Any]:
    """Measure a file for each number of threads, and estimate it."""
    graphs = {"file": read_tflite(file, views=False), "traced": traced}
    picture = graphs["file"].tensors[graphs["file"].inputs[0]].shape[1:]
    sizes = {"file": file.stat().st_size, "traced": file_bytes(traced)}
    estimated = {k: sum(resident(graph, sizes[k]).values()) for k, graph in graphs.items()}
    measured = {
        f"threads {threads}": int(
            median(apart(file, picture, small, threads) for _ in range(repeats))
        )
        for threads in THREADS
    }
    return {
        "measured": measured,
        "estimated": estimated,
        "libraries": {"ai-edge-litert": version("ai-edge-litert")},
        "file_bytes": sizes["file"],
        **{source: to_data(graph) for source, graph in graphs.items()},
    }


def to_records(name: str, pair: dict[str, Any]) -> Iterator[Record]:
    """Put what was measured and what was estimated side by side."""
    for how, value in pair["measured"].items():
        yield Record(
            name=f"{name}/{how}/resident_bytes", value=value, kind="measured", on=this_machine()
        )
    for source, value in pair["estimated"].items():
        yield Record(
            name=f"{name}/{source}/resident_bytes",
            value=value,
            kind="estimated",
            on="graph of the exported file" if source == "file" else "traced graph",
        )


def apart(file: Path, picture: tuple[int, ...], small: Path, threads: int) -> int:
    """Measure in a process of its own; `picture` is (height, width, channels)."""
    sizes = ["x".join(map(str, sides)) for sides in (SMALL, picture)]
    command = [sys.executable, WORKER, str(threads), small, sizes[0], file, sizes[1]]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def write_small(path: Path) -> None:
    """Write a network of one addition, which XNNPACK takes."""
    form = schema()
    quantised = form.QuantizationParametersT()
    quantised.scale, quantised.zeroPoint = [1.0], [0]
    code, op, graph, model = (
        form.OperatorCodeT(), form.OperatorT(), form.SubGraphT(), form.ModelT(),
    )  # fmt: skip
    code.builtinCode = code.deprecatedBuiltinCode = form.BuiltinOperator.ADD
    op.inputs, op.outputs = [0, 0], [1]
    op.builtinOptionsType, op.builtinOptions = form.BuiltinOptions.AddOptions, form.AddOptionsT()
    graph.tensors = [form.TensorT(), form.TensorT()]
    for name, tensor in zip(("in", "out"), graph.tensors, strict=True):
        tensor.name, tensor.shape, tensor.type = name, (1, *SMALL), form.TensorType.INT8
        tensor.quantization = quantised
    graph.inputs, graph.outputs, graph.operators = [0], [1], [op]
    model.version, model.operatorCodes, model.subgraphs = 3, [code], [graph]
    model.buffers = [form.BufferT()]
    write_model(model, path)


def to_data(graph: Graph) -> dict[str, Any]:
    """Write a graph as lists: tensors are (sides, element bytes), and named by their number."""
    number = {name: i for i, name in enumerate(graph.tensors)}
    return {
        "tensors": [[[*t.shape], t.element_bytes] for t in graph.tensors.values()],
        "ops": [
            [
                op.kind, [number[n] for n in op.reads], [number[n] for n in op.writes],
                op.weight_elements, op.bias_elements,
                *([[op.window.kernel, op.window.stride, op.window.dilation]] if op.window else []),
            ]
            for op in graph.ops
        ],
        "inputs": [number[name] for name in graph.inputs],
        "outputs": [number[name] for name in graph.outputs],
        "num_constants": graph.num_constants,
    }  # fmt: skip


if __name__ == "__main__":
    main()
