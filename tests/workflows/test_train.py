"""What is true of a run as a whole; that it resumes to the bit is in tests/training."""

from dataclasses import replace
from pathlib import Path

import pytest

from frugalseg.core.errors import ConfigError, DataError, OverBudgetError
from frugalseg.data.catalog import open_dataset
from frugalseg.data.check.report import check_dataset
from frugalseg.training.checkpoint import load_checkpoint, save_checkpoint
from frugalseg.training.recipe import Recipe
from frugalseg.workflows import train as train_module
from frugalseg.workflows.train import checked, input_of, train

QUICK = (
    "model.settings.width=0.25", "model.settings.depth=1", "batch_size=2", "validations=2",
    "input=32x48",
)  # fmt: skip


def test_a_run_by_the_clock_ends_when_its_time_is_used_up(belt: Path, tmp_path: Path) -> None:
    result = train(belt, tmp_path / "run", set=QUICK, time=3)
    last = load_checkpoint(tmp_path / "run" / "last.safetensors")
    assert (last.elapsed_s, last.step > 0) == (3.0, True)
    assert result.checkpoint.best_miou == pytest.approx(result.scores.miou)


def test_a_run_by_the_clock_that_is_over_only_reports_when_resumed(
    belt: Path, tmp_path: Path
) -> None:
    first = train(belt, tmp_path / "run", set=QUICK, time=2)
    steps = load_checkpoint(tmp_path / "run" / "last.safetensors").step
    again = train(belt, tmp_path / "run", set=QUICK, time=2, resume=True)
    assert again.scores == first.scores
    assert load_checkpoint(tmp_path / "run" / "last.safetensors").step == steps


def test_a_network_that_its_device_cannot_run_is_not_trained(belt: Path, tmp_path: Path) -> None:
    settings = ("model={name: cgnet}", "input=32x48", "length.steps=2", "batch_size=2")
    with pytest.raises(OverBudgetError, match=r"imx500.* has no operator prelu \(in "):
        train(belt, tmp_path / "run", set=settings, device="imx500")
    assert not (tmp_path / "run").exists()


def test_a_run_is_not_written_over(belt: Path, tmp_path: Path) -> None:
    train(belt, tmp_path / "run", set=(*QUICK, "length.steps=2"))
    before = (tmp_path / "run" / "last.safetensors").read_bytes()
    with pytest.raises(ConfigError, match="--resume it, or name another folder"):
        train(belt, tmp_path / "run", set=(*QUICK, "length.steps=2"))
    assert (tmp_path / "run" / "last.safetensors").read_bytes() == before


def test_resuming_with_other_settings_is_refused(belt: Path, tmp_path: Path) -> None:
    train(belt, tmp_path / "run", set=(*QUICK, "length.steps=2"))
    with pytest.raises(ConfigError, match=r"optimizer\.lr was 0\.002, is 0\.1"):
        train(
            belt,
            tmp_path / "run",
            set=(*QUICK, "length.steps=2", "optimizer.lr=0.1"),
            resume=True,
        )


def test_a_run_may_go_on_with_other_processes_that_load(belt: Path, tmp_path: Path) -> None:
    train(belt, tmp_path / "run", set=(*QUICK, "length.steps=2", "workers=0"))
    again = train(belt, tmp_path / "run", set=(*QUICK, "length.steps=2", "workers=1"), resume=True)
    assert again.checkpoint.step == 2


def test_a_run_begun_before_a_recipe_knew_a_key_goes_on(belt: Path, tmp_path: Path) -> None:
    quick = (*QUICK, "length.steps=2")
    train(belt, tmp_path / "run", set=quick)
    last = tmp_path / "run" / "last.safetensors"
    kept = load_checkpoint(last)
    loss = {key: value for key, value in kept.recipe["loss"].items() if key != "boundary"}
    save_checkpoint(replace(kept, recipe={**kept.recipe, "loss": loss}), last)
    again = train(belt, tmp_path / "run", set=quick, resume=True)
    assert again.checkpoint.step == 2


def test_a_loss_that_is_not_a_number_stops_the_run(belt: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"the loss is (nan|inf) at step \d+: lower the rate"):
        train(
            belt,
            tmp_path / "run",
            set=(*QUICK, "length.steps=200", "optimizer.lr=1e12", "schedule.warmup=0"),
        )


def test_bad_data_is_refused_before_anything_is_written(belt: Path, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True)
        (folder / part / "a.png").write_bytes(b"not a picture")
    (folder / "labels.yaml").write_text("names: [a, b]")
    with pytest.raises(DataError):
        train(folder, tmp_path / "run", set=QUICK)
    assert not (tmp_path / "run").exists()


def test_the_input_is_the_commonest_size_halved_until_it_is_small(belt: Path) -> None:
    report = check_dataset(open_dataset(belt))
    assert input_of(Recipe(), report).size == (48, 64)
    assert input_of(Recipe(input="32x48"), report).size == (32, 48)


def test_a_run_says_how_long_it_waited_for_pictures(belt: Path, tmp_path: Path) -> None:
    made = train(belt, tmp_path / "run", set=[*QUICK, "length.steps=3"])
    assert made.loading_share is not None
    assert 0 < made.loading_share < 1
    again = train(belt, tmp_path / "run", set=[*QUICK, "length.steps=3"], resume=True)
    assert again.loading_share is None


def test_of_a_large_data_set_a_part_is_looked_at_before_training(
    belt: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    dataset = open_dataset(belt)
    whole = checked(dataset)
    assert whole.unseen == 0
    monkeypatch.setattr(train_module, "CHECKED_PICTURES", 2)
    report = checked(dataset)
    assert report.unseen > 0
    assert f"of {sum(map(len, dataset.splits.values()))} pictures" in caplog.text
