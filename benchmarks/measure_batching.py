"""Whether LiteRT int8 gains by batches on a processor: several pictures in one call, or one by one.

    python benchmarks/measure_batching.py ARTIFACT [ARTIFACT ...] --record batching

The interpreter's input is resized to hold several pictures. All sizes take turns on the same
pictures; quote the ratios: time per picture of a batch over that of one picture alone.
"""

import argparse
import statistics
import time
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from recording import write_records

from frugalseg.core.records import Record, this_machine
from frugalseg.runtime.manifest import Manifest

BATCHES = (1, 2, 4, 8)
WARM_UP = 3


def main() -> None:
    """Measure, print ratios, write the record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("artifacts", type=Path, nargs="+")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--record")
    wish = parser.parse_args()
    records = []
    for artifact in wish.artifacts:
        manifest = Manifest.load(artifact)
        per_picture = measure(artifact / manifest.files[0].path, wish.rounds, wish.threads)
        for batch, (wall_ms, cpu_ms) in per_picture.items():
            ratios = wall_ms / per_picture[1][0], cpu_ms / per_picture[1][1]
            print(f"{manifest.name:24} batch {batch}: {wall_ms:8.2f} ms a picture,"
                  f" {ratios[0]:.2f} of one alone; processor {ratios[1]:.2f}")  # fmt: skip
            settings = {"rounds": wish.rounds, "threads": wish.threads, "ms_per_picture": wall_ms}
            records += [
                Record(
                    name=f"{manifest.name}/batch-{batch}/{kind}_ratio", value=ratio,
                    kind="measured", on=this_machine(), settings=settings,
                )
                for kind, ratio in zip(("wall", "processor"), ratios, strict=True)
            ]  # fmt: skip
    if wish.record:
        networks = [str(Manifest.load(artifact).name) for artifact in wish.artifacts]
        print(write_records(wish.record, "host", records, {"networks": networks}))


def measure(path: Path, rounds: int, threads: int) -> dict[int, tuple[float, float]]:
    """Median milliseconds per picture, on the clock and of the processor, by batch."""
    interpreters = {batch: resized(path, batch, threads) for batch in BATCHES}
    times: dict[int, list[tuple[float, float]]] = {batch: [] for batch in BATCHES}
    for number in range(rounds + WARM_UP):
        for batch, interpreter in interpreters.items():
            began, cpu = time.perf_counter(), time.process_time()
            interpreter.invoke()
            took = time.perf_counter() - began, time.process_time() - cpu
            if number >= WARM_UP:
                times[batch].append((1000 * took[0] / batch, 1000 * took[1] / batch))
    return {
        batch: (statistics.median(w for w, _ in all_), statistics.median(c for _, c in all_))
        for batch, all_ in times.items()
    }


def resized(path: Path, batch: int, threads: int) -> Interpreter:
    """An interpreter for several pictures, fed with noise."""
    interpreter = Interpreter(model_path=str(path), num_threads=threads)
    [source] = interpreter.get_input_details()
    shape = [batch, *source["shape"][1:].tolist()]
    interpreter.resize_tensor_input(source["index"], shape)
    interpreter.allocate_tensors()
    noise = np.random.default_rng(0).integers(-128, 128, shape).astype(source["dtype"])
    interpreter.set_tensor(source["index"], noise)
    interpreter.invoke()
    return interpreter


if __name__ == "__main__":
    main()
