"""Time and memory of COCO's index, on a made annotation file as large as that of train2017.

    python benchmarks/measure_coco_index.py OUT

OUT gets an annotation file of as many images and polygons as COCO's train2017, with outlines of as
many points, and empty files for the images, which are listed but not decoded. What is there already
is not made again. Each measurement is a process of its own, which imports all that it needs
before: making the index (time, and the peak of resident memory since), opening the data set to the
first drawn sample with an index that is there, and resident memory of a worker that is sent the
data set, after many samples drawn at random. Of resident memory, "own" is what is not mapped from
files, and "mapped" what other processes share.
"""

import argparse
import json
import os
import pickle
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pycocotools.mask  # noqa: F401  # as large as it is, before anything is measured
from recording import write_records

from frugalseg.core.files import complete_file
from frugalseg.core.records import Record, this_machine
from frugalseg.data.catalog import open_dataset
from frugalseg.data.coco.cache import open_index, user_folder
from frugalseg.data.dataset import Dataset

# Of instances_train2017.json: images, annotations, categories.
IMAGES, POLYGONS, CATEGORIES = 118_287, 860_001, 80
POINTS, SPREAD = 15, 0.85  # points of an outline, log-normal: 435 MB in all
SIZES = ((480, 640), (427, 640), (640, 480), (640, 427), (375, 500))
REPORTS = (1, 100, 1_000, 10_000)
REPEATS = 3
PEAK_OF_NOW = "5"  # to clear_refs


def main() -> None:
    """Make the file, measure, print, and write a record if wanted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--images", type=int, default=IMAGES)
    parser.add_argument("--polygons", type=int, default=POLYGONS)
    parser.add_argument("--record", metavar="THEME", help="write it down, such as coco-index")
    parser.add_argument("--step", choices=STEPS, help="used by this script itself")
    wish = parser.parse_args()
    root = wish.out / "coco"
    if wish.step:
        print(json.dumps(STEPS[wish.step](root)))
        return
    write_set(root, wish.images, wish.polygons)
    found = {"file_bytes": annotations_of(root).stat().st_size, **apart(wish.out, "build")}
    found["index_bytes"] = sum(file.stat().st_size for file in kept(wish.out))
    starts = [apart(wish.out, "start") for _ in range(REPEATS)]
    found |= {key: median(start[key] for start in starts) for key in starts[0]}
    found |= apart(wish.out, "worker")
    for name, value in found.items():
        print(f"{name:42} {value:,.3f}" if isinstance(value, float) else f"{name:42} {value:,}")
    if wish.record:
        on = this_machine()
        records = [Record(name=n, value=v, kind="measured", on=on) for n, v in found.items()]
        settings = {"images": wish.images, "polygons": wish.polygons, "repeats": REPEATS}
        write_records(wish.record, "host", records, settings)


def apart(out: Path, step: str) -> dict[str, Any]:
    """Measure in a process of its own, whose cache is below OUT."""
    command = [sys.executable, __file__, str(out), "--step", step]
    told = subprocess.run(
        command, check=True, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "FRUGALSEG_CACHE": str(out / "cache")},
    ).stdout  # fmt: skip
    result: dict[str, Any] = json.loads(told.splitlines()[-1])
    return result


def build(root: Path) -> dict[str, Any]:
    """Make the index; an older one is thrown away."""
    for file in kept(root.parent):
        file.unlink()
    Path("/proc/self/clear_refs").write_text(PEAK_OF_NOW, encoding="ascii")
    before, start = told("VmRSS"), time.perf_counter()
    open_index(annotations_of(root), "instances", user_folder())
    seconds = time.perf_counter() - start
    return {"build_s": seconds, "build_peak_bytes": told("VmHWM") - before}


def start(root: Path) -> dict[str, Any]:
    """Open the data set, and draw its first sample."""
    begin = time.perf_counter()
    dataset = open_dataset(root)
    opened = time.perf_counter()
    draw(dataset, 0)
    done = time.perf_counter()
    sent = len(pickle.dumps(dataset))
    return {"open_s": opened - begin, "first_sample_s": done - begin, "pickled_bytes": sent}


def worker(root: Path) -> dict[str, Any]:
    """Draw samples as a worker does, that has got the data set pickled."""
    sent = apart(root.parent, "send")["dataset"]
    before = told("VmRSS")
    dataset: Dataset = pickle.loads(bytes.fromhex(sent))
    order = np.random.default_rng(0).permutation(len(dataset.splits["train"]))
    found: dict[str, Any] = {"worker_before_bytes": before}
    begin = time.perf_counter()
    for done, row in enumerate(order[: max(REPORTS)].tolist(), start=1):
        draw(dataset, row)
        if done in REPORTS:
            found[f"worker_own_bytes_after_{done}"] = told("RssAnon")
            found[f"worker_mapped_bytes_after_{done}"] = told("RssFile")
    found["draw_ms_per_sample"] = (time.perf_counter() - begin) / min(len(order), done) * 1_000
    return found


def send(root: Path) -> dict[str, Any]:
    """Give the data set as it is sent to a worker."""
    return {"dataset": pickle.dumps(open_dataset(root)).hex()}


STEPS: dict[str, Callable[[Path], dict[str, Any]]] = {
    "build": build, "start": start, "worker": worker, "send": send
}  # fmt: skip


def draw(dataset: Dataset, row: int) -> None:
    """Draw the labels of a sample; its picture is empty."""
    dataset.rasterise(dataset.splits["train"][row], (0, 0))


def told(what: str) -> int:
    """Ask the system about this process, in bytes."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(f"{what}:"):
            return int(line.split()[1]) * 1024
    raise SystemExit(f"no {what} in /proc/self/status; this needs Linux")


def kept(out: Path) -> list[Path]:
    """List the files of the index."""
    return [file for file in (out / "cache").rglob("*") if file.is_file()]


def annotations_of(root: Path) -> Path:
    """Name the annotation file."""
    return root / "annotations" / "instances_train2017.json"


def write_set(root: Path, images: int, polygons: int) -> None:
    """Write the annotation file and the empty images; the order of annotations is mixed."""
    path = annotations_of(root)
    if path.exists():
        return
    rng = np.random.default_rng(0)
    folder = root / "train2017"
    folder.mkdir(parents=True, exist_ok=True)
    sizes = rng.integers(len(SIZES), size=images)
    owners = rng.integers(images, size=polygons)
    with complete_file(path) as draft, draft.open("w", encoding="ascii") as stream:
        stream.write('{"info": {"year": 2017}, "licenses": [], "images": [')
        for number in range(images):
            (folder / f"{number:012}.jpg").touch()
            height, width = SIZES[sizes[number]]
            entry = {
                "license": 3, "file_name": f"{number:012}.jpg", "coco_url": f"{number:060}",
                "height": height, "width": width, "date_captured": "2013-11-14 11:18:45",
                "flickr_url": f"{number:060}", "id": number,
            }  # fmt: skip
            stream.write((", " if number else "") + json.dumps(entry))
        stream.write('], "annotations": [')
        for number, owner in enumerate(owners.tolist()):
            entry = {
                "segmentation": [outline(rng, SIZES[sizes[owner]])], "area": 1234.56789,
                "iscrowd": 0, "image_id": owner, "bbox": [12.34, 56.78, 123.45, 67.89],
                "category_id": 1 + number % CATEGORIES, "id": number,
            }  # fmt: skip
            stream.write((", " if number else "") + json.dumps(entry))
        categories = [
            {"supercategory": "thing", "id": i, "name": f"thing {i}"}
            for i in range(1, CATEGORIES + 1)
        ]
        stream.write(f'], "categories": {json.dumps(categories)}}}')


def outline(rng: np.random.Generator, size: tuple[int, int]) -> list[float]:
    """Draw a wavy disc of some points, x and y in turns."""
    height, width = size
    points = max(3, int(rng.lognormal(np.log(POINTS), SPREAD)))
    angles = np.arange(points) * (2 * np.pi / points)
    reach = rng.lognormal(np.log(30), 0.9) * rng.uniform(0.8, 1.2, points)
    x = rng.uniform(0, width) + reach * np.cos(angles)
    y = rng.uniform(0, height) + reach * np.sin(angles)
    pairs = np.stack([x.clip(0, width), y.clip(0, height)], axis=1).ravel()
    numbers: list[float] = pairs.round(2).tolist()
    return numbers


if __name__ == "__main__":
    main()
