"""Export to a page: from an artifact as it is, from a checkpoint by way of one."""

import shutil
from pathlib import Path

import pytest

from frugalseg.core.errors import ConfigError
from frugalseg.workflows.export_page import export_page, is_checkpoint


def test_an_artifact_becomes_a_page(golden: Path, tmp_path: Path) -> None:
    result = export_page(golden, tmp_path / "site")
    assert result.networks == ("frugalnet 48x64",)
    files = [path for path in result.folder.rglob("*") if path.is_file()]
    assert result.bytes == sum(path.stat().st_size for path in files)


def test_a_checkpoint_is_exported_first(golden: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / "best.safetensors").touch()
    asked: list[Path] = []

    def make(source: Path, folder: Path) -> None:
        asked.append(source)
        shutil.copytree(golden, folder)

    assert is_checkpoint(run)
    export_page(run, tmp_path / "site", make=make)
    assert asked == [run]
    assert (tmp_path / "site" / "static.json").is_file()


def test_a_checkpoint_without_data_is_refused(tmp_path: Path) -> None:
    (tmp_path / "net.safetensors").touch()
    with pytest.raises(ConfigError, match="--data"):
        export_page(tmp_path / "net.safetensors", tmp_path / "site")
    assert not (tmp_path / "site").exists()
