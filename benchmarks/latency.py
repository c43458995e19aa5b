"""How fast the int8 artifact is beside the same network elsewhere, in one run.

    python benchmarks/latency.py RUN OUT/artifact --theme camvid-latency

Four engines take turns on the same picture, so that a machine whose speed drifts drifts for all
of them: the int8 file in LiteRT, the same network in ONNX Runtime fp32, in PyTorch as trained
(channels_last), and in PyTorch with norms folded. Quote the ratios, not the milliseconds.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from recording import write_records

from frugalseg.core.records import Record, this_machine
from frugalseg.export.lowering import lower
from frugalseg.export.onnx import export_onnx
from frugalseg.runtime.engines import open_engine
from frugalseg.runtime.manifest import NetworkFile
from frugalseg.runtime.segmenter import Segmenter
from frugalseg.training.batches import normalise
from frugalseg.training.checkpoint import load_checkpoint

WARM_UP = 5
ARTIFACT = "LiteRT int8 (artifact)"


def main() -> None:
    """Measure, print ratios, write the record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("artifact", type=Path)
    parser.add_argument("--theme", required=True)
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--threads", type=int, default=2)
    wish = parser.parse_args()
    torch.set_num_threads(wish.threads)
    engines = _engines(wish.checkpoint, wish.artifact, wish.threads)
    times = {name: [] for name in engines}
    for number in range(wish.rounds + WARM_UP):
        for name, run in engines.items():
            began = time.perf_counter()
            run()
            if number >= WARM_UP:
                times[name].append(1000 * (time.perf_counter() - began))
    medians = {name: statistics.median(t) for name, t in times.items()}
    records = []
    for name, median in medians.items():
        ratio = median / medians[ARTIFACT]
        print(f"{name:28} {median:8.2f} ms   {ratio:5.2f} times the artifact")
        spread = {"min_ms": min(times[name]), "max_ms": max(times[name]), "rounds": wish.rounds}
        machine = this_machine()
        records += [
            Record(
                name=f"{name}/latency_ms",
                value=median,
                kind="measured",
                on=machine,
                settings=spread,
            ),
            Record(name=f"{name}/ratio", value=ratio, kind="measured", on=machine),
        ]
    settings = {"artifact": Segmenter.open(wish.artifact).manifest.name, "threads": wish.threads}
    print(write_records(wish.theme, "host", records, settings))


def _engines(checkpoint: Path, artifact: Path, threads: int) -> dict[str, Callable[[], object]]:
    kept = load_checkpoint(checkpoint)
    spec, network = kept.input, kept.network()
    pixels = np.random.default_rng(0).integers(
        0, 256, (spec.height, spec.width, spec.channels), dtype=np.uint8
    )
    segmenter = Segmenter.open(artifact, threads=threads)
    image = normalise(torch.from_numpy(pixels).permute(2, 0, 1)[None], spec)
    image = image.contiguous(memory_format=torch.channels_last)

    def torch_runner(module: torch.nn.Module) -> Callable[[], object]:
        ready = module.eval().to(memory_format=torch.channels_last)

        @torch.inference_mode()
        def run() -> object:
            return ready.native(image)

        return run

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        export_onnx(network, spec, path, pictures=[])
        file = NetworkFile(
            path=path.name, format="onnx", precision="fp32", input="uint8",
            bytes=path.stat().st_size, sha256="",
        )  # fmt: skip
        onnx = open_engine(path, file, spec, kept.labels.num_classes, threads=threads)
    return {
        ARTIFACT: lambda: segmenter.scores(pixels),
        "ONNX Runtime fp32": lambda: onnx(pixels),
        "PyTorch channels_last": torch_runner(network),
        "PyTorch, norms folded": torch_runner(lower(network)),
    }


if __name__ == "__main__":
    main()
