"""How much faster compressed networks are than the one they were made of, beside their MACs.

    python benchmarks/measure_compressed.py OUT/camvid-longer-s0/artifact OUT/*/artifact \\
        --record compression-latency

The int8 files of all artifacts take turns on one thread and the same picture, so that a machine
whose speed drifts drifts for all of them. The first is the network as it was; the others are told
as ratios to it. MACs are estimated from the graph of the checkpoint beside each artifact, in `run`.
"""

import argparse
import statistics
import time
from pathlib import Path

import numpy as np
from recording import write_records

from frugalseg.core.records import Record, this_machine
from frugalseg.runtime.segmenter import Segmenter
from frugalseg.trace import trace
from frugalseg.training.checkpoint import find_checkpoint, load_checkpoint

WARM_UP = 5


def main() -> None:
    """Measure, print ratios, write the record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("whole", type=Path)
    parser.add_argument("others", type=Path, nargs="+")
    parser.add_argument("--record", required=True)
    parser.add_argument("--rounds", type=int, default=100)
    wish = parser.parse_args()
    folders = list(dict.fromkeys([wish.whole, *wish.others]))
    spec = load_checkpoint(find_checkpoint(wish.whole.parent / "run")).input
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (spec.height, spec.width, spec.channels), dtype=np.uint8)
    engines = {folder: Segmenter.open(folder, threads=1) for folder in folders}
    times: dict[Path, list[float]] = {folder: [] for folder in folders}
    for number in range(wish.rounds + WARM_UP):
        for folder, engine in engines.items():
            began = time.perf_counter()
            engine.scores(pixels)
            if number >= WARM_UP:
                times[folder].append(time.perf_counter() - began)
    medians = {folder: statistics.median(spent) for folder, spent in times.items()}
    macs = {folder: _macs(folder) for folder in folders}
    records, machine = [], this_machine()
    for folder in folders[1:]:
        name, less = folder.parent.name, macs[folder] / macs[wish.whole]
        ratio = medians[folder] / medians[wish.whole]
        print(f"{name:40} MACs {less:5.2f}   latency {ratio:5.2f}   {ratio / less:5.2f}")
        records += [
            Record(name=f"{name}/latency_ratio", value=ratio, kind="measured", on=machine),
            Record(name=f"{name}/mac_ratio", value=less, kind="estimated", on="graph"),
        ]
    settings = {"whole": wish.whole.parent.name, "rounds": wish.rounds, "threads": 1}
    print(write_records(wish.record, "host", records, settings))


def _macs(artifact: Path) -> int:
    kept = load_checkpoint(find_checkpoint(artifact.parent / "run"))
    return trace(kept.network(), kept.input).macs


if __name__ == "__main__":
    main()
