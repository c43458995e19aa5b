import json
import os
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from frugalseg.core.errors import ArtifactError, ConfigError
from frugalseg.core.inputs import InputSpec
from frugalseg.core.labels import LabelSpace
from frugalseg.models.catalog import Architecture
from frugalseg.training.checkpoint import (
    Checkpoint,
    find_checkpoint,
    load_checkpoint,
    save_checkpoint,
    start_from,
)

TINY = Architecture(name="frugalnet", settings={"num_classes": 2, "width": 0.25, "depth": 1})


def checkpoint(**changes: Any) -> Checkpoint:
    torch.manual_seed(0)
    network = TINY.build().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    made = Checkpoint(
        architecture=TINY,
        input=InputSpec(height=32, width=48),
        labels=LabelSpace.of(["sky", "road"], ignore_on_disk=[11]),
        weights=network.state_dict(),
        state={"network.a": torch.arange(3.0), "optimizer.0.step": torch.tensor(7.0)},
        recipe={"seed": 3},
        step=7,
        elapsed_s=1.5,
        best_miou=0.25,
    )
    return replace(made, **changes)


def rewritten(path: Path, **header: Any) -> None:
    from safetensors import safe_open

    with safe_open(path, framework="pt") as stream:
        old = json.loads(stream.metadata()["frugalseg"])
    save_file(load_file(path), path, metadata={"frugalseg": json.dumps(old | header)})


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "best.safetensors"
    save_checkpoint(checkpoint(), path)
    return path


def test_all_survives_a_round_trip(saved: Path) -> None:
    first, again = checkpoint(), load_checkpoint(saved)
    for mine, yours in ((first.weights, again.weights), (first.state, again.state)):
        assert mine.keys() == yours.keys()
        assert all(torch.equal(mine[name], yours[name]) for name in mine)
    assert replace(again, weights={}, state={}) == replace(first, weights={}, state={})


def test_the_network_computes_the_same_and_does_not_train(saved: Path) -> None:
    image = torch.randn(1, 3, 32, 48)
    network = load_checkpoint(saved).network()
    assert not network.training
    torch.testing.assert_close(network(image), checkpoint().network()(image))


def test_there_is_no_pickle_in_it(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> Any:
        raise AssertionError("unpickled")

    for name in ("load", "loads", "Unpickler"):
        monkeypatch.setattr(pickle, name, refuse)
    load_checkpoint(saved).network()
    content = saved.read_bytes()
    header = int.from_bytes(content[:8], "little")
    assert json.loads(content[8 : 8 + header])["__metadata__"]["frugalseg"]


def test_a_pickle_under_its_name_is_refused(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> Any:
            return os.mkdir, (str(tmp_path / "sprung"),)

    path = tmp_path / "evil.safetensors"
    torch.save({"weights": Trap()}, path)
    with pytest.raises(ArtifactError, match=r"cannot read the checkpoint .*evil\.safetensors"):
        load_checkpoint(path)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("kept", [0, 4, 8, 100, 3000, -1])
def test_a_file_that_is_cut_off_is_refused(saved: Path, kept: int) -> None:
    saved.write_bytes(saved.read_bytes()[:kept])
    with pytest.raises(ArtifactError, match="cannot read the checkpoint"):
        load_checkpoint(saved)


@pytest.mark.parametrize(
    "header",
    [
        {"version": 99}, {"architecture": None}, {"architecture": {"name": "enet"}},
        {"input": {"height": 3}}, {"input": None}, {"labels": {}}, {"labels": None},
    ],
)  # fmt: skip
def test_a_header_that_is_damaged_is_refused(saved: Path, header: dict[str, Any]) -> None:
    rewritten(saved, **header)
    with pytest.raises(ArtifactError, match="cannot read the checkpoint"):
        load_checkpoint(saved)


def test_a_file_of_another_program_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    save_file({"a": torch.zeros(1)}, path)
    with pytest.raises(ArtifactError, match="frugalseg"):
        load_checkpoint(path)


def test_weights_of_another_architecture_are_refused() -> None:
    other = replace(TINY, settings={**TINY.settings, "width": 0.5})
    with pytest.raises(ArtifactError, match="weights and architecture do not match"):
        checkpoint(architecture=other).network()


def test_a_network_that_this_release_does_not_know(saved: Path) -> None:
    rewritten(saved, architecture={"name": "frugalnet9", "settings": {}})
    with pytest.raises(ConfigError, match="no model 'frugalnet9'"):
        load_checkpoint(saved).network()


def test_a_write_that_fails_leaves_what_was_there(saved: Path) -> None:
    before = saved.read_bytes()
    with pytest.raises(ValueError, match="JSON"):
        save_checkpoint(checkpoint(elapsed_s=float("nan")), saved)
    assert saved.read_bytes() == before
    assert list(saved.parent.iterdir()) == [saved]


class TestFinding:
    def test_a_folder_stands_for_its_best(self, saved: Path) -> None:
        save_checkpoint(checkpoint(step=9), saved.with_name("last.safetensors"))
        assert load_checkpoint(saved.parent).step == 7
        saved.unlink()
        assert load_checkpoint(saved.parent).step == 9

    def test_the_folder_of_a_fit_holds_a_run(self, tmp_path: Path) -> None:
        path = tmp_path / "run" / "last.safetensors"
        save_checkpoint(checkpoint(), path)
        assert find_checkpoint(tmp_path) == path

    def test_nothing_there(self, tmp_path: Path) -> None:
        with pytest.raises(ArtifactError, match=r"expected a \.safetensors file or the folder"):
            load_checkpoint(tmp_path / "nowhere")


class TestStarting:
    def test_weights_are_taken_where_name_and_shape_fit(
        self, saved: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        kept = load_checkpoint(saved)
        settings = {**kept.architecture.settings, "num_classes": 7}
        network = Architecture(name=kept.architecture.name, settings=settings).build()
        with caplog.at_level("WARNING", logger="frugalseg"):
            start_from(network, saved)
        own = network.state_dict()
        same = [n for n in own if own[n].shape == kept.weights[n].shape]
        assert all(torch.equal(own[n], kept.weights[n]) for n in same)
        assert {n.partition(".")[0] for n in own.keys() - set(same)} == {"classify", "auxiliary"}
        assert f"{len(same)} of {len(own)} tensors start from" in caplog.text
        assert "fresh: auxiliary, classify" in caplog.text

    def test_a_network_of_another_kind_is_refused(self, saved: Path) -> None:
        for name in ("enet", "ddrnet"):  # a bias of two numbers fits by chance
            network = Architecture(name=name, settings={"num_classes": 2}).build()
            with pytest.raises(ConfigError, match=r"no weight of .* fits this network"):
                start_from(network, saved)
