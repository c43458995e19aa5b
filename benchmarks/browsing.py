"""A folder of files served on this machine, and open in Chromium without a window."""

import functools
import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, sync_playwright

ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]


class Silent(http.server.SimpleHTTPRequestHandler):
    """A host that says nothing of what it is asked."""

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@contextmanager
def opened(
    folder: Path, chromium: str | None, host: type[Silent] = Silent
) -> Iterator[tuple[Page, str]]:
    """Open `folder/index.html`; the page, and the browser with its version."""
    handler = functools.partial(host, directory=str(folder))
    with (
        http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server,
        sync_playwright() as playwright,
    ):
        threading.Thread(target=server.serve_forever, daemon=True).start()
        browser = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        page = browser.new_page()
        page.goto(f"http://127.0.0.1:{server.server_port}/index.html")
        yield page, f"Chromium {browser.version}"
        server.shutdown()
