"""Sony's converter for the IMX500: what a quantised network needs there, and its packerOut.zip.

Only its documented command line is called; what it says is read from its report and its log.
"""

import json
import logging
import re
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from frugalseg.core.errors import RefusedError, ToolchainError
from frugalseg.core.files import cache_folder, sha256, write_text
from frugalseg.toolchain.environment import installed, versions
from frugalseg.toolchain.environment import run as run_script
from frugalseg.toolchain.process import ending, last_lines

NAME = "imx500"
CONVERTER = "imx500-converter"
WORKER = Path(__file__).with_name("imx500_worker.py")
PACKAGE = "packerOut.zip"
CONVERT_TIMEOUT_S = 3600.0  # minutes, for a large network on a busy machine
PREDICT_TIMEOUT_S = 7200.0
CAPACITY_BYTES = 8_388_480
DIGEST = 8  # characters

UNITS = {"": 1, "B": 1, "KB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30}
SIZE = re.compile(r"(\d+(?:[.,]\d+)?)\s*([KMG]?B)?", re.IGNORECASE)
A_SIZE = r"([\d.,]*\d\s*[KMG]?B)"
SHORT = re.compile(
    rf"Not enough memory[,:]?\s*available:\s*{A_SIZE}\s*,?\s*required:\s*{A_SIZE}", re.IGNORECASE
)
TILES = re.compile(r"Tiling Advisor", re.IGNORECASE)
ERROR = re.compile(r"\bERROR\s*:\s*(?:CODE:\s*)?((?:\[[^\]]*\]\s*)*)(.*)")
NODE = re.compile(r"\bop: (\w+), id: ([^,\s]+)")
REASON = re.compile(r"(?:\bparam: (.+?), value: (.+?), )?\breason: (.+)")
PLACE = re.compile(r"\s*\[[^\[\]]*\.py:\d+\]$")

UNSUPPORTED, OUTSIDE = 2, 3

log = logging.getLogger("frugalseg")


@dataclass(frozen=True, slots=True, kw_only=True)
class ConverterReport:
    """What the converter found, in bytes. Its figures; nothing of it is estimated by us.

    `tiled` if it did not fit layer by layer and the converter looked for tiles. Where nothing
    fits, the converter may tell only what it would need in all: then `model_bytes` is 0 and
    `runtime_bytes` holds the sum.
    """

    runtime_bytes: int
    model_bytes: int
    reserved_bytes: int
    available_bytes: int
    fits: bool
    tiled: bool
    version: str

    @property
    def total_bytes(self) -> int:
        """What is compared with `available_bytes`."""
        return self.runtime_bytes + self.model_bytes + self.reserved_bytes

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return asdict(self) | {"total_bytes": self.total_bytes}


def convert(
    network: Path, folder: Path, *, timeout_s: float = CONVERT_TIMEOUT_S
) -> ConverterReport:
    """Convert a quantised .onnx in full, and copy what the converter wrote into `folder`.

    A network that does not fit is no error: its report says so, and there is no packerOut.zip.
    Raises ToolchainError where the converter is missing or hangs; RefusedError where it crashes or
    refuses an operator, which is named. What the converter said is then kept in the cache.
    """
    with tempfile.TemporaryDirectory(prefix="frugalseg-") as name:
        place = Path(name)
        words = ["convert", str(network.absolute()), name]
        toolchain = installed(NAME)
        run_script(toolchain, WORKER, words, timeout_s=timeout_s)
        version = versions(toolchain.folder).get(CONVERTER, "unknown")
        said = (place / "log.txt").read_text(encoding="utf-8", errors="replace")
        code = int((place / "code.txt").read_text(encoding="utf-8"))
        file = place / "out" / f"{network.stem}_MemoryReport.json"
        try:
            report = judge(said, code, file, version)
        except ToolchainError as wrong:
            kept = cache_folder() / "logs" / f"{NAME}_{sha256(network)[:DIGEST]}.txt"
            write_text(kept, said)
            raise type(wrong)(f"{wrong}\nThe whole log of the converter: {kept}") from wrong
        if report.fits and not (place / "out" / PACKAGE).is_file():
            raise ToolchainError(
                f"the converter says that {network.name} fits, but wrote no {PACKAGE}"
                + last_lines(said)
            )
        if (place / "out").is_dir():
            shutil.copytree(place / "out", folder, dirs_exist_ok=True)
    return report


def predict(
    network: Path, pictures_NHWC: NDArray[np.uint8], *, mean: float, std: float
) -> NDArray[Any]:
    """Run a quantised .onnx on pictures of its size; returns ids (N, h, w) or scores (N, h, w, C).

    It computes as the sensor does: the input is rounded as there. Raises ToolchainError where the
    toolchain is missing or does not run the file.
    """
    with tempfile.TemporaryDirectory(prefix="frugalseg-") as name:
        pictures, outputs = Path(name) / "pictures.npy", Path(name) / "outputs.npy"
        np.save(pictures, pictures_NHWC)
        words = ["predict", str(network.absolute()), str(pictures), str(outputs)]
        run_script(
            installed(NAME), WORKER, [*words, repr(mean), repr(std)], timeout_s=PREDICT_TIMEOUT_S
        )
        found: NDArray[Any] = np.load(outputs, allow_pickle=False)
    return found


def judge(said: str, code: int, file: Path, version: str) -> ConverterReport:
    """Make a report of the converter's log, exit code and report file.

    Raises RefusedError where the network was refused, ToolchainError where nothing can be made
    of what it says.
    """
    short = SHORT.findall(said)
    tiled = bool(TILES.search(said))
    if file.is_file():
        report = read_report(file, version=version, tiled=tiled)
        if code == 0 or not report.fits:
            return report
    if short:
        available, required = map(size_in_bytes, short[-1])
        return ConverterReport(
            runtime_bytes=required, model_bytes=0, reserved_bytes=0, available_bytes=available,
            fits=False, tiled=tiled, version=version,
        )  # fmt: skip
    if code == 0:
        raise ToolchainError(f"the converter ended well but wrote no {file.name}{last_lines(said)}")
    raise RefusedError(_refusal(said, code))


def _refusal(said: str, code: int) -> str:
    problems = errors_in(said)
    told = "; ".join(problems[:3]) or "it does not say which"
    match code:
        case c if c == UNSUPPORTED:
            return f"the converter lacks an operator of this network: {told}"
        case c if c == OUTSIDE:
            return f"an operator of this network is outside the converter's limits: {told}"
        case _:
            more = f", having said: {told}" if problems else last_lines(said)
            return f"the converter cannot convert this network: it {ending(code)}{more}"


def errors_in(said: str) -> list[str]:
    """Return what the converter's log calls an error, each once, in its order.

    >>> errors_in("ERROR: CODE: [CBE] [BeLogger:198] Dilation_rate_H=8 is larger than H=4\\n"
    ...           "ERROR: CODE: [CBE] [BeLogger:176] [ConverterBE:318]")
    ['Dilation_rate_H=8 is larger than H=4']
    """
    texts, node = [], ""
    for line in said.splitlines():
        if names := NODE.findall(line):
            node = " ".join(names[-1])
        elif found := REASON.search(line):
            param = f"{found[1]} {found[2]}: " if found[1] else ""
            texts.append(f"{node}: {param}{PLACE.sub('', found[3])}")
        elif found := ERROR.search(line):
            texts.append(PLACE.sub("", found[2]).strip())
    return list(dict.fromkeys(text for text in texts if text and not text.endswith("are:")))


def read_report(file: Path, *, version: str, tiled: bool) -> ConverterReport:
    """Read a memory report; raises ToolchainError, with what was found, where it is another one."""
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as wrong:
        raise ToolchainError(f"the converter's report cannot be read: {wrong}") from wrong
    report = values.get("Memory Report", values) if isinstance(values, dict) else {}
    runtime, model = (
        _size(report, f"{part} Memory Physical Size") for part in ("Runtime", "Model")
    )
    if runtime is None or model is None or not isinstance(report.get("Fit In Chip"), bool):
        raise ToolchainError(
            f"the converter's report {file.name} is not as expected: run-time and model memory and"
            f" whether it fits, got {', '.join(map(str, report)) or values!r}; version {version}"
        )
    usage = _size(report, "Memory Usage")
    reserved = _size(report, "Reserved Memory")
    if reserved is None:
        reserved = 0 if usage is None else max(0, usage - runtime - model)
    return ConverterReport(
        runtime_bytes=runtime, model_bytes=model, reserved_bytes=reserved,
        available_bytes=_size(report, "Total Memory Available On Chip") or CAPACITY_BYTES,
        fits=report["Fit In Chip"], tiled=tiled, version=version,
    )  # fmt: skip


def _size(report: Mapping[str, Any], key: str) -> int | None:
    try:
        return size_in_bytes(str(report[key]))
    except (KeyError, ToolchainError):
        return None


def size_in_bytes(text: str) -> int:
    """Read a size as the converter writes it, with any unit and either decimal mark.

    >>> size_in_bytes("8388480B"), size_in_bytes("7,06MB"), size_in_bytes("22.5 KB")
    (8388480, 7402947, 23040)
    """
    found = SIZE.fullmatch(text.strip())
    if found is None:
        raise ToolchainError(f"expected a size such as 7.06MB, got {text!r}")
    return round(float(found[1].replace(",", ".")) * UNITS[(found[2] or "").upper()])
