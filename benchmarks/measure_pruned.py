"""How much faster int8 networks get by pruning, beside the MACs that they lose.

    python benchmarks/measure_pruned.py --record pruned-latency

Time does not depend on what weights are worth, so the networks are fresh ones, pruned by magnitude
to shares of their MACs, with channels as they come and in multiples. The files of one network take
turns on one thread and the same picture, so that a machine whose speed drifts drifts for all.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ai_edge_litert.interpreter import Interpreter
from recording import write_records

from frugalseg.compress.goal import Goal
from frugalseg.compress.groups import Groups
from frugalseg.compress.importance import IMPORTANCES
from frugalseg.compress.prune import apply_prune, plan_prune
from frugalseg.core.budget import Budget
from frugalseg.core.errors import OverBudgetError
from frugalseg.core.inputs import InputSpec
from frugalseg.core.records import Record, this_machine
from frugalseg.export.litert_int8 import export_litert_int8
from frugalseg.models.catalog import Architecture
from frugalseg.models.network import Network
from frugalseg.trace import trace

NETWORKS: Mapping[str, Mapping[str, Any]] = {
    "frugalnet": {},
    "enet": {"unpool": "bilinear", "act": "relu"},
    "bisenet": {},
    "icnet": {},
    "fastscnn": {},
}
CLASSES = 11
WARM_UP = 3


def main() -> None:
    """Measure, print ratios, write the record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--record", required=True)
    parser.add_argument("--input", default="360x480")
    parser.add_argument("--networks", nargs="+", default=[*NETWORKS], choices=[*NETWORKS])
    parser.add_argument("--shares", nargs="+", type=float, default=[0.7, 0.4])
    parser.add_argument("--multiples", nargs="+", type=int, default=[1, 16])
    parser.add_argument("--rounds", type=int, default=40)
    wish = parser.parse_args()
    records = [record for name in wish.networks for record in _of(name, wish)]
    settings = {"input": wish.input, "rounds": wish.rounds, "threads": 1, "importance": "magnitude"}
    print(write_records(wish.record, "host", records, settings))


def _of(name: str, wish: argparse.Namespace) -> Iterator[Record]:
    """Yield the ratios of the smaller ones of one network to the whole."""
    torch.manual_seed(0)
    spec = InputSpec.parse(wish.input)
    architecture = Architecture(name=name, settings={"num_classes": CLASSES, **NETWORKS[name]})
    network = architecture.build().eval()
    macs = {"": trace(network, spec).macs}
    with tempfile.TemporaryDirectory() as folder:
        files = {"": _exported(network, spec, Path(folder) / "whole.tflite")}
        for share in wish.shares:
            for multiple in wish.multiples:
                key = f"{share}/multiple {multiple}"
                goal = Goal(budget=Budget(macs=int(share * macs[""])))
                try:
                    smaller = _pruned(network, architecture, spec, goal, multiple)
                except OverBudgetError as wrong:
                    print(f"{name:10} {key:16} {wrong}")
                    continue
                macs[key] = trace(smaller, spec).macs
                files[key] = _exported(smaller, spec, Path(folder) / f"{len(files)}.tflite")
        took = _times(files, spec, wish.rounds)
    on = this_machine()
    for key in list(files)[1:]:
        less, ratio = macs[key] / macs[""], took[key] / took[""]
        print(
            f"{name:10} {key:16} MACs {less:.2f}  latency {ratio:.2f}  {ratio / less:.2f}",
            flush=True,
        )
        stem = f"{name}/{key}"
        yield Record(name=f"{stem}/latency_ratio", value=ratio, kind="measured", on=on)
        yield Record(name=f"{stem}/mac_ratio", value=less, kind="estimated", on="graph")


def _pruned(
    network: Network, architecture: Architecture, spec: InputSpec, goal: Goal, multiple: int
) -> Network:
    scores = IMPORTANCES["magnitude"](network, Groups.of(network, spec), lambda _: [])
    plan = plan_prune(
        network, architecture.name, spec, ("magnitude", scores), goal, multiple=multiple
    )
    smaller, _ = apply_prune(network, architecture, spec, plan)
    return smaller.eval()


def _exported(network: Network, spec: InputSpec, path: Path) -> Path:
    pixels_HWC = np.random.default_rng(0).integers(0, 256, (*spec.size, 3), np.uint8)
    export_litert_int8(network, spec, path, pictures=[pixels_HWC])
    return path


def _times(files: Mapping[str, Path], spec: InputSpec, rounds: int) -> dict[str, float]:
    """Return the median seconds of each file, in turns."""
    pixels_NHWC = np.random.default_rng(1).integers(-128, 128, (1, *spec.size, 3), np.int8)
    engines = {key: Interpreter(str(path), num_threads=1) for key, path in files.items()}
    times: dict[str, list[float]] = {key: [] for key in files}
    for engine in engines.values():
        engine.allocate_tensors()
        engine.set_tensor(engine.get_input_details()[0]["index"], pixels_NHWC)
    for number in range(rounds + WARM_UP):
        for key, engine in engines.items():
            began = time.perf_counter()
            engine.invoke()
            if number >= WARM_UP:
                times[key].append(time.perf_counter() - began)
    return {key: statistics.median(spent) for key, spent in times.items()}


if __name__ == "__main__":
    main()
