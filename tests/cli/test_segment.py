import errno
import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

Run = Callable[..., Any]


def piped(*arguments: object, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "frugalseg", "segment", *map(str, arguments)]
    return subprocess.run(command, input=stdin, capture_output=True, check=False)


def test_a_folder_is_done_and_its_files_are_named(
    cli: Run, golden: Path, picture: Path, tmp_path: Path
) -> None:
    ended = cli("segment", picture.parent, "-a", golden, "-o", tmp_path, "--workers", "2")
    assert ended.code == 0
    assert str(tmp_path / "picture.json") in ended.out
    assert "segmenting: " in ended.err


def test_quiet_is_quiet(cli: Run, golden: Path, picture: Path, tmp_path: Path) -> None:
    ended = cli("segment", picture, "-a", golden, "-o", tmp_path, "-q")
    assert (ended.code, ended.err) == (0, "")


def test_one_bad_picture_ends_with_two_when_the_others_are_done(
    cli: Run, golden: Path, picture: Path, tmp_path: Path
) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    shutil.copy(picture, source / "good.png")
    (source / "bad.jpg").write_bytes(b"\xff\xd8\xff broken")
    ended = cli("segment", source, "-a", golden, "-o", out, "-q", "--as", "ids")
    assert ended.code == 2
    assert "some pictures could not be segmented:" in ended.err
    assert "bad.jpg" in ended.err
    assert [p.name for p in out.iterdir()] == ["good.png"]


def test_a_picture_goes_in_and_comes_out_by_pipe(golden: Path, picture: Path) -> None:
    ended = piped("-", "-a", golden, "-o", "-", "--as", "ids", stdin=picture.read_bytes())
    assert (ended.returncode, ended.stderr) == (0, b"")
    ids_HW = np.array(Image.open(io.BytesIO(ended.stdout)))
    assert ids_HW.shape == (60, 80)


def test_standard_input_goes_to_a_folder(golden: Path, picture: Path, tmp_path: Path) -> None:
    ended = piped("-", "-a", golden, "-o", tmp_path / "out", stdin=picture.read_bytes())
    assert ended.returncode == 0
    names = sorted(p.name for p in (tmp_path / "out").iterdir())
    assert names == ["stdin.json", "stdin.overlay.png", "stdin.png"]


def test_a_file_goes_to_standard_output(golden: Path, picture: Path) -> None:
    ended = piped(picture, "-a", golden, "-o", "-", "--as", "json")
    assert json.loads(ended.stdout)["width"] == 80


def test_standard_input_that_is_no_picture_is_refused(golden: Path) -> None:
    ended = piped("-", "-a", golden, "-o", "-", "--as", "ids", stdin=b"")
    assert (ended.returncode, ended.stdout) == (2, b"")
    assert ended.stderr == b"error: picture: empty file\n"


@pytest.mark.parametrize(
    ("out", "kind", "message"),
    [("-", None, "-o - writes one output: choose it"), ("out", "idz", "did you mean 'ids'")],
)
def test_a_wrong_wish_ends_with_two(
    cli: Run, picture: Path, tmp_path: Path, out: str, kind: str | None, message: str
) -> None:
    kinds = ("--as", kind) if kind else ()
    place = out if out == "-" else tmp_path / out
    ended = cli("segment", picture, "-a", picture.parent, "-o", place, "-q", *kinds)
    assert ended.code == 2
    assert message in ended.err
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_artifact_ends_with_two(cli: Run, picture: Path, tmp_path: Path) -> None:
    ended = cli("segment", picture, "-a", tmp_path, "-o", tmp_path / "out", "-q")
    assert ended.code == 2
    assert "no artifact at" in ended.err


def test_a_full_disk_leaves_no_half_file(
    cli: Run, golden: Path, picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    ended = cli("segment", picture, "-a", golden, "-o", tmp_path / "out", "-q")
    assert ended.code == 2
    assert "No space left on device" in ended.err
    assert list((tmp_path / "out").iterdir()) == []
