"""From a trained network and limits to a smaller one, trained again and exported."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from frugalseg.compress.catalog import Plan
from frugalseg.compress.joint import JointPlan
from frugalseg.compress.prune import PrunePlan
from frugalseg.core.budget import Footprint
from frugalseg.core.errors import ArtifactError, ConfigError, OverBudgetError
from frugalseg.training.checkpoint import load_checkpoint
from frugalseg.workflows import compress as module
from frugalseg.workflows import compress_steps as steps
from frugalseg.workflows.compress import compress
from frugalseg.workflows.compress_steps import CompressWish, Job, asked_of
from frugalseg.workflows.evaluate import evaluate
from frugalseg.workflows.train import train
from frugalseg.workflows.weigh import weigh

SHORT = ("length.steps=4", "validations=2")


@pytest.fixture(scope="session")
def trained(belt: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small network after a few steps."""
    out = tmp_path_factory.mktemp("runs") / "run"
    train(belt, out, set=(
        "model.settings.width=0.35", "model.settings.depth=1", "batch_size=2", "validations=1",
        "input=32x48", "length.steps=8",
    ))  # fmt: skip
    return out


def part(trained: Path, share: float) -> int:
    network = load_checkpoint(trained).network()
    return int(share * sum(p.numel() for p in network.parameters()))


def half(trained: Path) -> int:
    return part(trained, 0.5)


def run(
    trained: Path, belt: Path, out: Path, share: float = 0.5, **more: Any
) -> module.CompressResult:
    wish: dict[str, Any] = {"method": "prune", "parameters": part(trained, share)} | more
    return compress(trained, belt, out, set=SHORT, tolerance=100.0, **wish)


def small_file(*_args: object, **_more: object) -> SimpleNamespace:
    """Stand in for an export: what it would weigh, without the minute that it takes."""
    return SimpleNamespace(footprint=Footprint(storage_bytes=1, ram_bytes=1, macs=1))


class CutError(Exception):
    """Stands for whatever ends a compression in the middle."""


def cut_off(*_args: object, **_more: object) -> None:
    raise CutError


@pytest.mark.slow
def test_a_network_is_halved_trained_and_exported(
    trained: Path, belt: Path, tmp_path: Path
) -> None:
    result = run(trained, belt, tmp_path / "out")
    kept = load_checkpoint(tmp_path / "out")
    assert kept.architecture.shapes
    assert sum(p.numel() for p in kept.network().parameters()) <= 1.01 * half(trained)
    assert kept.recipe["teacher"]["run"] == str(trained / "best.safetensors")
    assert result.export is not None
    assert evaluate(result.export.folder, belt).scores == result.export.scores
    assert abs(result.export.file.stat().st_size - result.plan.after["storage_bytes"]) < 4_000


@pytest.mark.slow
def test_channels_ranks_and_bits_together_come_to_the_bytes(
    trained: Path, belt: Path, tmp_path: Path
) -> None:
    whole = weigh(str(trained)).file_bytes
    result = run(trained, belt, tmp_path / "out", method="joint", parameters=None, bytes=whole // 2)
    assert isinstance(result.plan, JointPlan)
    assert result.plan.bits.bits
    assert result.export is not None
    size = result.export.file.stat().st_size
    assert size <= whole // 2
    assert abs(size - result.plan.after["storage_bytes"]) < 4_000
    kept = load_checkpoint(tmp_path / "out" / "run" / "best.safetensors")
    assert kept.recipe["quantize"]["bits"] == result.plan.bits.bits
    assert result.export.manifest.settings["quantisation"]["bits"] == result.plan.bits.bits
    again = run(trained, belt, tmp_path / "out", method="joint", parameters=None, bytes=whole // 2)
    assert again.plan == result.plan


def test_a_dry_run_writes_nothing(trained: Path, belt: Path, tmp_path: Path) -> None:
    told: list[object] = []
    result = run(trained, belt, tmp_path / "out", dry_run=True, announce=told.append)
    assert result.export is None
    assert told == [result.plan]
    assert not (tmp_path / "out").exists()


def test_channels_stay_in_multiples(trained: Path, belt: Path, tmp_path: Path) -> None:
    plan = run(trained, belt, tmp_path / "out", share=0.8, multiple=4, dry_run=True).plan
    assert isinstance(plan, PrunePlan)
    assert plan.kept
    assert all(len(places) % 4 == 0 for places in plan.kept.values())


def test_what_was_cut_off_goes_on_with_the_same_plan(
    trained: Path, belt: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "export_checkpoint", cut_off)
    with pytest.raises(CutError):
        run(trained, belt, tmp_path / "out")
    plan = (tmp_path / "out" / "plan.json").read_text()
    last = load_checkpoint(tmp_path / "out" / "run" / "last.safetensors")
    assert last.step == 4
    monkeypatch.setattr(Job, "new_plan", cut_off)  # it is not made again
    monkeypatch.setattr(module, "export_checkpoint", small_file)
    assert run(trained, belt, tmp_path / "out").export is not None
    assert (tmp_path / "out" / "plan.json").read_text() == plan


def test_rounds_go_part_of_the_way_each_and_share_the_training(
    trained: Path, belt: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "export_checkpoint", small_file)
    out, told = tmp_path / "out", list[PrunePlan]()
    run(trained, belt, out, 0.5, rounds=2, announce=told.append)
    first, last = told
    deployed = first.before["parameters"]
    limit = half(trained)
    assert first.after["parameters"] <= (deployed * limit) ** 0.5 < 1.2 * first.after["parameters"]
    assert last.before["parameters"] == first.after["parameters"]
    assert last.after["parameters"] <= limit
    runs = [
        load_checkpoint(folder / "run" / "last.safetensors") for folder in (out / "round1", out)
    ]
    assert [kept.step for kept in runs] == [2, 2]
    for kept in runs:
        assert kept.recipe["teacher"]["run"] == str(trained / "best.safetensors")
    shapes = load_checkpoint(out).architecture.shapes
    assert shapes != runs[0].architecture.shapes


def test_rounds_that_were_cut_off_go_on(
    trained: Path, belt: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "export_checkpoint", small_file)
    run(trained, belt, tmp_path / "at once", rounds=3)
    out = tmp_path / "out"
    write = Job.write

    def second_plan(job: Job, plan: Plan) -> None:
        write(job, plan)
        if job.folder.name == "round2":
            raise CutError

    for where, patch, by in ((Job, "write", second_plan), (module, "train_on", cut_off)):
        with monkeypatch.context() as patched:
            patched.setattr(where, patch, by)
            with pytest.raises(CutError):
                run(trained, belt, out, rounds=3)
    second = out / "round2" / "run" / "last.safetensors"
    before = second.stat().st_mtime_ns
    run(trained, belt, out, rounds=3)
    assert second.stat().st_mtime_ns == before
    one, other = (load_checkpoint(tmp_path / name).weights for name in ("at once", "out"))
    assert all(torch.equal(values, other[name]) for name, values in one.items())


def test_a_last_round_that_cannot_be_reached_is_told_before_the_first(
    trained: Path, belt: Path, tmp_path: Path
) -> None:
    with pytest.raises(OverBudgetError, match="as far as it goes"):
        compress(trained, belt, tmp_path / "out", bytes=5_000, method="prune", rounds=3)
    assert not (tmp_path / "out").exists()


def test_bsr_presses_then_factorises_and_goes_on_to_the_bit(
    trained: Path, belt: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "export_checkpoint", small_file)
    monkeypatch.setattr(steps, "PICTURES", 1)

    def stopped_by_hand(stage: str, done: float, _total: float, _note: str = "") -> None:
        if stage == "training" and done >= 0.5:
            raise KeyboardInterrupt

    whole = run(trained, belt, tmp_path / "whole", method="bsr", share=0.8)
    with pytest.raises(KeyboardInterrupt):  # while it is pressed
        run(trained, belt, tmp_path / "cut", method="bsr", share=0.8, progress=stopped_by_hand)
    assert not (tmp_path / "cut" / "smaller.safetensors").exists()
    with pytest.raises(KeyboardInterrupt):  # once more, and on from there
        run(trained, belt, tmp_path / "cut", method="bsr", share=0.8, progress=stopped_by_hand)
    again = run(trained, belt, tmp_path / "cut", method="bsr", share=0.8)
    assert again.plan == whole.plan
    pressed = load_checkpoint(tmp_path / "cut" / "press" / "last.safetensors")
    kept, other = (load_checkpoint(tmp_path / out / "run") for out in ("cut", "whole"))
    assert pressed.recipe["low_rank"]["ranks"] == {
        n: list(r) for n, r in whole.plan.to_dict()["ranks"].items()
    }
    assert pressed.step == kept.step == 2
    assert (pressed.recipe["validations"], kept.recipe["validations"]) == (1, 2)
    assert not pressed.architecture.ranks
    assert kept.recipe["teacher"]["run"] == str(trained / "best.safetensors")
    assert all(torch.equal(other.weights[name], t) for name, t in kept.weights.items())


@pytest.mark.parametrize("method", ["svd", "tucker"])
def test_low_rank_leaves_a_checkpoint_that_everything_takes(
    trained: Path, belt: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    monkeypatch.setattr(module, "export_checkpoint", small_file)
    result = run(trained, belt, tmp_path / "out", method=method, share=0.7)
    kept = load_checkpoint(tmp_path / "out")
    assert kept.architecture.ranks
    assert weigh(tmp_path / "out").params == result.plan.after["parameters"] <= part(trained, 0.7)
    assert evaluate(tmp_path / "out" / "run", belt).scores.confusion
    more = train(belt, tmp_path / "more", recipe=tmp_path / "out" / "run" / "recipe.yaml", time=0.1)
    assert more.checkpoint.architecture == kept.architecture


@pytest.mark.slow
def test_a_file_of_low_rank_weighs_what_its_plan_says(
    trained: Path, belt: Path, tmp_path: Path
) -> None:
    result = run(trained, belt, tmp_path / "out", method="svd", share=0.7)
    assert result.export is not None
    size = result.export.file.stat().st_size
    assert size == pytest.approx(result.plan.after["storage_bytes"], rel=0.01)


def test_another_wish_is_refused_in_the_folder_of_a_begun_one(
    trained: Path, belt: Path, tmp_path: Path
) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "last.safetensors").touch()
    wish = CompressWish(parameters=half(trained), method="prune")
    spec = load_checkpoint(trained).input
    asked = asked_of(trained / "best.safetensors", wish, wish.goal(), spec)
    plan = run(trained, belt, tmp_path / "other", dry_run=True).plan
    (tmp_path / "plan.json").write_text(json.dumps({"asked": asked, "plan": plan.to_dict()}))
    with pytest.raises(ConfigError, match="holds another compression: parameters was"):
        run(trained, belt, tmp_path, parameters=9_000, dry_run=True)
    larger = (*SHORT, "input=64x96")
    with pytest.raises(ConfigError, match="holds another compression: input was 32x48, is 64x96"):
        compress(
            trained, belt, tmp_path, method="prune", parameters=half(trained), dry_run=True,
            set=larger,
        )  # fmt: skip
    (tmp_path / "plan.json").write_text("{")
    with pytest.raises(ArtifactError, match="cannot read the plan"):
        run(trained, belt, tmp_path, dry_run=True)


@pytest.mark.parametrize("method", ["joint", "prune", "svd"])
def test_a_plan_is_followed_by_the_same_network_trained_anew(
    trained: Path, belt: Path, tmp_path: Path, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit: dict[str, Any] = {"parameters": part(trained, 0.6)}
    printed = compress(trained, belt, tmp_path / "a", method=method, dry_run=True, **limit)
    plan = tmp_path / "plan.json"
    plan.write_text(json.dumps(printed.to_dict()), encoding="utf-8")
    again = tmp_path / "again"
    sizes = ("model.settings.width=0.35", "model.settings.depth=1", "input=32x48")
    train(belt, again, set=(*sizes, "length.steps=2", "validations=1", "batch_size=2", "seed=5"))
    monkeypatch.setattr(module, "export_checkpoint", small_file)
    made = compress(again, belt, tmp_path / "out", plan=plan, set=SHORT)
    assert made.plan == printed.plan
    kept = load_checkpoint(tmp_path / "out")
    count = sum(p.numel() for p in kept.network().parameters())
    assert count <= printed.plan.after["parameters"] * 1.2  # heads for training are in it
    # The one that was written says the same, and goes on where it was.
    later = compress(again, belt, tmp_path / "out", plan=plan, set=SHORT)
    assert later.plan == made.plan
    written = tmp_path / "out" / "plan.json"
    shown = compress(trained, belt, tmp_path / "b", plan=written, dry_run=True)
    assert shown.plan == printed.plan


def test_a_plan_of_another_network_is_refused_with_the_differences(
    trained: Path, belt: Path, tmp_path: Path
) -> None:
    printed = compress(trained, belt, tmp_path / "a", method="prune", macs=600_000, dry_run=True)
    plan = tmp_path / "plan.json"
    plan.write_text(json.dumps(printed.to_dict()), encoding="utf-8")
    other = tmp_path / "other"
    train(belt, other, set=(
        "model.settings.width=0.5", "model.settings.depth=1", "batch_size=2", "validations=1",
        "input=32x48", "length.steps=2",
    ))  # fmt: skip
    with pytest.raises(ConfigError, match=r"another network:\n .* makes \d+ channels"):
        compress(other, belt, tmp_path / "out", plan=plan)
    assert not (tmp_path / "out").exists()
    with pytest.raises(ConfigError, match="says itself what is done: leave out method, multiple"):
        compress(trained, belt, tmp_path / "out", plan=plan, method="prune", multiple=8)
    with pytest.raises(OverBudgetError, match="leaves too much: macs needs"):
        compress(trained, belt, tmp_path / "out", plan=plan, macs=100_000)
    rounds = json.loads(plan.read_text("utf-8"))
    rounds["asked"]["rounds"] = 3
    plan.write_text(json.dumps(rounds), encoding="utf-8")
    with pytest.raises(ConfigError, match="the last of 3 rounds"):
        compress(trained, belt, tmp_path / "out", plan=plan)
    with pytest.raises(ConfigError, match="a dry run shows no rounds"):
        run(trained, belt, tmp_path / "out", rounds=2, dry_run=True)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "cannot read the plan"),
        ("[]", "no plan with `asked` and `plan`"),
        ('{"asked": {"method": "prune"}, "plan": {"kept": 3}}', "not a plan for pruning"),
        ('{"asked": {"method": "magic"}, "plan": {}}', "no plan with `asked` and `plan`"),
        (None, "cannot read the plan"),
    ],
)
def test_a_file_that_is_no_plan_is_refused(
    trained: Path, belt: Path, tmp_path: Path, text: str | None, says: str
) -> None:
    plan = tmp_path / "plan.json"
    if text is not None:
        plan.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=says):
        compress(trained, belt, tmp_path / "out", plan=plan)


def test_a_run_of_something_else_is_left_alone(trained: Path, belt: Path) -> None:
    with pytest.raises(ConfigError, match="is a run of something else"):
        run(trained, belt, trained.parent)
    assert not (trained.parent / "plan.json").exists()


@pytest.mark.parametrize("setting", ["model.name=enet", "start=x", "teacher.run=x", "sparsity=x"])
def test_what_compress_decides_is_not_for_others_to_set(
    trained: Path, belt: Path, tmp_path: Path, setting: str
) -> None:
    with pytest.raises(ConfigError, match="says itself what network is trained"):
        compress(trained, belt, tmp_path / "out", macs=9, set=[setting])


def test_the_plan_is_for_the_input_that_is_trained(
    trained: Path, belt: Path, tmp_path: Path
) -> None:
    own, larger = (
        compress(trained, belt, tmp_path / "out", macs=10**9, dry_run=True, set=settings).plan
        for settings in ((), ("input=48x64",))
    )
    assert larger.before["macs"] == pytest.approx(2 * own.before["macs"], rel=0.1)


def test_limits_that_cannot_be_met_say_how_small_it_gets(
    trained: Path, belt: Path, tmp_path: Path
) -> None:
    with pytest.raises(OverBudgetError, match="as far as it goes"):
        compress(trained, belt, tmp_path / "out", bytes=5_000, method="prune")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("wish", "says"),
    [
        ({}, "say what the network must come to"),
        ({"macs": 5, "importance": "taylr"}, "did you mean 'taylor'"),
        ({"parameters": -1}, "must be positive"),
        ({"macs": 5, "rounds": 0}, "1 round or more, got 0"),
        ({"macs": 5, "rounds": 2}, "rounds are for method prune"),
        ({"macs": 5, "method": "sdv"}, "did you mean 'svd'"),
        ({"macs": 5, "method": "svd", "importance": "taylor"}, "without an importance of channels"),
    ],
)
def test_wishes_that_say_nothing_are_refused(wish: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        CompressWish(**wish)
