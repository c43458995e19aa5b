import logging
import os
import sys
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from frugalseg.data.catalog import open_dataset
from frugalseg.export.gate import PARITY, check_parity
from frugalseg.export.litert import quiet
from frugalseg.runtime.segmenter import Segmenter
from frugalseg.training.checkpoint import load_checkpoint


@pytest.mark.parametrize("file", ["model.fp32.tflite", "model.fp32.onnx"])
def test_fp32_files_agree_with_the_network_on_pictures_and_on_noise(
    artifact: Path, run: Path, data: Path, file: str
) -> None:
    kept, dataset = load_checkpoint(run), open_dataset(data)
    noise = np.random.default_rng(7).integers(0, 256, (48, 64, 3), np.uint8)
    other_size = np.random.default_rng(8).integers(0, 256, (90, 70, 3), np.uint8)
    pictures = [*(dataset.load(s)[0] for s in dataset.split("val")), noise, other_size]
    gap = check_parity(kept.network(), kept.input, Segmenter.open(artifact, file=file), pictures)
    assert gap <= PARITY


def test_all_engines_label_alike(artifact: Path, data: Path) -> None:
    dataset = open_dataset(data)
    image_HWC, _ = dataset.load(dataset.split("val")[0])
    files = ("model.fp32.tflite", "model.fp32.onnx", "model.int8.tflite")
    litert, onnx, int8 = (Segmenter.open(artifact, file=f).labels_of(image_HWC) for f in files)
    np.testing.assert_array_equal(litert, onnx)
    # So short a training leaves much unsure, and int8 rounds what is almost equal.
    assert (int8 == litert).mean() > 0.85


def test_the_fp32_file_takes_pixels_and_normalises_them(
    artifact: Path, operators: Callable[[Path], Counter[str]]
) -> None:
    counted = operators(artifact / "model.fp32.tflite")
    assert counted["CAST"] == 1
    assert not counted.keys() & {"TRANSPOSE", "PAD", "PADV2"}


def test_quiet_swallows_what_is_printed_and_puts_everything_back(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with quiet():
        os.write(1, b"from C\n")
        os.write(2, b"from C\n")
        sys.stdout.write("from Python\n")
        warnings.warn("a warning", stacklevel=1)
        logging.getLogger("converter").critical("a message")
    assert capfd.readouterr() == ("", "")
    sys.stdout.write("again\n")
    assert capfd.readouterr().out == "again\n"
    assert not logging.getLogger("converter").disabled
    assert logging.root.manager.disable == logging.NOTSET


def test_what_was_printed_is_told_with_the_error_of_a_converter() -> None:
    def fail() -> None:
        with quiet():
            os.write(2, b"tensor 7 is odd\n")
            raise RuntimeError

    with pytest.raises(RuntimeError) as caught:
        fail()
    assert caught.value.__notes__ == ["The converter said:\ntensor 7 is odd"]
