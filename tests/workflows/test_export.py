"""The gate at work. Files are not converted here but taken from the golden artifact."""

import dataclasses
import shutil
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from frugalseg.core.errors import ConfigError, GateError, OverBudgetError, ToolchainError
from frugalseg.cost.device import load_device
from frugalseg.data.catalog import open_dataset
from frugalseg.export.catalog import FORMATS
from frugalseg.export.flatbuffer import read_model, write_model
from frugalseg.export.quantisation import Quantisation
from frugalseg.runtime.segmenter import Segmenter
from frugalseg.training.checkpoint import load_checkpoint
from frugalseg.workflows.evaluate import evaluate
from frugalseg.workflows.export import ExportWish, export, export_checkpoint
from frugalseg.workflows.place import check_place

Use = Callable[..., None]
SMALL_DEVICE = """
title = "Too small"
runtime = "tflite-micro"
memory = "shared"
[budget]
total_bytes = 60_000
"""


@pytest.fixture
def write(monkeypatch: pytest.MonkeyPatch, golden: Path) -> Use:
    """Lets a format write a copy of the golden file, spoilt if asked."""

    def use(*, spoil: bool = False, **changes: Any) -> None:
        def copy(network: Any, spec: Any, path: Path, **_: Any) -> None:
            shutil.copy(golden / "model.int8.tflite", path)
            if spoil:
                _spoil(path)

        format = dataclasses.replace(FORMATS["litert_int8"], write=copy, **changes)
        workflow = import_module("frugalseg.workflows.export")
        monkeypatch.setattr(workflow, "FORMATS", {"litert_int8": format})

    return use


def _spoil(path: Path) -> None:
    """Put the scales of the last convolution's output far off: one class wins everywhere."""
    model = read_model(path)
    graph = model.subgraphs[0]
    last = graph.operators[-1]
    bias = model.buffers[graph.tensors[int(last.inputs[2])].buffer]
    values = np.asarray(bias.data, np.uint8).view(np.int32).copy()
    values[-1] = 2**24
    bias.data = values.view(np.uint8)
    write_model(model, path)


def contents(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.iterdir()}


def test_an_artifact_is_written_and_opens(
    checkpoint: Path, belt: Path, tmp_path: Path, write: Use
) -> None:
    write()
    out = tmp_path / "artifact"
    result = export(checkpoint, belt, out, tolerance=0, calibration=2)
    assert contents(out).keys() == {"manifest.json", "model.int8.tflite", "MODEL_CARD.md"}
    assert result.scores == evaluate(out, belt).scores
    assert result.footprint.storage_bytes == result.file.stat().st_size
    assert Segmenter.open(out).manifest == result.manifest
    assert result.manifest.scored_on == "val, 2 pictures"


def test_a_network_that_learnt_with_few_bits_is_exported_with_them(
    checkpoint: Path, belt: Path, tmp_path: Path, write: Use
) -> None:
    write()
    kept = load_checkpoint(checkpoint)
    recipe = {**kept.recipe, "quantize": {"name": "qat", "bits": {"classify": 4}}}
    taught = dataclasses.replace(kept, recipe=recipe)
    wish = ExportWish(tolerance_points=100, calibration=2)
    made = export_checkpoint(taught, open_dataset(belt), tmp_path / "artifact", wish)
    assert made.manifest.settings["quantisation"]["bits"] == {"classify": 4}
    asked = dataclasses.replace(wish, how=Quantisation(bits={"stage2.0": 4}))
    made = export_checkpoint(taught, open_dataset(belt), tmp_path / "other", asked)
    assert made.manifest.settings["quantisation"]["bits"] == {"stage2.0": 4}


@pytest.mark.parametrize("before", [False, True])
def test_a_file_that_lost_too_much_leaves_what_was_there(
    checkpoint: Path, belt: Path, golden: Path, tmp_path: Path, write: Use, before: bool
) -> None:
    out = tmp_path / "artifact"
    if before:
        shutil.copytree(golden, out)
    write(spoil=True)
    kept, dataset = load_checkpoint(checkpoint), open_dataset(belt)
    wish = ExportWish(tolerance_points=0.0, calibration=2)
    with pytest.raises(GateError, match=r"model\.int8\.tflite loses .* background -"):
        export_checkpoint(kept, dataset, out, wish, float_scores=evaluate(golden, belt).scores)
    assert {p.name for p in tmp_path.iterdir()} == {checkpoint.name} | (
        {"artifact"} if before else set()
    )
    if before:
        assert contents(out) == contents(golden)


def test_an_fp32_file_that_differs_from_the_network_is_not_let_out(
    checkpoint: Path, belt: Path, tmp_path: Path, write: Use
) -> None:
    write(precision="fp32")
    with pytest.raises(GateError, match="differs from the network"):
        export(checkpoint, belt, tmp_path / "artifact", tolerance=100)
    assert [p.name for p in tmp_path.iterdir()] == [checkpoint.name]


def test_an_artifact_takes_the_place_of_an_older_one(
    checkpoint: Path, belt: Path, golden: Path, tmp_path: Path, write: Use
) -> None:
    out = Path(shutil.copytree(golden, tmp_path / "artifact"))
    (out / "MODEL_CARD.md").write_text("of the older one", encoding="utf-8")
    write()
    export(checkpoint, belt, out, tolerance=100)
    assert "of the older one" not in (out / "MODEL_CARD.md").read_text(encoding="utf-8")


def test_a_file_that_does_not_fit_the_device_is_not_let_out(
    checkpoint: Path, belt: Path, tmp_path: Path, write: Use
) -> None:
    write()
    device = tmp_path / "small.toml"
    device.write_text(SMALL_DEVICE, encoding="utf-8")
    with pytest.raises(OverBudgetError, match="does not fit small") as caught:
        export(checkpoint, belt, tmp_path / "artifact", tolerance=100, device=device)
    assert caught.value.verdict.excess[0].allowed == 60_000
    assert f"let `frugalseg fit --device {device}` choose a network. No" in str(caught.value)
    assert not (tmp_path / "artifact").exists()


def test_a_folder_of_something_else_is_not_replaced(
    checkpoint: Path, belt: Path, tmp_path: Path, write: Use
) -> None:
    write()
    (tmp_path / "holiday").mkdir()
    with pytest.raises(ConfigError, match="is not an artifact: name another folder"):
        export(checkpoint, belt, tmp_path / "holiday")


def test_work_of_the_user_in_the_folder_of_sources_is_not_replaced(
    checkpoint: Path, belt: Path, tmp_path: Path, write: Use
) -> None:
    write()
    out = tmp_path / "artifact"
    export(checkpoint, belt, out, tolerance=100, device="mcu-1mb")
    export(checkpoint, belt, out, tolerance=100, device="mcu-1mb")  # as it was written
    (out / "board" / "Makefile").write_text("all:", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"holds more than an artifact \(board/Makefile\)"):
        check_place(out)
    (out / "board" / "Makefile").unlink()
    (out / "board" / "main.cc").write_text("// my camera", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"was worked on \(board/main.cc\)"):
        check_place(out)


def test_a_tool_that_would_be_asked_is_looked_at_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FRUGALSEG_CACHE", str(tmp_path))
    ExportWish(device=load_device("mcu-1mb"))  # it is not there, and so not asked
    with pytest.raises(ToolchainError, match="frugalseg toolchain install tflm"):
        ExportWish(device=load_device("mcu-1mb"), verify=True)
    (tmp_path / "toolchains" / "tflm").mkdir(parents=True)
    (tmp_path / "toolchains" / "tflm" / "installed.json").write_text("{}", encoding="utf-8")
    with pytest.raises(ToolchainError, match="is broken"):
        ExportWish(device=load_device("mcu-1mb"))


def test_what_a_device_cannot_use_is_not_dropped_in_silence() -> None:
    with pytest.raises(ConfigError, match="imx500 has one format of its own"):
        ExportWish(device=load_device("imx500"), formats=("litert_int8", "onnx"))
    with pytest.raises(ConfigError, match="no output 'labels'"):
        ExportWish(output="labels")
    with pytest.raises(ConfigError, match="only litert_int8 can give ids"):
        ExportWish(output="ids", formats=("onnx",))


def test_data_of_other_classes_is_refused(
    checkpoint: Path, tiny_folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="the model knows background, paper"):
        export(checkpoint, tiny_folder, tmp_path / "artifact")


@pytest.mark.parametrize(
    ("wish", "message"),
    [
        ({"to": ("litert_int4",)}, "did you mean 'litert_int8'"),
        ({"to": ()}, "no format given"),
        ({"tolerance": -1.0}, "tolerance must be 0 or more"),
        ({"tolerance": float("nan")}, "tolerance must be 0 or more"),
        ({"calibration": 0}, "calibration must be 1 or more"),
    ],
)
def test_a_wish_that_means_nothing_is_refused(
    checkpoint: Path, belt: Path, tmp_path: Path, wish: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        export(checkpoint, belt, tmp_path / "artifact", **wish)


def test_a_folder_that_only_looks_like_an_artifact_is_not_replaced(
    golden: Path, tmp_path: Path
) -> None:
    for place, extra in (("web", None), ("mixed", golden)):
        folder = tmp_path / place
        if extra is None:
            folder.mkdir()
            (folder / "manifest.json").write_text('{"name": "a web page"}')
        else:
            shutil.copytree(extra, folder)
        (folder / "index.html").write_text("mine")
        with pytest.raises(ConfigError, match="name another folder"):
            check_place(folder)
        assert (folder / "index.html").read_text() == "mine"


def test_a_device_takes_int8_files_only() -> None:
    with pytest.raises(ConfigError, match="must be litert_int8, got onnx"):
        ExportWish(formats=("onnx",), device=load_device("mcu-2mb"))
