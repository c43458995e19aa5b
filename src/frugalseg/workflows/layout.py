"""Lays an exported int8 file out for a device: what it gives, and how it is executed."""

import logging
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from frugalseg.cost.device import Device
from frugalseg.export.ids import with_ids
from frugalseg.export.patches import PatchReport, patch
from frugalseg.runtime.manifest import Output
from frugalseg.workflows.weigh import weigh_file

OUTPUTS: Mapping[str, Output] = {"scores": "scores", "ids": "ids"}
# A divided file has more operators: bytes by which it may grow, at most, until it is weighed.
GROWTH = (0, 16_000, 48_000)

log = logging.getLogger("frugalseg")


def lay_out(path: Path, device: Device | None, output: Output) -> dict[str, Any] | None:
    """Rewrite a .tflite file in place; return what was done, for the manifest.

    With "ids" it gives class ids at the size of the picture. For a device with TensorFlow Lite
    Micro whose memory the file does not fit, parts of it are computed in bands (`export.patches`);
    if that does not help enough it is left in the bands that need least, for the caller to weigh.
    """
    if output == "ids":
        with_ids(path)
    if device is None or device.runtime != "tflite-micro":
        return None
    report = _patched(path, device)
    if report is None:
        return None
    log.info(
        "%s runs in bands: %s bytes of memory instead of %s, for %.1f %% more multiplications",
        path.name, f"{report.arena_bytes:,}", f"{report.arena_bytes_before:,}",
        100 * report.more_macs,
    )  # fmt: skip
    return {"patches": asdict(report)}


def _patched(path: Path, device: Device) -> PatchReport | None:
    """Try the bands that cost least first; None where the file fits as it is, or none help."""
    if weigh_file(path, device).fits:
        return None
    report: PatchReport | None = None
    with tempfile.TemporaryDirectory() as folder:
        whole = Path(folder) / path.name
        shutil.copy(path, whole)
        rooms = [device.room(path.stat().st_size + growth) for growth in GROWTH]
        for ram_bytes in (*rooms, None):
            shutil.copy(whole, path)
            report = patch(path, ram_bytes=ram_bytes)
            if weigh_file(path, device).fits:
                break
    return report if report is not None and not report.reason else None
