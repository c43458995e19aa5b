"""What is told of the models, and the exchange of one while requests run."""

import hashlib
import json
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path

from starlette.testclient import TestClient

Start = Callable[..., TestClient]

ONE = "/v1/models/frugalnet 48x64"


def test_a_model_is_described(client: TestClient, golden: Path) -> None:
    [model] = client.get("/v1/models").json()["models"]
    content = (golden / "model.int8.tflite").read_bytes()
    assert model["default"] is True
    assert model["sha256"] == hashlib.sha256(content).hexdigest()
    assert model["version"] == model["sha256"][:12]
    assert model["bytes"] == len(content)
    assert model["input"] == {"height": 48, "width": 64, "channels": 3}
    assert model["labels"][1] == {"id": 1, "name": "paper", "color": "#deb862"}
    assert 0 < model["scores"]["miou"] < 1
    for path in (ONE, f"{ONE}/versions/{model['version']}"):
        assert client.get(path).json() == model
    for link in model["links"].values():
        assert client.get("/" + link).status_code == 200


def test_card_manifest_and_file_are_those_of_the_artifact(client: TestClient, golden: Path) -> None:
    card = client.get(f"{ONE}/card")
    assert card.headers["content-type"].startswith("text/markdown")
    assert card.text == (golden / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert client.get(f"{ONE}/manifest").content == (golden / "manifest.json").read_bytes()
    file = client.get(f"{ONE}/file")
    assert file.content == (golden / "model.int8.tflite").read_bytes()
    assert file.headers["ETag"] == f'"{hashlib.sha256(file.content).hexdigest()}"'
    again = client.get(f"{ONE}/file", headers={"If-None-Match": file.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_a_folder_that_changes_is_exchanged_without_dropping_a_request(
    start: Start, golden: Path, tmp_path: Path, body: bytes
) -> None:
    served, other = tmp_path / "served", tmp_path / "other"
    shutil.copytree(golden, served)
    shutil.copytree(golden, other)
    manifest = json.loads((other / "manifest.json").read_text(encoding="utf-8"))
    (other / "manifest.json").write_text(json.dumps({**manifest, "name": "second"}))
    client = start(served, reload_s=0.05)
    statuses, stop = [], threading.Event()

    def ask() -> None:
        while not stop.is_set():
            statuses.append(client.post("/v1/segment", content=body).status_code)

    asking = threading.Thread(target=ask)
    asking.start()
    served.rename(tmp_path / "aside")
    other.rename(served)
    ends = time.monotonic() + 20
    while client.post("/v1/segment", content=body).headers["X-Model"] != "second":
        assert time.monotonic() < ends
    stop.set()
    asking.join()
    assert set(statuses) == {200}
