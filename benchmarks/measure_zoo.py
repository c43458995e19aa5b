"""What each network of the zoo is: size, memory, what it fits, how fast its int8 file is.

    python benchmarks/measure_zoo.py OUT --record zoo
    python benchmarks/measure_zoo.py --fits-alone          # after a change of the estimates

Networks have fresh weights: none of the figures depends on training. Each is exported to fp32 and
int8 files at 360x480 for 11 classes; files that are in OUT are not made again. The latency of an
int8 file is a ratio to that of frugalnet: all of them take turns.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from recording import write_records

from frugalseg.core.files import complete_file
from frugalseg.core.inputs import InputSpec
from frugalseg.core.records import Record, this_machine
from frugalseg.cost.device import device_names, load_device
from frugalseg.cost.footprint import weigh
from frugalseg.cost.graph import Graph
from frugalseg.export.catalog import FORMATS
from frugalseg.models.catalog import Architecture
from frugalseg.models.network import Network
from frugalseg.runtime.engines import open_engine
from frugalseg.runtime.manifest import NetworkFile
from frugalseg.trace import record

SPEC = InputSpec(height=360, width=480)
CLASSES = 11
PICTURES = 4
ROUNDS, WARM_UP = 9, 1
BASE = "frugalnet"
ZOO: Mapping[str, Mapping[str, Any]] = {
    "frugalnet": {"name": "frugalnet"},
    "enet": {"name": "enet"},
    "enet, deploy": {"name": "enet", "unpool": "bilinear", "act": "relu"},
    "icnet": {"name": "icnet"},
    "bisenet, xception39": {"name": "bisenet", "backbone": "xception39"},
    "bisenet, resnet18": {"name": "bisenet", "backbone": "resnet18"},
    "bisenetv2": {"name": "bisenetv2"},
    "segformer, b0": {"name": "segformer", "size": "b0"},
    "segformer, b0, deploy": {"name": "segformer", "size": "b0", "head": "sum", "act": "relu"},
    "segformer, b1": {"name": "segformer", "size": "b1"},
    "segformer, b2": {"name": "segformer", "size": "b2"},
    "edgesegnet": {"name": "edgesegnet"},
    "attendseg": {"name": "attendseg"},
    "drbanet": {"name": "drbanet"},
    "cgnet": {"name": "cgnet"},
    "cgnet, deploy": {"name": "cgnet", "act": "relu"},
    "dabnet": {"name": "dabnet"},
    "dabnet, deploy": {"name": "dabnet", "act": "relu"},
    "fastscnn": {"name": "fastscnn"},
    "regseg": {"name": "regseg"},
    "ddrnet, 23-slim": {"name": "ddrnet"},
    "pidnet": {"name": "pidnet"},
    "lraspp, mobilenetv3-small": {"name": "lraspp", "backbone": "mobilenetv3-small"},
    "lraspp, mobilenetv3-large": {"name": "lraspp", "backbone": "mobilenetv3-large"},
}


def main() -> None:
    """Export what is not there yet, measure, and write the record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path, nargs="?")
    parser.add_argument(
        "--fits-alone", action="store_true", help="look anew at what fits where, and record that"
    )
    parser.add_argument("--only", action="append", help="names of networks; default: all")
    parser.add_argument("--record", metavar="THEME", help="write it down, such as zoo")
    parser.add_argument(
        "--with", dest="earlier", metavar="RECORD", type=Path,
        help="take the networks that are not measured now from an earlier record",
    )  # fmt: skip
    wish = parser.parse_args()
    torch.set_num_threads(1)
    if wish.fits_alone:
        fits = {name: _fits(record(_network(name), SPEC)) for name in ZOO}
        print(write_records("zoo-fits", "any", [], {"input": str(SPEC), "fits": fits}))
        return
    if wish.out is None:
        parser.error("name the folder for the files")
    found: dict[str, dict[str, Any]] = {}
    for name in [BASE, *(name for name in wish.only or ZOO if name != BASE)]:
        found[name] = _facts(name, wish.out / name)
        print(f"{name:28} {found[name]}", flush=True)
    for name, ratio in _latencies(wish.out, found).items():
        found[name]["latency_ratio"] = ratio
        print(f"{name:28} {ratio:6.2f} times {BASE}", flush=True)
    if wish.record:
        records = [r for name, facts in found.items() for r in _records(name, facts)]
        told: dict[str, Any] = {
            "input": str(SPEC), "classes": CLASSES, "rounds": ROUNDS, "threads": 1,
        }  # fmt: skip
        told["networks"] = {name: dict(ZOO[name]) for name in found}
        told["fits"] = {name: facts["fits"] for name, facts in found.items()}
        told["refused"] = {n: f["refused"] for n, f in found.items() if f["refused"]}
        if wish.earlier:
            records += _join(told, json.loads(wish.earlier.read_text("utf-8")))
        print(write_records(wish.record, "any", records, told))


def _join(told: dict[str, Any], earlier: Mapping[str, Any]) -> list[Record]:
    """Add what an earlier record tells of other networks; return what it measured of them."""
    left = [name for name in earlier["settings"]["networks"] if name not in told["networks"]]
    for what in ("networks", "fits", "refused"):
        before = earlier["settings"][what]
        told[what] |= {name: before[name] for name in left if name in before}
    told["networks"] = {name: told["networks"][name] for name in ZOO if name in told["networks"]}
    return [Record(**r) for r in earlier["records"] if r["name"].rpartition("/")[0] in left]


def _network(name: str) -> Network:
    torch.manual_seed(0)
    settings = {k: v for k, v in ZOO[name].items() if k != "name"}
    return Architecture(
        name=ZOO[name]["name"], settings={"num_classes": CLASSES, **settings}
    ).build()


def _fits(graph: Graph) -> list[str]:
    return [d for d in device_names() if weigh(graph, SPEC, load_device(d)).fits]


def _facts(name: str, folder: Path) -> dict[str, Any]:
    network = _network(name)
    graph = record(network, SPEC)
    report = weigh(graph, SPEC, None)
    facts: dict[str, Any] = {
        "parameters": report.params,
        "macs": report.macs,
        "peak_activation_bytes": report.peak_activation_bytes,
        "fits": _fits(graph),
        "refused": {},
    }
    for kind, figure in (("litert", "fp32_bytes"), ("litert_int8", "int8_bytes")):
        path = folder / FORMATS[kind].file
        try:
            if not path.exists():
                _export(network, kind, path)
            facts[figure] = path.stat().st_size
        except Exception as wrong:  # converters raise anything; that is a result too
            facts["refused"][figure] = str(wrong).splitlines()[0][:160]
    return facts


def _export(network: Network, kind: str, path: Path) -> None:
    # Pictures that differ from each other: each channel needs a range.
    pictures = np.random.default_rng(0).integers(
        0, 256, (PICTURES, SPEC.height, SPEC.width, SPEC.channels), dtype=np.uint8
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    with complete_file(path) as draft:
        FORMATS[kind].write(network.eval(), SPEC, draft, pictures=list(pictures))


def _latencies(out: Path, found: Mapping[str, Mapping[str, Any]]) -> Mapping[str, float]:
    """Let all int8 files take turns; return the ratio of each median to that of frugalnet."""
    runs = {name: _runner(out / name) for name, facts in found.items() if "int8_bytes" in facts}
    times: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(ROUNDS + WARM_UP):
        for name, run in runs.items():
            began = time.perf_counter()
            run()
            if number >= WARM_UP:
                times[name].append(time.perf_counter() - began)
    medians = {name: statistics.median(spent) for name, spent in times.items()}
    return {name: median / medians[BASE] for name, median in medians.items()}


def _runner(folder: Path) -> Callable[[], object]:
    form = FORMATS["litert_int8"]
    path = folder / form.file
    file = NetworkFile(
        path=path.name, format=form.engine, precision=form.precision, input=form.input,
        bytes=path.stat().st_size, sha256="",
    )  # fmt: skip
    engine = open_engine(path, file, SPEC, CLASSES, threads=1)
    pixels = np.zeros((SPEC.height, SPEC.width, SPEC.channels), dtype=np.uint8)
    return lambda: engine(pixels)


def _records(name: str, facts: Mapping[str, Any]) -> Sequence[Record]:
    measured = {"fp32_bytes", "int8_bytes", "latency_ratio"}
    return [
        Record(
            name=f"{name}/{figure}",
            value=value,
            kind="measured" if figure in measured else "estimated",
            on=this_machine(),
        )
        for figure, value in facts.items()
        if figure not in {"fits", "refused"}
    ]


if __name__ == "__main__":
    main()
