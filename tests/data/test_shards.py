import contextlib
import errno
import io
import re
import tarfile
from pathlib import Path

import numpy as np
import pytest

from frugalseg.core.errors import ConfigError, DataError
from frugalseg.data.catalog import open_dataset
from frugalseg.data.layouts import shards
from frugalseg.workflows.shard import shard


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FRUGALSEG_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def sharded(tiny_folder: Path, tmp_path: Path) -> Path:
    shard(tiny_folder, tmp_path / "shards", shard_bytes=20_000)
    return tmp_path / "shards"


def test_shards_give_back_what_was_written(tiny_folder: Path, sharded: Path) -> None:
    before, after = open_dataset(tiny_folder), open_dataset(sharded)
    assert after.format == "shards"
    assert after.root == sharded
    assert after.labels == before.labels
    assert len(list(sharded.glob("train-*.tar"))) > 1
    for split in ("train", "val"):
        for one, other in zip(before.split(split), after.split(split), strict=True):
            assert one.name == other.name
            assert all(map(np.array_equal, before.load(one), after.load(other)))


def test_shards_are_unpacked_once_and_anew_when_they_change(sharded: Path, cache: Path) -> None:
    open_dataset(sharded)
    (place,) = (cache / "shards").iterdir()
    began = place.stat().st_mtime_ns
    open_dataset(sharded)
    assert place.stat().st_mtime_ns == began
    (sharded / "shards.json").unlink()
    first = next(sharded.glob("val-*.tar"))
    first.rename(first.with_name("test-000000.tar"))
    assert "test" in open_dataset(sharded).splits
    assert len(list((cache / "shards").iterdir())) == 2


def write(path: Path, files: dict[str, bytes], kind: bytes = tarfile.REGTYPE) -> None:
    with tarfile.open(path, "w") as made:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.type = len(content), kind
            made.addfile(entry, io.BytesIO(content))


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({"a.jpg": b"1"}, r"a: expected a picture and KEY\.mask\.png, got jpg"),
        ({"a.png": b"1", "a.jpg": b"2", "a.bmp": b"3"}, "a: expected a picture"),
        ({"a.mask.png": b"1", "a.txt": b"2"}, "a: expected a picture"),
        ({f"{'x' * 400}.png": b"1"}, r"x\.png' is a name of over 240 bytes"),
    ],
)
def test_what_is_no_pair_is_named(sharded: Path, files: dict[str, bytes], says: str) -> None:
    write(sharded / "train-000077.tar", files)
    with pytest.raises(DataError) as raised:
        open_dataset(sharded)
    (problem,) = raised.value.problems
    assert "train-000077.tar" in problem
    assert re.search(says, problem)


def test_no_name_leaves_the_folder(sharded: Path, cache: Path, tmp_path: Path) -> None:
    picture = (sharded.parent / "tiny" / "images" / "0.png").read_bytes()
    mask = (sharded.parent / "tiny" / "masks" / "0.png").read_bytes()
    files = {"../../../out.png": picture, "../../../out.mask.png": mask}
    write(sharded / "train-000077.tar", files)
    names = [sample.name for sample in open_dataset(sharded).split("train")]
    assert "out" in names
    assert not list(tmp_path.glob("out*"))


def test_a_full_disk_is_not_blamed_on_the_shard(
    sharded: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("shutil.copyfileobj", full)
    with pytest.raises(OSError, match="No space left on device") as raised:
        open_dataset(sharded)
    assert raised.value.errno == errno.ENOSPC
    assert not list((cache / "shards").iterdir())


def test_keys_in_other_folders_are_other_samples(sharded: Path) -> None:
    picture = (sharded.parent / "tiny" / "images" / "0.png").read_bytes()
    mask = (sharded.parent / "tiny" / "masks" / "0.png").read_bytes()
    files = {f"{folder}/1.{end}": content for folder in "ab"
             for end, content in (("png", picture), ("mask.png", mask))}  # fmt: skip
    write(sharded / "train-000077.tar", files)
    names = {sample.name for sample in open_dataset(sharded).split("train")}
    assert {"a__1", "b__1"} <= names
    write(sharded / "train-000077.tar", {"a.png": picture, "a.mask.png": mask, "./a.png": mask})
    with pytest.raises(DataError, match="is there twice"):
        open_dataset(sharded)


def test_shards_of_nothing_are_refused(sharded: Path, cache: Path) -> None:
    for path in (*sharded.glob("*.tar"), sharded / "shards.json"):
        path.unlink()
    write(sharded / "train-000000.tar", {})
    for _ in range(2):
        with pytest.raises(DataError, match=r"no sample in train-000000\.tar"):
            open_dataset(sharded)
    assert not list((cache / "shards").iterdir())


def test_links_and_damaged_files_are_refused_and_nothing_is_left(
    sharded: Path, cache: Path
) -> None:
    write(sharded / "train-000077.tar", {"a.jpg": b""}, kind=tarfile.SYMTYPE)
    (sharded / "val-000077.tar").write_bytes(b"no tar file" * 100)
    with pytest.raises(DataError) as raised:
        open_dataset(sharded)
    assert len(raised.value.problems) == 2
    assert list((cache / "shards").iterdir()) == []


def test_the_same_key_twice_is_refused(sharded: Path) -> None:
    first = next(sharded.glob("train-*.tar"))
    (sharded / "train-000099.tar").write_bytes(first.read_bytes())
    with pytest.raises(DataError, match="in another shard of train too"):
        open_dataset(sharded)


def test_a_place_that_is_taken_is_refused(tiny_folder: Path, sharded: Path) -> None:
    with pytest.raises(ConfigError, match="is not empty"):
        shard(tiny_folder, sharded)
    with pytest.raises(ConfigError, match="1 byte or more"):
        shard(tiny_folder, sharded.parent / "other", shard_bytes=0)


def test_any_mutation_of_a_shard_is_read_or_refused(sharded: Path) -> None:
    (sharded / "shards.json").unlink()
    path = next(sharded.glob("train-*.tar"))
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    for number in range(60):
        content = bytearray(whole)
        for at in rng.integers(0, 4 * 512, 8):
            content[at] = rng.integers(256)
        path.write_bytes(content[: rng.integers(len(content))] if number % 3 == 0 else content)
        with contextlib.suppress(DataError):
            assert shards.read(sharded).split("val")


def test_a_shard_that_is_missing_or_cut_off_is_named(sharded: Path) -> None:
    first, second = sorted(sharded.glob("train-*.tar"))[:2]
    first.unlink()
    second.write_bytes(second.read_bytes()[:-512])
    with pytest.raises(DataError) as raised:
        open_dataset(sharded)
    missing, short = raised.value.problems
    assert f"{first}: missing" in missing
    assert "fetch it again" in short


@pytest.mark.parametrize(
    ("file", "size"), [("train-" + "0" * 999 + ".tar", "1"), ("../a.tar", "1"), ("{}", "1e999")]
)
def test_a_list_of_shards_that_is_none_is_refused(sharded: Path, file: str, size: str) -> None:
    name = file.format("train-000000.tar")
    (sharded / "shards.json").write_text(f'{{"shards": [{{"file": "{name}", "bytes": {size}}}]}}')
    with pytest.raises(DataError, match="not the list of shards"):
        shards.read(sharded)
