"""Compare our pipeline of pictures with plain Pillow and albumentations: decode, resize, augment.

    python benchmarks/measure_loading.py CAMVID WASTE_AS_FOLDER --record loading

Each argument is a data set whose labels are masks (for others: `frugalseg data convert ... --to
folder`). Both sides read the same files at 512x512 on one thread with the default augmentation, in
turns. The figure is the processor time of the plain side over ours: 1 is as fast, above is faster.
Large JPEG files are decoded at a part of their size by ours alone.
"""

import argparse
import statistics
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import albumentations as A
import cv2
import numpy as np
from PIL import Image
from recording import write_records

from frugalseg.core.inputs import InputSpec
from frugalseg.core.labels import IGNORE
from frugalseg.core.records import Record, this_machine
from frugalseg.data.catalog import open_dataset
from frugalseg.data.dataset import Dataset, Sample
from frugalseg.training.batches import Pictures, Turn
from frugalseg.training.recipe import Recipe

SPEC = InputSpec(height=512, width=512)
ROUNDS, PICTURES = 8, 24


def main() -> None:
    """Measure each data set, print, and write down if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, nargs="+")
    parser.add_argument("--record", metavar="THEME")
    wish = parser.parse_args()
    cv2.setNumThreads(0)
    records = []
    for folder in wish.data:
        ratio, rate = _ratio(open_dataset(folder))
        print(f"{folder.name}: {ratio:.2f} of plain, {rate:.0f} pictures a second", flush=True)
        name = f"{folder.name}/of plain"
        records.append(Record(name=name, value=ratio, kind="measured", on=this_machine()))
    if wish.record:
        settings = {"rounds": ROUNDS, "pictures": PICTURES, "input": str(SPEC)}
        print(write_records(wish.record, "cpu", records, settings))


def _ratio(dataset: Dataset) -> tuple[float, float]:
    """Return the median over rounds of plain time over ours, and our pictures a second."""
    samples = list(dataset.split("train"))[:PICTURES]
    ours = Pictures(dataset, samples, Recipe(length={"steps": 1}), SPEC)
    ours.room = 0  # nothing is kept from round to round
    plain = _Plain(dataset)
    ratios, times = [], []
    for number in range(ROUNDS + 1):
        sides = {"ours": _ours(ours, number), "plain": plain.read(samples)}
        order = ("ours", "plain") if number % 2 else ("plain", "ours")
        took = {side: _seconds(sides[side]) for side in order}
        if number:  # the first round warms up
            ratios.append(took["plain"] / took["ours"])
            times.append(took["ours"] / len(samples))
    return statistics.median(ratios), 1 / statistics.median(times)


def _ours(pictures: Pictures, epoch: int) -> Iterator[object]:
    for index in range(len(pictures)):
        yield pictures.pair(Turn(epoch, index))


def _seconds(pictures: Iterator[object]) -> float:
    """Read all pictures, keeping none; return the processor time in seconds."""
    began = time.process_time()
    for _ in pictures:
        pass
    return time.process_time() - began


class _Plain:
    """What somebody writes who has Pillow and albumentations."""

    def __init__(self, dataset: Dataset) -> None:
        wish = Recipe(length={"steps": 1}).augment
        low, high = wish.scale
        self.table = np.full(256, IGNORE, np.uint8)
        for value, train_id in dataset.labels.from_disk.items():
            self.table[value] = train_id
        height, width = SPEC.size
        self.transform: Any = A.Compose([
            A.RandomScale((low - 1, high - 1), area_for_downscale="image", p=1),
            A.PadIfNeeded(
                height, width, border_mode=cv2.BORDER_CONSTANT, fill=128, fill_mask=IGNORE
            ),
            A.RandomCrop(height, width),
            A.HorizontalFlip(p=wish.flip),
            A.RandomBrightnessContrast(wish.color, wish.color, p=0.8),
            A.HueSaturationValue(
                round(20 * wish.color), round(100 * wish.color), val_shift_limit=0, p=0.5
            ),
        ])  # fmt: skip

    def read(self, samples: Sequence[Sample]) -> Iterator[object]:
        size = SPEC.size[::-1]
        for sample in samples:
            picture = Image.open(sample.image).convert("RGB")
            image = np.array(picture.resize(size, Image.Resampling.BILINEAR))
            labels = Image.open(sample.label).resize(size, Image.Resampling.NEAREST)
            yield self.transform(image=image, mask=self.table[np.array(labels)])


if __name__ == "__main__":
    main()
