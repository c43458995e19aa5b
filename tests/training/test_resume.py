"""A run that is killed again and again ends as one that was left alone."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch

from frugalseg.core.errors import ConfigError
from frugalseg.core.inputs import InputSpec
from frugalseg.data.layouts.folder import read
from frugalseg.models.catalog import MODELS as CATALOG
from frugalseg.models.catalog import Architecture
from frugalseg.training.checkpoint import load_checkpoint
from frugalseg.training.log import read_log
from frugalseg.training.loop import Training
from frugalseg.training.recipe import load_recipe, recipe_names
from frugalseg.workflows.train import train

STEPS = 12
SETTINGS = [
    f"length.steps={STEPS}", "input=32x48", "batch_size=2", "validations=3", "average=0.9",
]  # fmt: skip
MODELS = {
    "frugalnet": ["model.settings.width=0.25", "model.settings.depth=1"],
    "enet": ["model={name: enet}"],  # it has dropout
    "quantised": ["model.settings={width: 0.25, depth: 1}", "quantize={name: qat, start: 0.4}"],
}
# It starts torch once, then forks a life for each kill. A kill comes a random moment after a
# random row of the log.
KILLER = """
import os, random, signal, sys, time, traceback
import albumentations, tensorboard.summary.writer.event_file_writer  # else each life does
from pathlib import Path
from frugalseg.workflows import train as workflow

data, out, steps, seed, *settings = sys.argv[1:]
out, chance = Path(out), random.Random(int(seed))
workflow.SAVE_EVERY_S = 0.0

def start(folder):
    if child := os.fork():
        return child
    try:
        resume = (folder / "last.safetensors").exists()
        workflow.train(data, folder, set=settings, resume=resume)
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)

def rows():
    log = out / "killed" / "metrics.csv"
    return len(log.read_text().splitlines()) - 1 if log.exists() else 0

def ended(child):
    return os.waitpid(child, os.WNOHANG)[0] != 0

assert os.waitpid(start(out / "whole"), 0)[1] == 0
kills = 0
for target in (0, *sorted(chance.sample(range(1, int(steps)), 2))):
    child = start(out / "killed")
    while rows() < target:
        if ended(child):
            sys.exit("the run ended before it could be killed")
        time.sleep(0.001)
    time.sleep(chance.uniform(0, 0.03))
    os.kill(child, signal.SIGKILL)
    kills += os.WIFSIGNALED(os.waitpid(child, 0)[1])
assert os.waitpid(start(out / "killed"), 0)[1] == 0
print(kills)
"""


def same(one: Mapping[str, torch.Tensor], other: Mapping[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[n], other[n]) for n in one)


def timeless(path: Path) -> list[dict[str, float]]:
    return [
        {name: value for name, value in row.items() if name != "elapsed_s"}
        for row in read_log(path / "metrics.csv")
    ]


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("name", sorted(MODELS))
def test_a_run_that_is_killed_and_resumed_ends_the_same_to_the_bit(
    name: str, tiny_folder: Path, tmp_path: Path
) -> None:
    done = subprocess.run(
        [
            sys.executable, "-c", KILLER, str(tiny_folder), str(tmp_path), str(STEPS),
            str(len(name)), *SETTINGS, *MODELS[name],
        ],
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) == 3, "all three lives were cut off in the middle"
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    for file in ("last.safetensors", "best.safetensors"):
        one, other = load_checkpoint(whole / file), load_checkpoint(killed / file)
        assert (one.step, one.best_miou) == (other.step, other.best_miou)
        assert same(one.weights, other.weights)
        assert same(one.state, other.state)
    assert load_checkpoint(killed / "last.safetensors").step == STEPS
    rows = timeless(killed)
    assert rows == timeless(whole)
    learning = [row["step"] for row in rows if "loss" in row]
    assert learning == list(range(1, STEPS + 1))
    assert [row["step"] for row in rows if "miou" in row] == [4, 8, 12]


@pytest.mark.parametrize("name", sorted(CATALOG))
def test_every_network_goes_on_from_its_state_to_the_bit(name: str, tiny_folder: Path) -> None:
    dataset, spec = read(tiny_folder), InputSpec(height=64, width=96)
    own = name if name in recipe_names() else "default"
    settings = [f"model={{name: {name}, settings: {{width: 0.25}}}}", "length={steps: 4}"]
    recipe = load_recipe(own, [*settings, "batch_size=2", "average=0.5"])

    def begun() -> Training:
        torch.manual_seed(0)
        classes = {**recipe.model.settings, "num_classes": 3}
        network = Architecture(name=name, settings=classes).build()
        return Training(network, dataset, recipe, spec, None)

    whole, first, second = begun(), begun(), begun()
    for _ in whole.steps():
        pass
    for step in first.steps():
        if step.number == 2:
            break
    averaged = first.averaged.state_dict()
    second.restore(first.state(), averaged, first.step, first.elapsed_s)
    for _ in second.steps():
        pass
    assert second.step == 4
    assert same(second.state(), whole.state())
    assert same(second.averaged.state_dict(), whole.averaged.state_dict())


class TestResuming:
    def test_a_finished_run_just_reports(self, tiny_folder: Path, tmp_path: Path) -> None:
        settings = [*SETTINGS, *MODELS["frugalnet"], "length.steps=2"]
        first = train(tiny_folder, tmp_path / "run", set=settings)
        told: list[str] = []
        again = train(
            tiny_folder, tmp_path / "run", set=settings, resume=True,
            progress=lambda stage, _done, _total, note="": told.append(stage),
        )  # fmt: skip
        assert "training" not in told
        assert again.scores == first.scores
        assert same(again.checkpoint.weights, first.checkpoint.weights)

    @pytest.mark.parametrize(
        ("setting", "told"),
        [
            ("length.steps=3", "length.steps was 2, is 3$"),
            ("seed=5", "seed was 0, is 5"),
            ("model.settings.width=0.5", "architecture was .*0.25.*0.5"),
            ("optimizer.lr=0.5", "optimizer.lr was 0.002, is 0.5$"),
            ("input=32x64", "input was 32x48, is 32x64"),
        ],
    )
    def test_another_recipe_is_refused_and_nothing_changes(
        self, tiny_folder: Path, tmp_path: Path, setting: str, told: str
    ) -> None:
        settings = [*SETTINGS, *MODELS["frugalnet"], "length.steps=2"]
        out = tmp_path / "run"
        train(tiny_folder, out, set=settings)
        before = _contents(out)
        with pytest.raises(ConfigError, match=f"cannot resume .* other settings: {told}"):
            train(tiny_folder, out, set=[*settings, setting], resume=True)
        assert _contents(out) == before

    def test_other_classes_are_refused(self, tiny_folder: Path, tmp_path: Path) -> None:
        settings = [*SETTINGS, *MODELS["frugalnet"], "length.steps=2"]
        train(tiny_folder, tmp_path / "run", set=settings)
        labels = tiny_folder / "labels.yaml"
        labels.write_text(labels.read_text().replace("disc", "plate"))
        with pytest.raises(ConfigError, match=r"labels was .*'disc'.*, is .*'plate'"):
            train(tiny_folder, tmp_path / "run", set=settings, resume=True)

    def test_a_run_is_not_overwritten(self, tiny_folder: Path, tmp_path: Path) -> None:
        settings = [*SETTINGS, *MODELS["frugalnet"], "length.steps=2"]
        train(tiny_folder, tmp_path / "run", set=settings)
        with pytest.raises(ConfigError, match="holds a run already"):
            train(tiny_folder, tmp_path / "run", set=settings)

    def test_more_validations_than_steps_are_one_a_step(
        self, tiny_folder: Path, tmp_path: Path
    ) -> None:
        settings = [*SETTINGS, *MODELS["frugalnet"], "length.steps=3", "validations=50"]
        train(tiny_folder, tmp_path / "run", set=settings)
        rows = timeless(tmp_path / "run")
        assert [row["step"] for row in rows if "miou" in row] == [1, 2, 3]

    def test_a_run_by_the_clock_ends_with_a_validation(
        self, tiny_folder: Path, tmp_path: Path
    ) -> None:
        settings = [*SETTINGS, *MODELS["frugalnet"]]
        result = train(tiny_folder, tmp_path / "run", set=settings, time="1s")
        rows = read_log(tmp_path / "run" / "metrics.csv")
        assert "miou" in rows[-1]
        assert rows[-1]["step"] == load_checkpoint(tmp_path / "run" / "last.safetensors").step
        assert result.scores.boundary_f1 is not None


def _contents(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in sorted(folder.iterdir()) if p.is_file()}
