"""Whether the page gives the class ids of the runtime, and how long each step takes in it.

    python benchmarks/measure_page.py ARTIFACT --theme page

The page is exported with the artifact and opened in Chromium without a window; its own code decodes
the sample pictures and computes them. Ids are compared pixel by pixel with `Segmenter`, decoded
pictures byte by byte with Pillow.
"""

import argparse
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from browsing import opened
from numpy.typing import NDArray
from recording import write_records

from frugalseg.core.records import Record, this_machine
from frugalseg.imaging.read import read_image
from frugalseg.imaging.resize import resize_image
from frugalseg.runtime.manifest import Manifest
from frugalseg.runtime.segmenter import Segmenter
from frugalseg.serve.page import PAGE
from frugalseg.serve.static import write_static

ASK = """async ([name, runs]) => {
    const { decodePicture, pixelsOf } = await import("./assets/picture.js");
    const { segmentHere } = await import("./assets/browser.js");
    const { models: [model] } = await (await fetch("static.json")).json();
    const load = async ({ links }) => (await fetch(links.file)).arrayBuffer();
    const picture = await decodePicture(await (await fetch(`samples/${name}`)).blob());
    const { labels } = await segmentHere(model, picture, load);
    const phases = [];
    for (let k = 0; k < runs; k++) phases.push((await segmentHere(model, picture, load)).phases);
    return { labels: Array.from(labels), pixels: Array.from(pixelsOf(picture)), phases };
}"""


def main() -> None:
    """Measure, print, write the record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("artifact", type=Path)
    parser.add_argument("--theme", required=True)
    parser.add_argument("--runs", type=int, default=15, help="on each picture, for the times")
    parser.add_argument("--chromium", default=shutil.which("chromium"))
    wish = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        write_static([wish.artifact], Path(folder) / "site")
        with opened(Path(folder) / "site", wish.chromium) as (page, browser):
            samples = sorted((PAGE / "samples").glob("*.jpg"))
            answers = [page.evaluate(ASK, [path.name, wish.runs]) for path in samples]
    manifest = Manifest.load(wish.artifact)
    settings = {"browser": browser, "runs": wish.runs, "network": manifest.name}
    records = _records(wish.artifact, dict(zip(samples, answers, strict=True)), wish.runs)
    for record in records:
        print(f"{record.name:30} {record.value:.6g}")
    print(write_records(wish.theme, "chromium", records, settings))


def _records(artifact: Path, answers: dict[Path, Any], runs: int) -> list[Record]:
    segmenter = Segmenter.open(artifact, threads=1)
    agreed, decoded, took = [], [], dict[str, list[float]]()
    for path, answer in answers.items():
        image_HWC = read_image(path)
        labels_HW = np.reshape(answer["labels"], image_HWC.shape[:2])
        pixels_HWC = np.reshape(answer["pixels"], (*image_HWC.shape[:2], 4))[..., :3]
        agreed.append(float((labels_HW == segmenter.labels_of(image_HWC)).mean()))
        decoded.append(float((pixels_HWC == image_HWC).mean()))
        for phases in answer["phases"]:
            for phase in phases:
                took.setdefault(phase["name"], []).append(phase["ms"])
            took.setdefault("whole", []).append(sum(phase["ms"] for phase in phases))
        for name, times in _runtime(segmenter, image_HWC, runs).items():
            took.setdefault(name, []).extend(times)
    medians = {name: statistics.median(times) for name, times in took.items()}
    values = {"ids_agree": statistics.mean(agreed), "bytes_decoded_alike": statistics.mean(decoded)}
    values |= {f"{name}_ms": median for name, median in medians.items()}
    for name in ("infer", "whole"):
        values[f"{name}_over_runtime"] = medians[name] / medians[f"runtime_{name}"]
    on = this_machine()
    return [Record(name=n, value=v, kind="measured", on=on) for n, v in values.items()]


def _runtime(
    segmenter: Segmenter, image_HWC: NDArray[np.uint8], runs: int
) -> dict[str, list[float]]:
    """Milliseconds of the runtime on this machine: of the network, and of all but decoding."""
    small_HWC = resize_image(image_HWC, segmenter.input.size)
    ways: dict[str, Callable[[], object]] = {
        "runtime_infer": lambda: segmenter.native_labels(small_HWC),
        "runtime_whole": lambda: segmenter.labels_of(image_HWC),
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(runs):
        for name, act in ways.items():
            began = time.perf_counter()
            act()
            times[name].append(1000 * (time.perf_counter() - began))
    return times


if __name__ == "__main__":
    main()
