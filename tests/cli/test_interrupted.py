"""A full disk and Ctrl-C: no half file under a final name, and the run can go on."""

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from frugalseg.training.checkpoint import load_checkpoint

Run = Callable[..., Any]
STEPS = 60
SETTINGS = (
    "model.settings.width=0.25", "model.settings.depth=1", "input=48x64", "batch_size=2",
    f"length.steps={STEPS}", f"validations={STEPS}",
)  # fmt: skip
ARGUMENTS = ("-q", *(part for setting in SETTINGS for part in ("--set", setting)))


def command(data: Path, out: Path) -> list[str]:
    fixed = [sys.executable, "-m", "frugalseg", "train", "--data", str(data), "-o", str(out)]
    return [*fixed, *ARGUMENTS]


def drafts(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if "draft" in path.name]


def test_ctrl_c_ends_with_130_and_the_run_goes_on(
    cli: Run, tiny_folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    running = subprocess.Popen(command(tiny_folder, out), stderr=subprocess.PIPE, text=True)
    try:
        deadline = time.monotonic() + 120
        while not (out / "last.safetensors").exists() and running.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        running.send_signal(signal.SIGINT)
        _, told = running.communicate(timeout=60)
    finally:
        running.kill()
    assert running.returncode == 130, told
    assert "can go on with --resume" in told
    assert "Traceback" not in told
    assert drafts(out) == []
    assert load_checkpoint(out / "last.safetensors").step < STEPS

    again = cli("train", "--data", tiny_folder, "-o", out, *ARGUMENTS)
    assert again.code == 2
    assert "--resume it, or name another folder" in again.err
    resumed = cli("train", "--data", tiny_folder, "-o", out, "--resume", *ARGUMENTS)
    assert resumed.code == 0, resumed.err
    assert load_checkpoint(out / "last.safetensors").step == STEPS


def test_a_disk_that_is_full_at_the_first_write(
    cli: Run, tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    ended = cli("train", "--data", tiny_folder, "-o", tmp_path / "out", *ARGUMENTS)
    assert ended.code == 2
    assert "No space left on device" in ended.err
    assert [p for p in (tmp_path / "out").rglob("*") if p.is_file()] == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 400 kB, which holds one checkpoint of the run but not two."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(disk)]
    try:
        failed = subprocess.run(mount, capture_output=True, check=False).returncode
    except OSError:
        failed = 1
    if failed:
        pytest.skip("a small disk can be mounted by root alone")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


def test_a_disk_that_fills_up_during_training(tiny_folder: Path, small_disk: Path) -> None:
    out = small_disk / "out"
    ended = subprocess.run(
        command(tiny_folder, out), capture_output=True, text=True, check=False, timeout=120
    )
    assert ended.returncode == 2, ended.stderr
    assert "No space left on device" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert drafts(out) == []
    for path in out.glob("*.safetensors"):
        load_checkpoint(path)
