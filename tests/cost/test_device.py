import re
from dataclasses import replace
from pathlib import Path

import pytest

from frugalseg.core.budget import Budget, Footprint
from frugalseg.core.errors import ConfigError
from frugalseg.core.inputs import InputSpec
from frugalseg.cost.device import device_names, load_device

BELL = """
title = "Door bell"
runtime = "tflite-micro"
memory = "shared"
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "bell.toml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("name", device_names())
class TestEveryDevice:
    def test_it_loads_and_explains_itself(self, name: str) -> None:
        device = load_device(name)
        assert device.name == name
        assert device.title
        assert device.notes

    def test_what_is_limited_fits_its_memory_model(self, name: str) -> None:
        device = load_device(name)
        limited = {key for key, limit in device.budget.limits().items() if limit is not None}
        allowed = {
            "file": {"file_bytes", "macs"},
            "separate": {"file_bytes", "peak_activation_bytes", "macs"},
            "shared": {"total_bytes", "macs"},
        }
        assert limited <= allowed[device.memory]


def test_the_first_devices_have_the_limits_that_were_agreed() -> None:
    assert load_device("smart-camera-10mb").budget == Budget(file_bytes=10_000_000)
    assert load_device("mcu-2mb").budget == Budget(total_bytes=2_000_000)
    assert load_device("mcu-2mb").runtime == "tflite-micro"
    assert load_device("cpu").budget == Budget()


def test_an_unknown_device_is_refused_with_the_list() -> None:
    with pytest.raises(ConfigError, match=r"'mcu-2mb'.*cpu, mcu-2mb, mcu-512k, smart-camera"):
        load_device("mcu-2m")


def test_a_name_is_never_taken_for_a_path() -> None:
    with pytest.raises(ConfigError, match="no device"):
        load_device("../devices/cpu")


def test_a_user_brings_a_device(tmp_path: Path) -> None:
    text = BELL + "default_input = '96x128'\nmargin = 0.1\n[budget]\ntotal_bytes = 1_000_000\n"
    device = load_device(write(tmp_path, text))
    assert device.name == "bell"
    assert device.default_input == InputSpec(height=96, width=128)
    assert device.target == Budget(total_bytes=900_000)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (BELL + "margins = 0.1", "no key in .* 'margins'; did you mean 'margin'"),
        (BELL + "[budget]\nfile_byte = 1", "no limit in .* 'file_byte'; did you mean"),
        (BELL + "[budget]\nfile_bytes = 1.5", "file_bytes must be a whole number, got 1.5"),
        (BELL + "[budget]\nfile_bytes = -1", "file_bytes must be positive"),
        (BELL + "margin = 1", "0 to under 1; got 1"),
        (BELL + "margin = 'a'\nnotes = 1", "margin must be a number.*|notes must be text"),
        (BELL.replace("shared", "share"), "no memory 'share'; did you mean 'shared'"),
        (BELL.replace("tflite-micro", "tf"), "no runtime 'tf'"),
        ("title = 'x'", "lacks 'runtime'"),
        ("title", "is not TOML"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=re.compile(message, re.DOTALL)):
        load_device(write(tmp_path, text))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot read the device file .*none\.toml"):
        load_device(tmp_path / "none.toml")


def test_an_estimate_must_leave_the_margin_free(tmp_path: Path) -> None:
    device = load_device(write(tmp_path, BELL + "margin = 0.1\n[budget]\nfile_bytes = 1_000"))
    estimate = Footprint(file_bytes=950, peak_activation_bytes=0, macs=0)
    assert [e.allowed for e in device.check(estimate).excess] == [900]
    assert device.check(replace(estimate, file_bytes=900))


def test_a_measurement_may_use_the_whole_budget(tmp_path: Path) -> None:
    device = load_device(write(tmp_path, BELL + "margin = 0.1\n[budget]\nfile_bytes = 1_000"))
    file = frozenset({"file_bytes"})
    need = Footprint(file_bytes=1_000, peak_activation_bytes=0, macs=0, measured=file)
    assert device.check(need)
    assert [e.allowed for e in device.check(replace(need, file_bytes=1_001)).excess] == [1_000]


def test_a_sum_with_an_estimate_in_it_must_leave_the_margin_free(tmp_path: Path) -> None:
    limits = "margin = 0.1\n[budget]\ntotal_bytes = 1_000\nmacs = 100"
    device = load_device(write(tmp_path, BELL + limits))
    file = frozenset({"file_bytes"})
    need = Footprint(file_bytes=900, peak_activation_bytes=50, macs=95, measured=file)
    allowed = {e.resource: e.allowed for e in device.check(need).excess}
    assert allowed == {"total": 900, "macs": 90}
    every = frozenset({"file_bytes", "peak_activation_bytes", "macs"})
    assert device.check(replace(need, measured=every))
