"""What each network of the zoo is: size, memory, what it fits, how fast its int8 file is.

    python benchmarks/measure_zoo.py OUT --record zoo

Networks have fresh weights: none of the figures depends on training. Each is exported to fp32 and
int8 files at 360x480 for 11 classes; OUT/NAME.json keeps what was found, so that a run that was cut
off goes on. The latency of the int8 file is a ratio: it and that of frugalnet take turns.
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

from frugalseg.core.files import write_json
from frugalseg.core.inputs import InputSpec
from frugalseg.core.records import Record, this_machine
from frugalseg.cost.device import device_names, load_device
from frugalseg.cost.footprint import weigh
from frugalseg.export.catalog import FORMATS
from frugalseg.models.catalog import Architecture
from frugalseg.models.network import Network
from frugalseg.runtime.engines import open_engine
from frugalseg.runtime.manifest import NetworkFile
from frugalseg.trace import record

SPEC = InputSpec(height=360, width=480)
CLASSES = 11
PICTURES = 4
ROUNDS, WARM_UP = 15, 2
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
    "segformer, b1": {"name": "segformer", "size": "b1"},
    "segformer, b2": {"name": "segformer", "size": "b2"},
    "edgesegnet": {"name": "edgesegnet"},
    "attendseg": {"name": "attendseg"},
    "drbanet": {"name": "drbanet"},
    "cgnet": {"name": "cgnet"},
    "dabnet": {"name": "dabnet"},
    "fastscnn": {"name": "fastscnn"},
    "regseg": {"name": "regseg"},
    "ddrnet, 23-slim": {"name": "ddrnet"},
    "pidnet": {"name": "pidnet"},
    "lraspp, mobilenetv3-small": {"name": "lraspp", "backbone": "mobilenetv3-small"},
    "lraspp, mobilenetv3-large": {"name": "lraspp", "backbone": "mobilenetv3-large"},
}


def main() -> None:
    """Measure what is not there yet, and write the record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--only", action="append", help="names of networks; default: all")
    parser.add_argument("--record", metavar="THEME", help="write it down, such as zoo")
    wish = parser.parse_args()
    wish.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    found: dict[str, dict[str, Any]] = {}
    for name in [BASE, *(name for name in wish.only or ZOO if name != BASE)]:
        found[name] = _once(name, wish.out)
        print(f"{name:28} {found[name]}", flush=True)
    if wish.record:
        records = [r for name, facts in found.items() for r in _records(name, facts)]
        told = {"input": str(SPEC), "classes": CLASSES, "rounds": ROUNDS, "threads": 1}
        told["networks"] = {name: dict(ZOO[name]) for name in found}
        told["fits"] = {name: facts["fits"] for name, facts in found.items()}
        told["refused"] = {n: f["refused"] for n, f in found.items() if f["refused"]}
        print(write_records(wish.record, "any", records, told))


def _once(name: str, out: Path) -> dict[str, Any]:
    path = out / f"{name}.json"
    if not path.exists():
        write_json(path, _measure(name, out))
    facts: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return facts


def _measure(name: str, out: Path) -> dict[str, Any]:
    torch.manual_seed(0)
    settings = {k: v for k, v in ZOO[name].items() if k != "name"}
    network = Architecture(
        name=ZOO[name]["name"], settings={"num_classes": CLASSES, **settings}
    ).build()
    graph = record(network, SPEC)
    report = weigh(graph, SPEC, None)
    facts: dict[str, Any] = {
        "parameters": report.params,
        "macs": report.macs,
        "peak_activation_bytes": report.peak_activation_bytes,
        "fits": [d for d in device_names() if weigh(graph, SPEC, load_device(d)).fits],
        "refused": {},
    }
    for kind, figure in (("litert", "fp32_bytes"), ("litert_int8", "int8_bytes")):
        try:
            facts[figure] = _export(network, kind, out / name).stat().st_size
        except Exception as wrong:  # converters raise anything; that is a result too
            facts["refused"][figure] = str(wrong).splitlines()[0][:160]
    if "int8_bytes" in facts:
        facts |= _latency(out, name)
    return facts


def _export(network: Network, kind: str, folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / FORMATS[kind].file
    # Pictures that differ from each other: each channel needs a range.
    pictures = np.random.default_rng(0).integers(
        0, 256, (PICTURES, SPEC.height, SPEC.width, SPEC.channels), dtype=np.uint8
    )
    FORMATS[kind].write(network.eval(), SPEC, path, pictures=list(pictures))
    return path


def _latency(out: Path, name: str) -> dict[str, float]:
    """Let the int8 file and that of frugalnet take turns; the ratio of their medians."""
    runs = {each: _runner(out / each) for each in (BASE, name)}
    times: dict[str, list[float]] = {each: [] for each in runs}
    for number in range(ROUNDS + WARM_UP):
        for each, run in runs.items():
            began = time.perf_counter()
            run()
            if number >= WARM_UP:
                times[each].append(time.perf_counter() - began)
    medians = {each: statistics.median(spent) for each, spent in times.items()}
    return {"latency_ratio": medians[name] / medians[BASE]}


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
