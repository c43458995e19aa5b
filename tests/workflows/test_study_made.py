"""Studies: runs that are made of others, by training on, by compressing, and by learning from."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from frugalseg.compress.joint import JointPlan
from frugalseg.compress.lowrank import LowRankPlan
from frugalseg.compress.mixed import BitsPlan
from frugalseg.compress.prune import PrunePlan
from frugalseg.core.errors import ArtifactError, ConfigError
from frugalseg.training.checkpoint import load_checkpoint
from frugalseg.workflows import study_run as running
from frugalseg.workflows.study_export import _wish, followed
from frugalseg.workflows.study_file import Job, load_study
from frugalseg.workflows.study_made import plan_of
from frugalseg.workflows.study_run import study_run
from frugalseg.workflows.study_state import changes
from frugalseg.workflows.study_table import study_table

NET = {"name": "net", "settings": {"width": 0.35, "depth": 1}}
QAT = {"name": "qat", "of": "net", "set": {"quantize.name": "qat"}}
HALF = {"name": "half", "of": "net", "compress": {"method": "prune", "share": 0.8,
        "importance": "magnitude", "limit": "macs"}}  # fmt: skip
SHEET: dict[str, Any] = {
    "about": "One, and what is made of it.",
    "data": "belt",
    "set": {"input": "48x64", "length.steps": 8, "batch_size": 2, "validations": 1},
    "calibration": 2,
    "runs": [HALF, QAT, NET],
    "columns": ["gmacs", "miou_float", "steps"],
}

Write = Callable[..., Path]


def job(study: Path, name: str) -> Job:
    return next(job for job in load_study(study).jobs() if job.name == name)


def test_what_is_made_of_others_follows_them_and_is_in_the_table(
    sheet: Write, belt: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    small = {"name": "small", "of": "half", "teacher": "qat", "set": {"length.steps": 1}}
    study = sheet(runs=[small, *SHEET["runs"]])
    done = study_run(study, belt.parent, out, train_only=True)
    assert done.finished == ("belt-net-s0", "belt-half-s0", "belt-qat-s0", "belt-small-s0")
    net, half, small_net = (
        load_checkpoint(out / f"belt-{name}-s0" / "run") for name in ("net", "half", "small")
    )
    records = json.loads((out / "belt-half-s0" / "train.json").read_text("utf-8"))["records"]
    macs = {record["name"]: record["value"] for record in records}["macs"]
    whole = json.loads((out / "belt-half-s0" / "plan.json").read_text("utf-8"))["plan"]["before"]
    assert 0.7 * whole["macs"] < macs <= 0.8 * whole["macs"]
    assert half.architecture.shapes == small_net.architecture.shapes != net.architecture.shapes
    assert (half.recipe["length"]["steps"], half.recipe["optimizer"]["lr"]) == (2, 1e-3)
    assert half.recipe["teacher"]["run"] == str(out / "belt-net-s0" / "run" / "best.safetensors")
    assert "belt-qat-s0" in small_net.recipe["teacher"]["run"]
    assert "belt-half-s0" in small_net.recipe["start"]
    shown = study_table(study, out)
    assert shown.count("trained; to export") == 4


def test_who_is_alone_waits_or_is_refused_before_anything_is_trained(
    sheet: Write, belt: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    with pytest.raises(ConfigError, match=r"belt-qat-s0 needs belt-net-s0.*--only net"):
        study_run(sheet(), belt.parent, out, only=["qat"])
    assert not out.exists()
    monkeypatch.setattr(running._Bench, "_train", lambda *_: (_ for _ in ()).throw(RuntimeError))
    ended = study_run(sheet(), belt.parent, out, train_only=True)
    assert ended.failed.keys() == {"belt-net-s0"}
    assert ended.left["belt-qat-s0"] == "not begun; waits for belt-net-s0"


def test_a_compression_that_was_stopped_ends_with_the_same_weights(
    sheet: Write, belt: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bsr = {"name": "bsr", "of": "net", "set": {"length.steps": 4},
           "compress": {"method": "bsr", "limit": "macs", "share": 0.97}}  # fmt: skip
    study, folder = sheet(runs=[NET, bsr]), tmp_path / "cut" / "belt-bsr-s0"
    for out in ("cut", "whole"):
        study_run(study, belt.parent, tmp_path / out, train_only=True, only=["net"])
    for began in ("press", "run"):
        asked = iter(range(2 if began == "press" else 3))  # the run, its stage, a step that is last
        with monkeypatch.context() as patch:
            patch.setattr(running._Bench, "is_over", lambda _, a=asked: next(a, None) is None)
            study_run(study, belt.parent, tmp_path / "cut", train_only=True)
        assert load_checkpoint(folder / began / "last.safetensors").step == 1
    for out in ("cut", "whole"):
        study_run(study, belt.parent, tmp_path / out, train_only=True)
    cut, whole = (
        load_checkpoint(tmp_path / out / "belt-bsr-s0" / "run" / "last.safetensors").weights
        for out in ("cut", "whole")
    )
    assert all(torch.equal(cut[name], whole[name]) for name in whole)
    records = json.loads((tmp_path / "whole/belt-bsr-s0/train.json").read_text("utf-8"))["records"]
    assert {r["name"]: r["value"] for r in records}["steps"] == 4  # two pressed, two after


def test_rounds_are_counted_together(sheet: Write, belt: Path, tmp_path: Path) -> None:
    few = {"name": "few", "of": "net", "set": {"length.steps": 4},
           "compress": {"method": "prune", "limit": "macs", "share": 0.8, "rounds": 2}}  # fmt: skip
    study_run(sheet(runs=[NET, few]), belt.parent, tmp_path / "out", train_only=True)
    folder = tmp_path / "out" / "belt-few-s0"
    for run in (folder / "round1" / "run", folder / "run"):
        assert load_checkpoint(run / "last.safetensors").step == 2
    records = json.loads((folder / "train.json").read_text("utf-8"))["records"]
    assert {r["name"]: r["value"] for r in records}["steps"] == 4


def test_bits_of_a_joint_plan_go_into_the_file(sheet: Write, tmp_path: Path) -> None:
    joint = {"name": "joint", "of": "net", "compress": {"share": 0.5}}
    study = sheet(runs=[NET, joint, QAT])
    none: dict[str, Any] = {"network": "frugalnet", "before": {}, "after": {}}
    plan = JointPlan(
        prune=PrunePlan(importance="taylor", channels={}, kept={}, **none),
        low_rank=LowRankPlan(method="svd", ranks={}, weights={}, **none),
        bits=BitsPlan(
            network="frugalnet", weights={"a": 9}, loss={"a": 0.1}, bits={"a": 4}, before=2, after=1
        ),
        predicted=0.1, measured=0.1, **none,
    )  # fmt: skip
    (tmp_path / "plan.json").write_text(json.dumps({"plan": plan.to_dict()}), encoding="utf-8")
    one = job(study, "joint")
    wish = followed(_wish(one, "int8"), plan_of(one, tmp_path))
    assert (wish.how.bits, wish.plan) == ({"a": 4}, plan.bits)
    assert plan_of(job(study, "qat"), tmp_path) is None


@pytest.mark.parametrize(
    ("runs", "told"),
    [
        ([QAT | {"of": "nett"}], "qat: no run 'nett'; did you mean 'net'?"),
        ([QAT | {"teacher": "nobody"}], "qat: no run 'nobody'"),
        ([QAT | {"of": "a"}, QAT | {"name": "a", "of": "qat"}], "circle: .* of .* of "),
        ([NET | {"name": "b", "teacher": "b"}], "circle: b of b"),
        ([HALF | {"compress": {"share": 1.5}}], "share: Input should be less than 1"),
        ([HALF | {"compress": {"share": 0}}], "share: Input should be greater than 0"),
        ([HALF | {"compress": {"method": "prune"}}], "share: Field required"),
        ([HALF | {"compress": {"share": 0.5, "limit": "watts"}}], "limit: Input should be"),
        ([HALF | {"of": None}], "say with `of` which run's network"),
        ([HALF | {"grid": {"of": ["net"]}}], "leave out one"),
        ([QAT | {"model": "enet"}], "leave out model"),
        ([QAT | {"set": {"model.settings.width": 0.5}}], "leave model out"),
        ([QAT | {"set": {"start": "elsewhere"}}], "leave out start"),
        ([HALF | {"set": {"quantize.name": "qat"}}], "compress says itself"),
    ],
)
def test_what_cannot_be_made_is_told_before_anything_runs(
    sheet: Write, runs: list[dict[str, Any]], told: str
) -> None:
    with pytest.raises(ConfigError, match=told):
        load_study(sheet(runs=[NET, *runs])).jobs()


def test_a_method_that_is_none_is_told_before_anything_runs(
    sheet: Write, belt: Path, tmp_path: Path
) -> None:
    runs = [NET, HALF | {"compress": {"method": "pruning", "share": 0.5}},
            HALF | {"name": "b", "compress": {"method": "svd", "importance": "fpgm",
                                              "share": 0.5}}]  # fmt: skip
    with pytest.raises(ConfigError) as told:
        study_run(sheet(runs=runs), belt.parent, tmp_path / "out", train_only=True)
    assert "half: no method 'pruning'" in str(told.value)
    assert "b: svd finds ranks, without an importance" in str(told.value)
    assert not (tmp_path / "out").exists()


def test_a_grid_goes_over_networks_and_shares(sheet: Write) -> None:
    runs = [NET, NET | {"name": "wide"},
            {"name": "p", "compress": {"method": "prune"}, "grid": {"of": ["net", "wide"],
             "compress.importance": ["fpgm"], "compress.share": [0.7, 0.4]}}]  # fmt: skip
    jobs = load_study(sheet(runs=runs, seeds=[0, 1])).jobs()
    assert [job.name for job in jobs if job.recipe.seed == 1][2:] == [
        "p-net-fpgm-share0.7", "p-net-fpgm-share0.4",
        "p-wide-fpgm-share0.7", "p-wide-fpgm-share0.4",
    ]  # fmt: skip
    last = jobs[-1]
    assert last.compress is not None
    assert (last.compress.share, [job.key for job in last.needs]) == (0.4, ["belt-wide-s1"])


def test_a_change_of_the_run_that_another_is_of_is_one_of_it(
    sheet: Write, belt: Path, tmp_path: Path
) -> None:
    pressed: dict[str, Any] = {"sparsity.name": "cap", "length.steps": 1}
    runs = [
        NET,
        {"name": "cap", "of": "net", "set": pressed},
        HALF | {"of": "cap", "set": {"length.steps": 1}},
    ]
    study, out = sheet(runs=runs), tmp_path / "out"
    study_run(study, belt.parent, out, train_only=True)
    folder = out / "belt-half-s0"
    asked = json.loads((folder / "asked.json").read_text("utf-8"))
    assert asked["of"]["of"]["recipe"].pop("compile") is False  # as of an older release
    assert asked["compress"].pop("rounds") == 1
    (folder / "asked.json").write_text(json.dumps(asked), encoding="utf-8")
    assert changes(job(study, "half"), folder) is None
    pressed["sparsity.weight"] = 0.5
    told = changes(job(sheet(runs=runs), "half"), folder)
    assert told == "of.recipe.sparsity.weight was 0.0001, is 0.5"
    for path in (out / "belt-cap-s0" / "run").glob("*.safetensors"):
        path.unlink()
    (folder / "train.json").unlink()
    del pressed["sparsity.weight"]
    with pytest.raises((ArtifactError, ConfigError), match=r"no checkpoint at .*belt-cap-s0"):
        study_run(sheet(runs=runs), belt.parent, out, train_only=True)


def test_a_run_of_one_for_a_device_is_for_that_device_too(sheet: Write) -> None:
    runs = [QAT | {"of": "fitted"}, {"name": "fitted", "device": "mcu-1mb"}]
    assert job(sheet(runs=runs), "qat").device == "mcu-1mb"
    with pytest.raises(ConfigError, match="leave out device"):
        load_study(sheet(runs=[NET, QAT | {"device": "mcu-1mb"}]))
