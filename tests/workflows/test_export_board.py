"""A board's part of an export. The golden artifact stands for a draft."""

import json
import logging
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from frugalseg.core.errors import ArtifactError, GateError, ToolchainError
from frugalseg.cost.device import load_device
from frugalseg.cost.tflite import read_tflite
from frugalseg.cost.tflm import arena
from frugalseg.data.catalog import open_dataset
from frugalseg.export.flatbuffer import read_model, schema, write_model
from frugalseg.runtime.segmenter import Segmenter
from frugalseg.toolchain import tflm
from frugalseg.toolchain.environment import is_installed
from frugalseg.workflows import export_board as workflow
from frugalseg.workflows.export_board import BoardExport, export_board, reference_outputs

NEEDED = 27_152  # bytes, as the interpreter of tflite_micro 0.dev20261023182759 reported
FILES = {"README.md", "main.cc", "model.cc", "model.h", "resolver.h", "segment.cc", "segment.h"}

Outputs = NDArray[Any]
Use = Callable[..., None]


@pytest.fixture
def draft(golden: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(golden, tmp_path / "draft"))


@pytest.fixture
def exported(draft: Path, belt: Path) -> Callable[[], BoardExport]:
    def export() -> BoardExport:
        opened, data = Segmenter.open(draft), open_dataset(belt)
        return export_board(draft, opened, data, device=load_device("mcu-256k"))

    return export


@pytest.fixture
def interpreter(monkeypatch: pytest.MonkeyPatch) -> Use:
    """Puts LiteRT's reference kernels where the interpreter is asked, spoilt if wished."""

    def use(*, needs: int = NEEDED, reports: int = NEEDED, spoil: bool = False) -> None:
        def run_model(file: Path, pictures_NHWC: Outputs, *, arena_bytes: int) -> Outputs:
            if arena_bytes < needs:
                raise ToolchainError(f"refuses {file}: the arena is too small")
            outputs = reference_outputs(file, pictures_NHWC)
            if spoil:
                outputs[-1, 3, 4] = np.roll(outputs[-1, 3, 4], 1)
            return outputs

        def measured(_file: Path) -> tflm.ArenaReport:
            return tflm.ArenaReport(
                head_bytes=12_288, tail_bytes=reports - 12_288, total_bytes=reports, version="7"
            )

        monkeypatch.setattr(workflow, "is_installed", lambda _: True)
        monkeypatch.setattr(workflow, "installed", lambda _: None)
        monkeypatch.setattr(tflm, "arena", measured)
        monkeypatch.setattr(tflm, "run_model", run_model)

    return use


@pytest.fixture
def not_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FRUGALSEG_CACHE", str(tmp_path / "cache"))


@pytest.mark.usefixtures("not_installed")
def test_without_the_toolchain_the_arena_is_an_estimate(
    exported: Callable[[], BoardExport], draft: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        result = exported()
    assert {path.name for path in (draft / "board").iterdir()} == FILES
    told = result.to_dict()
    assert (told["arena"], told["proof"]) == ("estimated", None)
    graph = read_tflite(draft / "model.int8.tflite", views=False)
    assert told["arena_bytes"] == arena(graph).least_bytes
    assert "Estimated: " in (draft / "board" / "model.h").read_text(encoding="utf-8")
    [line] = caplog.messages
    assert "frugalseg toolchain install tflm" in line


def test_the_proof_is_kept_beside_the_sources(
    exported: Callable[[], BoardExport], draft: Path, interpreter: Use
) -> None:
    interpreter()
    result = exported()
    assert {path.name for path in (draft / "board").iterdir()} == {*FILES, "proof.json"}
    kept = json.loads((draft / "board" / "proof.json").read_text(encoding="utf-8"))
    assert kept == result.to_dict()["proof"]
    assert kept["pictures"] == 2
    assert kept["pixels"] == 2 * 12 * 16
    assert kept["tflite_micro"] == "7"
    assert kept["is_least"]
    assert kept["equal_to_reference"] == 1.0
    assert 0.9 < kept["equal_to_runtime"] <= 1.0
    header = (draft / "board" / "model.h").read_text(encoding="utf-8")
    assert f"#define MODEL_ARENA_BYTES {kept['arena_bytes']}\n" in header


def test_the_arena_is_what_the_interpreter_reports(
    exported: Callable[[], BoardExport], interpreter: Use
) -> None:
    interpreter(reports=NEEDED + 1600 - 8)
    proof = exported().proof
    assert proof is not None
    assert (proof.arena_bytes, proof.is_least) == (NEEDED + 1600, False)


def test_one_pixel_of_another_class_fails_the_export(
    exported: Callable[[], BoardExport], draft: Path, interpreter: Use
) -> None:
    interpreter(spoil=True)
    with pytest.raises(GateError, match=r"1 of 384 pixels, in 1 of 2 pictures\. No artifact"):
        exported()
    assert not (draft / "board").exists()


def test_a_file_that_does_not_run_in_its_arena_fails_the_export(
    exported: Callable[[], BoardExport], draft: Path, interpreter: Use
) -> None:
    interpreter(needs=NEEDED + 1)
    with pytest.raises(GateError, match=r"the arena is too small. No artifact was written"):
        exported()
    assert not (draft / "board").exists()


def test_an_operator_that_boards_lack_is_refused_before_anything_runs(
    draft: Path, belt: Path
) -> None:
    opened = Segmenter.open(draft)
    model = read_model(draft / "model.int8.tflite")
    model.operatorCodes[0].builtinCode = schema().BuiltinOperator.TILE
    write_model(model, draft / "model.int8.tflite")
    with pytest.raises(ArtifactError, match="has no operator tile"):
        export_board(draft, opened, open_dataset(belt), device=load_device("mcu-256k"))


def test_the_interpreter_itself_agrees(exported: Callable[[], BoardExport]) -> None:
    if not is_installed(tflm.NAME):
        pytest.skip("needs `frugalseg toolchain install tflm`")
    proof = exported().proof
    assert proof is not None
    assert (proof.arena_bytes, proof.is_least) == (NEEDED, True)
    assert proof.arena_bytes == proof.estimated_bytes == proof.reported_bytes
    assert proof.equal_to_reference == 1.0


def test_pictures_are_taken_from_the_whole_split(
    belt: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = open_dataset(belt)
    first, second = data.split("val")
    many = replace(data, splits={"val": (first, first, first, second, second, first)})
    monkeypatch.setattr(workflow, "PICTURES", 2)
    taken = workflow._pictures(many)
    assert [picture.tolist() for picture in taken] == [
        data.load(sample)[0].tolist() for sample in (first, second)
    ]
