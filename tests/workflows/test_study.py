"""Studies: what is read, what is done next, and that stopping anywhere loses nothing."""

import csv
import dataclasses
import json
import shutil
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch

from frugalseg.core.errors import ConfigError, MissingExtraError
from frugalseg.export.catalog import FORMATS
from frugalseg.runtime.manifest import Manifest
from frugalseg.training.checkpoint import load_checkpoint
from frugalseg.training.recipe import Recipe
from frugalseg.workflows import study_export
from frugalseg.workflows import study_run as running
from frugalseg.workflows.study_file import load_study, study_names
from frugalseg.workflows.study_run import study_run
from frugalseg.workflows.study_state import State, state_of
from frugalseg.workflows.study_table import study_table
from frugalseg.workflows.study_train import check_network

SHEET: dict[str, Any] = {
    "about": "Two small ones.",
    "data": "belt",
    "set": {"input": "48x64", "length.steps": 4, "batch_size": 2, "validations": 2},
    "calibration": 2,
    "runs": [
        {"name": "net", "settings": {"depth": 1}, "grid": {"model.settings.width": [0.25, 0.35]}}
    ],
    "columns": ["parameters", "int8_bytes", "miou_float", "miou_int8", "steps", "gate"],
}
NARROW, WIDE = "belt-net-width0.25-s0", "belt-net-width0.35-s0"

Write = Callable[..., Path]
Spoil = Callable[[Path], None]


@pytest.fixture
def data(belt: Path) -> Path:
    """The folder in which the data set "belt" lies."""
    return belt.parent


@pytest.fixture
def converter(monkeypatch: pytest.MonkeyPatch, golden: Path) -> Callable[[Spoil | None], None]:
    """Puts the golden file in the place of what a converter would write."""

    def use(act: Spoil | None = None) -> None:
        def copy(network: Any, spec: Any, path: Path, **_: Any) -> None:
            if act is not None:
                act(path)
            shutil.copy(golden / "model.int8.tflite", path)

        changed = {name: dataclasses.replace(FORMATS[name], write=copy) for name in FORMATS}
        changed["litert"] = dataclasses.replace(changed["litert"], precision="int8", input="int8")
        monkeypatch.setattr(import_module("frugalseg.workflows.export"), "FORMATS", changed)

    return use


def stop_after(steps: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the time be up once `is_over` was asked so often."""
    asked = iter(range(steps))
    monkeypatch.setattr(running._Bench, "is_over", lambda _: next(asked, None) is None)


def test_a_grid_is_multiplied_out_and_each_point_named(sheet: Write) -> None:
    runs = [{"name": "a", "model": "enet"}, {"name": "b", "grid": {"model.settings.width": [0.5, 1],
             "augment.scale": [[1, 1], [0.5, 2]]}}]  # fmt: skip
    jobs = load_study(sheet(runs=runs, seeds=[3, 4])).jobs(["batch_size=4"])
    assert [job.key for job in jobs if job.recipe.seed == 4] == [
        "belt-a-s4", "belt-b-width0.5-scale1-1-s4", "belt-b-width0.5-scale0.5-2-s4",
        "belt-b-width1-scale1-1-s4", "belt-b-width1-scale0.5-2-s4",
    ]  # fmt: skip
    assert jobs[0].recipe.model.name == "enet"
    assert jobs[-1].recipe.model.settings == {"width": 1}
    assert (jobs[-1].recipe.augment.scale, jobs[-1].recipe.batch_size) == ((0.5, 2.0), 4)


def test_all_mistakes_of_a_study_are_told_at_once(sheet: Write) -> None:
    path = sheet(seed=[1], runs=[{"name": "a b"}, {"nam": "c"}], columns=["miou_flot"])
    with pytest.raises(ConfigError) as told:
        load_study(path)
    for part in (
        "unknown key 'seed', did you mean 'seeds'?", "run 1: name: String should match",
        "unknown key 'nam', did you mean 'name'?", "no column 'miou_flot'; did you mean"
        " 'miou_float'?",
    ):  # fmt: skip
        assert part in str(told.value)


def test_names_that_occur_twice_and_wrong_recipes_are_told_with_the_run(sheet: Write) -> None:
    runs = [{"name": "a"}, {"name": "a"}, {"name": "b", "set": {"optimiser.lr": 1}},
            {"name": "c", "recipe": "defalt"}]  # fmt: skip
    with pytest.raises(ConfigError) as told:
        load_study(sheet(runs=runs)).jobs()
    assert "a: 2 runs have this name" in str(told.value)
    assert "b: the recipe is wrong: unknown key 'optimiser'" in str(told.value)
    assert "c: no recipe 'defalt'; did you mean 'default'?" in str(told.value)


def test_a_recipe_lies_beside_the_study_and_the_study_overrides_it(
    sheet: Write, tmp_path: Path
) -> None:
    (tmp_path / "own.yaml").write_text("{batch_size: 6, seed: 9, workers: 1}", encoding="utf-8")
    runs = [{"name": "a", "recipe": "own.yaml", "set": {"workers": 2}}]
    (job,) = load_study(sheet(runs=runs, set={"batch_size": 4})).jobs(["validations=3"])
    recipe = job.recipe
    assert (recipe.batch_size, recipe.workers, recipe.validations, recipe.seed) == (4, 2, 3, 0)


@pytest.mark.parametrize("text", ["runs: [", "just text", "\x00"])
def test_a_file_that_is_no_study_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"s\.yaml"):
        load_study(tmp_path / "s.yaml")


@pytest.mark.parametrize("name", study_names())
def test_the_runs_of_a_study_that_ships_can_be_built(name: str) -> None:
    jobs = load_study(name).jobs()
    for job in {job.name: job for job in jobs}.values():
        check_network(job)


def test_a_network_that_does_not_exist_is_named_before_anything_is_trained(
    sheet: Write, data: Path, tmp_path: Path
) -> None:
    runs = [{"name": "a"}, {"name": "b", "model": "enett"}, {"name": "c", "settings": {"wide": 1}}]
    with pytest.raises(ConfigError) as told:
        study_run(sheet(runs=runs, data=["belt", "nowhere"]), data, tmp_path / "out")
    assert "b: no model 'enett'; did you mean 'enet'?" in str(told.value)
    assert "c: no setting of frugalnet 'wide'" in str(told.value)
    assert f"{data / 'nowhere'}: no such folder" in str(told.value)
    assert not (tmp_path / "out").exists()


def test_a_study_that_was_stopped_ends_with_the_same_weights(
    sheet: Write, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = sheet()
    with monkeypatch.context() as patch:
        stop_after(4, patch)  # asked before the run, before its stage, and after each step
        stopped = study_run(study, data, tmp_path / "cut", train_only=True)
    assert stopped.finished == ()
    assert stopped.left == {NARROW: "training, 75%", WIDE: "not begun"}
    last = tmp_path / "cut" / NARROW / "run" / "last.safetensors"
    assert load_checkpoint(last).step == 3
    resumed = study_run(study, data, tmp_path / "cut", train_only=True)
    assert resumed.finished == (NARROW, WIDE)
    study_run(study, data, tmp_path / "whole", train_only=True)
    for key in (NARROW, WIDE):
        cut, whole = (
            load_checkpoint(tmp_path / out / key / "run" / "last.safetensors").weights
            for out in ("cut", "whole")
        )
        assert all(torch.equal(cut[name], whole[name]) for name in whole)


def test_export_follows_where_training_was_all_that_could_be_done(
    sheet: Write, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, converter: Any
) -> None:
    converter()
    study, out = sheet(tolerance=100), tmp_path / "out"
    with monkeypatch.context() as patch:
        patch.setattr(study_export, "CONVERTERS", ("no_such_converter",))
        with pytest.raises(MissingExtraError, match=r"no_such_converter.*--train-only"):
            study_run(study, data, out)
        trained = study_run(study, data, out, train_only=True)
    assert trained.left == dict.fromkeys((NARROW, WIDE), "trained; to export: fp32, int8")
    assert "trained; to export" in study_table(study, out)
    monkeypatch.setattr(running, "train_stage", None)  # nothing is trained again
    done = study_run(study, data, out)
    assert (done.finished, done.left) == ((NARROW, WIDE), {})
    result = json.loads((out / NARROW / "result.json").read_text(encoding="utf-8"))
    records = {record["name"]: record for record in result["records"]}
    assert records["int8/bytes"]["kind"] == "measured"
    assert records["macs"]["kind"] == "estimated"
    assert (records["steps"]["value"], result["facts"]["gate"]) == (4, "passed")
    assert Manifest.load(out / NARROW / "artifact").tolerance_points == 100
    assert study_run(study, data, out).finished == ()


def test_an_export_that_was_cut_off_is_done_again_and_no_more(
    sheet: Write, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, converter: Any
) -> None:
    out = tmp_path / "out"

    def interrupted(path: Path) -> None:
        if path.name == FORMATS["litert_int8"].file:
            raise KeyboardInterrupt

    converter(interrupted)
    with pytest.raises(KeyboardInterrupt):
        study_run(sheet(), data, out, only=[NARROW])
    (out / NARROW / ".draft-int8").mkdir()  # as kill -9 leaves it
    assert state_of(out / NARROW).stages == ("train", "fp32")
    converter(lambda path: None if "int8" in path.name else pytest.fail("fp32 was there"))
    assert study_run(sheet(), data, out, only=[NARROW]).finished == (NARROW,)
    assert list(out.rglob(".draft-*")) == []


def test_a_gate_that_fails_and_a_file_that_cannot_be_are_results(
    sheet: Write, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, converter: Any
) -> None:
    out = tmp_path / "out"

    def refuse(path: Path) -> None:
        if path.name == FORMATS["litert"].file:
            raise RuntimeError("no such operator: hard_swish\nand a page more")

    converter(refuse)
    monkeypatch.setattr(study_export, "_lost_points", lambda _: 3.21)
    done = study_run(sheet(), data, out, only=[NARROW])
    assert (done.finished, done.failed) == ((NARROW,), {})
    shown = study_table(sheet(), out)
    assert "- fp32: RuntimeError: no such operator: hard_swish\n" in shown
    assert "- int8: loses 3.2 mIoU points, allowed are 1" in shown
    assert "| failed |" in shown
    assert not (out / NARROW / "artifact").exists()


def test_a_run_that_cannot_be_trained_does_not_stop_the_others(
    sheet: Write, data: Path, tmp_path: Path
) -> None:
    runs = [{"name": "wild", "set": {"optimizer.lr": 1e12, "schedule.warmup": 0}}, {"name": "tame"}]
    study = sheet(runs=runs)
    setting = ["length.steps=30", "model.settings.width=0.25"]
    ended = study_run(study, data, tmp_path / "out", train_only=True, set=setting)
    assert ended.finished == ("belt-tame-s0",)
    assert "the loss is" in ended.failed["belt-wild-s0"]
    assert "failed: the loss is" in study_table(study, tmp_path / "out")


def test_settings_that_changed_since_are_refused_with_their_names(
    sheet: Write, data: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    study_run(sheet(), data, out, train_only=True, set=["length.steps=1"], only=[NARROW])
    assert "with --set length.steps=1" in study_table(sheet(), out)
    with pytest.raises(ConfigError, match=rf"{NARROW}: recipe\.length\.steps was 1, is 4"):
        study_run(sheet(), data, out, train_only=True)
    assert study_run(sheet(), data, out, train_only=True, only=[WIDE]).finished == (WIDE,)
    changed = sheet(calibration=3)
    assert "was begun with other settings" in study_table(changed, out)


def test_the_order_is_first_seeds_then_what_is_nearly_done(sheet: Write) -> None:
    jobs = load_study(sheet(seeds=[7, 0])).jobs()
    begun = State(done=False, stages=(), share=0.4, failed=None)
    fresh = State(done=False, stages=(), share=0.0, failed=None)
    trained = State(done=False, stages=("train",), share=1.0, failed=None)
    failed = State(done=False, stages=(), share=0.9, failed="out of memory")
    by_key = {job.key: job for job in jobs}

    def rank(key: str, state: State) -> Any:
        return running._rank(by_key[key], state, jobs)

    first, second = "belt-net-width0.25-s7", "belt-net-width0.35-s7"
    later = "belt-net-width0.25-s0"
    ranks = [
        rank(second, trained), rank(second, begun), rank(first, fresh), rank(second, fresh),
        rank(later, trained), rank(first, failed),
    ]  # fmt: skip
    assert ranks == sorted(ranks)


def test_classes_are_merged_as_the_study_says(sheet: Write, data: Path, tmp_path: Path) -> None:
    from frugalseg.data.catalog import open_dataset

    labels = open_dataset(data / "belt").labels
    assert labels.background is not None
    ground = labels.names[labels.background]
    things = [name for name in labels.names if name != ground]
    columns = ["object_miou_float", "object_iou_float"]
    study = sheet(merge={"thing": things}, columns=columns)
    study_run(study, data, tmp_path / "out", train_only=True, only=[NARROW])
    kept = load_checkpoint(tmp_path / "out" / NARROW / "run")
    assert set(kept.labels.names) == {ground, "thing"}
    shown = study_table(study, tmp_path / "out", format="csv").splitlines()
    line = next(csv.DictReader(shown))
    assert line["object_miou_float"] == line["object_iou_float thing"] != ""


def test_a_name_that_is_no_run_is_refused(sheet: Write, data: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no run 'net-width0\.2'; did you mean 'net-width0\.25'"):
        study_run(sheet(), data, tmp_path / "out", only=["net-width0.2"])


def test_a_setting_that_the_recipe_has_since_or_that_decides_nothing_is_no_change(
    sheet: Write, data: Path, tmp_path: Path
) -> None:
    study_run(sheet(), data, tmp_path / "out", train_only=True, only=[NARROW])
    path = tmp_path / "out" / NARROW / "asked.json"
    asked = json.loads(path.read_text(encoding="utf-8"))
    assert asked["recipe"].pop("compile") is Recipe().compile
    asked["recipe"]["workers"] = 3  # whoever loads the pictures, they are the same
    path.write_text(json.dumps(asked), encoding="utf-8")
    assert study_run(sheet(), data, tmp_path / "out", train_only=True, only=[NARROW]).left == {
        NARROW: "trained; to export: fp32, int8"
    }


def test_a_run_for_a_device_trains_what_fits_it(sheet: Write, data: Path, tmp_path: Path) -> None:
    runs = [{"name": "fitted", "device": "mcu-1mb"}, {"name": "no", "device": "mcu-0mb"}]
    with pytest.raises(ConfigError, match="no: no device 'mcu-0mb'; did you mean"):
        study_run(sheet(runs=runs), data, tmp_path / "out", train_only=True)
    study = sheet(runs=runs[:1], set={"input": "48x64", "length.steps": 1, "batch_size": 2})
    study_run(study, data, tmp_path / "out", train_only=True)
    kept = load_checkpoint(tmp_path / "out" / "belt-fitted-s0" / "run")
    assert kept.architecture.settings["width"] > 0.5
