"""A service in this process, or in one of its own, with the golden artifact."""

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml
from starlette.testclient import TestClient

from frugalseg.core.parse import parse
from frugalseg.serve.app import create_app
from frugalseg.serve.service import open_service
from frugalseg.serve.settings import Settings

Start = Callable[..., TestClient]


@pytest.fixture
def start(golden: Path) -> Iterator[Start]:
    """Start a service: artifacts, then settings by name."""
    with ExitStack() as running:

        def begin(*artifacts: Path, **settings: Any) -> TestClient:
            chosen = parse(Settings, {"workers": 1, **settings}, "settings")
            app = create_app(open_service(chosen, artifacts or [golden]))
            client = TestClient(app, raise_server_exceptions=False)
            return running.enter_context(client)

        yield begin


@pytest.fixture(scope="module")
def client(golden: Path) -> Iterator[TestClient]:
    """A service for all tests of a module, with the settings as they come."""
    app = create_app(open_service(Settings(workers=1), [golden]))
    with TestClient(app, raise_server_exceptions=False) as running:
        yield running


@pytest.fixture(scope="session")
def body(picture: Path) -> bytes:
    """An encoded picture."""
    return picture.read_bytes()


class Running:
    """A service in a process of its own: its address, its log, its end."""

    def __init__(self, arguments: list[str], log: Path) -> None:
        self.log = log
        command = [sys.executable, "-m", "frugalseg", "serve", "--port", "0", *arguments]
        with log.open("wb") as stream:  # a pipe that nobody reads would fill
            self.process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=stream, text=True
            )
        assert self.process.stdout is not None
        told = self.process.stdout.readline()
        self.address = told.removeprefix("serving at ").strip()
        self.host, _, port = self.address.removeprefix("http://").partition(":")
        self.port = int(port)

    def connect(self) -> socket.socket:
        """Open a connection."""
        return socket.create_connection((self.host, self.port), timeout=20)

    def end(self) -> tuple[int, list[dict[str, Any]]]:
        """Ask it to end; return the exit code and the events of its log."""
        self.process.send_signal(signal.SIGTERM)
        self.process.communicate(timeout=60)
        lines = self.log.read_text(encoding="utf-8").splitlines()
        return self.process.returncode, [json.loads(line) for line in lines]


Serve = Callable[..., Running]


@pytest.fixture(scope="module")
def serve(golden: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    """Start services as a user does: artifacts, then settings by name."""
    running: list[Running] = []

    def begin(*artifacts: Path, **settings: Any) -> Running:
        folder = tmp_path_factory.mktemp("serve")
        config = folder / "serve.yaml"
        config.write_text(yaml.safe_dump({"workers": 1, **settings}), encoding="utf-8")
        paths = [str(path) for path in artifacts or (golden,)]
        running.append(Running([*paths, "--config", str(config)], folder / "log"))
        return running[-1]

    yield begin
    for one in running:
        if one.process.poll() is None:
            one.process.kill()
            one.process.communicate()
