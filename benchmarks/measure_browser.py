"""Which engine computes an artifact fastest in a browser, and whether it agrees with the runtime.

    npm install --prefix NPM @litertjs/core onnxruntime-web
    python benchmarks/measure_browser.py ARTIFACT NPM/node_modules --theme browser-engines

ARTIFACT was exported with `--to litert_int8 --to litert --to onnx`. Builds of LiteRT and ONNX
Runtime take turns in Chromium without a window, on the sample pictures of the page, each round in a
fresh worker; the runtime of this machine takes turns with them. Quote the ratios, not the
milliseconds.
"""

import argparse
import gzip
import shutil
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from browsing import Silent, opened
from numpy.typing import NDArray
from playwright.sync_api import Page
from recording import write_records

from frugalseg.core.records import Record, this_machine
from frugalseg.imaging.read import read_image
from frugalseg.imaging.resize import resize_image
from frugalseg.runtime.segmenter import Segmenter
from frugalseg.serve.page import PAGE

HERE = Path(__file__).parent / "browser"
LITERT = "@litertjs/core/wasm/litert_wasm"
ASK = """([address, wish]) => new Promise((resolve) => {
    const worker = new Worker(address);
    worker.onerror = (event) => resolve({ error: event.message });
    worker.onmessage = ({ data }) => { worker.terminate(); resolve(data); };
    worker.postMessage(wish);
})"""


@dataclass(frozen=True)
class Way:
    """An engine with a file: the worker that runs it, and what a page would have to load."""

    name: str
    worker: str
    file: str
    loads: tuple[str, ...]


def _litert(build: str, middle: str, kind: str) -> Way:
    loads = (f"{LITERT}{middle}_internal.js", f"{LITERT}{middle}_internal.wasm")
    name = f"LiteRT {build}, {kind}"
    return Way(name, f"litert.js?build={build}", f"model.{kind}.tflite", loads)


ORT = ("onnxruntime-web/dist/ort.wasm.min.js", "onnxruntime-web/dist/ort-wasm-simd-threaded.wasm")
WAYS = (
    _litert("compat", "_compat", "int8"),
    _litert("relaxed", "", "int8"),
    _litert("threaded", "_threaded", "int8"),
    _litert("compat", "_compat", "fp32"),
    Way("ONNX Runtime, fp32", "onnx.js?threads=1", "model.fp32.onnx", ORT),
    Way("ONNX Runtime with 2 threads, fp32", "onnx.js?threads=2", "model.fp32.onnx", ORT),
)
NATIVE = "runtime of this machine, int8"


class _Isolated(Silent):
    """Threads in a browser need a page that is isolated."""

    def end_headers(self) -> None:
        self.send_header("Cross-Origin-Opener-Policy", "same-origin")
        self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
        super().end_headers()


def main() -> None:
    """Measure, print, write the record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("artifact", type=Path)
    parser.add_argument("packages", type=Path, help="node_modules with both packages")
    parser.add_argument("--theme", required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--runs", type=int, default=5, help="on each picture in a round")
    parser.add_argument("--chromium", default=shutil.which("chromium"))
    wish = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        host = Path(folder)
        for path in HERE.iterdir():
            shutil.copy(path, host)
        for path in wish.artifact.glob("model.*"):
            shutil.copy(path, host)
        (host / "packages").symlink_to(wish.packages.absolute())
        records, browser = _measured(wish, host)
    settings = {"browser": browser, "rounds": wish.rounds, "runs": wish.runs}
    print(write_records(wish.theme, "chromium", records, settings))


def _measured(wish: argparse.Namespace, host: Path) -> tuple[list[Record], str]:
    times: dict[str, list[float]] = {name: [] for name in (NATIVE, *(w.name for w in WAYS))}
    agreed: dict[str, float] = {}
    with opened(host, wish.chromium, _Isolated) as (page, browser):
        for number in range(wish.rounds):
            times[NATIVE] += _native(wish.artifact, wish.runs)
            for way in WAYS:
                took, share = _round(page, wish, way)
                times[way.name] += took
                agreed[way.name] = share
            print(f"round {number + 1} of {wish.rounds}", flush=True)
    return _records(times, agreed, wish), browser


def _pictures(segmenter: Segmenter) -> list[NDArray[np.uint8]]:
    """The sample pictures of the page, at the size of the input."""
    paths = sorted((PAGE / "samples").glob("*.jpg"))
    return [resize_image(read_image(path), segmenter.input.size) for path in paths]


def _native(artifact: Path, runs: int) -> list[float]:
    segmenter = Segmenter.open(artifact, threads=1)
    times = []
    for picture_HWC in _pictures(segmenter):
        segmenter.native_labels(picture_HWC)
        for _ in range(runs):
            began = time.perf_counter()
            segmenter.native_labels(picture_HWC)
            times.append(1000 * (time.perf_counter() - began))
    return times


def _round(page: Page, wish: argparse.Namespace, way: Way) -> tuple[list[float], float]:
    """Run all pictures in a fresh worker; also the share of ids that are those of the runtime."""
    segmenter = Segmenter.open(wish.artifact, file=way.file, threads=1)
    pictures = _pictures(segmenter)
    held = [(p ^ 0x80) if segmenter.file.input == "int8" else p for p in pictures]
    asked = {
        "address": way.file, "shape": [1, *pictures[0].shape], "runs": wish.runs,
        "pictures": [p.ravel().tolist() for p in held],
    }  # fmt: skip
    answer = page.evaluate(ASK, [way.worker, asked])
    if "error" in answer:
        raise SystemExit(f"{way.name}: {answer['error']}")
    kind = np.int8 if segmenter.file.precision == "int8" else np.float32
    same = []
    for picture_HWC, values in zip(pictures, answer["outputs"], strict=True):
        expected_hw = segmenter.native_labels(picture_HWC)
        scores = np.array(values, np.uint8).view(kind).reshape(*expected_hw.shape, -1)
        same.append(float((scores.argmax(-1) == expected_hw).mean()))
    return answer["times"], statistics.mean(same)


def _records(
    times: dict[str, list[float]], agreed: dict[str, float], wish: argparse.Namespace
) -> list[Record]:
    on = this_machine()
    records = []
    base = statistics.median(times[NATIVE])
    for name, took in times.items():
        median = statistics.median(took)
        print(f"{name:36} {median:8.2f} ms  {median / base:6.2f}  {agreed.get(name, 1.0):.5f}")
        spread = {"min_ms": min(took), "max_ms": max(took)}
        values = {"latency_ms": median, "latency_over_runtime": median / base}
        if name in agreed:
            values["ids_agree"] = agreed[name]
        records += [
            Record(name=f"{name}/{what}", value=value, kind="measured", on=on, settings=spread)
            for what, value in values.items()
        ]
    for way in WAYS:
        size = sum(len(gzip.compress((wish.packages / p).read_bytes(), 9)) for p in way.loads)
        what = f"{way.name}/engine_gzip_bytes"
        records.append(Record(name=what, value=size, kind="measured", on=on))
    return records


if __name__ == "__main__":
    main()
