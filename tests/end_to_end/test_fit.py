"""The main job from one end to the other, twenty steps long."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from frugalseg.cost.device import load_device
from frugalseg.cost.peak import peak
from frugalseg.cost.tflite import read_tflite
from frugalseg.runtime.manifest import Manifest
from frugalseg.runtime.segmenter import Segmenter

SETTINGS = ("length.steps=20", "validations=2", "average=0.8", "batch_size=4")


@pytest.mark.slow
def test_a_folder_and_a_device_become_an_artifact_that_fits(
    tiny_folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    settings = [part for setting in SETTINGS for part in ("--set", setting)]
    # A network of twenty steps is unsure of every pixel; what int8 loses on it says nothing.
    ended = subprocess.run(
        [
            sys.executable, "-W", "error", "-m", "frugalseg", "fit", "--data", str(tiny_folder),
            "--device", "mcu-2mb", "-o", str(out), "--size", "48x64", "--tolerance", "60",
            *settings,
        ],
        capture_output=True, text=True, check=False, env={**os.environ},
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    assert "fits" in ended.stdout
    assert str(out / "artifact") in ended.stdout
    assert "training: " in ended.stderr
    assert {p.name for p in out.iterdir()} == {"artifact", "report.html", "run"}

    page = (out / "report.html").read_text(encoding="utf-8")
    assert "mcu-2mb" in page
    assert "<script src" not in page

    manifest = Manifest.load(out / "artifact")
    assert manifest.device == "mcu-2mb"
    assert manifest.training["step"] <= 20
    file = out / "artifact" / manifest.files[0].path
    total = file.stat().st_size + peak(read_tflite(file)).bytes
    assert total <= (load_device("mcu-2mb").budget.total_bytes or 0)

    result = Segmenter.open(out).segment(tiny_folder / "images" / "0.png")
    assert result.labels_HW.shape == (64, 96)
    assert np.isin(result.labels_HW, range(3)).all()
