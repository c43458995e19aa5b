import json
import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from frugalseg.core.errors import ConfigError, DataError
from frugalseg.data.coco import cache, instances
from frugalseg.data.coco.cache import open_index
from frugalseg.data.coco.draft import make_index
from frugalseg.data.coco.entries import read_entries
from frugalseg.data.coco.samples import CocoSamples
from frugalseg.data.dataset import Dataset

pytest.importorskip("pycocotools.mask")


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Keep every index, however small its file; gives the files that were read for one."""
    read: list[Path] = []

    def counted(path: Path, kind: Any) -> Any:
        read.append(path)
        return make_index(path, kind)

    monkeypatch.setattr(cache, "KEPT_FROM_BYTES", 0)
    monkeypatch.setattr(cache, "_SAMPLE_BYTES", 16)
    monkeypatch.setattr("frugalseg.data.coco.cache.make_index", counted)
    cache._index.cache_clear()
    return read


def write(root: Path, count: int = 7, category: int = 1) -> Path:
    """Write a data set of some pictures, of which each has one rectangle; gives the JSON."""
    (root / "train2017").mkdir(parents=True, exist_ok=True)
    images, annotations = [], list[Any]()
    for number in range(count):
        name = f"{number:04}.jpg"
        (root / "train2017" / name).touch()
        images.append({"id": 100 - number, "file_name": name, "height": 10, "width": 20})
        box = [0, 0, number + 1, 0, number + 1, 10, 0, 10]
        annotations.insert(
            0, {"image_id": 100 - number, "category_id": category, "segmentation": [box]}
        )
    values = {
        "annotations": annotations,  # before what they refer to
        "images": images,
        "categories": [{"id": 1, "name": "bag"}, {"id": 2, "name": "box"}],
    }
    path = root / "annotations" / "instances_train2017.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(values), encoding="utf-8")
    return path


def widths(dataset: Dataset) -> list[int]:
    samples = dataset.split("train")
    return [int((dataset.rasterise(s, (10, 20))[0] > 0).sum()) for s in samples]


def forget() -> None:
    cache._index.cache_clear()


def test_the_file_is_read_once_and_what_is_kept_draws_the_same(
    tmp_path: Path, made: list[Path]
) -> None:
    write(tmp_path / "set")
    first = widths(instances.read(tmp_path / "set", cache=tmp_path / "cache"))
    forget()
    second = widths(instances.read(tmp_path / "set", cache=tmp_path / "cache"))
    assert first == second == [1, 2, 3, 4, 5, 6, 7]
    assert len(made) == 1


def test_what_is_kept_is_mapped_and_not_read(tmp_path: Path, made: list[Path]) -> None:
    path = write(tmp_path / "set")
    for _ in range(2):
        forget()
        index = open_index(path, "instances", tmp_path / "cache")
        assert isinstance(index.spans, np.memmap)
        assert isinstance(index.images.text, np.memmap)


@pytest.mark.parametrize("what", ["content", "time", "samples", "version"])
def test_what_is_stale_is_made_anew(
    tmp_path: Path, made: list[Path], monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    path = write(tmp_path / "set")
    instances.read(tmp_path / "set", cache=tmp_path / "cache")
    before = path.stat()
    if what == "content":
        write(tmp_path / "set", count=9)
    elif what == "time":
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    elif what == "samples":  # as many bytes, and the old time
        text = path.read_text(encoding="utf-8").replace('"bag"', '"can"')
        path.write_text(text, encoding="utf-8")
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    else:
        monkeypatch.setattr(cache, "_VERSION", 10**6)
    forget()
    dataset = instances.read(tmp_path / "set", cache=tmp_path / "cache")
    assert len(made) == 2
    assert len(dataset.split("train")) == (9 if what == "content" else 7)
    assert dataset.labels.names[1] == ("can" if what == "samples" else "bag")
    assert len(list((tmp_path / "cache").iterdir())) == 1


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder / "spans.npy").unlink(),
        lambda folder: (folder / "spans.npy").write_bytes(b"\x93NUMPY"),
        lambda folder: (folder / "first.npy").write_bytes((folder / "first.npy").read_bytes()[:90]),
        lambda folder: (folder / "header.json").write_text("{"),
        lambda folder: (folder / "header.json").write_text("[]"),
        shutil.rmtree,
    ],
)
def test_what_is_damaged_is_made_anew(tmp_path: Path, made: list[Path], damage: Any) -> None:
    write(tmp_path / "set")
    instances.read(tmp_path / "set", cache=tmp_path / "cache")
    damage(next((tmp_path / "cache").iterdir()))
    forget()
    assert widths(instances.read(tmp_path / "set", cache=tmp_path / "cache")) == list(range(1, 8))
    assert len(made) == 2


def test_a_build_that_is_killed_leaves_nothing_half_done(
    tmp_path: Path, made: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "set")
    saved: list[Path] = []

    def save(path: Path, values: Any) -> None:
        saved.append(path)
        if len(saved) == 4:
            raise KeyboardInterrupt

    monkeypatch.setattr(np, "save", save)
    with pytest.raises(KeyboardInterrupt):
        instances.read(tmp_path / "set", cache=tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path, made: list[Path]) -> None:
    write(tmp_path / "set")
    (tmp_path / "cache").write_text("", encoding="utf-8")
    with pytest.raises(ConfigError, match="cache is a file"):
        instances.read(tmp_path / "set", cache=tmp_path / "cache")
    assert made == []


def test_a_full_disk_is_told(
    tmp_path: Path, made: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, values: Any) -> None:
        raise OSError(28, "No space left on device")

    write(tmp_path / "set")
    monkeypatch.setattr(np, "save", full)
    with pytest.raises(ConfigError, match=r"cannot be written .*No space left"):
        instances.read(tmp_path / "set", cache=tmp_path / "cache")


def test_small_files_leave_the_cache_alone(tmp_path: Path) -> None:
    write(tmp_path / "set")
    assert widths(instances.read(tmp_path / "set", cache=tmp_path / "cache")) == list(range(1, 8))
    assert not (tmp_path / "cache").exists()


def test_another_kind_of_the_same_file_is_kept_apart(tmp_path: Path, made: list[Path]) -> None:
    path = write(tmp_path / "set")
    open_index(path, "instances", tmp_path / "cache")
    with pytest.raises(DataError, match="'segments_info' is a list"):
        open_index(path, "panoptic", tmp_path / "cache")


class TestWorkers:
    def test_paths_alone_are_sent(self, tmp_path: Path) -> None:
        sizes = []
        for count in (3, 300):
            root = tmp_path / str(count)
            write(root, count=3)
            told = json.loads((root / "annotations" / "instances_train2017.json").read_text())
            for number in range(3, count):
                (root / "train2017" / f"{number}.jpg").touch()
                told["images"].append({
                    "id": 1_000 + number, "file_name": f"{number}.jpg", "height": 10, "width": 20
                })  # fmt: skip
            (root / "annotations" / "instances_train2017.json").write_text(json.dumps(told))
            dataset = instances.read(root)
            assert len(dataset.split("train")) == count
            sizes.append(len(pickle.dumps(dataset)))
        assert sizes[1] - sizes[0] < 50

    def test_another_process_draws_the_same(self, tmp_path: Path) -> None:
        write(tmp_path / "set")
        dataset = instances.read(tmp_path / "set")
        code = (
            "import pickle, sys; d = pickle.load(sys.stdin.buffer);"
            "s = d.split('train')[5]; print(s.name, int(d.rasterise(s, (10, 20)).sum()))"
        )
        sent = pickle.dumps(dataset)
        told = subprocess.run([sys.executable, "-c", code], check=True, input=sent, stdout=-1)
        assert told.stdout.split() == [b"0005", b"60"]

    @pytest.mark.parametrize("images", ["fewer", "in another order"])
    def test_a_file_with_other_images_is_noticed(self, tmp_path: Path, images: str) -> None:
        path = write(tmp_path / "set")
        dataset = instances.read(tmp_path / "set")
        sample = dataset.split("train")[5]
        told = json.loads(path.read_text(encoding="utf-8"))
        if images == "fewer":
            write(tmp_path / "set", count=3)
        else:
            told["images"].reverse()
            path.write_text(json.dumps(told) + " ", encoding="utf-8")
        with pytest.raises(DataError, match="has changed since it was opened"):
            dataset.rasterise(sample, (10, 20))

    @pytest.mark.parametrize(
        "change",
        [
            lambda text: " " + text[:-1],  # moved by a byte
            lambda text: text.replace('"image_id": 98', '"image_id": 97'),
            lambda text: text[:40],
        ],
    )
    def test_a_file_that_was_changed_in_secret_is_noticed(
        self, tmp_path: Path, change: Callable[[str], str]
    ) -> None:
        """Its size and its time are as they were, or it changes after they were looked at."""
        path = write(tmp_path / "set")
        dataset = instances.read(tmp_path / "set")
        sample, before = dataset.split("train")[2], path.stat()
        assert dataset.rasterise(sample, (10, 20)).any()
        index = open_index(path, "instances", tmp_path)
        path.write_text(change(path.read_text(encoding="utf-8")), encoding="utf-8")
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        with pytest.raises(DataError, match="has changed since it was opened"):
            list(index.annotations(sample))


class TestSamples:
    def test_they_are_a_sequence(self, tmp_path: Path) -> None:
        path = write(tmp_path / "set")
        samples = instances.read(tmp_path / "set").split("train")
        assert isinstance(samples, CocoSamples)
        assert [s.name for s in samples] == [f"{i:04}" for i in range(7)]
        assert samples[-1] == samples[6] == tuple(samples)[6]
        assert samples[6].label == path
        assert samples[6].item == 6
        assert samples[2:4] == (samples[2], samples[3])
        assert samples[2] in samples
        with pytest.raises(IndexError):
            samples[7]

    def test_some_rows_are_samples_too(self, tmp_path: Path) -> None:
        write(tmp_path / "set")
        every = instances.read(tmp_path / "set").split("train")
        assert isinstance(every, CocoSamples)
        some = every.of_rows([5, 1])
        assert [s.name for s in some] == ["0005", "0001"]
        assert some[-1] == every[1]
        assert len(some) == 2


@pytest.mark.parametrize("piece", [3, 7, 64, 1 << 20])
def test_entries_are_the_same_however_the_file_is_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, piece: int
) -> None:
    monkeypatch.setattr("frugalseg.data.coco.entries._PIECE_BYTES", piece)
    values = {
        "info": {"a": [1, {"b": "}]"}]},
        "none": [],
        "number": 12345,
        "images": [{"name": 'quote " ä 紙 \\', "n": 1.5e3}, 12, "x", None, [[1], []]],
        "annotations": [],
    }
    for indent, ascii_only in ((None, True), (2, False)):
        text = json.dumps(values, indent=indent, ensure_ascii=ascii_only)
        content = b"\xef\xbb\xbf" + text.encode() + b" \n"
        (tmp_path / "a.json").write_bytes(content)
        entries = list(read_entries(tmp_path / "a.json", ("images", "annotations")))
        assert [e.value for e in entries] == values["images"]
        assert [json.loads(content[e.start : e.stop]) for e in entries] == values["images"]
