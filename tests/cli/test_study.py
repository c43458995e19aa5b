"""`frugalseg study`: what is printed, exit codes, Ctrl-C, a full disk, two processes at once."""

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from frugalseg.core.records import Record
from frugalseg.training.checkpoint import load_checkpoint
from frugalseg.workflows import study_export
from frugalseg.workflows.study_claim import holder
from frugalseg.workflows.study_state import Stage

Run = Callable[..., Any]
STEPS = 10
KEYS = [f"tiny-net-width{width}-s0" for width in (0.25, 0.35, 0.5)]


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """Three small runs on the data set "tiny"."""
    sheet = {
        "about": "Three small ones.",
        "data": "tiny",
        "set": {
            "input": "48x64",
            "batch_size": 2,
            "length.steps": STEPS,
            "validations": 2,
            "model.settings.depth": 1,
        },
        "runs": [{"name": "net", "grid": {"model.settings.width": [0.25, 0.35, 0.5]}}],
        "columns": ["parameters", "int8_bytes", "miou_float", "miou_int8", "gate"],
        "tolerance": 100,
    }
    path = tmp_path / "small.yaml"
    path.write_text(yaml.safe_dump(sheet), encoding="utf-8")
    return path


def arguments(study: Path, data: Path, out: Path, *more: str) -> list[str]:
    return ["study", "run", str(study), "--data", str(data.parent), "-o", str(out), "-q", *more]


def start(study: Path, data: Path, out: Path, *more: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "frugalseg", *arguments(study, data, out, *more)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_the_studies_that_ship_are_listed(cli: Run) -> None:
    ended = cli("study", "list")
    assert ended.code == 0
    assert {"camvid-zoo", "waste-binary", "waste-classes", "sizes", "augmentation"} <= {
        line.split()[0] for line in ended.out.splitlines()
    }


def test_a_study_is_trained_in_pieces_and_its_table_says_how_far(
    cli: Run, study: Path, tiny_folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    first = cli(*arguments(study, tiny_folder, out, "--train-only", "--only", KEYS[0]))
    assert (first.code, first.err) == (0, "")
    assert f"{KEYS[0]}: trained" in first.out
    at_once = cli(*arguments(study, tiny_folder, out, "--train-only", "--time", "0.001s"))
    assert at_once.code == 0
    assert at_once.out.count("not begun") == 2
    shown = cli("study", "table", study, "-o", out, "--plots", tmp_path / "plots")
    assert "trained; to export: fp32, int8 |" in shown.out
    assert shown.out.count("| not begun |") == 2
    assert list((tmp_path / "plots").glob("*")) == []  # no int8 file was scored


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("study", "run", "camvid-zo", "--data", "."), "did you mean 'camvid-zoo'?"),
        (("study", "run", "sizes", "--data", "nowhere"), "nowhere/camvid: no such folder"),
        (("study", "run", "sizes", "--data", ".", "--time", "soon"), "'soon' is not a duration"),
        (("study", "run", "sizes", "--data", ".", "--only", "nothing"), "no run 'nothing'"),
        (("study", "table", "sizes", "--format", "word"), "no format of a table 'word'"),
        (("study", "table", "missing.yaml"), "cannot read the study missing.yaml"),
    ],
)
def test_what_is_asked_wrongly_ends_with_2(
    cli: Run, change: tuple[str, ...], said: str, tmp_path: Path
) -> None:
    ended = cli(*change, "-o", tmp_path / "out")
    assert ended.code == 2
    assert said in ended.err
    assert not (tmp_path / "out").exists()


def test_a_full_disk_ends_with_2_and_holds_no_claim(
    cli: Run, study: Path, tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        ended = cli(*arguments(study, tiny_folder, tmp_path / "out", "--train-only"))
    assert ended.code == 2
    assert "No space left on device" in ended.err
    assert holder(tmp_path / "out" / KEYS[0]) is None
    only = ("--train-only", "--only", KEYS[0])
    assert cli(*arguments(study, tiny_folder, tmp_path / "out", *only)).code == 0


def test_a_loss_that_is_no_number_ends_with_1_once_the_other_runs_are_done(
    cli: Run, study: Path, tiny_folder: Path, tmp_path: Path
) -> None:
    sheet = yaml.safe_load(study.read_text(encoding="utf-8"))
    sheet["runs"] = [
        {"name": "wild", "set": {"optimizer.lr": 1e12, "schedule.warmup": 0, "length.steps": 30}},
        {"name": "tame", "settings": {"width": 0.25}},
    ]
    study.write_text(yaml.safe_dump(sheet), encoding="utf-8")
    ended = cli(*arguments(study, tiny_folder, tmp_path / "out", "--train-only"))
    assert ended.code == 1, ended.err
    assert "tiny-tame-s0: trained" in ended.out
    assert "failed: the loss is" in ended.out


def test_what_a_finished_run_lacks_is_printed_and_that_nothing_is_left(
    cli: Run, study: Path, tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = Stage(records=[Record(name="int8/bytes", value=1, kind="measured", on="here")],
                 reason="loses 3.2 mIoU points, allowed are 1")  # fmt: skip
    wrong = {"fp32": Stage(reason="no such operator"), "int8": told}
    monkeypatch.setattr(study_export, "CONVERTERS", ())
    monkeypatch.setattr(study_export, "export_stage", lambda job, name, *_: wrong[name])
    asked = arguments(study, tiny_folder, tmp_path / "out", "--only", KEYS[0])
    ended = cli(*asked)
    assert ended.code == 0, ended.err
    assert ended.out == (
        f"{KEYS[0]}: done; fp32: no such operator (to try again, remove fp32.json and result.json"
        f" from {tmp_path / 'out' / KEYS[0]}); int8: loses 3.2 mIoU points, allowed are 1\n"
    )
    again = cli(*asked)
    assert (again.code, again.out) == (0, "nothing left to do\n")


@pytest.mark.slow
@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_a_study_that_is_ended_by_a_signal_goes_on_at_the_next_call(
    cli: Run, study: Path, tiny_folder: Path, tmp_path: Path, sent: int, code: int
) -> None:
    out, long = tmp_path / "out", ("--train-only", "--only", KEYS[0], "--set", "length.steps=300")
    running = start(study, tiny_folder, out, *long)
    last = out / KEYS[0] / "run" / "last.safetensors"
    try:
        deadline = time.monotonic() + 120
        while not last.exists() and running.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        running.send_signal(sent)
        _, told = running.communicate(timeout=60)
    finally:
        running.kill()
    assert running.returncode == code, told
    assert "Traceback" not in told
    assert ("call it again" in told) == (sent == signal.SIGINT)
    again = cli(*arguments(study, tiny_folder, out, *long))
    assert again.code == 0, again.err
    assert load_checkpoint(last).step == 300


@pytest.mark.slow
def test_two_processes_on_one_folder_share_the_runs(
    study: Path, tiny_folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    both = [start(study, tiny_folder, out, "--train-only") for _ in range(2)]
    told = [process.communicate(timeout=300) for process in both]
    assert [process.returncode for process in both] == [0, 0], told
    trained = [
        line.removesuffix(": trained")
        for text, _ in told
        for line in text.splitlines()
        if line.endswith(": trained")
    ]
    assert sorted(trained) == sorted(KEYS)
    for key in KEYS:  # every step was taken once, in order
        rows = (out / key / "run" / "metrics.csv").read_text(encoding="utf-8").splitlines()[1:]
        steps = [int(row.split(",")[0]) for row in rows]
        assert steps == sorted(steps)
        assert steps[-1] == STEPS


@pytest.mark.slow
def test_a_run_goes_all_the_way_to_its_files_and_pictures(
    cli: Run, study: Path, tiny_folder: Path, tmp_path: Path
) -> None:
    out, plots = tmp_path / "out", tmp_path / "plots"
    ended = cli(*arguments(study, tiny_folder, out, "--only", KEYS[0]))
    assert ended.code == 0, ended.err
    assert f"{KEYS[0]}: done" in ended.out
    shown = cli("study", "table", study, "-o", out, "--plots", plots)
    assert "| passed | done |" in shown.out
    assert sorted(path.name for path in plots.iterdir()) == [
        f"small-tiny-{what}.svg" for what in ("bytes", "macs", "memory")
    ]
