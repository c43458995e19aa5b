"""What stands in the file of a study: what is refused, with which words."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from frugalseg.core.errors import ConfigError
from frugalseg.workflows.study_file import Study, load_study

SHEET: dict[str, Any] = {
    "about": "Two small ones.",
    "data": "belt",
    "runs": ["enet"],
    "columns": ["parameters"],
}
Load = Callable[..., Study]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Reads a study, SHEET with changes."""

    def read(**changes: Any) -> Study:
        path = tmp_path / "study.yaml"
        path.write_text(yaml.safe_dump(SHEET | changes, sort_keys=False), encoding="utf-8")
        return load_study(path)

    return read


def test_a_run_that_is_just_a_name_is_the_model_of_that_name(load: Load) -> None:
    jobs = load(runs=["enet", {"name": "icnet"}]).jobs()
    assert [(job.name, job.recipe.model.name) for job in jobs] == [
        ("enet", "enet"), ("icnet", "frugalnet"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("run", "study", "told"),
    [
        ({"model": "enet"}, {}, "got enet"),
        ({"settings": {"width": 0.5}}, {}, "got frugalnet with width"),
        ({"set": {"model.settings.depth": 1}}, {}, "got frugalnet with depth"),
        ({"grid": {"model.name": ["icnet"]}}, {}, "got icnet"),
        ({"recipe": "enet"}, {}, "got enet"),
        ({}, {"set": {"model.settings": {"width": 1}}}, "got frugalnet with width"),
    ],
)
def test_a_model_beside_a_device_is_refused_wherever_it_stands(
    load: Load, run: dict[str, Any], study: dict[str, Any], told: str
) -> None:
    with pytest.raises(ConfigError, match=rf"chooses its own frugalnet.*\({told}\)"):
        load(runs=[{"name": "k", "device": "imx500"} | run], **study).jobs()


def test_a_device_with_settings_of_training_and_channels_is_taken(load: Load) -> None:
    run = {"name": "k", "device": "mcu-1mb", "set": {"batch_size": 2, "model.settings.channels": 1}}
    (job,) = load(runs=[run]).jobs(["validations=3"])
    assert (job.device, job.recipe.batch_size, job.recipe.validations) == ("mcu-1mb", 2, 3)


@pytest.mark.parametrize(
    "changes",
    [
        {"set": {"seed": 3}},
        {"runs": [{"name": "a", "set": {" seed": 3}}]},
        {"runs": [{"name": "a", "grid": {"seed": [0, 1]}}]},
    ],
)
def test_a_seed_among_the_settings_is_refused(load: Load, changes: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="seeds stand in `seeds:`"):
        load(**changes)


@pytest.mark.parametrize("setting", ["seed=3", " seed = 3"])
def test_a_seed_of_the_command_line_is_refused(load: Load, setting: str) -> None:
    with pytest.raises(ConfigError, match="seeds stand in `seeds:`"):
        load().jobs([setting])


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"data": ["belt", "belt-a"], "runs": [{"name": "a-b"}, {"name": "b"}]}, "belt-a-b-s0"),
        ({"data": ["belt", "belt"]}, "belt-enet-s0"),
        ({"seeds": [0, 0]}, "belt-enet-s0"),
    ],
)
def test_two_runs_in_one_folder_are_refused(load: Load, changes: dict[str, Any], key: str) -> None:
    with pytest.raises(ConfigError, match=f"{key}: 2 runs would share this folder"):
        load(**changes).jobs()


@pytest.mark.parametrize("columns", [[{"a": "b"}], [["a"]], [3], "parameters"])
def test_a_column_that_is_no_name_is_told(load: Load, columns: object) -> None:
    with pytest.raises(ConfigError, match="columns"):
        load(columns=columns)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{input: 2026-01-01}", "2026-01-01"),
        ("{model.settings: {2026-01-01: 1}}", "a setting is no plain value"),
        ("{augment.scale: &a [*a]}", "a setting is no plain value"),
    ],
)
def test_a_value_that_is_no_plain_one_is_told(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(f"{{about: a, data: belt, runs: [enet], columns: [steps], set: {text}}}")
    with pytest.raises(ConfigError, match=told):
        load_study(path).jobs()
