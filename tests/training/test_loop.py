import math
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from frugalseg.core.errors import ArtifactError
from frugalseg.core.inputs import InputSpec
from frugalseg.data.dataset import Dataset, Sample
from frugalseg.models.catalog import Architecture
from frugalseg.training import loop
from frugalseg.training.loop import Training
from frugalseg.training.recipe import Recipe
from frugalseg.training.schedule import rate

NO_CHANGE = {"scale": (1, 1), "flip": 0, "color": 0}


def training(
    dataset: Dataset, recipe: Recipe, spec: InputSpec, weights_C: Tensor | None = None
) -> Training:
    torch.manual_seed(recipe.seed)
    settings = {**recipe.model.settings, "num_classes": 3}
    network = Architecture(name=recipe.model.name, settings=settings).build()
    return Training(network, dataset, recipe, spec, weights_C)


def changed(recipe: Recipe, **values: Any) -> Recipe:
    return Recipe.model_validate(recipe.model_dump() | values)


class TestLearning:
    def test_two_pictures_are_learnt_by_heart(
        self, dataset: Dataset, small: Recipe, spec: InputSpec
    ) -> None:
        two = replace(dataset, splits={"train": dataset.splits["train"][:2]})
        recipe = changed(
            small,
            length={"steps": 50},
            augment=NO_CHANGE,
            optimizer={"lr": 3e-2},
            loss={"auxiliary": 0, "stride": 1},
        )
        losses = [float(step.loss) for step in training(two, recipe, spec).steps()]
        assert np.mean(losses[-5:]) < 0.2 * np.mean(losses[:5])

    def test_a_batch_without_labels_does_no_harm(
        self, dataset: Dataset, small: Recipe, spec: InputSpec
    ) -> None:
        blank = replace(dataset, rasterise=_all_ignored)
        run = training(blank, small, spec, torch.ones(3))
        assert [float(step.loss) for step in run.steps()] == [0.0] * 6
        assert all(t.isfinite().all() for t in run.network.state_dict().values())

    def test_biases_and_norms_are_not_decayed(
        self, dataset: Dataset, small: Recipe, spec: InputSpec
    ) -> None:
        run = training(dataset, small, spec)
        decays = {
            id(p): group["weight_decay"]
            for group in run.optimizer.param_groups
            for p in group["params"]
        }
        for parameter in run.network.parameters():
            assert decays[id(parameter)] == (0.02 if parameter.ndim > 1 else 0)

    def test_half_precision_where_it_is_asked_for(
        self, dataset: Dataset, small: Recipe, spec: InputSpec
    ) -> None:
        run = training(dataset, changed(small, precision="bf16-mixed"), spec)
        seen: list[torch.dtype] = []
        convolution = next(m for m in run.network.modules() if isinstance(m, torch.nn.Conv2d))
        convolution.register_forward_hook(lambda _m, _i, made: seen.append(made.dtype))
        step = next(run.steps())
        assert seen == [torch.bfloat16]
        assert step.loss.dtype == torch.float32
        assert 0 < float(step.loss) < 10


def _all_ignored(_sample: Sample, size: tuple[int, int]) -> NDArray[np.uint8]:
    return np.full(size, 255, np.uint8)


def test_a_compiled_run_learns_the_same(
    dataset: Dataset, small: Recipe, spec: InputSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled: list[Any] = []

    def compile_(function: Any) -> Any:  # the real one takes a minute
        compiled.append(function)
        return function

    monkeypatch.setattr(torch, "compile", compile_)
    run = training(dataset, changed(small, compile=True), spec)
    losses = [float(step.loss) for step in run.steps()]
    plain = training(dataset, small, spec)
    assert losses == [float(step.loss) for step in plain.steps()]
    assert run.network.state_dict().keys() == plain.network.state_dict().keys()
    assert compiled == [type(plain.network).outputs]


class TestProgress:
    def test_steps(self, dataset: Dataset, small: Recipe, spec: InputSpec) -> None:
        done = [(step.number, step.progress) for step in training(dataset, small, spec).steps()]
        assert done == [(n, n / 6) for n in range(1, 7)]

    def test_epochs(self, dataset: Dataset, small: Recipe, spec: InputSpec) -> None:
        count = len(dataset.splits["train"])
        run = training(dataset, changed(small, length={"epochs": 1.5}), spec)
        assert run.total_steps() == math.ceil(1.5 * count / 2)
        assert len(list(run.steps())) == run.total_steps()

    def test_the_clock(
        self,
        dataset: Dataset,
        small: Recipe,
        spec: InputSpec,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        clock = SimpleNamespace(now=1000.0)
        clock.monotonic = lambda: clock.now
        monkeypatch.setattr(loop, "time", clock)
        run = training(dataset, changed(small, length={"time": 60}), spec)
        shown = []
        for step in run.steps():
            shown.append((step.elapsed_s, step.progress, step.lr))
            clock.now += 10  # what the caller does, a validation say, counts too
            if step.number == 2:
                run.reserve(20)
            if step.number == 3:
                run.reserve(1)  # it was slower once, and may be so again
        elapsed, progress, rates = zip(*shown, strict=True)
        assert elapsed == (0, 10, 20, 30)
        assert progress == (0, 10 / 60, 20 / 40, 30 / 40)
        expected = [rate(small.schedule, p) * small.optimizer.lr for p in (0, 10 / 60, 0.5, 0.75)]
        assert rates == pytest.approx(expected)
        assert run.progress() == 1

    def test_no_more_than_half_of_the_time_is_kept_for_the_end(
        self, dataset: Dataset, small: Recipe, spec: InputSpec
    ) -> None:
        run = training(dataset, changed(small, length={"time": 60}), spec)
        run.reserve(1e6)
        assert run.reserved_s == 30

    def test_the_rate_follows_the_schedule(
        self, dataset: Dataset, small: Recipe, spec: InputSpec
    ) -> None:
        run = training(dataset, small, spec)
        for index, step in enumerate(run.steps()):
            assert step.lr == pytest.approx(small.optimizer.lr * rate(small.schedule, index / 6))
            assert {group["lr"] for group in run.optimizer.param_groups} == {step.lr}


class TestAverage:
    def test_it_is_an_exponential_mean_that_forgets_the_start(
        self, dataset: Dataset, small: Recipe, spec: InputSpec
    ) -> None:
        run = training(dataset, small, spec)
        mean = {n: t.clone().double() for n, t in run.network.state_dict().items()}
        for step in run.steps():
            decay = min(small.average, (1 + step.number) / (10 + step.number))
            for name, now in run.network.state_dict().items():
                if now.is_floating_point():
                    mean[name] = decay * mean[name] + (1 - decay) * now.double()
                else:
                    mean[name] = now
        for name, found in run.averaged.state_dict().items():
            torch.testing.assert_close(found.double(), mean[name].double(), atol=1e-6, rtol=1e-5)
        assert not run.averaged.training

    def test_without_averaging_it_is_the_network(
        self, dataset: Dataset, small: Recipe, spec: InputSpec
    ) -> None:
        run = training(dataset, changed(small, average=0), spec)
        list(run.steps())
        raw = run.network.state_dict()
        assert all(torch.equal(t, raw[n]) for n, t in run.averaged.state_dict().items())


class TestGoingOn:
    @pytest.mark.parametrize("name", ["frugalnet", "enet"])
    def test_a_run_that_was_put_away_ends_the_same_to_the_bit(
        self, dataset: Dataset, small: Recipe, spec: InputSpec, name: str
    ) -> None:
        recipe = small if name == "frugalnet" else changed(small, model={"name": name})
        through, first = training(dataset, recipe, spec), training(dataset, recipe, spec)
        list(through.steps())
        for step in first.steps():
            if step.number == 3:
                break
        state = {n: t.contiguous().clone() for n, t in first.state().items()}
        second = training(dataset, changed(recipe, seed=0), spec)
        second.restore(state, first.averaged.state_dict(), first.step, first.elapsed_s)
        assert [step.number for step in second.steps()] == [4, 5, 6]
        for mine, yours in (
            (through.state(), second.state()),
            (through.averaged.state_dict(), second.averaged.state_dict()),
        ):
            assert mine.keys() == yours.keys()
            assert [n for n in mine if not torch.equal(mine[n], yours[n])] == []

    def test_the_time_kept_for_the_end_is_kept_when_resumed(
        self, dataset: Dataset, small: Recipe, spec: InputSpec
    ) -> None:
        by_clock = changed(small, length={"time": 100})
        run = training(dataset, by_clock, spec)
        run.elapsed_s = 40.0
        run.reserve(20.0)
        again = training(dataset, by_clock, spec)
        again.restore(run.state(), run.averaged.state_dict(), run.step, run.elapsed_s)
        assert again.progress() == run.progress() == 0.5

    def test_a_state_of_another_network_is_refused(
        self, dataset: Dataset, small: Recipe, spec: InputSpec
    ) -> None:
        other = training(
            dataset, changed(small, model={"settings": {"width": 0.5, "depth": 1}}), spec
        )
        run = training(dataset, small, spec)
        with pytest.raises(ArtifactError, match="does not belong to this run"):
            run.restore(other.state(), other.averaged.state_dict(), 3, 1.0)
        with pytest.raises(ArtifactError, match="does not belong to this run"):
            run.restore({}, {}, 3, 1.0)
