"""How much faster compressed networks are than the ones they were made of, beside their MACs.

    python benchmarks/measure_compressed.py OUT/compression --record compression-latency

The folder is one that `frugalseg study run` wrote. The int8 files of all runs that go back to the
same network take turns on one thread and the same picture, so that a machine whose speed drifts
drifts for all of them. They are told as ratios to that network. MACs are estimated from the graph.
"""

import argparse
import json
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

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
    parser.add_argument("study", type=Path)
    parser.add_argument("--record", required=True)
    parser.add_argument("--rounds", type=int, default=100)
    wish = parser.parse_args()
    families: dict[Path, list[Path]] = {}
    for path in sorted(wish.study.glob("*/artifact/manifest.json")):
        run = path.parents[1]
        families.setdefault(_whole(run), []).append(run)
    records, ways = [], dict[str, tuple[str, str]]()
    for whole, runs in families.items():
        if whole not in runs:
            print(f"{whole.name}: has no file to compare with")
            continue
        medians, macs = _medians(runs, wish.rounds), {run: _macs(run) for run in runs}
        for run in (run for run in runs if run != whole):
            less, ratio = macs[run] / macs[whole], medians[run] / medians[whole]
            print(f"{run.name:45} MACs {less:5.2f}   latency {ratio:5.2f}   {ratio / less:5.2f}")
            ways[run.name] = _name(whole), _name(run).replace(f"-{_name(whole)}", "")
            records += [
                Record(
                    name=f"{run.name}/latency_ratio", value=ratio, kind="measured",
                    on=this_machine(),
                ),
                Record(name=f"{run.name}/mac_ratio", value=less, kind="estimated", on="graph"),
            ]  # fmt: skip
    settings = {"ways": ways, "rounds": wish.rounds, "threads": 1}
    print(write_records(wish.record, "host", records, settings))


def _medians(runs: Sequence[Path], rounds: int) -> dict[Path, float]:
    """Time the files in turns; seconds."""
    spec = load_checkpoint(find_checkpoint(runs[0] / "run")).input
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (spec.height, spec.width, spec.channels), dtype=np.uint8)
    engines = {run: Segmenter.open(run / "artifact", threads=1) for run in runs}
    times: dict[Path, list[float]] = {run: [] for run in runs}
    for number in range(rounds + WARM_UP):
        for run, engine in engines.items():
            began = time.perf_counter()
            engine.scores(pixels)
            if number >= WARM_UP:
                times[run].append(time.perf_counter() - began)
    return {run: statistics.median(spent) for run, spent in times.items()}


def _whole(run: Path) -> Path:
    """Return the run that a run goes back to, which is of no other."""
    asked, name = json.loads((run / "asked.json").read_text("utf-8")), _name(run)
    while "of" in asked:
        asked, name = asked["of"], asked["of"]["name"]
    return run.parent / f"{asked['data']}-{name}-s{asked['recipe']['seed']}"


def _name(run: Path) -> str:
    """Return the name of a run without data and seed, as its study has it."""
    asked: dict[str, Any] = json.loads((run / "asked.json").read_text("utf-8"))
    return run.name.removeprefix(f"{asked['data']}-").removesuffix(f"-s{asked['recipe']['seed']}")


def _macs(run: Path) -> int:
    kept = load_checkpoint(find_checkpoint(run / "run"))
    return trace(kept.network(), kept.input).macs


if __name__ == "__main__":
    main()
