"""Compare how fast networks train on this machine: memory layout, precision, threads, workers.

    python benchmarks/measure_training.py --data CAMVID --record training

Each network trains on the same batch of random pictures at 360x480, settings in turn within one
process; a ratio is the time of the plain setting (fp32, contiguous, one thread) over that of
another, so above 1 is faster. With --data, the whole loop on that data set, decoding and
augmentation too, is timed against its network alone, for 0, 1 and 2 worker processes.
"""

import argparse
import time
from itertools import islice
from pathlib import Path

import torch
from recording import write_records

from frugalseg.core.inputs import InputSpec
from frugalseg.core.records import Record, this_machine
from frugalseg.data.catalog import open_dataset
from frugalseg.models.catalog import MODELS, Architecture
from frugalseg.training.loop import Training
from frugalseg.training.objective import Objective
from frugalseg.training.recipe import LossTerms, Recipe

SPEC = InputSpec(height=360, width=480)
CLASSES = 11
BATCH = 4
WAYS = {
    "channels_last": (True, False, 1),
    "bf16": (False, True, 1),
    "channels_last+bf16": (True, True, 1),
    "channels_last+bf16, 2 threads": (True, True, 2),
}
PLAIN = (False, False, 1)


def main() -> None:
    """Measure, print, and write down if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--only", nargs="*", default=sorted(MODELS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--record", metavar="THEME")
    wish = parser.parse_args()
    records, machine = list[Record](), this_machine()
    for name in wish.only:
        ratios = _ratios(name, wish.rounds)
        print(name, {way: round(ratio, 2) for way, ratio in ratios.items()}, flush=True)
        records += [
            Record(name=f"{name}/{way}", value=ratio, kind="measured", on=machine)
            for way, ratio in ratios.items()
        ]
    if wish.data is not None:
        for workers in (0, 1, 2):
            share = _share_of_network(wish.data, workers)
            print(f"{workers} workers: the network alone takes {share:.0%} of the loop", flush=True)
            records.append(
                Record(
                    name=f"frugalnet/network share, {workers} workers",
                    value=share, kind="measured", on=machine,
                )
            )  # fmt: skip
    if wish.record:
        settings = {"batch": BATCH, "rounds": wish.rounds, "input": str(SPEC)}
        print(write_records(wish.record, "cpu", records, settings))


def _ratios(name: str, rounds: int) -> dict[str, float]:
    """Return for each way how many times faster it is; the best of some rounds in turn."""
    steps = {way: _Step(name, *choice) for way, choice in {"plain": PLAIN, **WAYS}.items()}
    best = dict.fromkeys(steps, float("inf"))
    for _ in range(rounds + 1):  # the first one warms up
        for way, step in steps.items():
            best[way] = min(best[way], step.seconds())
    return {way: best["plain"] / best[way] for way in WAYS}


class _Step:
    def __init__(self, name: str, channels_last: bool, bf16: bool, threads: int) -> None:
        form = torch.channels_last if channels_last else torch.contiguous_format
        torch.manual_seed(0)
        network = Architecture(name=name, settings={"num_classes": CLASSES}).build().train()
        self.network = network.to(memory_format=form)
        images = torch.randn(BATCH, SPEC.channels, *SPEC.size)
        self.images = images.to(memory_format=form)
        self.labels = torch.randint(0, CLASSES, (BATCH, *SPEC.size))
        self.objective = Objective(LossTerms(), None, torch.device("cpu"))
        self.optimizer = torch.optim.AdamW(self.network.parameters())
        self.bf16, self.threads = bf16, threads

    def seconds(self) -> float:
        torch.set_num_threads(self.threads)
        began = time.perf_counter()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=self.bf16):
            outputs = self.network.outputs(self.images)
        loss = self.objective(outputs, self.labels, 0)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        return time.perf_counter() - began


def _share_of_network(data: Path, workers: int, steps: int = 12) -> float:
    """Return the time of a network on one batch again and again, over that of the whole loop."""
    torch.set_num_threads(1)
    dataset = open_dataset(data)
    recipe = Recipe.model_validate(
        {"length": {"steps": 10_000}, "workers": workers, "precision": "bf16-mixed"}
    )
    settings = {"num_classes": dataset.labels.num_classes}
    network = Architecture(name="frugalnet", settings=settings).build()
    training = Training(network, dataset, recipe, SPEC, None)
    loop = training.steps()
    list(islice(loop, 4))
    began = time.perf_counter()
    list(islice(loop, steps))
    whole = time.perf_counter() - began
    height, width = SPEC.size
    batch = (
        torch.zeros(recipe.batch_size, SPEC.channels, height, width, dtype=torch.uint8),
        torch.zeros(recipe.batch_size, height, width, dtype=torch.uint8),
    )
    training._step(batch, 0.5, began)
    began = time.perf_counter()
    for _ in range(steps):
        training._step(batch, 0.5, began)
    return (time.perf_counter() - began) / whole


if __name__ == "__main__":
    main()
