import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from frugalseg.core.errors import ConfigError
from frugalseg.export.flatbuffer import read_model, write_model
from frugalseg.export.ids import with_ids
from frugalseg.export.patches import patch

GOLDEN = Path(__file__).parents[1] / "golden" / "artifact" / "model.int8.tflite"
HEIGHT, WIDTH = 48, 64


@pytest.fixture
def path(tmp_path: Path) -> Path:
    shutil.copy(GOLDEN, tmp_path / "net.tflite")
    return tmp_path / "net.tflite"


def result(path: Path) -> Any:
    kernels = OpResolverType.BUILTIN_REF
    interpreter = Interpreter(str(path), experimental_op_resolver_type=kernels)
    interpreter.allocate_tensors()
    noise = np.random.default_rng(3).integers(-128, 128, (1, HEIGHT, WIDTH, 3), np.int8)
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], noise)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


def raised(scores_hwC: Any) -> Any:
    """Resize four times, with half-pixel centres, axis by axis."""
    for axis in (0, 1):
        side = scores_hwC.shape[axis]
        at = ((np.arange(4 * side) + 0.5) / 4 - 0.5).clip(0, side - 1)
        low = np.floor(at).astype(int)
        high = np.minimum(low + 1, side - 1)
        share = (at - low).reshape((-1, 1, 1) if axis == 0 else (1, -1, 1))
        scores_hwC = scores_hwC.take(low, axis) * (1 - share) + scores_hwC.take(high, axis) * share
    return scores_hwC


def test_ids_are_those_of_the_largest_resized_score(path: Path) -> None:
    scores = raised(result(path)[0].astype(float))
    with_ids(path)
    ids = result(path)
    assert (ids.shape, ids.dtype) == ((1, HEIGHT, WIDTH), np.int8)
    first, second = np.sort(scores, -1)[..., -1], np.sort(scores, -1)[..., -2]
    clear = first - second > 1  # the kernel rounds resized scores to whole numbers
    assert clear.mean() > 0.5
    assert len(np.unique(ids)) > 1
    assert (ids[0] == scores.argmax(-1))[clear].all()


def test_no_map_of_scores_is_as_large_as_the_picture_once_it_is_patched(
    path: Path, operators: Callable[[Path], Counter[str]]
) -> None:
    with_ids(path)
    whole = result(path)
    assert patch(path).parts
    model = read_model(path)
    classes = [t for t in model.subgraphs[0].tensors if list(t.shape) == [1, HEIGHT, WIDTH, 5]]
    assert classes == []
    assert operators(path)["ARG_MAX"] > 1
    assert (result(path) == whole).all()


def test_the_output_has_the_scale_of_numbers_as_they_are(path: Path) -> None:
    with_ids(path)
    interpreter = Interpreter(str(path))
    assert interpreter.get_output_details()[0]["quantization"] == (1.0, 0)
    signature = next(iter(interpreter.get_signature_list().values()))
    assert len(signature["outputs"]) == 1


def test_ids_have_no_ids(path: Path) -> None:
    with_ids(path)
    with pytest.raises(ConfigError, match="expected one int8 output of 2 to 128 scores a pixel"):
        with_ids(path)


def test_more_classes_than_int8_can_number_are_refused(path: Path) -> None:
    model = read_model(path)
    graph = model.subgraphs[0]
    graph.tensors[graph.outputs[0]].shape = [1, 12, 16, 129]
    write_model(model, path)
    with pytest.raises(ConfigError, match=r"got \[1, 12, 16, 129\]"):
        with_ids(path)
