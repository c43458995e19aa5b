from importlib.util import find_spec
from pathlib import Path
from typing import Any

import fsspec
import pytest

from frugalseg.core.errors import DataError
from frugalseg.data.catalog import open_dataset


@pytest.fixture
def bucket(tiny_folder: Path) -> str:
    system = fsspec.filesystem("memory")
    system.put(str(tiny_folder), f"/{tiny_folder.parent.name}/tiny", recursive=True)
    return f"memory://{tiny_folder.parent.name}/tiny"


def test_a_data_set_is_fetched_once(bucket: str, tiny_folder: Path, tmp_path: Path) -> None:
    notes: list[str] = []
    found = open_dataset(
        bucket, cache=tmp_path / "c", progress=lambda stage, *_rest, **_kw: notes.append(stage)
    )
    assert found.labels == open_dataset(tiny_folder).labels
    assert notes.count("fetch") == 13
    image = found.split("train")[0].image
    before = image.stat().st_mtime_ns
    assert open_dataset(bucket, cache=tmp_path / "c").split("train")[0].image == image
    assert image.stat().st_mtime_ns == before


def test_what_changed_is_fetched_again_and_what_is_gone_goes(bucket: str, tmp_path: Path) -> None:
    image = open_dataset(bucket, cache=tmp_path / "c").split("train")[0].image
    system = fsspec.filesystem("memory")
    path = f"{bucket.removeprefix('memory:/')}/images/{image.name}"
    whole = system.cat_file(path)
    other = whole[:-1] + b"x"  # of the same size
    system.pipe_file(path, other)
    gone = f"{bucket.removeprefix('memory:/')}/labels.yaml"
    system.rm_file(gone)
    open_dataset(bucket, cache=tmp_path / "c", format="folder")
    assert image.read_bytes() == other
    assert not (image.parents[1] / "labels.yaml").exists()


def test_what_was_fetched_before_it_was_cut_off_is_not_fetched_again(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    system, asked = fsspec.filesystem("memory"), list[str]()
    whole = system.get_file

    def get_file(path: str, target: str) -> None:
        asked.append(path)
        if len(asked) == 8:
            raise ConnectionError("the line is down")
        whole(path, target)

    monkeypatch.setattr(system, "get_file", get_file)
    with pytest.raises(DataError, match=r"cannot be fetched \(the line is down\)"):
        open_dataset(bucket, cache=tmp_path / "c")
    assert len(open_dataset(bucket, cache=tmp_path / "c").split("train")) > 0
    assert len(asked) == len(set(asked)) + 1 == 14


def test_marks_of_folders_are_no_files(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = fsspec.filesystem("memory")
    listed = system.find

    def find(root: str, *, detail: bool) -> dict[str, Any]:
        return {f"{root}/": {"size": 0}, f"{root}/images/": {}, **listed(root, detail=detail)}

    monkeypatch.setattr(system, "find", find)
    assert len(open_dataset(bucket, cache=tmp_path / "c").split("train")) > 0


def test_a_file_address_is_a_folder_here(tiny_folder: Path) -> None:
    assert open_dataset(f"file://{tiny_folder}").root == tiny_folder


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("memory://nothing/here", "no files there"),
        ("ftp://host/waste", "got ftp://"),
        ("https://host/waste.zip", "got https://"),
        ("s3://", "names no bucket"),
        ("gs:///", "names no bucket"),
        ("://", "an address begins with"),
    ],
)
def test_addresses_that_give_nothing_are_refused(address: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=says):
        open_dataset(address, cache=tmp_path)


def test_what_opens_an_address_may_be_missing(tmp_path: Path) -> None:
    if find_spec("s3fs"):
        pytest.skip("s3fs is installed")
    with pytest.raises(DataError, match=r"install 'frugalseg\[s3\]'"):
        open_dataset("s3://bucket/waste", cache=tmp_path)
