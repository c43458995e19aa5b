"""Studies: what is refused before any work, what fails on the way, and a claim that is lost."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from frugalseg.core.errors import ConfigError, ToolchainError
from frugalseg.workflows import study_claim, study_export
from frugalseg.workflows import study_run as running
from frugalseg.workflows.study_claim import holder
from frugalseg.workflows.study_run import study_run
from frugalseg.workflows.study_state import Stage

SHEET: dict[str, Any] = {
    "about": "Two small ones.",
    "data": "belt",
    "set": {"input": "48x64", "length.steps": 4, "batch_size": 2, "validations": 1},
    "calibration": 2,
    "runs": [
        {"name": "one", "settings": {"width": 0.25, "depth": 1}},
        {"name": "two", "settings": {"width": 0.35, "depth": 1}},
    ],
    "columns": ["parameters", "int8_bytes"],
}
KEYS = ("belt-one-s0", "belt-two-s0")
IMX500 = {"name": "sensor", "device": "imx500", "set": {"input": "64x64"}}

Write = Callable[..., Path]


@pytest.fixture
def data(belt: Path) -> Path:
    """The folder in which the data set "belt" lies."""
    return belt.parent


@pytest.fixture
def no_tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No device maker's tool is installed, and no converter is looked for."""
    monkeypatch.setenv("FRUGALSEG_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(study_export, "CONVERTERS", ())


def refused(study: Path, data: Path, out: Path, **how: Any) -> str:
    with pytest.raises(ConfigError) as told:
        study_run(study, data, out, **how)
    assert not out.exists()
    return str(told.value)


@pytest.mark.usefixtures("no_tools")
def test_a_missing_toolchain_is_told_with_the_rest_before_anything_is_trained(
    sheet: Write, data: Path, tmp_path: Path
) -> None:
    study = sheet(runs=[IMX500, {"name": "b", "model": "enett"}])
    told = refused(study, data, tmp_path / "out")
    assert "sensor: the toolchain imx500 is not installed" in told
    assert "--train-only" in told
    assert "b: no model 'enett'" in told
    assert "sensor" not in refused(study, data, tmp_path / "out", train_only=True)


@pytest.mark.usefixtures("no_tools")
def test_a_run_that_was_exported_needs_no_toolchain_any_more(
    sheet: Write, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study, out = sheet(runs=[IMX500, SHEET["runs"][0]]), tmp_path / "out"
    (out / "belt-sensor-s0").mkdir(parents=True)
    for stage in ("train", "fp32", "int8"):
        Stage().save(out / "belt-sensor-s0", stage)
    monkeypatch.setattr(study_export, "export_stage", lambda *_: Stage())
    assert study_run(study, data, out).finished == ("belt-sensor-s0", KEYS[0])


@pytest.mark.usefixtures("no_tools")
def test_an_export_that_cannot_begin_does_not_stop_the_other_runs(
    sheet: Write, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def export(job: Any, name: str, *_: Any) -> Stage:
        if job.name == "one":
            raise ToolchainError("the toolchain was removed meanwhile")
        return Stage()

    monkeypatch.setattr(study_export, "export_stage", export)
    out = tmp_path / "out"
    for finished in ((KEYS[1],), ()):  # a later call gets past it too
        ended = study_run(sheet(), data, out)
        assert ended.finished == finished
        assert ended.failed == {KEYS[0]: "the toolchain was removed meanwhile"}
        assert ended.left == {
            KEYS[0]: "trained; to export: fp32, int8; failed: the toolchain was removed meanwhile"
        }
    monkeypatch.setattr(study_export, "export_stage", lambda *_: Stage())
    ended = study_run(sheet(), data, out)
    assert (ended.finished, ended.failed, ended.left) == ((KEYS[0],), {}, {})


@pytest.mark.parametrize(
    ("run", "told"),
    [
        ({"set": {"loss.name": "cross_entrpy"}}, "one: no loss 'cross_entrpy'; did you mean"),
        ({"set": {"start": "nowhere"}}, "one: no checkpoint at nowhere"),
        ({"set": {"augment.crop": "96x64"}}, "one: augment.crop 96x64 is larger than the input"),
        ({"device": "imx500"}, "one: imx500 takes pictures of at least 64x64, not 48x64"),
        ({"device": "mcu-1mb", "set": {"loss.name": "none"}}, "one: no loss 'none'"),
    ],
)
def test_what_would_end_a_training_is_told_before_any_is_begun(
    sheet: Write, data: Path, tmp_path: Path, run: dict[str, Any], told: str
) -> None:
    study = sheet(runs=[{"name": "two"}, {"name": "one"} | run], seeds=[0, 1])
    said = refused(study, data, tmp_path / "out", train_only=True)
    assert told in said
    assert said.count("one: ") == 1  # not of each seed again


def test_a_second_data_set_is_checked_before_anything_is_trained(
    sheet: Write, data: Path, belt: Path, tmp_path: Path
) -> None:
    both = tmp_path / "data"
    for name in ("belt", "torn"):
        shutil.copytree(belt, both / name)
    next((both / "torn").rglob("*.png")).write_bytes(b"torn")
    study = sheet(data=["belt", "torn"])
    told = refused(study, both, tmp_path / "out", train_only=True)
    assert told.count("torn cannot be used") == 1  # not of each run again


def test_a_start_that_is_gone_does_not_matter_once_a_run_was_begun(
    sheet: Write, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study_run(sheet(), data, tmp_path / "first", train_only=True, only=["one"])
    start = tmp_path / "start.safetensors"
    shutil.copy(tmp_path / "first" / KEYS[0] / "run" / "best.safetensors", start)
    study = sheet(set=SHEET["set"] | {"start": str(start)})
    asked = iter(range(4))
    with monkeypatch.context() as patch:
        patch.setattr(running._Bench, "is_over", lambda _: next(asked, None) is None)
        study_run(study, data, tmp_path / "out", train_only=True, only=["one"])
    start.unlink()
    assert study_run(study, data, tmp_path / "out", train_only=True, only=["one"]).finished
    with pytest.raises(ConfigError, match="two: no checkpoint at"):
        study_run(study, data, tmp_path / "out", train_only=True)


def follow(folder: Path) -> None:
    """Take the claim over, as another process does after ten minutes of silence."""
    number = study_claim._highest(folder) + 1
    who = {"host": "elsewhere", "space": "", "pid": 1}
    (folder / f".claim-{number}").write_text(json.dumps(who), encoding="utf-8")


def test_who_lost_its_claim_in_training_leaves_the_checkpoint_of_its_follower(
    sheet: Write, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(study_claim, "TOUCH_EVERY_S", 0.0)  # looks at each step
    folder, asked = tmp_path / "out" / KEYS[0], iter(range(100))
    last = folder / "run" / "last.safetensors"

    def is_over(_: object) -> bool:
        if next(asked) == 3:  # after the second step
            follow(folder)
            last.write_bytes(b"newer")
        return False

    monkeypatch.setattr(running._Bench, "is_over", is_over)
    ended = study_run(sheet(), data, tmp_path / "out", train_only=True, only=["one"])
    assert (ended.finished, ended.failed) == ((), {})
    assert "process 1 on elsewhere is at it" in ended.left[KEYS[0]]
    assert last.read_bytes() == b"newer"
    assert not (folder / "train.json").exists()


def test_a_training_is_not_told_to_stop_and_save_once_its_claim_is_lost(
    sheet: Write, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(study_claim, "TOUCH_EVERY_S", 0.0)
    told: list[bool] = []

    def train(_job: Any, around: Any) -> Stage:
        told.append(around.stop())
        follow(around.folder)
        told.append(around.stop())  # raises
        return Stage()

    monkeypatch.setattr(running, "train_stage", train)
    study_run(sheet(), data, tmp_path / "out", train_only=True, only=["one"])
    assert told == [False]


@pytest.mark.parametrize("wrong", [None, ConfigError("the loss is nan")])
def test_who_lost_its_claim_writes_neither_result_nor_failure(
    sheet: Write, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrong: Any
) -> None:
    folder = tmp_path / "out" / KEYS[0]

    def train(*_: Any) -> Stage:
        follow(folder)
        if wrong is not None:
            raise wrong
        return Stage()

    monkeypatch.setattr(running, "train_stage", train)
    ended = study_run(sheet(), data, tmp_path / "out", train_only=True, only=["one"])
    assert (ended.finished, ended.failed) == ((), {})
    assert [path.name for path in folder.glob("*.json")] == ["asked.json"]


def test_a_claim_that_is_lost_in_an_export_is_no_result(
    sheet: Write, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(study_export, "CONVERTERS", ())
    study_run(sheet(), data, tmp_path / "out", train_only=True, only=["one"])
    folder = tmp_path / "out" / KEYS[0]

    def export(*_: Any, progress: Any, **__: Any) -> None:
        follow(folder)
        monkeypatch.setattr(study_claim, "TOUCH_EVERY_S", 0.0)
        progress("exporting", 0, 1)
        pytest.fail("went on")

    monkeypatch.setattr(study_export, "export_checkpoint", export)
    ended = study_run(sheet(), data, tmp_path / "out", only=["one"])
    assert (ended.finished, ended.failed) == ((), {})
    assert not (folder / "fp32.json").exists()
    assert holder(folder) == "process 1 on elsewhere"


def test_how_a_conversion_is_tried_again_is_said_and_works(
    sheet: Write, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(study_export, "CONVERTERS", ())
    reasons = {"fp32": None, "int8": "no such operator"}
    monkeypatch.setattr(
        study_export, "export_stage", lambda job, name, *_: Stage(reason=reasons[name])
    )
    out, only = tmp_path / "out", ["one"]
    ended = study_run(sheet(), data, out, only=only)
    folder = out / KEYS[0]
    assert ended.lacks == {
        KEYS[0]: "int8: no such operator (to try again, remove int8.json and result.json from"
        f" {folder})"
    }
    for name in ("int8.json", "result.json"):
        (folder / name).unlink()
    reasons["int8"] = None
    ended = study_run(sheet(), data, out, only=only)
    assert (ended.finished, ended.lacks) == ((KEYS[0],), {})
    ended = study_run(sheet(), data, out, only=only)
    assert (ended.finished, ended.left) == ((), {})


def test_a_damaged_result_of_a_stage_fails_that_run_alone(
    sheet: Write, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(study_export, "CONVERTERS", ())
    monkeypatch.setattr(study_export, "export_stage", lambda *_: Stage())
    study_run(sheet(), data, tmp_path / "out", train_only=True)
    (tmp_path / "out" / KEYS[0] / "train.json").write_text("{", encoding="utf-8")
    ended = study_run(sheet(), data, tmp_path / "out")
    assert ended.finished == (KEYS[1],)
    assert "train.json" in ended.failed[KEYS[0]]
