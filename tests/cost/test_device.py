import re
from dataclasses import replace
from pathlib import Path

import pytest

from frugalseg.core.budget import Budget, Footprint
from frugalseg.core.errors import ConfigError
from frugalseg.core.inputs import InputSpec
from frugalseg.cost.device import device_names, load_device
from frugalseg.cost.graph import Graph, Op, chain

BELL = """
title = "Door bell"
runtime = "tflite-micro"
memory = "shared"
"""
STORED = BELL.replace("shared", "storage")


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
            "storage": {"storage_bytes", "macs"},
            "separate": {"storage_bytes", "ram_bytes", "macs"},
            "shared": {"total_bytes", "macs"},
        }
        assert limited <= allowed[device.memory]

    def test_a_limit_has_a_source(self, name: str) -> None:
        device = load_device(name)
        generic = name.startswith(("mcu-", "smart-camera"))
        assert device.sources or generic or not any(device.budget.limits().values())


def test_the_first_devices_have_the_limits_that_were_agreed() -> None:
    assert load_device("smart-camera-10mb").budget == Budget(storage_bytes=10_000_000)
    assert load_device("mcu-2mb").budget == Budget(total_bytes=2_000_000)
    assert load_device("mcu-2mb").runtime == "tflite-micro"
    assert load_device("cpu").budget == Budget()


def test_an_unknown_device_is_refused_with_the_list() -> None:
    with pytest.raises(ConfigError, match=r"'mcu-2mb'.*cpu, .*mcu-2mb, .*smart-camera"):
        load_device("mcu-2m")


def test_a_name_is_never_taken_for_a_path() -> None:
    with pytest.raises(ConfigError, match="no device"):
        load_device("../devices/cpu")


def test_a_user_brings_a_device(tmp_path: Path) -> None:
    text = BELL + (
        "margin = 0.1\n[budget]\ntotal_bytes = 1_010_000\n[reserved]\ntotal_bytes = 10_000\n"
        "[input]\ndefault = '96x128'\n"
    )
    device = load_device(write(tmp_path, text))
    assert device.name == "bell"
    assert device.input.default == "96x128"
    assert device.budget == Budget(total_bytes=1_000_000)
    assert device.design_budget == Budget(total_bytes=900_000)


def test_a_device_like_another_keeps_what_it_does_not_say(tmp_path: Path) -> None:
    text = "like = 'mcu-2mb'\ntitle = 'Bell'\n[budget]\ntotal_bytes = 500_000\n"
    device, model = load_device(write(tmp_path, text)), load_device("mcu-2mb")
    assert (device.name, device.title) == ("bell", "Bell")
    assert device.budget == Budget(total_bytes=500_000)
    assert (device.runtime, device.operators, device.margin) == (
        model.runtime, model.operators, model.margin,
    )  # fmt: skip


def graph(kind: str, inputs: int) -> Graph:
    names = [f"in{i}" for i in range(inputs)]
    op = Op(name="head", kind=kind, layer="head", reads=tuple(names), writes=("out",))
    return chain(op, shapes=dict.fromkeys([*names, "out"], (1, 4, 8, 8)))


def test_what_a_device_cannot_run_is_told_before_training() -> None:
    board, size = load_device("mcu-2mb"), InputSpec(height=64, width=64)
    assert board.refusals(graph("concatenation", 10), size) == []
    (told,) = board.refusals(graph("concatenation", 11), size)
    assert told == "takes at most 10 inputs to concatenation, not 11 (in head)"
    assert board.refusals(graph("gelu", 1), size) == ["has no operator gelu (in head)"]


def test_an_operator_that_is_not_among_the_only_ones_is_refused(tmp_path: Path) -> None:
    device = load_device(write(tmp_path, BELL + "[operators]\nonly = ['conv_2d']"))
    size = InputSpec(height=64, width=64)
    assert device.refusals(graph("conv_2d", 1), size) == []
    assert device.refusals(graph("relu", 1), size) == ["has no operator relu (in head)"]


def test_an_input_beyond_the_limits_is_refused() -> None:
    camera = load_device("imx500")
    nothing = graph("relu", 1)
    assert camera.refusals(nothing, InputSpec(height=480, width=640)) == []
    (large,) = camera.refusals(nothing, InputSpec(height=480, width=641))
    assert large == "takes pictures of at most 640x640, not 480x641"
    (small,) = camera.refusals(nothing, InputSpec(height=63, width=64))
    assert small == "takes pictures of at least 64x64, not 63x64"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (BELL + "margins = 0.1", "unknown key 'margins', did you mean 'margin'"),
        (BELL + "[budget]\nstorage_byte = 1", r"unknown key 'budget\.storage_byte', did you mean"),
        (BELL + "[budget]\nstorage_bytes = 1.5", r"budget\.storage_bytes: .* \(got 1\.5\)"),
        (BELL + "[budget]\nstorage_bytes = -1", r"storage_bytes: .* greater than 0"),
        (BELL + "[reserved]\nram_bytes = 1", r"ram_bytes 1, but \[budget\] has no ram_bytes$"),
        (
            BELL + "[budget]\nmacs = 1\nram_bytes = 1_000\n[reserved]\nram_bytes = 1_000",
            "reserved ram_bytes 1,000 leave nothing of 1,000$",
        ),
        (BELL + "[budget]\nram_bytes = 9", r'"shared": \[budget\] needs total_bytes'),
        (
            BELL.replace("shared", "separate") + "[budget]\ntotal_bytes = 9",
            r'"separate", which has no total_bytes to limit in \[budget\]',
        ),
        (
            STORED + "[budget]\nram_bytes = 9",
            r'"storage", which has no ram_bytes to limit in \[budget\], but storage_bytes$',
        ),
        (BELL + "margin = 1", "margin: .* less than 1"),
        (BELL + "margin = 'a'\nnotes = 1", "margin: .*; notes: "),
        (BELL + "[input]\nmost = 'big'", r"input\.most: size 'big' is not HEIGHTxWIDTH"),
        (BELL + "[operators]\nonly = ['conv2d']", "no operator 'conv2d'; did you mean 'conv_2d'"),
        (BELL + "[operators]\nonly = ['conv2d', 'pads']", r"Nor is there 'pads'$"),
        (BELL + "[input]\nleast = '64x96'\nmost = '96x64'", "least 64x96 is above most 96x64"),
        (BELL + "[input]\ndefault = '64x64'\nleast = '96x96'", "least 96x96 is above default"),
        (BELL + "[input]\ndefault = '64x64'\nmost = '32x64'", "default 64x64 is above most"),
        (BELL + "toolchain = 'imx500'", "'imx500' measures nothing of runtime 'tflite-micro'"),
        ("like = 'cpu'\ntoolchain = 'tflm'", "'tflm' measures nothing of runtime 'litert'"),
        (BELL + "[operators]\nonly = ['pad']\nwithout = ['pad']", "give only, or without"),
        (BELL.replace("shared", "share"), "memory: .*'shared'"),
        (BELL.replace("tflite-micro", "tf"), "runtime: .*'tflite-micro'"),
        ("title = 'x'", "runtime: Field required; memory: Field required"),
        ("like = 'mcu-2'\ntitle = 'x'", "did you mean 'mcu-2mb'"),
        ("name = 'x'\n" + BELL, "leave `name` out"),
        ("title", "is not TOML"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=re.compile(message, re.DOTALL)):
        load_device(write(tmp_path, text))


def test_a_limit_on_a_part_may_stand_beside_that_on_the_sum(tmp_path: Path) -> None:
    device = load_device(write(tmp_path, BELL + "[budget]\nram_bytes = 9\ntotal_bytes = 10"))
    assert device.budget == Budget(ram_bytes=9, total_bytes=10)


def test_a_command_line_gets_what_the_user_gave(tmp_path: Path) -> None:
    assert load_device("mcu-2mb").argument == "mcu-2mb"
    path = write(tmp_path, BELL)
    assert load_device(path).argument == str(path)
    spaced = path.rename(tmp_path / "door bell.toml")
    assert load_device(spaced).argument == f"'{spaced}'"


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot read the device file .*none\.toml"):
        load_device(tmp_path / "none.toml")


def test_an_estimate_must_leave_the_margin_free(tmp_path: Path) -> None:
    device = load_device(write(tmp_path, STORED + "margin = 0.1\n[budget]\nstorage_bytes = 1_000"))
    estimate = Footprint(storage_bytes=950, ram_bytes=0, macs=0)
    assert [e.allowed for e in device.check(estimate).excess] == [900]
    assert device.check(replace(estimate, storage_bytes=900))


def test_a_measurement_may_use_the_whole_budget(tmp_path: Path) -> None:
    device = load_device(write(tmp_path, STORED + "margin = 0.1\n[budget]\nstorage_bytes = 1_000"))
    file = frozenset({"storage_bytes"})
    need = Footprint(storage_bytes=1_000, ram_bytes=0, macs=0, measured=file)
    assert device.check(need)
    assert [e.allowed for e in device.check(replace(need, storage_bytes=1_001)).excess] == [1_000]


def test_a_sum_with_an_estimate_in_it_must_leave_the_margin_free(tmp_path: Path) -> None:
    limits = "margin = 0.1\n[budget]\ntotal_bytes = 1_000\nmacs = 100"
    device = load_device(write(tmp_path, BELL + limits))
    file = frozenset({"storage_bytes"})
    need = Footprint(storage_bytes=900, ram_bytes=50, macs=95, measured=file)
    allowed = {e.resource: e.allowed for e in device.check(need).excess}
    assert allowed == {"total": 900, "macs": 90}
    every = frozenset({"storage_bytes", "ram_bytes", "macs"})
    assert device.check(replace(need, measured=every))
