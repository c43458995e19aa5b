"""Of all processes on a folder, one at a time works on a run."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from frugalseg.workflows import study_claim
from frugalseg.workflows.study_claim import STALE_S, LostError, claimed, holder

RACE = """
import sys, time
from pathlib import Path
from frugalseg.workflows.study_claim import claimed
folder, start = Path(sys.argv[1]), float(sys.argv[2])
time.sleep(max(0.0, start - time.time()))
for number in range(300):
    with claimed(folder / str(number)) as claim:
        done = folder / str(number) / "done"
        if claim is not None and not done.exists():
            done.touch()
            print(number)
"""


def write(folder: Path, number: int, *, idle_s: float = 0.0, **who: object) -> Path:
    path = folder / f".claim-{number}"
    host, space = study_claim._here()
    path.write_text(json.dumps({"host": host, "space": space, "pid": os.getpid()} | who))
    os.utime(path, (time.time() - idle_s, time.time() - idle_s))
    return path


def test_two_processes_never_claim_the_same_run(tmp_path: Path) -> None:
    for number in range(300):
        (tmp_path / str(number)).mkdir()
        if number % 2:  # some were left behind by a process that is gone
            write(tmp_path / str(number), 1, idle_s=2 * STALE_S)
    command = [sys.executable, "-c", RACE, str(tmp_path), str(time.time() + 1.5)]
    racers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    told = [racer.communicate(timeout=60)[0].split() for racer in racers]
    assert [racer.returncode for racer in racers] == [0, 0]
    assert sorted(map(int, told[0] + told[1])) == list(range(300))


def test_of_two_that_saw_the_same_claim_end_one_follows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = iter([3, 4, 3])  # by the first, by the first once it has its own, by the second
    monkeypatch.setattr(study_claim, "_highest", lambda _: next(seen))
    monkeypatch.setattr(study_claim, "_holder", lambda *_: None)
    first, second = study_claim._claim(tmp_path), study_claim._claim(tmp_path)
    assert first is not None
    assert second is None


def test_a_claim_is_not_taken_beside_a_live_one_that_came_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = write(tmp_path, 1, idle_s=2 * STALE_S)
    look = study_claim._holder

    def slowly(folder: Path, number: int) -> str | None:
        """Others make 2, end it and make 3 between this process's look and its own claim."""
        told = look(folder, number)
        old.unlink()
        write(tmp_path, 3)
        return told

    monkeypatch.setattr(study_claim, "_holder", slowly)
    assert study_claim._claim(tmp_path) is None
    assert [path.name for path in tmp_path.iterdir()] == [".claim-3"]


def test_a_claim_is_told_and_is_over_when_the_work_is(tmp_path: Path) -> None:
    with claimed(tmp_path) as claim:
        assert claim is not None
        assert holder(tmp_path) == f"process {os.getpid()} on {study_claim._here()[0]}"
        with claimed(tmp_path) as second:
            assert second is None
    assert holder(tmp_path) is None
    with claimed(tmp_path) as third:
        assert third is not None


def test_the_claim_of_a_process_that_was_killed_here_is_over_at_once(tmp_path: Path) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    write(tmp_path, 1, pid=gone.pid)
    assert holder(tmp_path) is None
    write(tmp_path, 1, pid=gone.pid, host="elsewhere")  # nobody can tell from here
    assert holder(tmp_path) == f"process {gone.pid} on elsewhere"


def test_a_machine_of_the_same_name_is_told_apart_by_its_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    for start in ("first", "second"):
        (tmp_path / start).write_text(f"{start}\n")
    monkeypatch.setattr(study_claim, "BOOT", tmp_path / "first")
    write(tmp_path, 1, pid=gone.pid)
    assert holder(tmp_path) is None
    monkeypatch.setattr(study_claim, "BOOT", tmp_path / "second")
    assert holder(tmp_path) is not None
    monkeypatch.setattr(study_claim, "BOOT", tmp_path / "not there")
    assert "second" not in study_claim._here()[1]  # and no error


def test_who_was_suspended_looks_at_once_and_is_told_that_the_claim_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with claimed(tmp_path) as claim:
        assert claim is not None
        write(tmp_path, claim.number + 1)
        claim.check()  # looked just now
        later = time.time() + STALE_S
        monkeypatch.setattr(time, "time", lambda: later)
        with pytest.raises(LostError):
            claim.check()


@pytest.mark.parametrize(("idle_s", "is_held"), [(STALE_S - 60, True), (STALE_S + 60, False)])
def test_a_claim_that_was_not_touched_for_ten_minutes_is_taken_over(
    tmp_path: Path, idle_s: float, is_held: bool
) -> None:
    write(tmp_path, 4, idle_s=idle_s, host="elsewhere")
    with claimed(tmp_path) as claim:
        assert (claim is None) == is_held


def test_a_claim_is_touched_while_the_work_goes_on_and_notices_who_follows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(study_claim, "TOUCH_EVERY_S", 0.05)
    with claimed(tmp_path) as claim:
        assert claim is not None
        os.utime(claim.path, (0, 0))
        until(lambda: holder(tmp_path) is not None)
        write(tmp_path, claim.number + 1)
        until(lambda: claim.lost)


def test_a_claim_that_is_still_being_written_is_respected(tmp_path: Path) -> None:
    (tmp_path / ".claim-1").touch()
    assert holder(tmp_path) == "another process"


def until(true: "object") -> None:
    assert callable(true)
    ends = time.monotonic() + 10
    while not true():
        assert time.monotonic() < ends
        time.sleep(0.02)
