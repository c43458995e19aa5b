"""Distillation: what a student is told by a trained network."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from frugalseg.core.errors import ArtifactError, ConfigError
from frugalseg.core.inputs import InputSpec
from frugalseg.core.labels import LabelSpace
from frugalseg.data.dataset import Dataset
from frugalseg.losses.distil import channel_wise, pair_wise, pixel_wise
from frugalseg.models.catalog import MODELS, Architecture
from frugalseg.models.layers import resize
from frugalseg.training.checkpoint import Checkpoint, save_checkpoint
from frugalseg.training.critic import Adversary, seen
from frugalseg.training.loop import Training
from frugalseg.training.recipe import Recipe, recipe_from
from frugalseg.training.teacher import Teaching, classifier, read_scores, write_scores

EVERY = {"pixel": 1.0, "channel": 3.0, "pair": 1.0, "holistic": 0.1}


def scores(seed: int, shape: tuple[int, ...] = (2, 3, 6, 8)) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


class TestLosses:
    @pytest.mark.parametrize("loss", [pixel_wise, channel_wise, pair_wise])
    def test_a_student_that_does_as_its_teacher_has_nothing_to_learn(self, loss: Any) -> None:
        assert float(loss(scores(0), scores(0))) == pytest.approx(0, abs=1e-6)
        assert float(loss(scores(1), scores(0))) > 0

    @pytest.mark.parametrize("loss", [pixel_wise, channel_wise, pair_wise])
    def test_following_the_gradient_brings_it_nearer(self, loss: Any) -> None:
        student = scores(1).requires_grad_()
        before = loss(student, scores(0))
        before.backward()
        assert student.grad is not None
        assert float(loss(student.detach() - 0.1 * student.grad, scores(0))) < float(
            before.detach()
        )

    @pytest.mark.parametrize("temperature", [1.0, 4.0])
    def test_pixel_wise_is_the_formula(self, temperature: float) -> None:
        student, teacher = scores(1), scores(0)
        q, p = ((x / temperature).softmax(1) for x in (teacher, student))
        wanted = temperature**2 * (q * (q / p).log()).sum(dim=1).mean()
        torch.testing.assert_close(pixel_wise(student, teacher, temperature=temperature), wanted)

    def test_channel_wise_is_the_formula(self) -> None:
        student, teacher = scores(1), scores(0)
        q, p = ((x.flatten(2) / 4).softmax(2) for x in (teacher, student))
        torch.testing.assert_close(
            channel_wise(student, teacher), 16 * (q * (q / p).log()).sum(dim=2).mean()
        )

    def test_where_a_class_is_does_not_change_with_a_number_added_to_its_scores(self) -> None:
        shifted = scores(0) + torch.tensor([5.0, 0.0, -3.0]).view(1, 3, 1, 1)
        assert float(channel_wise(shifted, scores(0))) == pytest.approx(0, abs=1e-5)
        assert float(pixel_wise(shifted, scores(0))) > 1

    def test_pair_wise_compares_patches_whatever_the_channels(self) -> None:
        student, teacher = scores(1, (2, 5, 6, 8)), scores(0, (2, 9, 6, 8))
        total = 0.0
        for n in range(2):
            likeness = []
            for maps in (student[n], teacher[n]):
                patches = F.max_pool2d(maps[None], (3, 4)).flatten(2)[0].T
                likeness.append(F.cosine_similarity(patches[:, None], patches[None], dim=2))
            total += float((likeness[0] - likeness[1]).square().mean())
        assert float(pair_wise(student, teacher)) == pytest.approx(total / 2)

    def test_maps_of_a_pixel_have_a_likeness_too(self) -> None:
        assert float(pair_wise(scores(1, (1, 4, 1, 1)), scores(0, (1, 4, 1, 1)))) < 1e-6


def test_the_critic_learns_to_tell_teacher_and_student_apart() -> None:
    torch.manual_seed(0)
    adversary, image = Adversary(3, 3), scores(2, (4, 3, 64, 64))
    sure, unsure = 9 * scores(0, (4, 3, 64, 64)), 0.1 * scores(1, (4, 3, 64, 64))
    for _ in range(15):
        adversary.learn(image, unsure, sure)
    with torch.no_grad():
        student, teacher = (adversary.critic(seen(image, x)).mean() for x in (unsure, sure))
        loss = adversary.loss(image, unsure)
    assert float(teacher) > float(student)
    assert float(loss) == pytest.approx(-float(student), rel=0.2)


@pytest.mark.parametrize("name", sorted(MODELS))
def test_the_convolution_that_makes_the_scores_is_found_in_every_network(name: str) -> None:
    network = Architecture(name=name, settings={"num_classes": 5}).build()
    made: list[Tensor] = []
    classifier(network).register_forward_hook(lambda _m, _i, out: made.append(out))
    network.train()
    with torch.no_grad():
        native = network.eval().native(torch.zeros(1, network.channels, 64, 96))
    assert made[-1].shape[1] == 5
    if name == "lraspp":  # the sum of two heads: the finer one is made last
        assert made[-1].shape == native.shape
    else:
        torch.testing.assert_close(resize(made[-1], native.shape[-2:]), native)


def test_the_classifier_is_looked_for_where_the_network_is() -> None:
    network = Architecture(name="frugalnet", settings={"num_classes": 5, "depth": 1}).build()
    assert classifier(network.to("meta")) is network.get_submodule("classify")


def test_a_run_goes_on_with_the_teacher_that_it_began_with(
    dataset: Dataset, spec: InputSpec, small: Recipe, teacher: Path
) -> None:
    recipe = taught(small, teacher)
    kept = training(recipe, dataset, spec).state()
    averaged = training(recipe, dataset, spec).averaged.state_dict()
    saved(teacher, dataset.labels, spec, seed=8)
    with pytest.raises(ConfigError, match="its file has changed"):
        training(recipe, dataset, spec).restore(kept, averaged, 1, 0.1)


@pytest.fixture
def teacher(tmp_path: Path, dataset: Dataset, spec: InputSpec) -> Path:
    return saved(tmp_path / "teacher.safetensors", dataset.labels, spec)


def saved(path: Path, labels: LabelSpace, spec: InputSpec, seed: int = 7) -> Path:
    """An untrained network of 0.35 times the channels."""
    torch.manual_seed(seed)
    settings = {"num_classes": labels.num_classes, "width": 0.35, "depth": 1}
    architecture = Architecture(name="frugalnet", settings=settings | {"channels": spec.channels})
    kept = Checkpoint(
        architecture=architecture, input=spec, labels=labels, step=1, elapsed_s=1.0, recipe={},
        weights=architecture.build().state_dict(),
    )  # fmt: skip
    save_checkpoint(kept, path)
    return path


def taught(small: Recipe, teacher: Path, **wish: Any) -> Recipe:
    return recipe_from(small.model_dump() | {"teacher": {"run": str(teacher), **wish}})


def training(recipe: Recipe, dataset: Dataset, spec: InputSpec) -> Training:
    torch.manual_seed(0)
    settings = recipe.model.settings | {"num_classes": dataset.labels.num_classes}
    network = Architecture(name="frugalnet", settings=settings).build()
    teaching = None
    if recipe.teacher.run is not None:
        teaching = Teaching(recipe.teacher, dataset.labels, spec)
    return Training(network, dataset, recipe, spec, None, teaching)


def weights_of(run: Training) -> Mapping[str, Tensor]:
    return {name: tensor.clone() for name, tensor in run.network.state_dict().items()}


def same(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> bool:
    return all(torch.equal(one[name], other[name]) for name in one)


class TestTeaching:
    def test_every_loss_moves_the_student(
        self, dataset: Dataset, spec: InputSpec, small: Recipe, teacher: Path
    ) -> None:
        plain = training(small, dataset, spec)
        list(plain.steps())
        for name in EVERY:
            others = dict.fromkeys(EVERY, 0.0)
            run = training(taught(small, teacher, **others | {name: 1.0}), dataset, spec)
            list(run.steps())
            assert not same(weights_of(run), weights_of(plain)), name

    def test_a_run_that_is_cut_off_goes_on_to_the_bit_critic_and_all(
        self, dataset: Dataset, spec: InputSpec, small: Recipe, teacher: Path
    ) -> None:
        recipe = taught(small, teacher, **EVERY)
        whole = training(recipe, dataset, spec)
        list(whole.steps())
        first = training(recipe, dataset, spec)
        for step in first.steps():
            if step.number == 3:
                break
        kept = {name: tensor.clone() for name, tensor in first.state().items()}
        averaged = {n: t.clone() for n, t in first.averaged.state_dict().items()}
        second = training(recipe, dataset, spec).restore(kept, averaged, 3, 1.0)
        list(second.steps())
        assert same(weights_of(second), weights_of(whole))
        assert same(second.state(), whole.state())

    def test_the_teacher_stays_as_it_is(
        self, dataset: Dataset, spec: InputSpec, small: Recipe, teacher: Path
    ) -> None:
        run = training(taught(small, teacher, **EVERY), dataset, spec)
        assert run.teaching is not None
        before = {n: t.clone() for n, t in run.teaching.network.state_dict().items()}
        list(run.steps())
        assert same(run.teaching.network.state_dict(), before)

    def test_scores_on_disk_are_those_that_were_learnt_from_at_once(
        self, dataset: Dataset, spec: InputSpec, small: Recipe, teacher: Path, tmp_path: Path
    ) -> None:
        recipe = taught(small, teacher, cache=str(tmp_path / "cache"))
        first = training(recipe, dataset, spec)
        list(first.steps())
        files = sorted((tmp_path / "cache").rglob("*.npz"))
        assert len(files) == 6  # one for each step
        second = training(recipe, dataset, spec)
        assert second.teaching is not None
        second.teaching.network = torch.nn.Identity()  # type: ignore[assignment]  # it is not asked
        list(second.steps())
        assert same(weights_of(first), weights_of(second))

    def test_scores_in_8_bits_are_near_what_they_were(self, tmp_path: Path) -> None:
        told = torch.cat([scores(0), torch.full((2, 3, 6, 8), 4.0)])
        write_scores(tmp_path / "a.npz", told)
        kept = read_scores(tmp_path / "a.npz")
        step = (told.amax((2, 3)) - told.amin((2, 3))).max() / 255
        assert float((kept - told).abs().max()) <= float(step) / 2 + 1e-6

    def test_a_damaged_file_of_scores_is_named(self, tmp_path: Path) -> None:
        path = tmp_path / "a.npz"
        write_scores(path, scores(0))
        whole = path.read_bytes()
        for content in (b"", whole[:100], whole[:200] + bytes(40) + whole[240:]):
            path.write_bytes(content)
            with pytest.raises(ArtifactError, match=r"a\.npz: damaged"):
                read_scores(path)


class TestRefused:
    def test_a_teacher_of_other_classes_or_channels(
        self, dataset: Dataset, spec: InputSpec, small: Recipe, tmp_path: Path
    ) -> None:
        other = LabelSpace.of(["a", "b"])
        path = saved(tmp_path / "t.safetensors", other, replace(spec, channels=1))
        with pytest.raises(ConfigError, match=r"cannot teach this: it knows a, b, .*1 channels"):
            training(taught(small, path), dataset, spec)

    def test_a_teacher_that_is_not_there(
        self, dataset: Dataset, spec: InputSpec, small: Recipe, tmp_path: Path
    ) -> None:
        with pytest.raises(ArtifactError, match="no checkpoint at"):
            training(taught(small, tmp_path / "none"), dataset, spec)

    @pytest.mark.parametrize(
        ("wish", "says"),
        [
            ({"pixel": 0.0}, "nothing is taught"),
            ({"pair": 1.0, "cache": "c"}, "leave out one"),
            ({"pixel": -1.0}, "greater than or equal to 0"),
            ({"temprature": 2.0}, "temperature"),
        ],
    )
    def test_wishes_that_contradict_themselves(
        self, small: Recipe, wish: dict[str, Any], says: str
    ) -> None:
        with pytest.raises(ConfigError, match=says):
            taught(small, Path("t"), **wish)


def test_a_batch_of_other_pixels_has_a_file_of_its_own(
    dataset: Dataset, spec: InputSpec, small: Recipe, teacher: Path, tmp_path: Path
) -> None:
    wish = taught(small, teacher, cache=str(tmp_path / "c")).teacher
    teaching = Teaching(wish, dataset.labels, spec)
    numbers = np.random.default_rng(0)
    batch = torch.from_numpy(numbers.integers(0, 256, (2, 3, 32, 48), np.uint8))
    teaching.scores(batch)
    teaching.scores(batch.clone())
    other = batch.clone()
    other[0, 0, 0, 0] ^= 1
    teaching.scores(other)
    assert len(list((tmp_path / "c").rglob("*.npz"))) == 2
