import json
import platform

from frugalseg.core.records import Record, this_machine


def test_a_record_is_ready_for_json() -> None:
    record = Record(name="val/miou", value=0.5, kind="measured", on="x", settings={"steps": 3})
    assert json.loads(json.dumps(record.to_dict())) == {
        "name": "val/miou",
        "value": 0.5,
        "kind": "measured",
        "on": "x",
        "settings": {"steps": 3},
    }


def test_a_machine_is_described_but_not_named() -> None:
    assert platform.machine() in this_machine()
    assert platform.node() not in this_machine()
