import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi")

Run = Callable[..., Any]


@pytest.fixture(autouse=True)
def _logs_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """In this process the loggers are those of the other tests too."""
    monkeypatch.setattr("frugalseg.serve.logs.log_as_json", lambda: None)


def test_a_key_is_printed_with_its_line(cli: Run) -> None:
    ended = cli("serve", "--make-key", "camera-7")
    assert ended.code == 0
    assert "camera-7 sha256:" in ended.out


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("worker: 2", "did you mean 'workers'"),
        ("limits: {pixel: 3}", "did you mean 'pixels'"),
        ("workers: 0", "greater than or equal to 1"),
        ("limits: {queue: -1}", "limits.queue"),
        ("- a", "expected a mapping"),
        ("workers: [", "line 1"),
    ],
)
def test_wrong_settings_are_told(
    cli: Run, golden: Path, tmp_path: Path, text: str, said: str
) -> None:
    config = tmp_path / "serve.yaml"
    config.write_text(text, encoding="utf-8")
    ended = cli("serve", golden, "--config", config)
    assert ended.code == 2
    assert said in ended.err


def test_options_go_before_the_file_and_are_checked_too(
    cli: Run, golden: Path, tmp_path: Path
) -> None:
    config = tmp_path / "serve.yaml"
    config.write_text("port: 0\nworkers: 1\n", encoding="utf-8")
    ended = cli("serve", golden, "--config", config, "--port", "70000")
    assert ended.code == 2
    assert "port" in ended.err


def test_a_port_that_is_taken_is_told(cli: Run, golden: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ended = cli("serve", golden, "--port", str(taken.getsockname()[1]))
    assert ended.code == 2
    assert "address already in use; choose another" in ended.err


def test_an_artifact_that_was_changed_is_not_served(cli: Run, golden: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(golden, tmp_path / "artifact"))
    (folder / "model.int8.tflite").write_bytes(b"other")
    ended = cli("serve", folder, "--port", "0")
    assert ended.code == 2
    assert "its hash is not the manifest's" in ended.err


def test_without_a_network_of_its_own_an_artifact_must_be_named(
    cli: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("frugalseg.serve.service.NETWORK", tmp_path / "missing")
    ended = cli("serve", "--port", "0")
    assert ended.code == 2
    assert "name an artifact to serve" in ended.err
