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
    # Names of classes inside the file are not in the estimate, and this file is small.
    assert before.file_bytes == pytest.approx(real, rel=0.02)


def test_settings_change_the_network() -> None:
    small, large = (weigh("frugalnet", settings={"width": w}, size="48x64") for w in (0.5, 1.0))
    assert small.params < large.params


def test_what_is_neither_a_network_nor_a_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no model 'frugalnt'; did you mean 'frugalnet'"):
        weigh("frugalnt")
    with pytest.raises(ArtifactError, match="cannot read"):
        weigh(tmp_path / "nothing.tflite")
    with pytest.raises(ArtifactError, match="no checkpoint at"):
        weigh(tmp_path)
