"""Runs where Sony's converter is installed: one request a process, its answer in files.

    python imx500_worker.py convert NETWORK.onnx FOLDER
    python imx500_worker.py predict NETWORK.onnx PICTURES.npy OUTPUTS.npy MEAN STD

`convert` keeps what the converter said as FOLDER/log.txt, the code with which it ended as
FOLDER/code.txt and what it wrote below FOLDER/out. `predict` takes uint8 (N, H, W, C), one picture
at a time, and writes what the quantised network gives: ids (N, h, w) as uint8, or scores
(N, h, w, classes) as float32. Imports nothing of frugalseg.
"""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

IDS_DIMENSIONS = 3
# Fewer threads and no second compiler: a conversion is many short Java programs.
JAVA_OPTIONS = "-XX:+UseSerialGC -XX:TieredStopAtLevel=1"


def main(words: list[str]) -> None:
    """Answer one request."""
    match words:
        case ["convert", network, folder]:
            convert(Path(network), Path(folder))
        case ["predict", network, pictures, outputs, mean, std]:
            predict(network, pictures, outputs, (float(mean), float(std)))
        case _:
            sys.exit(f"not a request: {words}")


def convert(network: Path, folder: Path) -> None:
    """Run the converter to its end, whatever that is."""
    words = [
        *("imxconv-pt", "-i", str(network), "-o", str(folder / "out")),
        *("--overwrite-output", "--report-size-unit", "B"),
    ]
    options = os.environ.get("JAVA_TOOL_OPTIONS", JAVA_OPTIONS)
    with (folder / "log.txt").open("wb") as log:
        ended = subprocess.run(
            words, stdout=log, stderr=subprocess.STDOUT, check=False,
            env={**os.environ, "JAVA_TOOL_OPTIONS": options},
        )  # fmt: skip
    (folder / "code.txt").write_text(str(ended.returncode), encoding="utf-8")


def predict(network: str, pictures: str, outputs: str, scale: tuple[float, float]) -> None:
    """Run the quantised network; its operators come with the quantiser."""
    import mct_quantizers  # type: ignore[import-not-found]
    import onnxruntime

    session = onnxruntime.InferenceSession(
        network, mct_quantizers.get_ort_session_options(), providers=["CPUExecutionProvider"]
    )
    name, (mean, std) = session.get_inputs()[0].name, scale
    pictures_NHWC = np.load(pictures, mmap_mode="r", allow_pickle=False)
    kept: Any = None
    for number, picture_HWC in enumerate(pictures_NHWC):
        image_CHW = (picture_HWC.transpose(2, 0, 1).astype(np.float32) - mean) / std
        given = session.run(None, {name: image_CHW[None].astype(np.float32)})[0]
        if given.ndim == IDS_DIMENSIONS:
            output = given[0].astype(np.uint8)
        else:
            output = given[0].transpose(1, 2, 0).astype(np.float32)
        if kept is None:
            kept = np.lib.format.open_memmap(
                outputs, "w+", output.dtype, (len(pictures_NHWC), *output.shape)
            )
        kept[number] = output
    kept.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
