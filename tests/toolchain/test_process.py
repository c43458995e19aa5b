"""Stand-ins for tools that crash, hang, print garbage, and leave processes behind."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from frugalseg.core.errors import ToolchainError
from frugalseg.toolchain.process import run_group

QUICK_S = 30.0
# Writes the process number of what it leaves running, then does what the rest of the code says.
WITH_CHILD = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
open({file!r}, "w").write(str(child.pid))
{rest}
"""


def python(code: str, *, timeout_s: float = QUICK_S) -> str:
    return run_group([sys.executable, "-c", code], timeout_s=timeout_s)


def is_running(pid: int) -> bool:
    state = Path(f"/proc/{pid}/stat")
    return state.exists() and state.read_text().rpartition(")")[2].split()[0] != "Z"


def ends_soon(pid: int) -> bool:
    deadline = time.monotonic() + 10
    while is_running(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not is_running(pid)


def test_what_a_tool_prints_is_returned() -> None:
    assert python("print('12 bytes')") == "12 bytes\n"


def test_output_that_is_not_utf_8_does_not_hurt() -> None:
    told = python(r"import sys; sys.stdout.buffer.write(b'a\xff\xfe\x00b')")
    assert (told[0], told[-1]) == ("a", "b")


def test_a_failure_tells_the_last_lines_and_the_code() -> None:
    code = "import sys; [print('line', i, file=sys.stderr) for i in range(50)]; sys.exit(3)"
    with pytest.raises(ToolchainError, match="ended with code 3, having said") as caught:
        python(code)
    assert "line 49" in str(caught.value)
    assert "line 10" not in str(caught.value)


def test_a_failure_that_is_told_on_standard_output_is_told() -> None:
    with pytest.raises(ToolchainError, match="out of memory"):
        python("import sys; print('out of memory'); sys.exit(1)")


def test_a_failure_in_no_known_encoding_is_told() -> None:
    code = r"import sys; sys.stderr.buffer.write(b'\xff\xfe broken'); sys.exit(1)"
    with pytest.raises(ToolchainError, match="broken"):
        python(code)


def test_a_crash_names_the_signal() -> None:
    with pytest.raises(ToolchainError, match=r"crashed \(SIGSEGV\)"):
        python("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")


def test_a_program_that_is_not_there_is_named() -> None:
    with pytest.raises(ToolchainError, match="cannot start /nowhere/imxconv-pt: No such file"):
        run_group(["/nowhere/imxconv-pt"], timeout_s=QUICK_S)


def test_a_tool_that_hangs_is_stopped_with_all_that_it_started(tmp_path: Path) -> None:
    file = tmp_path / "pid"
    code = WITH_CHILD.format(file=str(file), rest="time.sleep(600)")
    with pytest.raises(ToolchainError, match=r"did not end within 1\.5 s and was stopped"):
        python(code, timeout_s=1.5)
    assert ends_soon(int(file.read_text()))


def test_what_a_crashed_tool_leaves_behind_is_ended(tmp_path: Path) -> None:
    file = tmp_path / "pid"
    rest = "child.stdout, sys.exit(1)"
    code = WITH_CHILD.format(file=str(file), rest=rest).replace(
        'time.sleep(600)"]',
        'time.sleep(600)"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL',
    )
    with pytest.raises(ToolchainError):
        python(code)
    assert ends_soon(int(file.read_text()))


def test_ctrl_c_ends_the_tool_with_all_that_it_started(tmp_path: Path) -> None:
    file = tmp_path / "pid"
    tool = WITH_CHILD.format(file=str(file), rest="time.sleep(600)")
    ours = (
        "import signal, sys; from frugalseg.toolchain.process import run_group\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        f"run_group([sys.executable, '-c', {tool!r}], timeout_s=600)"
    )
    running = subprocess.Popen([sys.executable, "-c", ours], stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + QUICK_S
        while not (file.exists() and file.read_text()):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        running.send_signal(signal.SIGINT)
        assert running.wait(QUICK_S) != 0
    finally:
        running.kill()
    assert ends_soon(int(file.read_text()))


def test_numbers_have_a_decimal_point_and_no_package_of_ours_leaks_in(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    monkeypatch.setenv("PYTHONPATH", "/of/ours")
    monkeypatch.setenv("KEPT", "yes")
    told = python(
        "import os; print(os.environ['LC_ALL'], os.environ.get('PYTHONPATH'), os.environ['KEPT'])"
    )
    assert told.split() == ["C.UTF-8", "None", "yes"]
    assert os.environ["PYTHONPATH"] == "/of/ours"
