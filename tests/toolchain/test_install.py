"""Installs with a stand-in for pip: interrupted, on a full disk, without Java."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from frugalseg.core.errors import ConfigError, ToolchainError
from frugalseg.toolchain.environment import STAMP, STEPS, installed, is_installed
from frugalseg.toolchain.install import install, remove

from .conftest import write_java

VENV, PIP = "-m venv", "-m pip"
WAIT_S = 30.0


def calls(log: Path) -> list[str]:
    """What was done, without the questions for a version."""
    asked = [line for line in log.read_text().splitlines() if line in {VENV, PIP}]
    log.write_text("")
    return asked


def test_an_install_is_complete_and_says_what_is_in_it(
    cache: Path, fake_python: Path, fake_log: Path
) -> None:
    assert install("tflm", python=fake_python) == ["environment", "packages"]
    assert calls(fake_log) == [VENV, PIP]
    stamp = json.loads((cache / "toolchains" / "tflm" / STAMP).read_text())
    assert stamp["packages"]["numpy"] == "2.4.6"
    assert {"date", "python", "lock_sha256", "machine"} <= stamp.keys()
    assert installed("tflm").folder == cache / "toolchains" / "tflm"


def test_a_second_install_does_nothing(cache: Path, fake_python: Path, fake_log: Path) -> None:
    install("tflm", python=fake_python)
    calls(fake_log)
    assert install("tflm", python=fake_python) == []
    assert calls(fake_log) == []


def test_what_has_no_hash_comes_last(cache: Path, fake_python: Path, fake_java: Path) -> None:
    steps = install("imx500", python=fake_python)
    assert steps == ["environment", "packages", "torch==2.13.0"]
    assert installed("imx500").python.is_file()


def test_a_full_disk_leaves_what_can_go_on(
    cache: Path, fake_python: Path, fake_log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_PIP", "full")
    with pytest.raises(ToolchainError, match=r"No space left(.|\n)*the same command goes on"):
        install("tflm", python=fake_python)
    with pytest.raises(ToolchainError, match="half installed; go on with: frugalseg toolchain"):
        installed("tflm")
    monkeypatch.setenv("FAKE_PIP", "ok")
    calls(fake_log)
    assert install("tflm", python=fake_python) == ["packages"]
    assert calls(fake_log) == [PIP]
    assert is_installed("tflm")


def interrupt(fake_python: Path, log: Path, ending: signal.Signals) -> None:
    """Start an install whose torch never comes, and end it once that has begun."""
    code = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler);"
        "from frugalseg.toolchain.install import install; from pathlib import Path;"
        f"install('imx500', python=Path({str(fake_python)!r}))"
    )
    running = subprocess.Popen(
        [sys.executable, "-c", code], stderr=subprocess.DEVNULL,
        env={**os.environ, "FAKE_PIP": "torch hangs"},
    )  # fmt: skip
    try:
        deadline = time.monotonic() + WAIT_S
        while not log.exists() or log.read_text().count(PIP) < 2:
            assert running.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        running.send_signal(ending)
        running.wait(timeout=WAIT_S)
    finally:
        running.kill()


def test_after_ctrl_c_only_the_step_that_was_cut_off_is_done_again(
    cache: Path, fake_python: Path, fake_log: Path, fake_java: Path
) -> None:
    interrupt(fake_python, fake_log, signal.SIGINT)
    with pytest.raises(ToolchainError, match="half installed"):
        installed("imx500")
    calls(fake_log)
    assert install("imx500", python=fake_python) == ["torch==2.13.0"]
    assert calls(fake_log) == [PIP]


def test_after_a_kill_what_still_writes_there_is_waited_for(
    cache: Path, fake_python: Path, fake_log: Path, fake_java: Path
) -> None:
    interrupt(fake_python, fake_log, signal.SIGKILL)
    with pytest.raises(ToolchainError, match="another process installs"):
        install("imx500", python=fake_python)
    left = [
        int(path.parent.name)
        for path in Path("/proc").glob("[0-9]*/cmdline")
        if str(cache).encode() in _read(path)
    ]
    assert left
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + WAIT_S
    untested = None
    while untested is None and time.monotonic() < deadline:
        # A process that is killed holds its files a moment longer than its name.
        with contextlib.suppress(ToolchainError):
            untested = install("imx500", python=fake_python)
    assert untested == ["torch==2.13.0"]


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def test_a_half_made_environment_is_made_anew(
    cache: Path, fake_python: Path, fake_log: Path
) -> None:
    folder = cache / "toolchains" / "tflm"
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "leftover").touch()
    (folder / STEPS).write_text(json.dumps({"done": [], "begun": "environment"}))
    install("tflm", python=fake_python)
    assert not (folder / "bin" / "leftover").exists()


def test_a_lock_of_another_release_is_installed_over(
    cache: Path, fake_python: Path, fake_log: Path
) -> None:
    install("tflm", python=fake_python)
    folder = cache / "toolchains" / "tflm"
    for name in (STAMP, STEPS):
        told = json.loads((folder / name).read_text())
        (folder / name).write_text(json.dumps(told | {"lock_sha256": "0" * 64}))
    calls(fake_log)
    assert install("tflm", python=fake_python) == ["packages"]
    assert calls(fake_log) == [PIP]


def test_a_folder_that_something_else_made_is_not_touched(cache: Path, fake_python: Path) -> None:
    theirs = cache / "toolchains" / "tflm" / "notes.txt"
    theirs.parent.mkdir(parents=True)
    theirs.write_text("mine")
    with pytest.raises(ConfigError, match="was not made by"):
        install("tflm", python=fake_python)
    with pytest.raises(ConfigError, match="was not made by"):
        remove("tflm")
    assert theirs.read_text() == "mine"


def test_remove_deletes_it_and_nothing_else(cache: Path, fake_python: Path) -> None:
    install("tflm", python=fake_python)
    beside = cache / "toolchains" / "beside"
    beside.touch()
    assert remove("tflm")
    assert sorted((cache / "toolchains").iterdir()) == [beside]
    assert not remove("tflm")


def test_a_remove_that_was_cut_off_can_be_finished(
    cache: Path, fake_python: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("tflm", python=fake_python)

    def cut_off(path: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr("shutil.rmtree", cut_off)
        with pytest.raises(KeyboardInterrupt):
            remove("tflm")
    assert not is_installed("tflm")
    assert remove("tflm")
    assert not (cache / "toolchains" / "tflm").exists()


@pytest.mark.parametrize(("version", "told"), [("3.9", "is 3.9"), ("", "is no such Python")])
def test_a_python_that_does_not_suit_is_named(
    cache: Path, fake_python: Path, monkeypatch: pytest.MonkeyPatch, version: str, told: str
) -> None:
    monkeypatch.setenv("FAKE_VERSION", version)
    with pytest.raises(ToolchainError, match=f"needs Python 3.11.*{told}"):
        install("tflm", python=fake_python)


def test_java_is_asked_for_before_anything_is_installed(
    cache: Path, fake_python: Path, fake_log: Path, fake_java: Path
) -> None:
    write_java(fake_java, "11.0.2")
    with pytest.raises(ToolchainError, match=r"needs Java 17, and .*java is Java 11; install"):
        install("imx500", python=fake_python)
    assert not fake_log.exists()
