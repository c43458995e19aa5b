import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from frugalseg.core.errors import ArtifactError, ConfigError, DataError
from frugalseg.runtime.segmenter import Segmenter
from frugalseg.workflows.segment import encode, segment


def test_a_picture_becomes_ids_an_overlay_and_json(
    golden: Path, picture: Path, tmp_path: Path
) -> None:
    result = segment(golden, picture, tmp_path)
    names = ["picture.png", "picture.overlay.png", "picture.json"]
    assert result.written == tuple(tmp_path / name for name in names)
    assert result.problems == ()
    with Image.open(tmp_path / "picture.overlay.png") as overlay:
        assert overlay.size == (80, 60)
    told = json.loads((tmp_path / "picture.json").read_text(encoding="utf-8"))
    assert sum(told["shares"].values()) == pytest.approx(1)


def test_the_values_of_the_png_are_class_ids(golden: Path, picture: Path, tmp_path: Path) -> None:
    segment(golden, picture, tmp_path, kinds=["ids"])
    segmenter = Segmenter.open(golden)
    with Image.open(tmp_path / "picture.png") as written:
        assert written.mode == "P"
        ids_HW, colors_HWC = np.array(written), np.array(written.convert("RGB"))
    np.testing.assert_array_equal(ids_HW, segmenter.segment(picture).labels_HW)
    used, colors = np.unique(ids_HW), colors_HWC.reshape(-1, 3)
    assert {tuple(c) for c in colors.tolist()} == {segmenter.labels.colors[i] for i in used}


def test_only_what_was_asked_for_is_written(golden: Path, picture: Path, tmp_path: Path) -> None:
    segment(golden, picture, tmp_path, kinds=["json"])
    assert [path.name for path in tmp_path.iterdir()] == ["picture.json"]


@pytest.mark.parametrize("workers", [1, 3])
def test_a_folder_keeps_its_shape_and_equal_stems_stay_apart(
    golden: Path, picture: Path, tmp_path: Path, workers: int
) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    (source / "deep" / "er").mkdir(parents=True)
    for name in ("a.png", "deep/a.png", "deep/er/b.png"):
        shutil.copy(picture, source / name)
    Image.open(picture).save(source / "deep" / "a.jpg")
    (source / "notes.txt").write_text("not a picture", encoding="utf-8")
    segment(golden, source, out, kinds=["ids"], workers=workers)
    written = sorted(str(p.relative_to(out)) for p in out.rglob("*") if p.is_file())
    assert written == ["a.png", "deep/a.jpg.png", "deep/a.png.png", "deep/er/b.png"]


def test_an_unreadable_picture_does_not_stop_the_others(
    golden: Path, picture: Path, tmp_path: Path
) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    for name in ("a.png", "c.png"):
        shutil.copy(picture, source / name)
    (source / "b.png").write_bytes(picture.read_bytes()[:200])
    told: list[tuple[float, float]] = []
    result = segment(
        golden,
        source,
        out,
        kinds=["ids"],
        progress=lambda _s, done, of, _n="": told.append((done, of)),
    )
    assert sorted(p.name for p in out.iterdir()) == ["a.png", "c.png"]
    assert len(result.problems) == 1
    assert "b.png: damaged or truncated" in result.problems[0]
    assert told[-1] == (3, 3)


def test_a_source_that_is_missing_or_empty_is_refused(golden: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(ConfigError, match="does not exist"):
        segment(golden, tmp_path / "nowhere", out)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match="no pictures in"):
        segment(golden, tmp_path / "empty", out)
    assert not out.exists()


def test_an_unknown_kind_is_refused_with_the_list(
    golden: Path, picture: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="did you mean 'ids'"):
        segment(golden, picture, tmp_path / "out", kinds=["id"])
    assert not (tmp_path / "out").exists()


def test_a_damaged_artifact_is_told_before_any_picture(
    golden: Path, picture: Path, tmp_path: Path
) -> None:
    artifact = Path(shutil.copytree(golden, tmp_path / "artifact"))
    (artifact / "model.int8.tflite").write_bytes(b"x")
    with pytest.raises(ArtifactError, match="damaged"):
        segment(artifact, picture, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_outputs_are_encoded_without_a_file(golden: Path, picture: Path) -> None:
    result = Segmenter.open(golden).segment(picture)
    assert json.loads(encode(result, "json")) == result.to_dict()
    overlay = np.array(Image.open(io.BytesIO(encode(result, "overlay"))))
    np.testing.assert_array_equal(overlay, result.overlay())


def test_a_second_call_into_a_folder_below_does_not_take_results_for_pictures(
    golden: Path, picture: Path, tmp_path: Path
) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.png").write_bytes(picture.read_bytes())
    for _ in range(2):
        result = segment(golden, tmp_path / "photos", tmp_path / "photos" / "out")
        assert [path.name for path in result.written] == ["a.png", "a.overlay.png", "a.json"]


def test_a_picture_is_never_written_over(golden: Path, picture: Path, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(picture.read_bytes())
    with pytest.raises(DataError, match="written over pictures"):
        segment(golden, tmp_path, tmp_path)
    assert (tmp_path / "a.png").read_bytes() == picture.read_bytes()
