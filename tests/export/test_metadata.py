import json
from pathlib import Path

import onnx
import pytest

from frugalseg.export.metadata import read_metadata


@pytest.mark.parametrize("file", ["model.int8.tflite", "model.fp32.tflite"])
def test_a_litert_file_says_what_it_is(artifact: Path, file: str) -> None:
    told = read_metadata(artifact / file)
    assert told["names"] == ["ground", "box", "disc"]
    assert told["input"]["height"] == 48


def test_an_onnx_file_says_it_in_the_words_of_other_tools(artifact: Path) -> None:
    model = onnx.load(artifact / "model.fp32.onnx")
    told = {entry.key: entry.value for entry in model.metadata_props}
    assert told["task"] == "segment"
    assert json.loads(told["names"]) == {"0": "ground", "1": "box", "2": "disc"}
    assert json.loads(told["imgsz"]) == [48, 64]
    assert told["stride"] == "4"
    assert json.loads(told["frugalseg"])["input"]["std"] == 64
