import json
from pathlib import Path

import pytest

from frugalseg.core.errors import ArtifactError, ConfigError
from frugalseg.workflows.weigh import weigh

KEYS = {"params", "macs", "weight_bytes", "peak_activation_bytes", "peak_at", "uncounted"}


def test_the_report_is_json_with_the_promised_keys() -> None:
    told = json.loads(json.dumps(weigh("enet", classes=11, size="360x480").to_dict()))
    assert told.keys() >= KEYS
    assert told["params"] == 363_791
    assert round(told["macs"] / 1e9, 3) == 1.271
    assert told["weight_bytes"]["fp32"] == 4 * 363_791
    assert told["uncounted"] == {}


def test_a_checkpoint_and_its_file_weigh_the_same(golden: Path, checkpoint: Path) -> None:
    before, after = weigh(checkpoint), weigh(golden / "model.int8.tflite")
    assert before.macs == after.macs
    assert before.peak_activation_bytes == after.peak_activation_bytes
    real = (golden / "model.int8.tflite").stat().st_size
    assert after.file_bytes == real
    # Names of classes inside the file are not in the estimate, and this file is small.
    assert before.file_bytes == pytest.approx(real, rel=0.02)
    assert before.measured == ()
    assert after.measured == ("file_bytes", "weight_bytes")


def test_a_file_of_floats_is_weighed_as_it_is(golden: Path) -> None:
    stored = weigh(golden / "model.int8.tflite").weight_bytes
    assert stored.keys() >= {"int8", "int32"}
    assert "fp32" not in stored


def test_a_checkpoint_can_be_weighed_for_another_size(checkpoint: Path) -> None:
    smaller = weigh(checkpoint, size="24x32")
    assert smaller.params == weigh(checkpoint).params
    assert 3 * smaller.macs < weigh(checkpoint).macs
    with pytest.raises(ConfigError, match="knows its own: leave out --classes"):
        weigh(checkpoint, classes=3)


def test_grey_pictures_are_weighed_too() -> None:
    grey, rgb = (weigh("frugalnet", size="48x64", set={"channels": c}) for c in (1, 3))
    assert grey.params < rgb.params


def test_a_device_adds_the_verdict() -> None:
    report = weigh("enet", device="mcu-2mb")
    assert report.fits is False
    assert report.excess is not None
    assert report.excess["total"] > 0
    assert json.loads(json.dumps(report.to_dict()))["device"] == "mcu-2mb"
    assert weigh("frugalnet", size="48x64", device="mcu-2mb").fits


def test_without_a_device_there_is_no_verdict() -> None:
    assert (
        weigh("frugalnet", size="48x64").to_dict().keys().isdisjoint({"device", "fits", "excess"})
    )


def test_a_wrong_device_is_refused_before_anything_is_weighed() -> None:
    with pytest.raises(ConfigError, match="no device 'mcu-2gb'"):
        weigh("ennet", device="mcu-2gb")


def test_a_folder_named_like_a_network_does_not_hide_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "enet").mkdir()
    monkeypatch.chdir(tmp_path)
    assert weigh("enet", classes=2, size="48x64").params > 0


def test_settings_change_the_network() -> None:
    small, large = (weigh("frugalnet", set={"width": w}, size="48x64") for w in (0.5, 1.0))
    assert small.params < large.params


def test_what_is_neither_a_network_nor_a_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no model 'frugalnt'; did you mean 'frugalnet'"):
        weigh("frugalnt")
    with pytest.raises(ArtifactError, match="cannot read"):
        weigh(tmp_path / "nothing.tflite")
    with pytest.raises(ArtifactError, match="no checkpoint at"):
        weigh(tmp_path)
