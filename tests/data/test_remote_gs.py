"""gs:// from a server on this machine: `pip install gcsfs gcp-storage-emulator` to run these."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import fsspec.config
import pytest

from frugalseg.core.errors import DataError
from frugalseg.data.catalog import open_dataset

# Else gcsfs asks over gRPC what kind of bucket it is, which the emulator does not speak.
os.environ["GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT"] = "false"
gcsfs = pytest.importorskip("gcsfs")
emulator = pytest.importorskip("gcp_storage_emulator.server")

pytestmark = pytest.mark.filterwarnings("default")  # both are others' business


@pytest.fixture
def bucket(tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server = emulator.create_server("127.0.0.1", port, in_memory=True, default_bucket="pictures")
    server.start()
    for protocol in ("gs", "gcs"):  # ask no other machine for credentials
        monkeypatch.setitem(fsspec.config.conf, protocol, {"token": "anon"})
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{port}")
    gcsfs.GCSFileSystem.clear_instance_cache()
    system = gcsfs.GCSFileSystem(token="anon")
    system.put(f"{tiny_folder}/", "pictures/sets/tiny/", recursive=True)
    system.pipe_file("pictures/sets/tiny/images/", b"")  # as a console makes a folder
    yield "gs://pictures/sets/tiny"
    gcsfs.GCSFileSystem.clear_instance_cache()
    server.stop()


def test_a_data_set_is_fetched_once(bucket: str, tiny_folder: Path, tmp_path: Path) -> None:
    found = open_dataset(bucket, cache=tmp_path / "c")
    original = open_dataset(tiny_folder)
    for ours, theirs in zip(found.split("train"), original.split("train"), strict=True):
        assert ours.image.read_bytes() == theirs.image.read_bytes()
        assert ours.label.read_bytes() == theirs.label.read_bytes()
    image = found.split("train")[0].image
    written_ns = image.stat().st_mtime_ns
    open_dataset(bucket, cache=tmp_path / "c")
    assert image.stat().st_mtime_ns == written_ns


def test_a_bucket_that_is_not_there_is_one_line(
    bucket: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for address in (bucket.replace("pictures", "photos"), f"{bucket}-2"):
        with pytest.raises(DataError, match=r"no such bucket or folder|no files there"):
            open_dataset(address, cache=tmp_path / "c")
    assert not caplog.records
