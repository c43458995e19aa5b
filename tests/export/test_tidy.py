import shutil
from collections import Counter
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ai_edge_litert.interpreter import Interpreter

from frugalseg.core.inputs import InputSpec
from frugalseg.cost.peak import peak
from frugalseg.cost.tflite import read_tflite
from frugalseg.export.flatbuffer import write_model
from frugalseg.export.litert import convert
from frugalseg.export.tidy import tidy
from frugalseg.models.network import Network

SPEC = InputSpec(height=44, width=60)


@pytest.fixture(scope="session")
def untidy(
    once: Callable[[str, Callable[[Path], object]], Path], untrained: Callable[..., Network]
) -> Path:
    """A file as the converter leaves it."""

    def make(folder: Path) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(import_module("frugalseg.export.litert"), "tidy", lambda path: None)
            convert(untrained(), SPEC, folder / "model.tflite")

    return once("untidy", make) / "model.tflite"


def output(path: Path, seed: int = 0) -> Any:
    interpreter = Interpreter(str(path), num_threads=1)
    interpreter.allocate_tensors()
    source = interpreter.get_input_details()[0]
    noise = np.random.default_rng(seed).integers(-128, 128, source["shape"])
    scale = 1 if source["dtype"] == np.int8 else 64
    interpreter.set_tensor(source["index"], (noise / scale).astype(source["dtype"]))
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"]).copy()


def test_operators_go_and_the_output_stays_to_the_bit(
    untidy: Path, tmp_path: Path, operators: Callable[[Path], Counter[str]]
) -> None:
    path = Path(shutil.copy(untidy, tmp_path))
    assert operators(path).keys() >= {"TRANSPOSE", "PAD"}  # else there is nothing to show
    tidy(path)
    assert operators(path).keys() == {"CONV_2D", "ADD", "RESIZE_BILINEAR", "MEAN"}
    for seed in range(3):
        np.testing.assert_array_equal(output(path, seed), output(untidy, seed))


class Widening(Network):
    """Adds channels of zeros to a map, and the result to another map, as ENet does."""

    channels = num_classes = 3

    def __init__(self) -> None:
        super().__init__()
        self.first, self.wide, self.last = (
            torch.nn.Conv2d(3, 4, 1), torch.nn.Conv2d(4, 8, 3, padding=1), torch.nn.Conv2d(8, 3, 1),
        )  # fmt: skip

    def native(self, image_NCHW: torch.Tensor) -> torch.Tensor:
        map_NCHW = self.first(image_NCHW)
        more_NCHW = torch.nn.functional.pad(map_NCHW, (0, 0, 0, 0, 0, 4))
        out: torch.Tensor = self.last(torch.relu(self.wide(map_NCHW) + more_NCHW))
        return out


@pytest.mark.slow
def test_channels_are_padded_without_a_change_of_layout(
    tmp_path: Path, operators: Callable[[Path], Counter[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(import_module("frugalseg.export.litert"), "tidy", lambda path: None)
    untidy, path = tmp_path / "untidy.tflite", tmp_path / "tidy.tflite"
    convert(Widening().eval(), SPEC, untidy)
    assert operators(untidy)["TRANSPOSE"] >= 3  # else there is nothing to show
    tidy(Path(shutil.copy(untidy, path)))
    assert operators(path) == {"CONV_2D": 3, "PAD": 1, "ADD": 1}
    assert path.stat().st_size < untidy.stat().st_size
    np.testing.assert_array_equal(output(path), output(untidy))


def test_the_file_and_its_peak_are_smaller(untidy: Path, tmp_path: Path) -> None:
    path = Path(shutil.copy(untidy, tmp_path))
    tidy(path)
    assert path.stat().st_size < untidy.stat().st_size
    assert peak(read_tflite(path)).bytes <= peak(read_tflite(untidy)).bytes


def test_a_second_time_changes_nothing(artifact: Path, tmp_path: Path) -> None:
    path = Path(shutil.copy(artifact / "model.int8.tflite", tmp_path))
    tidy(path)
    once = path.read_bytes()
    tidy(path)
    assert path.read_bytes() == once
    np.testing.assert_array_equal(output(path), output(artifact / "model.int8.tflite"))


def test_no_tensor_is_left_that_nothing_refers_to(
    artifact: Path, model_of: Callable[[Path], Any]
) -> None:
    graph = model_of(artifact / "model.int8.tflite").subgraphs[0]
    used = {int(i) for op in graph.operators for i in (*op.inputs, *op.outputs)}
    assert used | {*graph.inputs, *graph.outputs} == set(range(len(graph.tensors)))


def test_tensors_are_named_after_their_layers(artifact: Path) -> None:
    layers = {op.layer for op in read_tflite(artifact / "model.int8.tflite").ops}
    assert {"context", "join8.mix.2", "stage2.2", "stage16.4.spread.2"} <= layers


def test_buffers_behind_the_flatbuffer_are_taken_in(
    artifact: Path, tmp_path: Path, model_of: Callable[[Path], Any]
) -> None:
    expected = output(artifact / "model.int8.tflite")
    path = tmp_path / "model.tflite"
    _put_buffers_behind(model_of(artifact / "model.int8.tflite"), path)
    assert any(buffer.offset > 1 for buffer in model_of(path).buffers)
    tidy(path)
    assert not any(buffer.offset for buffer in model_of(path).buffers)
    np.testing.assert_array_equal(output(path), expected)


def _put_buffers_behind(model: Any, path: Path) -> None:
    contents = [b"" if b.data is None else bytes(b.data) for b in model.buffers]
    offsets = [1] * len(contents)
    raw = b""
    for _ in range(2):  # first to learn how long the flatbuffer is, then with the real places
        for buffer, content, offset in zip(model.buffers, contents, offsets, strict=True):
            if content:
                buffer.data, buffer.offset, buffer.size = None, offset, len(content)
        write_model(model, path)
        raw = path.read_bytes()
        place = -(-len(raw) // 16) * 16
        for i, content in enumerate(contents):
            offsets[i] = place
            place += -(-len(content) // 16) * 16
    tail = b"".join(content + bytes(-len(content) % 16) for content in contents)
    path.write_bytes(raw + bytes(-len(raw) % 16) + tail)
