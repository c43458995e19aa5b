import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import frugalseg

Run = Callable[..., Any]
COMMANDS = (
    "data", "demo", "devices", "evaluate", "export", "fit", "segment", "toolchain", "train",
    "weigh",
)  # fmt: skip
GROUPS = {"data": "check", "toolchain": "install"}


def test_help_lists_every_command(cli: Run) -> None:
    ended = cli("--help")
    assert ended.code == 0
    assert all(command in ended.out for command in COMMANDS)


@pytest.mark.parametrize("command", [(c, GROUPS[c]) if c in GROUPS else (c,) for c in COMMANDS])
def test_every_command_has_help(cli: Run, command: tuple[str, ...]) -> None:
    assert cli(*command, "--help").code == 0


def test_the_version(cli: Run) -> None:
    ended = cli("--version")
    assert (ended.code, ended.out.strip()) == (0, frugalseg.__version__)


@pytest.mark.parametrize("arguments", [("fitt",), ("fit", "--nonsense"), ("fit",)])
def test_a_wrong_command_line_ends_with_two(cli: Run, arguments: tuple[str, ...]) -> None:
    assert cli(*arguments).code == 2


def test_a_bug_of_ours_is_not_hidden(cli: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(name: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("frugalseg.cost.device.load_device", fail)
    with pytest.raises(ZeroDivisionError):
        cli("devices", "show", "cpu")


def test_a_library_that_is_missing_is_named(cli: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in [m for m in sys.modules if m.startswith("frugalseg.workflows.weigh")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "frugalseg.trace", None)
    ended = cli("weigh", "enet")
    assert ended.code == 2
    assert "is not installed: pip install 'frugalseg[all]'" in ended.err


def test_the_package_runs_as_a_module() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "frugalseg", "devices", "show", "cup"],
        capture_output=True, text=True, check=False, env={**os.environ},
    )  # fmt: skip
    assert ended.returncode == 2
    assert ended.stderr.startswith("error: no device 'cup'; did you mean 'cpu'? Known: android, ")
    assert ended.stdout == ""


def test_devices_are_listed_and_shown(cli: Run, tmp_path: Path) -> None:
    listed = cli("devices")
    assert listed.code == 0
    assert all(name in listed.out for name in ("cpu", "mcu-2mb", "smart-camera-10mb"))
    shown = cli("devices", "show", "mcu-2mb")
    assert shown.code == 0
    assert "2,000,000" in shown.out


def test_a_device_file_is_checked(cli: Run, tmp_path: Path) -> None:
    bell = tmp_path / "bell.toml"
    bell.write_text("like = 'mcu-2mb'\ntitle = 'Bell'\n[budget]\ntotal_bytes = 400_000\n")
    ended = cli("devices", "check", bell)
    assert (ended.code, ended.out) == (0, "bell: together 400,000; nothing wrong\n")
    bell.write_text("like = 'mcu-2mb'\ntitel = 'Bell'\nmargin = 2\n")
    ended = cli("devices", "check", bell)
    assert ended.code == 2
    assert "margin: Input should be less than 1" in ended.err
    assert "unknown key 'titel', did you mean 'title'?" in ended.err


def test_a_size_that_a_device_does_not_take_is_told(cli: Run) -> None:
    ended = cli("weigh", "frugalnet", "--size", "48x64", "--device", "imx500")
    assert ended.code == 1
    assert "imx500 takes pictures of at least 64x64, not 48x64" in ended.out
