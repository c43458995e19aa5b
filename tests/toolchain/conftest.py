"""A cache of its own for each test, and stand-ins for Python, pip and Java."""

import stat
import sys
from pathlib import Path

import pytest

# Stands for a Python that can make environments. Its pip "installs" by writing the metadata of
# what is asked for, and does at first what FAKE_PIP says; every call is a line in FAKE_LOG.
FAKE_PYTHON = r"""#!{python}
import os, re, shutil, sys, time
from pathlib import Path

words = sys.argv[1:]
with open(os.environ["FAKE_LOG"], "a") as log:
    log.write(" ".join(words[:2]) + "\n")
if words[0] == "-c":
    print(os.environ.get("FAKE_VERSION", "3.11"))
elif words[:2] == ["-m", "venv"]:
    (Path(words[2]) / "bin").mkdir(parents=True)
    shutil.copy(sys.argv[0], Path(words[2]) / "bin" / "python")
elif words[:2] == ["-m", "pip"]:
    asked = words[-1]
    text = Path(asked).read_text() if Path(asked).is_file() else asked
    behaviour = os.environ.get("FAKE_PIP", "ok")
    if behaviour == "full":
        sys.exit("ERROR: Could not install packages: [Errno 28] No space left on device")
    if behaviour == "hang" or behaviour == "torch hangs" and "torch" in asked:
        time.sleep(600)
    site = Path(sys.argv[0]).parents[1] / "lib/python3.11/site-packages"
    for name, version in re.findall(r"^([\w.-]+)==(\S+)", text, re.MULTILINE):
        folder = site / f"{{name}}-{{version}}.dist-info"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {{name}}\nVersion: {{version}}\n")
elif words == ["--version"]:
    print("Python 3.11.0")
else:
    print("0.dev1")
"""  # noqa: E501


def write_program(path: Path, text: str) -> Path:
    """Write a program that can be started."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache."""
    monkeypatch.setenv("FRUGALSEG_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def fake_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the stand-in for Python was asked, a line a call."""
    monkeypatch.setenv("FAKE_LOG", str(tmp_path / "log"))
    return tmp_path / "log"


@pytest.fixture
def fake_python(tmp_path: Path, fake_log: Path) -> Path:
    """A stand-in for a Python that can make environments."""
    return write_program(tmp_path / "fake" / "python", FAKE_PYTHON.format(python=sys.executable))


@pytest.fixture
def fake_java(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Java 17 that only tells its version; write over it for another one."""
    folder = tmp_path / "java"
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return write_java(folder / "java", "17.0.15")


def write_java(path: Path, version: str) -> Path:
    """Write a Java that tells this version, as Java does, on standard error."""
    return write_program(path, f"#!/bin/sh\necho 'openjdk version \"{version}\" 2025-04-15' >&2\n")
