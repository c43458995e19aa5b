"""A service in this process, with the golden artifact."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
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
