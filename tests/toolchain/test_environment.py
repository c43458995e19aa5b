import logging
import sys
from pathlib import Path

import pytest

import frugalseg
from frugalseg.core.errors import ToolchainError
from frugalseg.toolchain.catalog import TOOLCHAINS
from frugalseg.toolchain.environment import (
    Environment,
    check_java,
    command,
    installed,
    run,
    untested,
)
from frugalseg.toolchain.install import install

from .conftest import write_java, write_program

SONYS = TOOLCHAINS["imx500"]


@pytest.fixture
def here(tmp_path: Path) -> Environment:
    """An environment whose Python is the one that runs the tests."""
    (tmp_path / "bin").mkdir()
    return Environment(name="tflm", folder=tmp_path, python=Path(sys.executable))


def test_what_is_missing_is_told_with_the_command_that_installs_it(cache: Path) -> None:
    with pytest.raises(
        ToolchainError, match=r"is not installed; .*frugalseg toolchain install tfl"
    ):
        installed("tflm")


def test_an_environment_whose_python_is_gone_is_broken(cache: Path, fake_python: Path) -> None:
    install("tflm", python=fake_python)
    (cache / "toolchains/tflm/bin/python").unlink()
    with pytest.raises(ToolchainError, match=r"is broken.*toolchain remove tflm"):
        installed("tflm")


def test_an_untested_version_is_a_warning(
    cache: Path, fake_python: Path, caplog: pytest.LogCaptureFixture
) -> None:
    install("tflm", python=fake_python)
    assert untested(TOOLCHAINS["tflm"], cache / "toolchains/tflm") == []
    site = cache / "toolchains/tflm/lib/python3.11/site-packages"
    metadata = site / "numpy-2.4.6.dist-info" / "METADATA"
    metadata.write_text(metadata.read_text().replace("2.4.6", "2.0.7"))  # told once in a process
    with caplog.at_level(logging.WARNING, logger="frugalseg"):
        installed("tflm")
    assert "numpy 2.0.7 is untested; the tested version is 2.4.6" in caplog.text


def test_a_build_of_the_tested_version_is_tested(tmp_path: Path) -> None:
    site = tmp_path / "lib/python3.11/site-packages"
    for name, version in SONYS.pins.items():
        told = version + "+cpu" * (name == "torch")
        folder = site / f"{name}-{told}.dist-info"
        folder.mkdir(parents=True)
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {told}\n")
    assert untested(SONYS, tmp_path) == []


def test_java_17_does(fake_java: Path) -> None:
    assert check_java(SONYS) == []


def test_java_that_is_missing_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolchainError, match=r"no java on the PATH; install OpenJDK 17"):
        check_java(SONYS)


@pytest.mark.parametrize(("version", "major"), [("1.8.0_392", 8), ("11.0.2", 11), ("16", 16)])
def test_java_that_is_too_old_is_told(fake_java: Path, version: str, major: int) -> None:
    write_java(fake_java, version)
    with pytest.raises(ToolchainError, match=f"is Java {major}; install OpenJDK 17"):
        check_java(SONYS)


def test_a_newer_java_is_untested(fake_java: Path) -> None:
    write_java(fake_java, "21.0.1")
    assert check_java(SONYS) == ["imx500: Java 21 is untested; the tested version is 17"]


def test_a_java_that_makes_no_sense_is_told(fake_java: Path) -> None:
    write_program(fake_java, "#!/bin/sh\necho hello\n")
    with pytest.raises(ToolchainError, match="does not tell its version"):
        check_java(SONYS)


def test_a_java_that_does_not_run_is_named(fake_java: Path) -> None:
    write_program(fake_java, "#!/bin/sh\necho no runtime present\nexit 1\n")
    with pytest.raises(ToolchainError, match=r"java/java does not run; install OpenJDK 17") as told:
        check_java(SONYS)
    assert "no runtime present" in str(told.value)


def test_a_script_gets_its_arguments_and_no_package_of_ours(
    here: Environment, tmp_path: Path
) -> None:
    script = tmp_path / "tool.py"
    script.write_text("import sys; print(sys.argv[1:], *sys.path, sep='\\n')")
    told = run(here, script, ["a b", "c"], timeout_s=30).splitlines()
    assert told[0] == "['a b', 'c']"
    assert str(tmp_path) not in told


def test_a_script_that_needs_the_package_gets_the_one_that_runs(
    here: Environment, tmp_path: Path
) -> None:
    script = tmp_path / "tool.py"
    script.write_text(
        "import sys; from pathlib import Path; import frugalseg\n"
        "print(Path(frugalseg.__file__).resolve())\n"
        "print(*[p.name for p in Path(sys.path[0]).iterdir()])"
    )
    told = run(here, script, [], timeout_s=30, needs_package=True).splitlines()
    assert told == [str(Path(frugalseg.__file__).resolve()), "frugalseg"]


def test_an_executable_finds_its_neighbours(here: Environment) -> None:
    write_program(here.folder / "bin/one", "#!/bin/sh\ntwo $1\n")
    write_program(here.folder / "bin/two", "#!/bin/sh\necho two $1\n")
    assert command(here, "one", ["x"], timeout_s=30) == "two x\n"


def test_an_executable_that_is_missing_is_named(here: Environment) -> None:
    with pytest.raises(ToolchainError, match=r"cannot start .*bin/imxconv-pt"):
        command(here, "imxconv-pt", [], timeout_s=30)
