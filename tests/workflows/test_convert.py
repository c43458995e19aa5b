import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from frugalseg.core.errors import ConfigError, DataError
from frugalseg.data.catalog import RECORD, open_dataset
from frugalseg.data.write import LAYOUTS, file_name
from frugalseg.workflows.convert import convert


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_back_what_was_written(
    tiny_folder: Path, tmp_path: Path, layout: str
) -> None:
    result = convert(tiny_folder, tmp_path / "new", to=layout)
    before, after = open_dataset(tiny_folder), open_dataset(tmp_path / "new", format=layout)
    ground = "background" if LAYOUTS[layout].adds_background else "ground"
    assert after.labels.names == (ground, "box", "disc")
    assert not result.adds_background
    assert result.ignored_pixels == (0 if LAYOUTS[layout].keeps_ignored else 6 * 2 * 96)
    for split in ("train", "val"):
        of_name = {sample.name: sample for sample in before.split(split)}
        assert result.samples[split] == len(of_name) == len(after.split(split))
        for sample in after.split(split):
            image_HWC, labels_HW = before.load(of_name[sample.name])
            again_HWC, relabelled_HW = after.load(sample)
            if not LAYOUTS[layout].keeps_ignored:
                labels_HW = np.where(labels_HW == 255, 0, labels_HW)
            assert np.array_equal(again_HWC, image_HWC)
            assert np.array_equal(relabelled_HW, labels_HW)


def test_what_was_cut_off_goes_on(tiny_folder: Path, tmp_path: Path) -> None:
    convert(tiny_folder, tmp_path / "whole", to="folder")
    convert(tiny_folder, tmp_path / "part", to="folder")
    record = tmp_path / "part" / RECORD
    lines = record.read_text().splitlines(keepends=True)
    record.write_text("".join(lines[:4]) + lines[4][:20])
    with pytest.raises(DataError, match="a conversion that was cut off; call it again"):
        open_dataset(tmp_path / "part")
    torn = json.loads(lines[2])["image"]
    (tmp_path / "part" / torn).write_bytes(b"torn")
    kept = (tmp_path / "part" / json.loads(lines[1])["image"]).stat().st_mtime_ns

    result = convert(tiny_folder, tmp_path / "part", to="folder")
    assert result.kept == 2
    assert (tmp_path / "part" / json.loads(lines[1])["image"]).stat().st_mtime_ns == kept
    for file in (tmp_path / "whole").rglob("*.*"):
        if file.is_file() and file.name != RECORD:
            again = tmp_path / "part" / file.relative_to(tmp_path / "whole")
            assert again.read_bytes() == file.read_bytes()


def test_classes_are_mapped_on_the_way(tiny_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "map.yaml").write_text("thing: [box, disc]\n")
    convert(tiny_folder, tmp_path / "new", to="voc", map=tmp_path / "map.yaml")
    assert open_dataset(tmp_path / "new").labels.names == ("ground", "thing")


def test_pictures_that_look_alike_stay_together(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for folder in ("images", "masks"):
        (tmp_path / "old" / folder).mkdir(parents=True)
    for number in range(12):
        noise_HWC = rng.integers(0, 256, (6, 8, 3)).astype(np.uint8)
        picture = Image.fromarray(noise_HWC).resize((96, 72))
        for copy, quality in (("a", 95), ("b", 60)):
            picture.save(tmp_path / "old" / "images" / f"{copy}{number}.jpg", quality=quality)
            mask = Image.fromarray(np.tile(np.array([0, 1], np.uint8), (72, 48)))
            mask.save(tmp_path / "old" / "masks" / f"{copy}{number}.png")
    result = convert(tmp_path / "old", tmp_path / "new", to="folder", split="0.5/0.5")
    assert result.samples == {"train": 12, "val": 12}
    for split in ("train", "val"):
        names = {s.name for s in open_dataset(tmp_path / "new").split(split)}
        assert {name[1:] for name in names if name[0] == "a"} == {
            name[1:] for name in names if name[0] == "b"
        }


def test_a_place_that_is_taken_is_refused(tiny_folder: Path, tmp_path: Path) -> None:
    convert(tiny_folder, tmp_path / "new", to="folder")
    with pytest.raises(ConfigError, match="holds a conversion with other layout"):
        convert(tiny_folder, tmp_path / "new", to="voc")
    with pytest.raises(ConfigError, match="lies in the data set itself"):
        convert(tiny_folder, tiny_folder / "new", to="voc")
    with pytest.raises(ConfigError, match="is not empty"):
        convert(tmp_path / "new", tmp_path, to="voc")
    (tmp_path / "new" / RECORD).write_text("nothing\n")
    with pytest.raises(ConfigError, match="not the record of a conversion"):
        convert(tiny_folder, tmp_path / "new", to="folder")
    with pytest.raises(ConfigError, match="did you mean 'voc'"):
        convert(tiny_folder, tmp_path / "other", to="vok")
    with pytest.raises(ConfigError, match="say with split"):
        convert(tiny_folder, tmp_path / "other", to="voc", by="x")


@pytest.mark.parametrize("text", ["[1]\n", "{}\n[1]\n", '{}\n{"name": "0"}\n'])
def test_a_record_of_something_else_is_refused(
    tiny_folder: Path, tmp_path: Path, text: str
) -> None:
    (tmp_path / RECORD).write_text(text)
    with pytest.raises(ConfigError, match="not the record of a conversion"):
        convert(tiny_folder, tmp_path, to="folder")


def test_a_picture_called_complete_does_not_end_a_conversion(
    tiny_folder: Path, tmp_path: Path
) -> None:
    for kind in ("images", "masks"):
        (tiny_folder / kind / "0.png").rename(tiny_folder / kind / "complete.png")
    record = tmp_path / "new" / RECORD
    for _ in range(2):
        convert(tiny_folder, tmp_path / "new", to="folder")
        assert record.read_text().count('"name": "complete"') == 1
    record.write_text(f'{record.read_text().splitlines()[0]}\n{{"name": "complete')
    with pytest.raises(DataError, match="a conversion that was cut off"):
        open_dataset(tmp_path / "new")


def test_all_samples_that_cannot_be_read_are_named(tiny_folder: Path, tmp_path: Path) -> None:
    for number in (1, 3):
        (tiny_folder / "images" / f"{number}.png").write_bytes(b"no picture")
    with pytest.raises(DataError) as raised:
        convert(tiny_folder, tmp_path / "new", to="yolo")
    assert len(raised.value.problems) == 2
    assert not (tmp_path / "new" / "data.yaml").exists()


def test_what_changed_at_the_source_is_written_anew(tiny_folder: Path, tmp_path: Path) -> None:
    convert(tiny_folder, tmp_path / "new", to="folder")
    mask = tiny_folder / "masks" / "0.png"
    labels_HW = np.array(Image.open(mask))
    labels_HW[30:40, :] = 2
    Image.fromarray(labels_HW).save(mask)
    result = convert(tiny_folder, tmp_path / "new", to="folder")
    assert result.kept == 5
    (path,) = (tmp_path / "new" / "masks").rglob("0.png")
    assert np.array_equal(np.array(Image.open(path)), labels_HW)


def test_names_that_files_may_not_have_are_changed(tiny_folder: Path, tmp_path: Path) -> None:
    for folder in ("images", "masks"):
        for before, after in (("0", "n" * 240), ("1", "with a blank")):
            path = tiny_folder / folder / f"{before}.png"
            path.rename(path.with_stem(after))
    convert(tiny_folder, tmp_path / "new", to="camvid")
    names = {s.name for split in open_dataset(tmp_path / "new").splits.values() for s in split}
    assert "with_a_blank" in names
    assert len(names) == 6


def test_a_name_that_is_not_in_utf_8_loses_what_nothing_can_print() -> None:
    assert file_name("a\udcff/b") == "a__b"
    assert file_name("\udcff") == "picture"


def test_a_class_called_void_stays_a_class(tiny_folder: Path, tmp_path: Path) -> None:
    labels = (tiny_folder / "labels.yaml").read_text().replace("box", "void")
    (tiny_folder / "labels.yaml").write_text(labels)
    convert(tiny_folder, tmp_path / "new", to="camvid")
    found = open_dataset(tmp_path / "new").labels
    assert found.names == ("ground", "void", "disc")
    assert found.background == 0


def test_a_class_called_background_is_the_background(tiny_folder: Path, tmp_path: Path) -> None:
    labels = (tiny_folder / "labels.yaml").read_text().replace("ground", "background", 1)
    labels = "".join(f"{line}\n" for line in labels.splitlines() if "background: " not in line)
    (tiny_folder / "labels.yaml").write_text(labels.replace("- ground", "- background"))
    result = convert(tiny_folder, tmp_path / "new", to="yolo")
    assert not result.adds_background
    assert open_dataset(tmp_path / "new").labels.names == ("background", "box", "disc")


def test_an_address_is_no_place_to_write(tiny_folder: Path) -> None:
    with pytest.raises(ConfigError, match="is an address"):
        convert(tiny_folder, "s3://bucket/x", to="folder")
