"""`frugalseg toolchain`, with an environment that a stand-in for pip made."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FRUGALSEG_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def half_made(cache: Path) -> Path:
    folder = cache / "toolchains" / "tflm"
    folder.mkdir(parents=True)
    (folder / "steps.json").write_text('{"done": ["environment"], "begun": "packages"}')
    return folder


@pytest.fixture
def installed(half_made: Path) -> Path:
    """An installed tflm with a numpy of another version, whose Python says what a worker would."""
    from frugalseg.toolchain.catalog import TOOLCHAINS

    (half_made / "installed.json").write_text('{"version": "0.dev1"}')
    for name, version in (TOOLCHAINS["tflm"].pins | {"numpy": "2.0.0"}).items():
        metadata = half_made / f"lib/python3.11/site-packages/{name}-{version}.dist-info/METADATA"
        metadata.parent.mkdir(parents=True)
        metadata.write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    says(half_made, "echo 0.dev1")
    return half_made


def says(folder: Path, script: str) -> None:
    python = folder / "bin" / "python"
    python.parent.mkdir(exist_ok=True)
    python.write_text(f"#!/bin/sh\n{script}\n")
    python.chmod(0o755)


def test_list_tells_what_there_is_and_whose_it_is(cli: Run, half_made: Path) -> None:
    ended = cli("toolchain", "list")
    assert ended.code == 0
    rows = {line.split()[0]: line for line in ended.out.splitlines()[:3]}
    assert "not installed" in rows["imx500"]
    assert "half installed" in rows["tflm"]
    assert str(half_made) in rows["tflm"]
    assert "property of Sony under its own licence" in ended.out


def test_list_as_json(cli: Run, installed: Path) -> None:
    told = {each["name"]: each for each in json.loads(cli("toolchain", "list", "--json").out)}
    assert {name: each["state"] for name, each in told.items()} == {
        "imx500": "not installed",
        "tflm": "installed",
    }
    assert told["tflm"]["folder"] == str(installed)
    assert told["tflm"]["version"] == "0.dev1"
    assert told["tflm"]["bytes"] > 0
    assert told["imx500"]["bytes"] == 0


def test_check_runs_the_tool_and_warns_of_an_untested_version(cli: Run, installed: Path) -> None:
    ended = cli("toolchain", "check", "tflm")
    assert ended.code == 0, ended.err
    assert "tflm works: 0.dev1" in ended.out
    assert "as tested" not in ended.out
    told = json.loads(cli("toolchain", "check", "--json").out)
    assert [each["name"] for each in told] == ["tflm"]
    assert "numpy 2.0.0 is untested" in told[0]["warnings"][0]


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("echo broken library >&2; exit 1", "broken library"),
        ("kill -SEGV $$", "crashed (SIGSEGV)"),
        ("printf '\\377\\376' >&2; exit 3", "ended with code 3"),
    ],
)
def test_check_tells_how_a_tool_failed(
    cli: Run, installed: Path, script: str, message: str
) -> None:
    says(installed, script)
    ended = cli("toolchain", "check", "tflm")
    assert ended.code == 2
    assert message in ended.out


def test_check_of_what_is_not_there_ends_with_two(cli: Run, half_made: Path) -> None:
    ended = cli("toolchain", "check", "imx500")
    assert (ended.code, "frugalseg toolchain install imx500" in ended.out) == (2, True)
    assert "half installed" in cli("toolchain", "check").out


def test_check_of_nothing(cli: Run) -> None:
    assert cli("toolchain", "check").out == "no toolchain is installed\n"


def test_remove(cli: Run, installed: Path) -> None:
    assert cli("toolchain", "remove", "tflm").out == "tflm is removed\n"
    assert not installed.exists()
    assert cli("toolchain", "remove", "tflm").out == "tflm was not installed\n"


@pytest.mark.parametrize("command", ["install", "check", "remove"])
def test_an_unknown_name_ends_with_two(cli: Run, command: str) -> None:
    ended = cli("toolchain", command, "imx50")
    assert ended.code == 2
    assert "did you mean 'imx500'" in ended.err


def test_a_python_that_does_not_suit_ends_with_two(cli: Run, tmp_path: Path) -> None:
    ended = cli("toolchain", "install", "tflm", "--python", tmp_path / "python", "-q")
    assert ended.code == 2
    assert "needs Python 3.11" in ended.err


def test_weigh_tells_what_to_install(cli: Run, golden: Path) -> None:
    file = golden / "model.int8.tflite"
    ended = cli("weigh", file, "--device", "mcu-1mb", "--verify")
    assert (ended.code, ended.out) == (2, "")
    assert "frugalseg toolchain install tflm" in ended.err
    ended = cli("weigh", file, "--device", "cpu", "--verify")
    assert (ended.code, "names no toolchain" in ended.err) == (2, True)
    ended = cli("weigh", file, "--verify")
    assert (ended.code, "name a --device" in ended.err) == (2, True)
    ended = cli("weigh", file, "--device", "mcu-1mb", "--pairs", "here")
    assert (ended.code, "give both" in ended.err) == (2, True)
