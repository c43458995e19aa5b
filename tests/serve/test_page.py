"""The files of the page: what a browser is told of them, and what cannot be reached."""

import gzip
from dataclasses import replace
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from frugalseg.serve.app import create_app
from frugalseg.serve.page import Page
from frugalseg.serve.problems import ProblemError
from frugalseg.serve.service import open_service
from frugalseg.serve.settings import Settings


@pytest.fixture
def page(tmp_path: Path) -> Page:
    folder = tmp_path / "page"
    for name, content in {
        "index.html": b"<!doctype html>",
        "assets/app-Ab12_cd3.js": b"let a",
        "assets/run.wasm.gz": gzip.compress(b"\0asm"),
        "samples/index.json": b"{}",
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    (tmp_path / "secret").write_text("secret", encoding="utf-8")
    return Page.open(folder)


def test_the_page_lets_nothing_in_from_elsewhere(page: Page) -> None:
    answer = page.find("").response("", "")
    assert answer.body == b"<!doctype html>"
    assert answer.headers["content-type"].startswith("text/html")
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe-inline" not in policy
    assert "http" not in policy
    assert answer.headers["Cache-Control"] == "no-cache"


def test_what_has_a_hash_in_its_name_is_kept_for_a_year(page: Page) -> None:
    answer = page.find("assets/app-Ab12_cd3.js").response("", "")
    assert "immutable" in answer.headers["Cache-Control"]
    assert answer.headers["content-type"].startswith("text/javascript")


def test_what_the_browser_has_is_not_sent_again(page: Page) -> None:
    file = page.find("samples/index.json")
    assert file.response("", f'"other", W/{file.etag}').status_code == 304
    assert file.response("", '"other"').status_code == 200


@pytest.mark.parametrize("accepted", ["gzip", ""])
def test_answers_share_the_bytes_of_a_file(page: Page, accepted: str) -> None:
    file = page.find("assets/run.wasm")
    assert file.response(accepted, "").body is file.response(accepted, "").body


def test_what_is_kept_compressed_is_sent_so_to_those_that_can_read_it(page: Page) -> None:
    file = page.find("assets/run.wasm")
    packed = file.response("br, gzip", "")
    assert packed.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed.body) == b"\0asm"
    assert packed.headers["content-type"] == "application/wasm"
    plain = file.response("", "")
    assert "Content-Encoding" not in plain.headers
    assert plain.body == b"\0asm"
    assert plain.headers["Vary"] == "Accept-Encoding"


def test_without_a_page_that_is_told(tmp_path: Path) -> None:
    with pytest.raises(ProblemError, match="no page") as told:
        Page.open(tmp_path / "missing").find("")
    assert told.value.status == 404


def test_the_files_of_the_page_are_served_and_nothing_else(page: Page, golden: Path) -> None:
    service = replace(open_service(Settings(workers=1), [golden]), page=page)
    with TestClient(create_app(service)) as client:
        for path in ("/", "/index.html", "/samples/index.json", "/assets/run.wasm"):
            assert client.get(path).status_code == 200
        for path in ("/assets", "/assets/", "/../secret", "/index.html/", "/assets/run.wasm.gz"):
            assert client.get(path).status_code == 404
        assert client.post("/index.html").status_code == 405


@pytest.mark.parametrize("path", ["/%2e%2e/secret", "/assets/..%2f..%2fsettings.py", "/%00"])
def test_no_address_leads_outside(client: TestClient, path: str) -> None:
    assert client.get(path).status_code == 404
