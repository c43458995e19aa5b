"""The files of the page: whole, of known origin, and in need of nobody else."""

import gzip
import hashlib
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from PIL import Image

from frugalseg.serve.page import CONTENT_SECURITY_POLICY

MOST_SAMPLE_BYTES = 60_000
MOST_BYTES = 7_000_000
NOT_KEPT = ("sw.js", "assets/engine/LICENSE.txt", "assets/engine/NOTICE.txt")


def names(folder: Path) -> set[str]:
    """The addresses of all files of the page."""
    found = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix().removesuffix(".gz") for path in found}


def test_what_is_kept_for_offline_use_is_all_that_there_is(page_folder: Path) -> None:
    text = (page_folder / "sw.js").read_text(encoding="utf-8")
    listed = re.search(r"const KEPT = \[(.*?)\];", text, re.DOTALL)
    assert listed is not None
    kept = set(re.findall(r'"([^"]+)"', listed[1]))
    samples = {name for name in names(page_folder) if name.endswith(".jpg")}  # by their index
    chosen = (page_folder / "assets" / "build.js").read_text(encoding="utf-8")
    builds = {
        f"assets/{build}{end}"  # of which a browser keeps the one that it runs
        for build in re.findall(r'"(engine/\w+)"', chosen)
        for end in (".js", ".wasm")
    }
    assert "`assets/${ENGINE}${end}`" in text
    assert (kept - {"./"}) | builds == names(page_folder) - samples - set(NOT_KEPT)


def test_the_engine_is_the_one_that_its_notice_names(page_folder: Path) -> None:
    engine = page_folder / "assets" / "engine"
    notice = (engine / "NOTICE.txt").read_text(encoding="utf-8")
    told = dict(re.findall(r"(\S+\.(?:js|wasm))\s+sha256 ([0-9a-f]{64})", notice))
    held = {
        path.stem: hashlib.sha256(gzip.decompress(path.read_bytes())).hexdigest()
        for path in engine.glob("*.gz")
    }
    assert held == told


def test_the_page_needs_nothing_from_elsewhere_and_nothing_inline(page_folder: Path) -> None:
    index = (page_folder / "index.html").read_text(encoding="utf-8")
    assert re.findall(r"""(?:src|href)=["'](?:\w+:)?//""", index) == []
    assert re.findall(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)", index) == []
    absolute = re.findall(r"""(?:src|href|content)=["']/""", index)
    assert absolute == []  # it works below a prefix


def test_the_page_allows_itself_no_more_than_the_service_does(page_folder: Path) -> None:
    index = (page_folder / "index.html").read_text(encoding="utf-8")
    meta = re.search(r'http-equiv="Content-Security-Policy" content="([^"]+)"', index)
    assert meta is not None
    own, served = _policy(meta[1]), _policy(CONTENT_SECURITY_POLICY)
    assert own["default-src"] == served["default-src"] == {"'none'"}
    assert [name for name, sources in own.items() if sources - served[name]] == []


def _policy(text: str) -> dict[str, set[str]]:
    entries = (entry.split() for entry in text.split(";"))
    return {name: set(sources) for name, *sources in entries}


def test_samples_are_small_pictures_that_are_all_listed(page_folder: Path) -> None:
    folder = page_folder / "samples"
    listed = json.loads((folder / "index.json").read_text(encoding="utf-8"))["samples"]
    assert sorted(entry["file"] for entry in listed) == sorted(p.name for p in folder.glob("*.jpg"))
    for entry in listed:
        assert (folder / entry["file"]).stat().st_size <= MOST_SAMPLE_BYTES
        with Image.open(folder / entry["file"]) as picture:
            assert max(picture.size) <= 640


def test_the_page_is_not_much_to_install(page_folder: Path) -> None:
    files = [path for path in page_folder.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= MOST_BYTES


def test_types_agree() -> None:
    tsc = shutil.which("tsc")
    if tsc is None:
        pytest.skip("no tsc here: npm install -g typescript")
    done = subprocess.run(
        [tsc, "--project", str(Path(__file__).with_name("tsconfig.json"))],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout == ""
    assert done.returncode == 0
