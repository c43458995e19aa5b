import json
from pathlib import Path
from typing import Any

import pytest

from frugalseg.compress.mixed import BitsPlan, weights_of
from frugalseg.core.errors import ConfigError
from frugalseg.core.inputs import InputSpec
from frugalseg.core.labels import LabelSpace
from frugalseg.export.quantisation import Quantisation
from frugalseg.models.catalog import Architecture
from frugalseg.training.checkpoint import Checkpoint
from frugalseg.workflows.bits import read_bits
from frugalseg.workflows.export import ExportWish, export

SPEC = InputSpec(height=32, width=48)


@pytest.fixture
def kept() -> Checkpoint:
    settings = {"num_classes": 2, "width": 0.25, "depth": 1}
    architecture = Architecture(name="frugalnet", settings=settings)
    return Checkpoint(
        architecture=architecture, input=SPEC, labels=LabelSpace.of(["a", "b"]),
        weights=architecture.build().state_dict(), recipe={}, step=0, elapsed_s=0,
    )  # fmt: skip


@pytest.fixture
def plan(kept: Checkpoint) -> BitsPlan:
    weights = weights_of(kept.network(), SPEC)
    return BitsPlan(
        network="frugalnet", weights=weights, loss=dict.fromkeys(weights, 0.5),
        bits={"classify": 4}, before=2, after=1,
    )  # fmt: skip


def test_bits_are_given_or_read_from_a_plan_or_a_manifest(
    kept: Checkpoint, plan: BitsPlan, tmp_path: Path
) -> None:
    assert read_bits(kept, {"head": 4}) == {"head": 4}
    file = tmp_path / "plan.json"
    for values in (plan.to_dict(), {"settings": {"bits_plan": plan.to_dict()}}):
        file.write_text(json.dumps(values))
        assert read_bits(kept, file) == {"classify": 4}


@pytest.mark.parametrize(
    ("text", "told"),
    [("{", "cannot read"), ("[]", "not a plan"), ('{"settings": {}}', "not a plan")],
)
def test_what_is_no_plan_is_refused(kept: Checkpoint, tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "plan.json").write_text(text)
    with pytest.raises(ConfigError, match=told):
        read_bits(kept, tmp_path / "plan.json")
    with pytest.raises(ConfigError, match="cannot read"):
        read_bits(kept, tmp_path / "none.json")


@pytest.mark.parametrize("how", [{"ranges": "mse"}, {"bits": {"head": 4}}, {"equalise": True}])
def test_a_say_in_int8_where_nothing_is_int8_is_refused(how: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="nothing is int8"):
        ExportWish(formats=("onnx",), how=Quantisation(**how))
    ExportWish(formats=("onnx", "litert_int8"), how=Quantisation(**how))


def test_bits_and_bytes_together_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="not both"):
        export(tmp_path, tmp_path, tmp_path / "out", bits={"head": 4}, bytes=100)
