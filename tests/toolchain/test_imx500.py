"""What is made of the converter's words: recorded logs and reports, said by a stand-in."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from frugalseg.core.errors import RefusedError, ToolchainError
from frugalseg.toolchain import imx500, imx500_worker
from frugalseg.toolchain.imx500 import convert, errors_in, judge, read_report, size_in_bytes

# imxconv-pt 3.19.2 with --report-size-unit B, as recorded; paths of the machine taken out.
FITS = {
    "Memory Report": {
        "Name": "network",
        "Runtime Memory Physical Size": "121856B",
        "Model Memory Physical Size": "135008B",
        "Reserved Memory": "1024B",
        "Memory Usage": "257888B",
        "Total Memory Available On Chip": "8388480B",
        "Memory Utilization": "4%",
        "Fit In Chip": True,
        "Input Persistent": True,
    }
}
LARGE = {
    "Memory Report": {
        "Name": "network",
        "Runtime Memory Physical Size": "6148096B",
        "Model Memory Physical Size": "2642048B",
        "Reserved Memory": "1024B",
        "Memory Usage": "8791168B",
        "Total Memory Available On Chip": "8388480B",
        "Memory Utilization": "105%",
        "Fit In Chip": False,
    }
}
START = "2026-11-21 15:47:31,521 INFO : Running version 3.19.0 [uni/common/logger.py:179]\n"
SHORT = (
    "2026-11-21 15:52:49.292 ERROR: CODE: [ISM] ConvFe error (ISM) on 'network': Not enough"
    " memory, available: 8.00MB , required: 8.38MB \n"
)
TILES = (
    "2026-11-21 15:52:50.235 INFO : CODE: [IMCF] ConvFe failed with insufficient memory, trying to"
    " run Tiling Advisor\n"
)
PRELU = (
    "2026-11-21 15:59:38,395 ERROR : CODE: [USOP] The network contains unsupported ops: PRelu"
    " [uni/common/logger.py:185]\n"
)
KERNEL = (
    "2026-11-21 16:00:06,200 ERROR : CODE: [INVOP] The network is not aligned with SDSP converter's"
    " restrictions. Errors are:\n"
    "Node [Framework.nnir] op: Conv2dBias, id: /_2/layer/Conv, [Framework.onnx] op: Conv, id:"
    " /_2/layer/Conv, errors:\n"
    "\tParam error - param: kernel size, value: (13, 13), reason: Kernel size > 12 is not supported"
    " for depthwise conv [uni/common/logger.py:185]\n"
)
DILATION = (
    "2026-11-21 15:36:10.775 ERROR: CODE: [CBE] [BeLogger:198] Dilation_rate_H=8 is larger than"
    " H=4 - not supported\n"
    "2026-11-21 15:36:10.827 ERROR: CODE: [CBE] [BeLogger:176] [ConverterBE:318] \n"
)

CRASH = (
    "2026-11-30 06:31:27.473 ERROR: CODE: [CBE] EtdConvManager Error: java.lang.RuntimeException:"
    " Step:EtdModelGenerator FlnId:99 Layers:[CONV2D, RELU] Error:[InferenceSb.shapeInference]"
    " shape of: FlnSb9.ConvGrQReluQResSb8.ofmap is empty\n"
)
CANNOT = "the converter cannot convert this network"

CONVERTER = """#!{python}
import json, os, sys, time
from pathlib import Path

wish = json.loads(Path(os.environ["FAKE_CONVERTER"]).read_text())
out = Path(sys.argv[sys.argv.index("-o") + 1])
assert "--overwrite-output" in sys.argv and "B" in sys.argv, sys.argv
if wish.get("hangs"):
    time.sleep(600)
out.mkdir(exist_ok=True)
print(wish["said"], end="")
if wish.get("report") is not None:
    (out / "network_MemoryReport.json").write_text(json.dumps(wish["report"]))
if wish.get("package"):
    (out / "packerOut.zip").write_bytes(b"package")
sys.exit(wish["code"])
"""

Say = Callable[..., None]


def write_program(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    path.chmod(0o755)


@pytest.fixture
def say(tmp_path: Path, cache: Path, fake_java: Path, monkeypatch: pytest.MonkeyPatch) -> Say:
    """An environment whose converter says what it is told to say."""
    folder = cache / "toolchains" / "imx500"
    write_program(folder / "bin" / "python", f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    write_program(folder / "bin" / "imxconv-pt", CONVERTER.format(python=sys.executable))
    (folder / "installed.json").write_text("{}", encoding="utf-8")
    (tmp_path / "network.onnx").write_bytes(b"network")
    monkeypatch.setenv("FAKE_CONVERTER", str(tmp_path / "wish.json"))

    def wish(**values: Any) -> None:
        (tmp_path / "wish.json").write_text(json.dumps({"code": 0, "said": START, **values}))

    return wish


def test_a_network_that_fits_comes_with_its_package(say: Say, tmp_path: Path) -> None:
    say(report=FITS, package=True)
    report = convert(tmp_path / "network.onnx", tmp_path / "out")
    assert (report.runtime_bytes, report.model_bytes, report.reserved_bytes) == (
        121_856, 135_008, 1_024,
    )  # fmt: skip
    assert report.total_bytes == 257_888
    assert report.fits
    assert not report.tiled
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "packerOut.zip", "network_MemoryReport.json",
    }  # fmt: skip


def test_a_network_that_does_not_fit_is_reported(say: Say, tmp_path: Path) -> None:
    say(report=LARGE, code=1, said=START + SHORT + TILES + SHORT)
    report = convert(tmp_path / "network.onnx", tmp_path / "out")
    assert not report.fits
    assert report.tiled
    assert report.total_bytes == 8_791_168


def test_tiles_that_help_are_told_apart(say: Say, tmp_path: Path) -> None:
    say(report=FITS, package=True, said=START + SHORT + TILES)
    report = convert(tmp_path / "network.onnx", tmp_path / "out")
    assert report.fits
    assert report.tiled


def test_without_a_report_the_log_tells_what_is_required(tmp_path: Path) -> None:
    report = judge(START + SHORT, 1, tmp_path / "none.json", "3.19.2")
    assert not report.fits
    assert report.total_bytes == round(8.38 * 2**20)
    assert report.available_bytes == 8 * 2**20


def test_a_missing_operator_is_named(say: Say, tmp_path: Path) -> None:
    say(code=2, said=START + PRELU)
    with pytest.raises(RefusedError, match=r"(?m)lacks an operator.*unsupported ops: PRelu$"):
        convert(tmp_path / "network.onnx", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_operator_outside_its_limits_is_named(say: Say, tmp_path: Path) -> None:
    say(code=3, said=START + KERNEL)
    told = r"outside the converter's limits: Conv /_2/layer/Conv: kernel size \(13, 13\): Kernel"
    with pytest.raises(ToolchainError, match=told):
        convert(tmp_path / "network.onnx", tmp_path / "out")


def test_an_error_behind_the_memory_report_counts(say: Say, tmp_path: Path) -> None:
    say(code=1, said=START + DILATION, report=FITS)
    with pytest.raises(ToolchainError, match="code 1, having said: Dilation_rate_H=8 is larger"):
        convert(tmp_path / "network.onnx", tmp_path / "out")


@pytest.mark.parametrize(
    ("said", "code", "told"),
    [
        ("", -11, f"{CANNOT}: it crashed (SIGSEGV)"),
        ("out of memory", 137, f"{CANNOT}: it ended with code 137, having said:\n  out of memory"),
        ("", 2, "the converter lacks an operator of this network: it does not say which"),
    ],
)
def test_an_end_without_an_error_is_told_in_plain_words(
    said: str, code: int, told: str, tmp_path: Path
) -> None:
    with pytest.raises(RefusedError) as caught:
        judge(said, code, tmp_path / "none.json", "3.19.2")
    assert str(caught.value) == told


def test_what_the_converter_said_is_kept_where_it_fails(
    say: Say, cache: Path, tmp_path: Path
) -> None:
    say(code=1, said=START + CRASH)
    with pytest.raises(RefusedError, match="cannot convert this network: it ended") as caught:
        convert(tmp_path / "network.onnx", tmp_path / "out")
    assert caught.value.exit_code == 1
    (log,) = (cache / "logs").iterdir()
    assert str(caught.value).endswith(f"The whole log of the converter: {log}")
    assert log.read_text() == START + CRASH
    assert "ofmap is empty" in str(caught.value)


def test_success_without_a_package_is_none(say: Say, tmp_path: Path) -> None:
    say(report=FITS)
    with pytest.raises(ToolchainError, match=r"wrote no packerOut\.zip"):
        convert(tmp_path / "network.onnx", tmp_path / "out")


def test_success_without_a_report_is_none(say: Say, tmp_path: Path) -> None:
    say(package=True)
    with pytest.raises(ToolchainError, match="wrote no network_MemoryReport"):
        convert(tmp_path / "network.onnx", tmp_path / "out")


def test_a_converter_that_hangs_is_stopped(say: Say, tmp_path: Path) -> None:
    say(hangs=True)
    with pytest.raises(ToolchainError, match="did not end within 2 s"):
        convert(tmp_path / "network.onnx", tmp_path / "out", timeout_s=2)


def test_a_converter_that_is_gone_is_told(say: Say, cache: Path, tmp_path: Path) -> None:
    say()
    (cache / "toolchains" / "imx500" / "bin" / "imxconv-pt").unlink()
    with pytest.raises(ToolchainError, match="imxconv-pt"):
        convert(tmp_path / "network.onnx", tmp_path / "out")


@pytest.mark.usefixtures("cache", "fake_java")
def test_without_the_toolchain_the_command_that_installs_it_is_told(tmp_path: Path) -> None:
    with pytest.raises(ToolchainError, match="frugalseg toolchain install imx500"):
        convert(tmp_path / "network.onnx", tmp_path / "out")


def test_sizes_for_people_and_a_decimal_comma_are_read(tmp_path: Path) -> None:
    values = {
        "Runtime Memory Physical Size": "4,48MB",
        "Model Memory Physical Size": "2,58MB",
        "Memory Usage": "7,06MB",
        "Total Memory Available On Chip": "8,00MB",
        "Fit In Chip": True,
    }
    (tmp_path / "r.json").write_text(json.dumps({"Memory Report": values}))
    report = read_report(tmp_path / "r.json", version="3.16", tiled=False)
    assert report.runtime_bytes == round(4.48 * 2**20)
    assert report.reserved_bytes <= 1
    assert report.available_bytes == 8 * 2**20


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"Memory Report": {"Fit In Chip": true}}',
             json.dumps({"Memory Report": {**FITS["Memory Report"], "Fit In Chip": "no"}}),
             json.dumps({"Memory Report": {**FITS["Memory Report"],
                                           "Model Memory Physical Size": "much"}})],
)  # fmt: skip
def test_another_report_is_refused_with_what_was_found(tmp_path: Path, text: str) -> None:
    (tmp_path / "r.json").write_text(text)
    with pytest.raises(ToolchainError, match="report"):
        read_report(tmp_path / "r.json", version="9", tiled=False)


@pytest.mark.parametrize("text", ["", "MB", "1.2.3MB", "7 stone", "-1B"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ToolchainError, match="expected a size"):
        size_in_bytes(text)


def test_errors_are_told_once_and_without_places() -> None:
    assert errors_in(PRELU * 2) == ["The network contains unsupported ops: PRelu"]


def test_pictures_reach_the_tool_and_its_answer_comes_back(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def answer(_environment: Any, _script: Path, words: list[str], *, timeout_s: float) -> str:
        command, _, pictures, outputs, mean, std = words
        assert (command, float(mean), float(std)) == ("predict", 128.0, 64.0)
        np.save(outputs, np.load(pictures)[..., 0])
        return ""

    monkeypatch.setattr(imx500, "installed", lambda _name: None)
    monkeypatch.setattr(imx500, "run_script", answer)
    pictures = np.arange(24, dtype=np.uint8).reshape(2, 2, 2, 3)
    found = imx500.predict(tmp_path / "n.onnx", pictures, mean=128.0, std=64.0)
    np.testing.assert_array_equal(found, pictures[..., 0])


@pytest.mark.parametrize("output", ["ids", "scores"])
def test_the_worker_normalises_and_puts_channels_last(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, output: str
) -> None:
    class Session:
        """Stands for a quantised network whose scores are its input."""

        def __init__(self, network: str, options: str, providers: list[str]) -> None:
            assert (network, options, providers) == ("n.onnx", "theirs", ["CPUExecutionProvider"])

        def get_inputs(self) -> list[Any]:
            return [SimpleNamespace(name="image")]

        def run(self, _wanted: None, given: dict[str, Any]) -> list[Any]:
            image_NCHW = given["image"]
            assert image_NCHW.dtype == np.float32
            return [image_NCHW if output == "scores" else image_NCHW.argmax(1)]

    theirs = SimpleNamespace(get_ort_session_options=lambda: "theirs")
    monkeypatch.setitem(sys.modules, "mct_quantizers", theirs)
    monkeypatch.setitem(sys.modules, "onnxruntime", SimpleNamespace(InferenceSession=Session))
    pictures_NHWC = np.random.default_rng(0).integers(0, 256, (2, 4, 5, 3), np.uint8)
    np.save(tmp_path / "p.npy", pictures_NHWC)
    words = ["n.onnx", str(tmp_path / "p.npy"), str(tmp_path / "o.npy"), "128.0", "64.0"]
    imx500_worker.main(["predict", *words])
    found = np.load(tmp_path / "o.npy")
    if output == "ids":
        assert found.dtype == np.uint8
        np.testing.assert_array_equal(found, pictures_NHWC.argmax(-1))
    else:
        np.testing.assert_array_equal(found, (pictures_NHWC.astype(np.float32) - 128) / 64)


def test_the_worker_refuses_what_it_does_not_know() -> None:
    with pytest.raises(SystemExit, match="not a request"):
        imx500_worker.main(["guess"])
