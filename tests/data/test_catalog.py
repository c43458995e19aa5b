import pickle
from pathlib import Path

import numpy as np
import pytest

from frugalseg.core.errors import ConfigError, DataError
from frugalseg.data import catalog
from frugalseg.data.catalog import FORMATS, open_dataset
from frugalseg.data.check.report import check_dataset


@pytest.mark.parametrize(
    ("name", "format"),
    [("camvid", "camvid"), ("waste", "yolo"), ("trash_bags", "yolo"), ("coco", "coco")],
)
class TestRealSets:
    def test_layout_is_detected(self, real_data: Path, name: str, format: str) -> None:
        assert open_dataset(real_data / name).format == format

    def test_samples_load_in_another_process(self, real_data: Path, name: str, format: str) -> None:
        dataset = pickle.loads(pickle.dumps(open_dataset(real_data / name)))
        image_HWC, labels_HW = dataset.load(dataset.split("val")[0])
        assert image_HWC.shape == (*labels_HW.shape, 3)
        assert set(np.unique(labels_HW)) <= {*range(dataset.labels.num_classes), 255}


def test_tiny_folder_is_detected_and_sound(tiny_folder: Path) -> None:
    dataset = open_dataset(tiny_folder)
    assert dataset.format == "folder"
    assert dataset.labels.names == ("ground", "box", "disc")
    assert check_dataset(dataset).ok


def test_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none: no such folder.*'belt'"):
        open_dataset(tmp_path / "none")


def test_file_is_not_a_folder(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(b"")
    with pytest.raises(DataError, match="not a folder"):
        open_dataset(tmp_path / "a.zip")


def test_empty_folder_gets_the_list_of_layouts(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="folder is empty") as caught:
        open_dataset(tmp_path)
    assert len(caught.value.problems) == len(FORMATS)


def test_unknown_layout_gets_the_list_of_layouts(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    with pytest.raises(DataError, match="no data set of a known layout"):
        open_dataset(tmp_path)


def test_unknown_format_gets_a_suggestion(tiny_folder: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean 'folder'"):
        open_dataset(tiny_folder, format="foldr")


def test_format_that_does_not_match_is_refused(tiny_folder: Path) -> None:
    with pytest.raises(DataError, match="not of the layout 'yolo'"):
        open_dataset(tiny_folder, format="yolo")


def test_two_possible_layouts_need_a_word_from_the_user(tiny_folder: Path) -> None:
    (tiny_folder / "data.yaml").write_text("names: [a]\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="folder or yolo"):
        open_dataset(tiny_folder)
    assert open_dataset(tiny_folder, format="folder").format == "folder"


def test_belt_is_drawn_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = {"train": 3, "val": 2, "seed": 0, "size": (48, 64)}
    monkeypatch.setattr(catalog, "BELT_ARGUMENTS", small)
    calls: list[tuple[str, float, float]] = []

    def note(stage: str, done: float, total: float, note: str = "") -> None:
        calls.append((stage, done, total))

    first = open_dataset("belt", cache=tmp_path, progress=note)
    assert calls[-1] == ("belt", 5, 5)
    calls.clear()
    second = open_dataset("belt", cache=tmp_path, progress=note)
    assert calls == []
    assert first.root == second.root
    assert first.format == "belt"
    assert {name: len(s) for name, s in first.splits.items()} == {"train": 3, "val": 2}
    assert first.labels.names == ("background", "paper", "bottle", "aluminum", "nylon")


def test_what_describes_the_data_set_may_not_lie_elsewhere(
    tiny_folder: Path, tmp_path: Path
) -> None:
    path, here, there = (f / "labels.yaml" for f in (tiny_folder, tiny_folder / "x", tmp_path))
    here.parent.mkdir()
    path.symlink_to(path.rename(here))
    assert open_dataset(tiny_folder).labels.num_classes == 3
    path.unlink()
    path.symlink_to(here.rename(there))
    with pytest.raises(DataError, match=r"labels\.yaml: a link that leaves"):
        open_dataset(tiny_folder)
