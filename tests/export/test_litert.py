import logging
import os
import sys
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
import torch
from ai_edge_litert.interpreter import Interpreter

from frugalseg.core.inputs import InputSpec
from frugalseg.data.catalog import open_dataset
from frugalseg.export.gate import PARITY, check_parity
from frugalseg.export.litert import export_litert, quiet
from frugalseg.export.litert_int8 import export_litert_int8
from frugalseg.export.quantisation import Quantisation
from frugalseg.models.network import Network
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


def test_files_of_one_network_share_a_conversion_unless_its_weights_were_changed(
    tmp_path: Path, untrained: Callable[..., Network]
) -> None:
    """With a mean and a deviation of which no binary fraction is the inverse."""
    import litert_torch

    spec, shared = InputSpec(height=48, width=64, mean=123.7, std=58.4), tmp_path / "shared"
    shared.mkdir()
    network = untrained()
    pixels_NHWC = np.random.default_rng(0).integers(0, 256, (1, *spec.size, 3), np.uint8)
    given: dict[str, Any] = {"pictures": [pixels_NHWC[0]], "shared": shared}
    with mock.patch("litert_torch.convert", wraps=litert_torch.convert) as convert:
        export_litert_int8(network, spec, tmp_path / "int8.tflite", **given)
        export_litert(network, spec, tmp_path / "fp32.tflite", **given)
        assert convert.call_count == 1
        how = Quantisation(equalise=True)
        export_litert_int8(network, spec, tmp_path / "equal.tflite", how=how, **given)
        assert convert.call_count == 2
    file = Interpreter(str(tmp_path / "fp32.tflite")).get_signature_runner()
    (scores_NHWC,) = file(args_0=pixels_NHWC).values()
    x_NCHW = (torch.from_numpy(pixels_NHWC).permute(0, 3, 1, 2).float() - spec.mean) / spec.std
    expected = network.native(x_NCHW).detach().permute(0, 2, 3, 1).numpy()
    np.testing.assert_allclose(scores_NHWC, expected, rtol=0, atol=1e-4)


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
