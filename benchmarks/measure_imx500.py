"""Compare the estimate for the IMX500 with what its maker's converter reports.

    python benchmarks/measure_imx500.py TOOLS/bin/python pairs.jsonl --seed 1000 --count 20

The first argument is the Python of an environment with the converter (its `imxconv-pt` lies
beside it; Java 17 is on the path). Random networks that should fit are estimated, then quantised
and converted, one at a time at low priority. Each is one line of the second file; what is there
already is not measured again. Every second network may be very narrow. Those that the converter
had to cut into tiles are told apart.
"""

import argparse
import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from imx500_draw import draw
from imx500_nets import Net
from recording import write_records

from frugalseg.core.inputs import InputSpec
from frugalseg.core.records import Record, this_machine
from frugalseg.cost.imx500 import Imx500Memory, imx500_memory
from frugalseg.trace import record

QUANTISE = Path(__file__).with_name("imx500_quantise.py")
TILES = "Tiling Advisor"  # what the converter names when layer by layer does not fit
NICENESS = 10
PATIENCE_S = 900


def main() -> None:
    """Measure what is missing, then say how good the estimates were."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("python", type=Path)
    parser.add_argument("pairs", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--record", metavar="THEME", help="write it down, such as estimates-imx500")
    wish = parser.parse_args()
    known = {pair["seed"]: pair for pair in _read(wish.pairs)}
    seed, pairs = wish.seed, list[dict[str, Any]]()
    while len(pairs) < wish.count:
        line = draw(seed, narrow=seed % 2 == 0)
        estimate = _estimate(line)
        if estimate.fits:
            pair = known.get(seed) or _measure(line, wish.python, seed, estimate)
            if seed not in known:
                with wish.pairs.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(pair) + "\n")
            pairs.append(pair)
            print(_sentence(pair))
        seed += 1
    _sum_up(pairs)
    if wish.record:
        settings = {"seeds": [pair["seed"] for pair in pairs], "narrow": "even seeds"}
        print(write_records(wish.record, "imx500", records_of(pairs), settings))


def records_of(pairs: list[dict[str, Any]]) -> list[Record]:
    """Write down estimate and report of each network."""
    figures, machine = ("runtime_bytes", "model_bytes"), this_machine()
    records = []
    for pair in pairs:
        for figure, told, found in zip(figures, pair["estimate"], pair["measured"], strict=True):
            name = f"seed_{pair['seed']}"
            records += [
                Record(name=f"{name}/{figure}", value=found, kind="measured", on=machine),
                Record(
                    name=f"{name}/traced/{figure}", value=told, kind="estimated", on="traced graph"
                ),
            ]
    return records


def _read(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _estimate(line: str) -> Imx500Memory:
    net = Net(line)
    spec = InputSpec(height=net.height, width=net.width, channels=net.channels)
    return imx500_memory(record(net, spec))


def _measure(line: str, python: Path, seed: int, estimate: Imx500Memory) -> dict[str, Any]:
    pair: dict[str, Any] = {
        "seed": seed,
        "net": line,
        "estimate": [estimate.runtime_bytes, estimate.model_bytes],
        "doubts": list(estimate.doubts),
    }
    with tempfile.TemporaryDirectory() as folder:
        network, out = Path(folder, "net.onnx"), Path(folder, "out")
        _run([str(python), str(QUANTISE), line, str(network)])
        converter = python.absolute().with_name("imxconv-pt")
        said = _run(
            [
                *(str(converter), "-i", str(network), "-o", str(out)),
                *("--memory-report", "--report-size-unit", "B"),
            ]
        )
        report = json.loads((out / "net_MemoryReport.json").read_text(encoding="utf-8"))
    found = report["Memory Report"]
    sizes = (found[f"{part} Memory Physical Size"] for part in ("Runtime", "Model"))
    return {
        **pair,
        "measured": [int(size.rstrip("B")) for size in sizes],
        "fits": found["Fit In Chip"],
        "tiled": TILES in said,
    }


def _run(command: list[str]) -> str:
    """Return what a command says; both it and what it starts run at low priority."""
    ended = subprocess.run(
        command,
        check=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=PATIENCE_S,
        preexec_fn=lambda: os.nice(NICENESS),
    )
    return ended.stdout


def _sentence(pair: dict[str, Any]) -> str:
    misses = [e - m for e, m in zip(pair["estimate"], pair["measured"], strict=True)]
    known = "doubted" if pair["doubts"] else "wrong"
    verdict = "tiled" if pair["tiled"] else "exact" if not any(misses) else known
    return f"{pair['seed']:6} {verdict:8} runtime {misses[0]:+9,} B   model {misses[1]:+9,} B"


def _sum_up(pairs: list[dict[str, Any]]) -> None:
    whole = [pair for pair in pairs if not pair["tiled"]]
    print(f"{len(whole)} of {len(pairs)} run layer by layer. Of these:")
    for number, part in enumerate(("runtime", "model")):
        off = [pair["estimate"][number] / pair["measured"][number] - 1 for pair in whole]
        exact = sum(not each for each in off)
        print(f"{part:8} {exact} exact; {min(off):+.2%} at the lowest, {max(off):+.2%} at most")
    both = sum(pair["estimate"] == pair["measured"] for pair in whole)
    print(f"both     {both} exact")


if __name__ == "__main__":
    main()
