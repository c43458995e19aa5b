import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from frugalseg.core.errors import ArtifactError
from frugalseg.runtime.manifest import Manifest

Change = Callable[[Callable[[dict[str, Any]], None]], None]


def test_a_manifest_survives_being_saved_and_read(golden: Path, tmp_path: Path) -> None:
    manifest = Manifest.load(golden)
    manifest.save(tmp_path)
    assert Manifest.load(tmp_path) == manifest


def test_it_gives_the_classes_and_the_input(golden: Path) -> None:
    manifest = Manifest.load(golden)
    assert manifest.label_space.names[1:] == ("paper", "bottle", "aluminum", "nylon")
    assert manifest.input_spec.size == (48, 64)


def test_an_unknown_key_is_refused(artifact: Path, change: Change) -> None:
    change(lambda values: values.update(colour="blue"))
    with pytest.raises(ArtifactError, match="colour"):
        Manifest.load(artifact)


def test_another_version_is_refused(artifact: Path, change: Change) -> None:
    change(lambda values: values.update(version=2))
    with pytest.raises(ArtifactError, match="version"):
        Manifest.load(artifact)


@pytest.mark.parametrize("path", ["../model.tflite", "a/b.tflite", "/etc/passwd", "..", ""])
def test_a_file_outside_the_folder_is_refused(artifact: Path, change: Change, path: str) -> None:
    change(lambda values: values["files"][0].update(path=path))
    with pytest.raises(ArtifactError, match="directly in the artifact's folder"):
        Manifest.load(artifact)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda values: values["labels"].pop("names"),
        lambda values: values["input"].update(height="tall"),
        lambda values: values.update(files=[]),
    ],
)
def test_values_that_mean_nothing_are_refused(
    artifact: Path, change: Change, spoil: Callable[[dict[str, Any]], None]
) -> None:
    change(spoil)
    with pytest.raises(ArtifactError, match=r"manifest\.json cannot be read"):
        Manifest.load(artifact)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b"[" * 200_000])
def test_what_is_not_json_is_refused(artifact: Path, content: bytes) -> None:
    (artifact / "manifest.json").write_bytes(content)
    with pytest.raises(ArtifactError, match="cannot be read"):
        Manifest.load(artifact)


def test_a_manifest_far_too_large_is_not_read(artifact: Path) -> None:
    path = artifact / "manifest.json"
    path.write_bytes(path.read_bytes() + b" " * 1_000_000)
    with pytest.raises(ArtifactError, match=r"has 1,0\d\d,\d\d\d bytes; .* 1,000,000"):
        Manifest.load(artifact)


def test_a_folder_without_manifest_is_no_artifact(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"is not an artifact: it has no manifest\.json"):
        Manifest.load(tmp_path)


def test_a_changed_file_is_refused(artifact: Path) -> None:
    manifest = Manifest.load(artifact)
    with (artifact / manifest.files[0].path).open("ab") as stream:
        stream.write(b"x")
    with pytest.raises(ArtifactError, match="its hash is not the manifest's"):
        manifest.checked(artifact, manifest.files[0])


def test_a_missing_file_is_told(artifact: Path) -> None:
    manifest = Manifest.load(artifact)
    (artifact / manifest.files[0].path).unlink()
    with pytest.raises(ArtifactError, match="incomplete"):
        manifest.checked(artifact, manifest.files[0])


def test_the_file_is_plain_json_with_the_hash_of_each_file(golden: Path) -> None:
    values = json.loads((golden / "manifest.json").read_text(encoding="utf-8"))
    assert [file["path"] for file in values["files"]] == ["model.int8.tflite"]
    assert len(values["files"][0]["sha256"]) == 64
