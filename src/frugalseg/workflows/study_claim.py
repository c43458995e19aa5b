"""Claims: of all processes on one shared folder, one at a time works on a run.

A claim is a file `.claim-<n>`, made with O_EXCL, that names host and process and is touched while
the work goes on. The highest n counts. One that was not touched for ten minutes, or whose process
on this host is gone, is over, and whoever first makes n + 1 follows it. The highest one is never
removed, so that two processes cannot both follow. The clocks of the machines may differ by some
minutes.
"""

import contextlib
import json
import os
import platform
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

STALE_S = 600.0
TOUCH_EVERY_S = 30.0
BOOT = Path("/proc/sys/kernel/random/boot_id")
_NAME = re.compile(r"\.claim-(\d+)")


class LostError(Exception):
    """Somebody followed: what this process has not saved is theirs to do."""


class Claim:
    """The right to work on one run.

    `lost` once somebody followed, as after this process was suspended for ten minutes.
    """

    def __init__(self, folder: Path, number: int) -> None:
        self.folder, self.number = folder, number
        self.path = folder / f".claim-{number}"
        self.lost = False
        self.looked_s = time.time()

    def look(self) -> None:
        """See whether somebody followed."""
        self.lost = self.lost or _highest(self.folder) != self.number
        self.looked_s = time.time()

    def check(self, *, now: bool = False) -> None:
        """Raise LostError once somebody followed; cheap, unless it is to be seen `now`.

        Who was suspended looks at once: this clock goes on meanwhile.
        """
        if now or abs(time.time() - self.looked_s) > 2 * TOUCH_EVERY_S:
            self.look()
        if self.lost:
            raise LostError


@contextlib.contextmanager
def claimed(folder: Path) -> Iterator[Claim | None]:
    """Claim the run in `folder`, and keep the claim fresh; None if somebody else has it."""
    claim = _claim(folder)
    if claim is None:
        yield None
        return
    ended = threading.Event()
    thread = threading.Thread(target=_keep, args=(claim, ended), daemon=True)
    thread.start()
    try:
        yield claim
    finally:
        ended.set()
        thread.join()
        with contextlib.suppress(OSError):
            os.utime(claim.path, (0, 0))  # over at once


def holder(folder: Path) -> str | None:
    """Name who works on the run in `folder`; None if nobody does."""
    return _holder(folder, _highest(folder))


def _holder(folder: Path, number: int) -> str | None:
    path = folder / f".claim-{number}"
    try:
        idle_s = time.time() - path.stat().st_mtime
        told = path.read_text(encoding="utf-8")
    except FileNotFoundError:  # there is none, or it was followed just now
        return None
    if idle_s > STALE_S:
        return None
    try:
        who: dict[str, Any] = json.loads(told)
        gone = (who["host"], who["space"]) == _here() and not _is_alive(int(who["pid"]))
        return None if gone else f"process {who['pid']} on {who['host']}"
    except (ValueError, KeyError, TypeError):  # still being written
        return "another process"


def _claim(folder: Path) -> Claim | None:
    last = _highest(folder)
    if _holder(folder, last) is not None:
        return None
    claim = Claim(folder, last + 1)
    try:
        handle = os.open(claim.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
    except FileExistsError:
        return None
    try:
        host, space = _here()
        os.write(handle, json.dumps({"host": host, "pid": os.getpid(), "space": space}).encode())
    except OSError:  # a full disk
        os.utime(claim.path, (0, 0))
        raise
    finally:
        os.close(handle)
    if _highest(folder) != claim.number:  # since the look at `last`, others came and one is there
        claim.path.unlink(missing_ok=True)
        return None
    for path, number in _claims(folder):
        if number < claim.number:
            path.unlink(missing_ok=True)
    return claim


def _keep(claim: Claim, ended: threading.Event) -> None:
    while not ended.wait(TOUCH_EVERY_S):
        claim.look()
        if claim.lost:
            return
        with contextlib.suppress(OSError):
            os.utime(claim.path)


def _claims(folder: Path) -> Iterator[tuple[Path, int]]:
    for path in folder.glob(".claim-*"):
        if found := _NAME.fullmatch(path.name):
            yield path, int(found[1])


def _highest(folder: Path) -> int:
    return max((number for _, number in _claims(folder)), default=0)


def _here() -> tuple[str, str]:
    """Name this host, and where a process number means something: its start, and the container.

    Machines that were cloned have one name; each start of each has an identity of its own.
    """
    space = []
    with contextlib.suppress(OSError):
        space.append(BOOT.read_text(encoding="ascii").strip())
    with contextlib.suppress(OSError):
        space.append(str(Path("/proc/self/ns/pid").readlink()))
    return platform.node(), " ".join(space)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True
