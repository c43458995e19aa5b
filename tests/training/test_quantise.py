import math
from pathlib import Path
from typing import Any

import pytest
import torch

from frugalseg.core.errors import ConfigError
from frugalseg.core.inputs import InputSpec
from frugalseg.data.dataset import Dataset
from frugalseg.models.catalog import MODELS, Architecture
from frugalseg.models.network import Network
from frugalseg.training.checkpoint import load_checkpoint
from frugalseg.training.loop import Training
from frugalseg.training.quantise import (
    Int8,
    Quantiser,
    fold,
    places_of,
    round_map,
    round_weight,
)
from frugalseg.training.recipe import Recipe
from frugalseg.training.smaller import Quantize
from frugalseg.workflows.train import train

SPEC = InputSpec(height=32, width=48)
QAT = Quantize(name="qat")


def built(name: str, **settings: Any) -> Network:
    """A network whose norms have seen some pictures."""
    torch.manual_seed(0)
    wanted = {"num_classes": 3, "width": 0.25, **settings}
    network = Architecture(name=name, settings=wanted).build().train()
    with torch.no_grad():
        network.outputs(torch.randn(4, 3, *SPEC.size))
    return network.eval()


@pytest.mark.parametrize("name", sorted(MODELS))
def test_every_network_computes_in_int8_and_learns_through_it(name: str) -> None:
    network, images = built(name), torch.randn(2, 3, *SPEC.size)
    quantiser = Quantiser(QAT, network, SPEC)
    with quantiser.on(network, learn=True):
        scores = network.outputs(images).scores
    scores.square().mean().backward()
    layers = quantiser.places.weights
    deployed = [p for n, p in network.named_parameters() if n.rpartition(".")[0] in layers]
    assert all(parameter.grad is not None for parameter in deployed)
    moved = sum(bool(parameter.grad.any()) for parameter in deployed)  # type: ignore[union-attr]
    assert moved > 0.7 * len(deployed), "but for what is dead or constant at this size"
    assert {*quantiser.ranges} == {*quantiser.places.maps.values()}
    with torch.no_grad():
        int8, plain = Int8(network, quantiser).native(images), network.native(images)
        with quantiser.on(network):
            assert torch.equal(network.outputs(images).scores, int8), "as in training, so alone"
    assert not torch.equal(int8, plain)
    assert (int8 - plain).std() < 0.25 * plain.std()


def test_weights_take_255_values_in_each_channel_and_15_at_4_bits() -> None:
    weight = torch.randn(4, 8, 9, 9)
    for bits, most in ((8, 255), (4, 15)):
        rounded = round_weight(weight, 0, bits)
        counts = [len(channel.unique()) for channel in rounded]
        assert most / 2 < max(counts) <= most
        torch.testing.assert_close(rounded.abs().amax((1, 2, 3)), weight.abs().amax((1, 2, 3)))


def test_gradients_pass_within_the_range_alone() -> None:
    values = torch.tensor([-2.0, 0.3, 5.0], requires_grad=True)
    round_map(values, torch.tensor(-1.0), torch.tensor(1.0)).sum().backward()
    assert values.grad is not None
    assert values.grad.tolist() == [0, 1, 0]


def test_a_map_that_nothing_wakes_stays_zero() -> None:
    assert not round_map(torch.zeros(3), torch.tensor(0.0), torch.tensor(0.0)).any()


@pytest.mark.parametrize("transposed", [False, True])
def test_a_folded_norm_computes_the_same(transposed: bool) -> None:
    torch.manual_seed(0)
    kind = torch.nn.ConvTranspose2d if transposed else torch.nn.Conv2d
    layer, norm = kind(3, 5, 3), torch.nn.BatchNorm2d(5)
    norm(torch.randn(4, 5, 8, 8) * 3 + 1)
    norm.eval()
    folded = kind(3, 5, 3)
    weight, bias = fold(layer.weight, layer.bias, norm, int(transposed))
    folded.weight, folded.bias = torch.nn.Parameter(weight), torch.nn.Parameter(bias)
    x = torch.randn(1, 3, 8, 8)
    torch.testing.assert_close(folded(x), norm(layer(x)))


def span(quantiser: Quantiser, name: str) -> tuple[float, float]:
    bounds = quantiser.bounds(name)
    assert bounds is not None
    return float(bounds[0]), float(bounds[1])


def test_maps_that_are_joined_share_a_range() -> None:
    places = places_of(built("fastscnn"), SPEC)
    joined = {group for group in places.groups.values() if len(group) > 1}
    assert joined
    quantiser = Quantiser(QAT, built("fastscnn"), SPEC)
    first, second, *_ = joined.pop()
    quantiser.look(first, torch.tensor([[-1.0, 2.0]]))
    quantiser.look(second, torch.tensor([[-3.0, 1.0]]))
    assert span(quantiser, first) == span(quantiser, second) == (-3, 2)


def test_a_range_is_the_mean_over_pictures_and_then_over_batches() -> None:
    quantiser = Quantiser(QAT, built("frugalnet", depth=1), SPEC)
    name = next(n for n, group in quantiser.places.groups.items() if len(group) == 1)
    quantiser.look(name, torch.tensor([[-1.0, 2.0], [-3.0, 4.0]]))
    assert span(quantiser, name) == (-2, 3)
    quantiser.look(name, torch.tensor([[0.0, 5.0]]))
    assert span(quantiser, name) == (-1, 4)


def changed(recipe: Recipe, **values: Any) -> Recipe:
    return Recipe.model_validate(recipe.model_dump() | values)


def training(dataset: Dataset, recipe: Recipe) -> Training:
    torch.manual_seed(0)
    settings = {**recipe.model.settings, "num_classes": 3}
    network = Architecture(name=recipe.model.name, settings=settings).build()
    return Training(network, dataset, recipe, SPEC, None)


class TestTraining:
    def test_it_begins_when_it_is_told_to_and_freezes_the_norms(
        self, dataset: Dataset, small: Recipe
    ) -> None:
        plain = [float(step.loss) for step in training(dataset, small).steps()]
        run = training(dataset, changed(small, quantize={"name": "qat", "start": 0.5}))
        losses, means = [], []
        for step in run.steps():
            losses.append(float(step.loss))
            means.append(run.network.state_dict()["stage2.1.running_mean"].clone())
            assert bool(run.quantiser and run.quantiser.ranges) == (step.number > 3)
            assert run.network.training == (step.number <= 3)
        assert losses[:3] == plain[:3]
        assert losses[3] != plain[3]
        assert not torch.equal(means[1], means[2])
        assert torch.equal(means[2], means[5])

    def test_a_run_that_was_put_away_ends_the_same_to_the_bit(
        self, dataset: Dataset, small: Recipe
    ) -> None:
        recipe = changed(small, quantize={"name": "qat", "start": 0.3})
        whole, first, second = (training(dataset, recipe) for _ in range(3))
        list(whole.steps())
        next(step for step in first.steps() if step.number == 4)
        state = {n: t.contiguous().clone() for n, t in first.state().items()}
        second.restore(state, first.averaged.state_dict(), first.step, first.elapsed_s)
        list(second.steps())
        one, other = whole.state(), second.state()
        assert one.keys() == other.keys()
        assert any(name.startswith("quantize.") for name in one)
        assert all(torch.equal(one[name], other[name]) for name in one)

    @pytest.mark.parametrize(
        ("wish", "told"),
        [
            ({"compile": True}, "compile"),
            ({"precision": "bf16-mixed"}, "precision"),
            ({"sparsity": {"name": "bn"}}, "sparsity"),
            ({"quantize": {"name": "qat", "bits": {"nowhere": 4}}}, "nowhere"),
        ],
    )
    def test_what_does_not_go_together_is_refused_before_training(
        self, dataset: Dataset, small: Recipe, wish: dict[str, Any], told: str
    ) -> None:
        with pytest.raises(ConfigError, match=told):
            training(dataset, changed(small, **({"quantize": {"name": "qat"}} | wish)))

    def test_weights_of_4_bits_where_they_are_asked_for(
        self, dataset: Dataset, small: Recipe
    ) -> None:
        losses = []
        for bits in ({}, {"stage2.0": 4}):
            run = training(dataset, changed(small, quantize={"name": "qat", "bits": bits}))
            losses.append(float(next(run.steps()).loss))
        assert losses[0] != losses[1]


def test_the_best_of_a_run_is_of_its_quantised_part_and_a_plain_checkpoint(
    tiny_folder: Path, tmp_path: Path
) -> None:
    settings = [
        "model.settings={width: 0.25, depth: 1}", "length.steps=6", "input=32x48", "batch_size=2",
        "validations=3", "average=0.5",
    ]  # fmt: skip
    told = ["quantize={name: qat, start: 0.5}"]
    result = train(tiny_folder, tmp_path / "run", set=settings + told)
    assert load_checkpoint(tmp_path / "run").step > 3
    assert (
        result.checkpoint.network().state_dict().keys()
        == built("frugalnet", depth=1).state_dict().keys()
    )
    assert math.isfinite(result.scores.miou)


def test_a_loss_that_is_no_number_stops_the_run_and_leaves_the_last_good_state(
    tiny_folder: Path, tmp_path: Path
) -> None:
    settings = [
        "model.settings={width: 0.25, depth: 1}", "length.steps=6", "input=32x48", "batch_size=2",
        "optimizer.lr=1e30", "schedule.warmup=0", "quantize.name=qat",
    ]  # fmt: skip
    with pytest.raises(ConfigError, match="the loss is"):
        train(tiny_folder, tmp_path / "run", set=settings)
    kept = load_checkpoint(tmp_path / "run" / "last.safetensors")
    assert all(t.isfinite().all() for t in kept.weights.values())
