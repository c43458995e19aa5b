"""Models on the shelf: versions, what is not loaded, and exchange while requests run."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from frugalseg.core.errors import ArtifactError
from frugalseg.serve import shelf as shelf_module
from frugalseg.serve.shelf import Shelf


@pytest.fixture
def copy(golden: Path, tmp_path: Path) -> Callable[..., Path]:
    """Copies of the golden artifact, with values of their manifests changed."""

    def make(place: str, **changed: Any) -> Path:
        folder = Path(shutil.copytree(golden, tmp_path / place, dirs_exist_ok=True))
        rewrite(folder, **changed)
        return folder

    return make


def rewrite(folder: Path, **changed: Any) -> None:
    path = folder / "manifest.json"
    values = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(values | changed), encoding="utf-8")
    later = path.stat().st_mtime_ns + 1_000_000_000
    os.utime(path, ns=(later, later))  # file systems may keep time coarsely


def loaded(*sources: Path) -> Shelf:
    shelf = Shelf(sources=sources, workers=1, threads=1)
    shelf.load()
    return shelf


Copy = Callable[..., Path]


def names(shelf: Shelf) -> list[str]:
    return [model.name for model in shelf.models]


def test_artifacts_and_folders_of_them_are_served_in_order(copy: Copy, tmp_path: Path) -> None:
    single = copy("one", name="single")
    copy("many/b", name="bee")
    copy("many/a/artifact", name="ant")
    copy("many/.draft-x", name="draft")
    shelf = loaded(single, tmp_path / "many")
    assert names(shelf) == ["single", "bee", "ant"]
    assert shelf.find(None, None) is shelf.models[0]


def test_the_newest_version_is_the_default_one(copy: Copy) -> None:
    old = copy("old", created="2026-01-01T00:00:00+00:00")
    new = copy("new", created="2026-02-01T00:00:00")
    shelf = loaded(old, new)
    assert shelf.find(None, None) is shelf.models[1]
    assert shelf.find("frugalnet 48x64", shelf.models[0].version) is not None
    assert shelf.find("frugalnet 48x64", "0") is None
    assert shelf.find("other", None) is None


@pytest.mark.parametrize(
    "changed",
    [
        {"footprint": {"x": float("nan")}},
        {"name": "a/b"},
        {"name": ""},
        {"created": "yesterday"},
        {"labels": {}},
    ],
)
def test_what_cannot_be_served_is_refused(copy: Copy, changed: dict[str, Any]) -> None:
    with pytest.raises(ArtifactError):
        loaded(copy("bad", **changed))


def test_a_network_whose_hash_is_not_the_manifests_is_refused(copy: Copy) -> None:
    folder = copy("bad")
    with (folder / "model.int8.tflite").open("ab") as stream:
        stream.write(b"more")
    with pytest.raises(ArtifactError, match="hash"):
        loaded(folder)


def test_a_folder_that_changes_while_it_is_read_is_refused(
    copy: Copy, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = copy("one")
    card = shelf_module._card

    def changing(*rest: Any) -> str:
        rewrite(folder, name="other")
        return card(*rest)

    monkeypatch.setattr(shelf_module, "_card", changing)
    with pytest.raises(ArtifactError, match="changes while it is read"):
        loaded(folder)


def test_a_folder_without_artifacts_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="no such folder"):
        loaded(tmp_path / "missing")
    with pytest.raises(ArtifactError, match="nothing in"):
        loaded(tmp_path)


def test_a_changed_folder_is_exchanged_and_others_are_not_touched(copy: Copy) -> None:
    first, second = copy("first", name="first"), copy("second", name="second")
    shelf = loaded(first, second)
    before = shelf.models
    shelf.refresh()
    assert shelf.models == before
    rewrite(first, name="changed")
    shelf.refresh()
    assert names(shelf) == ["changed", "second"]
    assert shelf.models[1] is before[1]
    assert shelf.outcomes == {"loaded": 3, "refused": 0, "dropped": 0}


def test_what_does_not_open_leaves_what_was_there(
    copy: Copy, caplog: pytest.LogCaptureFixture
) -> None:
    folder = copy("one")
    shelf = loaded(folder)
    before = shelf.models
    rewrite(folder, labels={})
    shelf.refresh()
    shelf.refresh()
    assert shelf.models == before
    assert shelf.outcomes["refused"] == 1
    assert "model not loaded" in caplog.text
    rewrite(folder, **json.loads(before[0].manifest_text))
    shelf.refresh()
    assert shelf.models[0] is not before[0]


def test_new_folders_are_added_and_gone_ones_are_dropped_at_the_second_look(
    copy: Copy, tmp_path: Path
) -> None:
    copy("many/a", name="ant")
    shelf = loaded(tmp_path / "many")
    copy("many/b", name="bee")
    shelf.refresh()
    assert names(shelf) == ["ant", "bee"]
    shutil.rmtree(tmp_path / "many" / "a")
    shelf.refresh()
    assert sorted(names(shelf)) == ["ant", "bee"]
    shelf.refresh()
    assert names(shelf) == ["bee"]
    assert shelf.outcomes["dropped"] == 1


def test_an_artifact_that_was_named_stays_when_its_folder_goes(copy: Copy) -> None:
    folder = copy("one")
    shelf = loaded(folder)
    shutil.rmtree(folder)
    for _ in range(3):
        shelf.refresh()
    assert len(shelf.models) == 1
