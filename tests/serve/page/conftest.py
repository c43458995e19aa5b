"""The page in a real browser: Chromium without a window, driven by Playwright."""

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest

import frugalseg.serve

PAGE = Path(frugalseg.serve.__file__).parent / "page"
NAMES = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--no-first-run",
    "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream",
]  # fmt: skip
PATIENCE_MS = 60_000  # a machine that does much else at the same time


@pytest.fixture(scope="session")
def page_folder() -> Path:
    """The files of the page, as they ship."""
    return PAGE


@pytest.fixture(scope="module")
def address(golden: Path) -> Iterator[str]:
    """A service with the golden artifact, in a process of its own."""
    with _service(golden) as found:
        yield found


@contextmanager
def _service(*arguments: Path | str) -> Iterator[str]:
    command = [sys.executable, "-m", "frugalseg", "serve", "--port", "0", "--workers", "1"]
    process = subprocess.Popen(
        [*command, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # its log; nobody reads it here, and a full pipe would stop it
        text=True,
    )
    with process:
        assert process.stdout is not None
        yield process.stdout.readline().removeprefix("serving at ").strip() + "/"
        process.terminate()


Service = Callable[..., AbstractContextManager[str]]


@pytest.fixture(scope="session")
def service() -> Service:
    """Start services with arguments of one's own."""
    return _service


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """A browser for the tests of a module; they are skipped where there is none."""
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip("no Chromium here: install it to test the page (apt-get install chromium)")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=ARGUMENTS)
        yield browser
        browser.close()


class Visit:
    """A page that is open, and what it asked for and complained of."""

    def __init__(self, browser: Any, address: str, *, key: str = "", **how: Any) -> None:
        self.context = browser.new_context(**how)
        self.context.set_default_timeout(PATIENCE_MS)
        self.page = self.context.new_page()
        self.asked: list[str] = []
        self.complaints: list[str] = []
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", self._listen)
        self.page.goto(address)
        if key:
            self.page.locator("#key").fill(key)
            self.page.locator("#key-dialog .primary").click()
        self.page.locator("#sample-list li").nth(3).wait_for()

    def _listen(self, message: Any) -> None:
        if message.type == "error":
            self.complaints.append(message.text)

    def drop(self, *files: Path) -> None:
        """Drop files on the page, as from a file manager."""
        contents = [[path.name, list(path.read_bytes())] for path in files]
        self.page.evaluate(
            """(files) => {
                const carried = new DataTransfer();
                for (const [name, bytes] of files) {
                    carried.items.add(new File([Uint8Array.from(bytes)], name));
                }
                const event = { dataTransfer: carried, bubbles: true, cancelable: true };
                document.body.dispatchEvent(new DragEvent("drop", event));
            }""",
            contents,
        )

    def compute(self, place: str) -> None:
        """Choose where pictures are segmented: "server" or "browser"."""
        self.page.locator(f"#place input[value={place}]").check(force=True)

    def wait_for(self, selector: str, text: str = "") -> Any:
        """Wait until there is such an element with such a text."""
        found = self.page.locator(selector, has_text=text).first
        found.wait_for()
        return found

    def shares(self) -> list[str]:
        """Return the shares of the classes as the legend has them."""
        texts: list[str] = self.page.locator("#legend .share").all_inner_texts()
        return texts

    def save(self, what: str, to: Path) -> Path:
        """Press a button for a download."""
        with self.page.expect_download() as waiting:
            self.page.locator(f"[data-do=save-{what}]").click()
        waiting.value.save_as(to)
        return to


Open = Callable[..., Visit]


@pytest.fixture
def visit(chromium: Any) -> Iterator[Open]:
    """Open pages by their address."""
    visits: list[Visit] = []

    def begin(address: str, **how: Any) -> Visit:
        visits.append(Visit(chromium, address, **how))
        return visits[-1]

    yield begin
    for one in visits:
        one.context.close()
