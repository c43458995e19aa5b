"""`frugalseg export` where it is more than the workflow: the page, by two names."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]


@pytest.mark.parametrize("flag", ["--to", "--format"])
def test_an_artifact_becomes_a_page_for_any_host(
    cli: Run, golden: Path, tmp_path: Path, flag: str
) -> None:
    ended = cli("export", golden, flag, "web", "-o", tmp_path / "site")
    assert (ended.code, ended.err) == (0, "")
    assert f"page      {tmp_path / 'site'}" in ended.out
    assert (tmp_path / "site" / "index.html").is_file()


@pytest.mark.parametrize("more", [(), ("--to", "web")])
def test_a_checkpoint_needs_data(cli: Run, tmp_path: Path, more: tuple[str, ...]) -> None:
    (tmp_path / "net.safetensors").touch()
    ended = cli("export", tmp_path / "net.safetensors", "-o", tmp_path / "out", *more)
    assert ended.code == 2
    assert "--data" in ended.err
    assert not (tmp_path / "out").exists()
