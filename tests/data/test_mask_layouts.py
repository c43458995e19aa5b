"""What every layout of pictures and masks does, good and bad input alike."""

import os
import pickle
import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from frugalseg.core.errors import DataError, FrugalsegError
from frugalseg.data.catalog import FORMATS, open_dataset
from frugalseg.data.check.report import check_dataset
from frugalseg.data.dataset import Dataset
from frugalseg.data.layouts.voc import voc_color

SIZE = (4, 6)
VOC_PALETTE = [part for value in range(256) for part in voc_color(value)]


@dataclass(frozen=True)
class Layout:
    """Where the files lie ({} is the name), and how the train ids 0, 1 and 255 are written."""

    format: str
    image: str
    mask: str
    written: tuple[int | tuple[int, int, int], ...]
    strange: int | tuple[int, int, int]
    texts: dict[str, str] = field(default_factory=dict)
    palette: bool = False

    def image_path(self, root: Path, name: str) -> Path:
        return root / self.image.format(name)

    def mask_path(self, root: Path, name: str) -> Path:
        return root / self.mask.format(name)

    def put(self, root: Path, name: str, strange: bool = False) -> None:
        """Write a picture, and a mask of a row of each train id and of the first one."""
        image, mask = self.image_path(root, name), self.mask_path(root, name)
        for path in (image, mask):
            path.parent.mkdir(parents=True, exist_ok=True)
        noise_HWC = np.random.default_rng(len(name)).integers(0, 256, (*SIZE, 3))
        Image.fromarray(noise_HWC.astype(np.uint8)).save(image)
        self.save_mask(mask, [*self.written, self.strange if strange else self.written[0]])

    def save_mask(self, path: Path, rows: list[int | tuple[int, int, int]]) -> None:
        pixels = np.repeat(np.array(rows, np.uint8)[:, None], SIZE[1], axis=1)
        picture = Image.fromarray(pixels)
        if self.palette:
            picture.putpalette(VOC_PALETTE)
        picture.save(path)


LAYOUTS = {
    "voc": Layout(
        format="voc",
        image="JPEGImages/{}.jpg",
        mask="SegmentationClass/{}.png",
        written=(0, 1, 255),
        strange=77,
        texts={
            "ImageSets/Segmentation/train.txt": "a\n",
            "ImageSets/Segmentation/val.txt": "b\n",
            "ImageSets/Segmentation/trainval.txt": "a\nb\n",
        },
        palette=True,
    ),
    "cvat": Layout(
        format="cvat",
        image="JPEGImages/{}.jpg",
        mask="SegmentationClass/{}.png",
        written=((0, 0, 0), (61, 245, 61), (9, 9, 9)),
        strange=(1, 2, 3),
        texts={
            "labelmap.txt": "# label:color_rgb:parts:actions\nbackground:0,0,0::\n"
            "traffic car:61,245,61::\nvoid:9,9,9::\n",
            "ImageSets/Segmentation/Train.txt": "a\n",
            "ImageSets/Segmentation/Validation.txt": "b\n",
        },
    ),
    "cityscapes": Layout(
        format="cityscapes",
        image="leftImg8bit/train/ulm/{}_leftImg8bit.png",
        mask="gtFine/train/ulm/{}_gtFine_labelIds.png",
        written=(7, 8, 9),
        strange=34,
    ),
    "cityscapes with train ids": Layout(
        format="cityscapes",
        image="leftImg8bit/train/ulm/{}_leftImg8bit.png",
        mask="gtFine/train/ulm/{}_gtFine_labelTrainIds.png",
        written=(0, 1, 255),
        strange=19,
    ),
    "ade20k": Layout(
        format="ade20k",
        image="images/training/{}.jpg",
        mask="annotations/training/{}.png",
        written=(1, 2, 0),
        strange=151,
        texts={
            "objectInfo150.txt": "Idx\tRatio\tTrain\tVal\tName\n1\t0\t0\t0\twall\n2\t0\t0\t0\tsky\n"
        },
    ),
    "mmseg": Layout(
        format="mmseg",
        image="img_dir/train/{}.jpg",
        mask="ann_dir/train/{}.png",
        written=(0, 1, 255),
        strange=9,
        texts={"classes.txt": "road\nsky\n"},
    ),
    "camvid32": Layout(
        format="camvid32",
        image="701_StillsRaw_full/{}.png",
        mask="LabeledApproved_full/{}_L.png",
        written=((64, 128, 64), (192, 0, 128), (0, 0, 0)),
        strange=(1, 2, 3),
        texts={"label_colors.txt": "64 128 64\tAnimal\n192 0 128\t\tArchway\n0 0 0\t\tVoid\n"},
    ),
    "camvid32 of Kaggle": Layout(
        format="camvid32",
        image="train/{}.png",
        mask="train_labels/{}_L.png",
        written=((64, 128, 64), (192, 0, 128), (0, 0, 0)),
        strange=(1, 2, 3),
        texts={"class_dict.csv": "name,r,g,b\nAnimal,64,128,64\nArchway,192,0,128\nVoid,0,0,0\n"},
    ),
}
LISTED = [name for name, layout in LAYOUTS.items() if "ImageSets" in str(layout.texts)]


@pytest.fixture(params=LAYOUTS)
def layout(request: pytest.FixtureRequest) -> Layout:
    return LAYOUTS[request.param]


@pytest.fixture
def root(layout: Layout, tmp_path: Path) -> Path:
    """A sound data set of two pictures, a and b."""
    made = tmp_path / "set"
    build(layout, made)
    return made


def build(layout: Layout, root: Path) -> None:
    for name in ("a", "b"):
        layout.put(root, name)
    for name, text in layout.texts.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def unlist(root: Path) -> None:
    shutil.rmtree(root / "ImageSets", ignore_errors=True)


def names_of(dataset: Dataset) -> list[str]:
    return sorted(sample.name for split in dataset.splits.values() for sample in split)


def test_is_named_by_its_own_layout_and_by_no_other(layout: Layout, root: Path) -> None:
    assert [name for name, format in FORMATS.items() if format.detect(root)] == [layout.format]
    assert open_dataset(root).format == layout.format


def test_masks_become_train_ids_also_in_another_process(layout: Layout, root: Path) -> None:
    dataset = pickle.loads(pickle.dumps(open_dataset(root)))
    samples = [sample for split in dataset.splits.values() for sample in split]
    assert len(samples) == 2
    for sample in samples:
        image_HWC, labels_HW = dataset.load(sample)
        assert image_HWC.shape == (*SIZE, 3)
        assert labels_HW.dtype == np.uint8
        assert labels_HW.tolist() == [[row] * SIZE[1] for row in (0, 1, 255, 0)]


def test_a_sound_set_has_no_problems(root: Path) -> None:
    assert check_dataset(open_dataset(root), workers=1).problems == ()


def test_undeclared_values_and_colours_are_named_with_their_file(
    layout: Layout, root: Path
) -> None:
    layout.put(root, "b", strange=True)
    dataset = FORMATS[layout.format].read(root)
    [problem] = check_dataset(dataset, workers=1).problems
    assert str(layout.mask_path(root, "b")) in problem
    shown = [*layout.strange] if isinstance(layout.strange, tuple) else layout.strange
    assert "undeclared mask" in problem
    assert str(shown) in problem


def test_a_mask_of_another_size_is_named(layout: Layout, root: Path) -> None:
    path = layout.image_path(root, "b")
    Image.new("RGB", (9, 5)).save(path)
    [problem] = check_dataset(open_dataset(root), workers=1).problems
    assert f"{layout.mask_path(root, 'b')}: mask is 6 px wide and 4 high" in problem


def test_a_missing_mask_is_named(layout: Layout, root: Path) -> None:
    layout.mask_path(root, "b").unlink()
    with pytest.raises(DataError, match=r"\bb(_leftImg8bit)?\b.* no mask"):
        open_dataset(root)


def test_a_mask_without_a_picture_is_named(layout: Layout, root: Path) -> None:
    unlist(root)
    layout.image_path(root, "b").unlink()
    with pytest.raises(DataError) as caught:
        open_dataset(root)
    assert f"{layout.mask_path(root, 'b')}: no image for this mask" in str(caught.value)


def load_all(root: Path) -> None:
    dataset = open_dataset(root)
    for split in dataset.splits.values():
        for sample in split:
            labels_HW = dataset.load(sample)[1]
            assert set(np.unique(labels_HW)) <= {*range(dataset.labels.num_classes), 255}


def deep(path: Path) -> None:
    Image.fromarray(np.full(SIZE, 1, np.uint16)).save(path)


def with_alpha(path: Path) -> None:
    Image.new("LA", SIZE[::-1], (1, 9)).save(path)


def lossy(path: Path) -> None:
    Image.new("L", SIZE[::-1], 1).save(path, format="JPEG")


def cut_off(path: Path) -> None:
    noise_HW = np.random.default_rng(0).integers(0, 2, (64, 64)).astype(np.uint8)
    Image.fromarray(noise_HW).save(path)
    path.write_bytes(path.read_bytes()[:200])


def emptied(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (deep, "16 bits"),
        (with_alpha, "mask has transparency|undeclared mask colours"),
        (lossy, "a lossy format changes the values"),
        (cut_off, "damaged or truncated"),
        (emptied, "empty file"),
    ],
)
def test_bad_masks_are_named(
    layout: Layout, root: Path, spoil: Callable[[Path], None], message: str
) -> None:
    spoil(layout.mask_path(root, "b"))
    with pytest.raises(DataError, match=message) as caught:
        load_all(root)
    assert str(layout.mask_path(root, "b")) in str(caught.value)


def test_a_mask_of_a_lossy_kind_is_named_before_it_is_opened(layout: Layout, root: Path) -> None:
    path = layout.mask_path(root, "b")
    path.rename(path.with_suffix(".jpg"))
    with pytest.raises(DataError, match="a lossy format"):
        open_dataset(root)


@pytest.mark.parametrize("kind", ["image", "mask"])
def test_a_link_that_leaves_the_folder_is_refused(
    layout: Layout, root: Path, tmp_path: Path, kind: str
) -> None:
    path = layout.image_path(root, "b") if kind == "image" else layout.mask_path(root, "b")
    outside = path.rename(tmp_path / f"outside{path.suffix}")
    path.symlink_to(outside)
    with pytest.raises(DataError) as caught:
        open_dataset(root)
    assert f"{path}: a link that leaves {root}" in str(caught.value)


def test_a_linked_folder_is_not_followed(layout: Layout, root: Path, tmp_path: Path) -> None:
    folder = layout.image_path(root, "b").parent
    (tmp_path / "elsewhere").mkdir()
    (folder / "more").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DataError, match="more: a link to a folder is not followed"):
        open_dataset(root)


def test_a_folder_that_is_a_link_to_another_place_is_refused(
    layout: Layout, root: Path, tmp_path: Path
) -> None:
    folder = layout.mask_path(root, "b").parent
    folder.symlink_to(folder.rename(tmp_path / "elsewhere"))
    with pytest.raises(DataError, match=r"a link (that leaves|to a folder is not followed)"):
        open_dataset(root)


def test_a_link_to_nothing_is_refused(layout: Layout, root: Path) -> None:
    path = layout.mask_path(root, "b")
    path.unlink()
    path.symlink_to(root / "gone.png")
    with pytest.raises(DataError, match=r"b\S*\.png: a link to a file that is not there"):
        open_dataset(root)


def test_a_pipe_is_refused_and_not_waited_for(layout: Layout, root: Path) -> None:
    path = layout.image_path(root, "b")
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(DataError, match="a pipe or a device"):
        open_dataset(root)


def test_the_whole_set_may_be_a_link_and_links_within_it_are_fine(
    layout: Layout, root: Path, tmp_path: Path
) -> None:
    path = layout.image_path(root, "b")
    kept = path.rename(root / f"kept{path.suffix}")
    path.symlink_to(kept)
    (tmp_path / "linked").symlink_to(root)
    assert len(names_of(open_dataset(tmp_path / "linked"))) == 2


def test_files_that_a_system_leaves_behind_are_passed_over(layout: Layout, root: Path) -> None:
    for path in (layout.image_path(root, "b"), layout.mask_path(root, "b")):
        path.with_name(f"._{path.name}").write_bytes(b"\0\5\x16\7")
        path.with_name(".DS_Store").write_bytes(b"\0")
        path.with_name("Thumbs.db").write_bytes(b"\0")
    assert len(names_of(open_dataset(root))) == 2


@pytest.mark.parametrize("name", ["Müll 写真 (1)", "x" * 200, "a.b..c", "e\u0301te\u0301", "-rf"])
def test_names_of_any_kind_are_matched(layout: Layout, root: Path, name: str) -> None:
    unlist(root)
    layout.put(root, name)
    dataset = open_dataset(root)
    assert len(names_of(dataset)) == 3
    assert check_dataset(dataset, workers=1).problems == ()


def test_letters_with_accents_match_however_they_are_written(layout: Layout, root: Path) -> None:
    unlist(root)
    layout.put(root, "e\u0301")
    layout.mask_path(root, "e\u0301").rename(layout.mask_path(root, "\u00e9"))
    assert any(name.endswith("\u00e9") for name in names_of(open_dataset(root)))


def test_names_that_are_not_in_utf8_are_refused(layout: Layout, root: Path) -> None:
    unlist(root)
    try:
        layout.put(root, "caf\udce9")
    except OSError:
        pytest.skip("this file system has no such names")
    with pytest.raises(DataError, match=r"caf\?\S* is not in UTF-8; rename the file"):
        open_dataset(root)


def test_a_folder_without_pictures_is_refused(layout: Layout, root: Path) -> None:
    unlist(root)
    for name in ("a", "b"):
        layout.image_path(root, name).unlink()
        layout.mask_path(root, name).unlink()
    with pytest.raises(DataError, match=r"no (images|picture)"):
        open_dataset(root, format=layout.format)


def test_two_pictures_of_one_name_are_refused(layout: Layout, root: Path) -> None:
    path = layout.image_path(root, "b")
    Image.new("RGB", SIZE[::-1]).save(path.with_suffix(".bmp"))
    with pytest.raises(DataError, match="same name as"):
        open_dataset(root)


class TestLists:
    @pytest.fixture(params=LISTED)
    def layout(self, request: pytest.FixtureRequest) -> Layout:
        return LAYOUTS[request.param]

    @pytest.fixture
    def train(self, layout: Layout, root: Path) -> Path:
        return root / next(name for name in layout.texts if "rain.txt" in name)

    def test_lists_choose_and_order_the_pictures(
        self, layout: Layout, root: Path, train: Path
    ) -> None:
        layout.put(root, "c")
        train.write_text("\ufeffc\r\n\r\na\r\n", encoding="utf-8")
        assert [s.name for s in open_dataset(root).split("train")] == ["c", "a"]

    def test_pictures_without_mask_that_no_list_names_are_normal(
        self, layout: Layout, root: Path
    ) -> None:
        layout.put(root, "c")
        layout.mask_path(root, "c").unlink()
        assert names_of(open_dataset(root)) == ["a", "b"]
        unlist(root)
        assert names_of(open_dataset(root)) == ["a", "b"]

    def test_without_lists_the_masks_are_divided(self, root: Path) -> None:
        unlist(root)
        splits = open_dataset(root).splits
        assert [len(splits[name]) for name in ("train", "val")] == [1, 1]

    @pytest.mark.parametrize(
        ("line", "message"),
        [
            ("../../etc/passwd", "leaves the folder of the data set"),
            ("/etc/passwd", "leaves the folder of the data set"),
            ("absent", "is no picture of JPEGImages"),
            ("a.jpg", "without folder and suffix"),
            ("n" * 5000, r"nnn\.\.\. is no picture"),
            ("a\0b", "is no picture"),
            ("a\na", "line 2: a is there twice"),
        ],
    )
    def test_bad_lines_are_named(self, root: Path, train: Path, line: str, message: str) -> None:
        train.write_text(f"{line}\n", encoding="utf-8")
        with pytest.raises(DataError, match=message) as caught:
            open_dataset(root)
        assert f"{train} line " in str(caught.value)

    def test_all_bad_lines_are_reported_together(self, root: Path, train: Path) -> None:
        train.write_text("x\ny\nz\n", encoding="utf-8")
        with pytest.raises(DataError) as caught:
            open_dataset(root)
        assert len(caught.value.problems) == 3

    @pytest.mark.parametrize("text", ["", "\n \n"])
    def test_an_empty_list_is_refused(self, root: Path, train: Path, text: str) -> None:
        train.write_text(text, encoding="utf-8")
        with pytest.raises(DataError, match="the list is empty"):
            open_dataset(root)

    def test_a_list_that_is_no_text_is_refused(self, root: Path, train: Path) -> None:
        train.write_bytes(b"\xff\xfe\x00")
        with pytest.raises(DataError, match="not readable as text"):
            open_dataset(root)

    def test_a_list_that_is_a_link_to_another_place_is_refused(
        self, root: Path, train: Path, tmp_path: Path
    ) -> None:
        train.symlink_to(train.rename(tmp_path / "secret.txt"))
        with pytest.raises(DataError, match="a link that leaves"):
            open_dataset(root)

    def test_folders_within_the_folders_are_part_of_the_name(
        self, layout: Layout, root: Path, train: Path
    ) -> None:
        layout.put(root, "day 1/a")
        train.write_text("day 1/a\n", encoding="utf-8")
        assert [s.name for s in open_dataset(root).split("train")] == ["day 1/a"]


ROUNDS = 25  # for each layout; ten thousand were run by hand
MOST_TEXT = 20_000


def test_damaged_files_raise_our_own_errors_and_nothing_else(layout: Layout, root: Path) -> None:
    refused = sum(damage_and_open(layout, root, seed) for seed in range(ROUNDS))
    assert refused > ROUNDS // 5


def damage_and_open(layout: Layout, root: Path, seed: int) -> bool:
    """Change one file at random, read all, and put the file back; tell whether it was refused."""
    rng = random.Random(seed)
    texts = [root / name for name in layout.texts]
    path = rng.choice([*texts, layout.mask_path(root, "a"), layout.image_path(root, "b")])
    sound = path.read_bytes()
    path.write_bytes(changed(sound, rng))
    try:
        load_all(root)
    except FrugalsegError as wrong:
        return len(str(wrong)) < MOST_TEXT
    finally:
        path.write_bytes(sound)
    return False


def changed(data: bytes, rng: random.Random) -> bytes:
    pieces = [b"\0", b"\r", b"\n", b",", b":", b'"', b"\t", b"\xff", b"-1", b"256", b"9" * 5000]
    result = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(result) + 1)
        match rng.randrange(4):
            case 0:
                result[at : at + rng.randint(1, 8)] = b""
            case 1:
                result[at:at] = rng.choice(pieces)
            case 2:
                result[at : at + 1] = bytes([rng.randrange(256)])
            case 3:
                result[at:at] = result[: rng.randrange(len(result) + 1)]
    return bytes(result)
