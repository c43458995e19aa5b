"""Measure one file in a process of its own: what `measure_rss.py` starts.

    python benchmarks/rss_worker.py THREADS SMALL.tflite 4x4x1 FILE.tflite 96x128x3

Prints how many bytes of memory become resident while the file is loaded and run. Nothing but the
interpreter is imported here.
"""

import ctypes
import sys
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray

RUNS = 3
POPULATE_READ = 22  # of madvise
PEAK_OF_NOW = "5"  # to clear_refs


def main(threads: int, small: Path, small_size: str, file: Path, size: str) -> int:
    """Return the peak of resident memory above the empty interpreter."""
    picture = noise(size)
    run(small, noise(small_size), threads)
    make_resident()
    Path("/proc/self/clear_refs").write_text(PEAK_OF_NOW, encoding="ascii")
    before = told("smaps_rollup", "Rss")
    kept = run(file, picture, threads)
    # The peak counts in batches of pages, and may miss some: what is there now counts exactly.
    peak = max(told("status", "VmHWM"), told("smaps_rollup", "Rss"))
    del kept
    return peak - before


def noise(size: str) -> NDArray[np.int8]:
    """Make a picture, (1, height, width, channels)."""
    sides = [int(side) for side in size.split("x")]
    return np.random.default_rng(0).integers(-128, 128, (1, *sides), np.int8)


def run(file: Path, picture_NHWC: NDArray[np.int8], threads: int) -> Interpreter:
    """Read, load and run a file as runtime/engines.py does."""
    interpreter = Interpreter(model_content=file.read_bytes(), num_threads=threads)
    interpreter.allocate_tensors()
    for _ in range(RUNS):
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], picture_NHWC)
        interpreter.invoke()
    return interpreter


def make_resident() -> None:
    """Bring all pages of mapped files into memory, and give freed memory back."""
    libc = ctypes.CDLL(None)
    libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    for line in Path("/proc/self/maps").read_text(encoding="utf-8").splitlines():
        span, rights, *more = line.split()
        if rights.startswith("r") and more[-1].startswith("/"):
            start, end = (int(address, 16) for address in span.split("-"))
            libc.madvise(start, end - start, POPULATE_READ)
    libc.malloc_trim(0)


def told(source: str, key: str) -> int:
    """Read a number of bytes from what the kernel tells of this process."""
    lines = Path("/proc/self", source).read_text(encoding="utf-8").splitlines()
    return int(next(line for line in lines if line.startswith(f"{key}:")).split()[1]) * 1024


if __name__ == "__main__":
    count, empty, empty_size, network, network_size = sys.argv[1:]
    print(main(int(count), Path(empty), empty_size, Path(network), network_size))
