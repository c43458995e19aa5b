import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from frugalseg.core.errors import ConfigError, DataError
from frugalseg.data.catalog import FORMATS, open_dataset
from frugalseg.data.check.report import check_dataset
from frugalseg.data.coco import instances
from frugalseg.data.dataset import Dataset

coding = pytest.importorskip("pycocotools.mask")

LEFT = [[0, 0, 4, 0, 4, 6, 0, 6]]
TOP = [[0, 0, 8, 0, 8, 3, 0, 3]]
CATEGORIES = [
    {"id": 3, "name": "bag", "supercategory": "soft"},
    {"id": 7, "name": "box", "supercategory": "hard"},
]


def image(number: int, name: str, height: int = 6, width: int = 8) -> dict[str, Any]:
    return {"id": number, "file_name": name, "height": height, "width": width}


def region(image_id: int, category: int, segmentation: Any, **more: Any) -> dict[str, Any]:
    return {"image_id": image_id, "category_id": category, "segmentation": segmentation, **more}


def write(
    path: Path,
    images: list[dict[str, Any]],
    annotations: list[dict[str, Any]],
    folder: Path | None = None,
    categories: list[dict[str, Any]] | None = None,
) -> None:
    """Write an annotation file, and its pictures where a folder for them is named."""
    path.parent.mkdir(parents=True, exist_ok=True)
    values = {
        "info": {"year": 2017},
        "images": images,
        "annotations": annotations,
        "categories": CATEGORIES if categories is None else categories,
    }
    path.write_text(json.dumps(values), encoding="utf-8")
    for each in images if folder else ():
        assert folder
        picture = folder / each["file_name"]
        picture.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (each["width"], each["height"])).save(picture)


def one(root: Path, *annotations: dict[str, Any], **more: Any) -> Dataset:
    """Make a data set of one picture of 6x8."""
    path = root / "annotations" / "instances_train2017.json"
    write(path, [image(1, "a.png")], list(annotations), root / "train2017", **more)
    return instances.read(root)


def drawn(dataset: Dataset, number: int = 0, split: str = "train") -> NDArray[np.uint8]:
    return dataset.load(dataset.split(split)[number])[1]


class TestDrawing:
    def test_classes_are_in_the_order_of_ids_with_gaps_and_background_first(
        self, tmp_path: Path
    ) -> None:
        dataset = one(tmp_path, region(1, 7, LEFT), categories=CATEGORIES[::-1])
        assert dataset.labels.names == ("background", "bag", "box")
        assert dataset.labels.background == 0
        labels_HW = drawn(dataset)
        assert labels_HW.shape == (6, 8)
        assert (labels_HW[:, :4] == 2).all()
        assert (labels_HW[:, 4:] == 0).all()

    def test_a_category_called_background_is_the_background(self, tmp_path: Path) -> None:
        named = [{"id": 0, "name": "Background"}, *CATEGORIES]
        dataset = one(tmp_path, region(1, 3, TOP), region(1, 0, LEFT), categories=named)
        assert dataset.labels.names == ("background", "bag", "box")
        assert (drawn(dataset)[:, :4] == 0).all()

    @pytest.mark.parametrize("turned", [False, True])
    def test_the_smaller_lies_on_top_whatever_the_order(self, tmp_path: Path, turned: bool) -> None:
        small = region(1, 7, [[1, 1, 3, 1, 3, 3, 1, 3]])
        pair = [small, region(1, 3, TOP, area=1)]  # the area that is told does not count
        labels_HW = drawn(one(tmp_path, *(pair[::-1] if turned else pair)))
        assert (labels_HW[1:3, 1:3] == 2).all()
        assert labels_HW[0, 0] == 1

    def test_of_two_alike_the_later_lies_on_top(self, tmp_path: Path) -> None:
        labels_HW = drawn(one(tmp_path, region(1, 3, LEFT), region(1, 7, TOP)))
        assert labels_HW[0, 0] == 2
        assert labels_HW[5, 0] == 1

    def test_crowds_are_ignored_and_take_their_place_by_size(self, tmp_path: Path) -> None:
        crowd = {"size": [6, 8], "counts": [0, 24, 24]}  # the four columns on the left
        small = region(1, 7, [[1, 1, 3, 1, 3, 3, 1, 3]], iscrowd=0)
        labels_HW = drawn(one(tmp_path, small, region(1, 3, crowd, iscrowd=1)))
        assert (labels_HW[1:3, 1:3] == 2).all()
        assert (labels_HW[3:, :4] == 255).all()
        assert (labels_HW[:, 4:] == 0).all()

    def test_both_forms_of_run_lengths_are_read(self, tmp_path: Path) -> None:
        here_HW = np.random.default_rng(0).integers(0, 2, (6, 8), np.uint8)
        packed = coding.encode(np.asfortranarray(here_HW))
        flat = here_HW.T.ravel()
        ends = np.flatnonzero(np.diff(flat)) + 1
        counts = np.diff([0, *ends, 48]).tolist()
        plain = {"size": [6, 8], "counts": [0, *counts] if flat[0] else counts}
        text = {"size": [6, 8], "counts": packed["counts"].decode()}
        for runs in (plain, text):
            assert (drawn(one(tmp_path, region(1, 3, runs))) == here_HW).all()

    def test_parts_of_one_annotation_are_one_region(self, tmp_path: Path) -> None:
        parts = [[0, 0, 2, 0, 2, 2, 0, 2], [5, 3, 7, 3, 7, 5, 5, 5]]
        labels_HW = drawn(one(tmp_path, region(1, 3, parts)))
        assert (labels_HW == 1).sum() == 8
        assert labels_HW[0, 0] == labels_HW[4, 6] == 1

    def test_what_leaves_the_picture_is_cut_off(self, tmp_path: Path) -> None:
        dataset = one(tmp_path, region(1, 3, [[-4, -3, 4, -3, 4, 12, -4, 12]]))
        assert (drawn(dataset) == np.repeat([1, 0], 4)).all()

    def test_a_picture_without_annotations_is_background(self, tmp_path: Path) -> None:
        path = tmp_path / "annotations" / "instances_train2017.json"
        both = [image(1, "a.png"), image(2, "b.png")]
        write(path, both, [region(1, 3, LEFT)], tmp_path / "train2017")
        assert not drawn(instances.read(tmp_path), 1).any()

    def test_two_annotations_may_have_one_id(self, tmp_path: Path) -> None:
        """As in TACO's own file."""
        pair = (region(1, 3, TOP, id=1), region(1, 7, [[0, 4, 8, 4, 8, 6, 0, 6]], id=1))
        assert set(np.unique(drawn(one(tmp_path, *pair)))) == {0, 1, 2}

    def test_names_of_any_letters_are_kept(self, tmp_path: Path) -> None:
        path = tmp_path / "annotations" / "instances_train2017.json"
        names = ["päper 紙.png", "ordner/ü.png"]
        categories = [{"id": 1, "name": "Tüte"}]
        write(
            path,
            [image(i, name) for i, name in enumerate(names)],
            [region(1, 1, LEFT)],
            tmp_path / "train2017",
            categories,
        )
        written = json.loads(path.read_text(encoding="utf-8"))
        for ascii_only in (True, False):
            path.write_text(json.dumps(written, ensure_ascii=ascii_only), encoding="utf-8")
            dataset = instances.read(tmp_path)
            assert dataset.labels.names[1] == "Tüte"
            assert [s.name for s in dataset.split("train")] == ["päper 紙", "ordner_ü"]
            assert drawn(dataset, 1).any()


class TestLayouts:
    @pytest.mark.parametrize(
        "where", ["train2017", "images/train2017", "train", "images/train", "images", "."]
    )
    def test_images_are_found_where_people_keep_them(self, tmp_path: Path, where: str) -> None:
        path = tmp_path / "annotations" / "instances_train2017.json"
        write(path, [image(1, "a.png")], [region(1, 3, LEFT)], tmp_path / where)
        dataset = open_dataset(tmp_path)
        assert dataset.format == "coco"
        assert list(dataset.splits) == ["train"]
        assert drawn(dataset).any()

    def test_taco_is_divided_by_the_hash_of_names(self, tmp_path: Path) -> None:
        images = [image(i, f"batch_{i % 3}/{i // 3:06}.png") for i in range(60)]
        write(tmp_path / "annotations.json", images, [region(5, 3, LEFT)], tmp_path)
        dataset = open_dataset(tmp_path)
        names = {name: {s.name for s in split} for name, split in dataset.splits.items()}
        assert len(names["train"]) + len(names["val"]) == 60
        assert 6 <= len(names["val"]) <= 20
        assert not names["train"] & names["val"]
        labelled = [
            s.name for split in dataset.splits.values() for s in split if dataset.load(s)[1].any()
        ]
        assert labelled == ["batch_2_000001"]

    def test_roboflow_keeps_each_file_with_its_images(self, tmp_path: Path) -> None:
        """Its placeholder, the name above all others, is no class."""
        categories = [
            {"id": 0, "name": "bag", "supercategory": "none"},
            {"id": 1, "name": "bag", "supercategory": "bag"},
        ]
        for split in ("train", "valid", "test"):
            folder = tmp_path / split
            name = f"{split}_jpg.rf.01ab.png"
            write(
                folder / "_annotations.coco.json",
                [image(0, name)],
                [region(0, 1, LEFT)],
                folder,
                categories,
            )
        dataset = open_dataset(tmp_path)
        assert dataset.format == "coco"
        assert dataset.labels.names == ("background", "bag")
        assert list(dataset.splits) == ["train", "val", "test"]
        assert drawn(dataset, split="val").any()

    def test_resortit_has_a_file_for_each_split_and_no_ids_of_annotations(
        self, tmp_path: Path
    ) -> None:
        names = ["aluminium", "carton", "bottle", "nylon"]
        categories = [
            {"supercategory": "recycle", "id": i, "name": n} for i, n in enumerate(names, 1)
        ]
        for split in ("Train", "Val"):
            write(
                tmp_path / "annot" / f"4clBasic{split}.json",
                [{**image(0, f"{split}.png"), "id": 0, "image_id": 0}],
                [region(0, 4, LEFT, iscrowd=0)],
                tmp_path / split.lower(),
                categories,
            )
        dataset = open_dataset(tmp_path)
        assert dataset.labels.names == ("background", *names)
        assert {name: len(split) for name, split in dataset.splits.items()} == {
            "train": 1,
            "val": 1,
        }
        assert drawn(dataset, split="val")[0, 0] == 4

    @pytest.mark.parametrize("folder", ["annot", "annotations", "."])
    def test_the_split_is_a_word_in_the_name_of_the_file(self, tmp_path: Path, folder: str) -> None:
        for name, split in (("big_dataset_val_V1", "val"), ("big_dataset_train_V1", "train")):
            path = tmp_path / folder / f"{name}.json"
            write(path, [image(1, f"{split}.png")], [region(1, 3, LEFT)], tmp_path / split)
        (tmp_path / "legend.json").write_text('{"bag": 1}', encoding="utf-8")
        dataset = open_dataset(tmp_path)
        assert {name: s[0].name for name, s in dataset.splits.items()} == {
            "train": "train",
            "val": "val",
        }

    def test_one_file_of_any_name_is_divided(self, tmp_path: Path) -> None:
        images = [image(i, f"{i}.png") for i in range(5)]
        path = tmp_path / "annotations" / "instances_default.json"
        write(path, images, [region(0, 3, LEFT)], tmp_path / "images")
        assert set(open_dataset(tmp_path).splits) == {"train", "val"}

    @pytest.mark.parametrize(
        ("files", "message"),
        [
            (("instances_train2014", "instances_train2017"), "a second file for 'train'"),
            (("instances_train", "instances_mini"), "does not tell train, val or test"),
        ],
    )
    def test_files_that_are_of_no_one_split_are_refused(
        self, tmp_path: Path, files: tuple[str, ...], message: str
    ) -> None:
        for name in files:
            path = tmp_path / "annotations" / f"{name}.json"
            write(path, [image(1, "a.png")], [region(1, 3, LEFT)], tmp_path / "images")
        with pytest.raises(DataError, match=message):
            instances.read(tmp_path)

    def test_files_in_two_places_are_refused(self, tmp_path: Path) -> None:
        one(tmp_path, region(1, 3, LEFT))
        write(tmp_path / "annotations.json", [image(1, "a.png")], [region(1, 3, LEFT)])
        with pytest.raises(DataError, match="annotation files in 2 places"):
            instances.read(tmp_path)

    def test_all_differences_of_categories_are_listed(self, tmp_path: Path) -> None:
        one(tmp_path, region(1, 3, LEFT))
        path = tmp_path / "annotations" / "instances_val2017.json"
        other = [{"id": 3, "name": "sack"}, {"id": 9, "name": "box"}]
        write(path, [image(1, "a.png")], [region(1, 3, LEFT)], tmp_path / "val2017", other)
        with pytest.raises(DataError) as caught:
            instances.read(tmp_path)
        assert [problem.split(": ", 1)[1] for problem in caught.value.problems] == [
            "category 3 is 'sack', in instances_train2017.json it is 'bag'",
            "category 7 is not there, in instances_train2017.json it is 'box'",
            "category 9 is 'box', in instances_train2017.json it is not there",
        ]

    @pytest.mark.parametrize(
        ("path", "text"),
        [
            ("annotations/captions_train2017.json", '{"images": [], "annotations": []}'),
            ("annotations/panoptic_train2017.json", '{"images": [], "annotations": []}'),
            ("annotations/._instances_train2017.json", "\0\5\26\7"),
            ("annotations/a.json", '{"version": "5.0", "shapes": []}'),
            ("annotations.json", '[{"annotations": []}]'),
            ("images_info.json", '{"images": [], "categories": []}'),
        ],
    )
    def test_other_files_are_not_taken_for_it(self, tmp_path: Path, path: str, text: str) -> None:
        (tmp_path / "annotations").mkdir()
        (tmp_path / path).write_text(text, encoding="utf-8")
        assert not instances.detect(tmp_path)


def test_supercategories_make_a_class_map(tmp_path: Path) -> None:
    hard = [{"id": 9, "name": "can", "supercategory": "hard"}, {"id": 10, "name": "leaf"}]
    dataset = one(tmp_path, region(1, 9, LEFT), categories=[*CATEGORIES, *hard])
    above = {"soft": ["bag"], "hard": ["box", "can"], "leaf": ["leaf"]}
    assert dataset.supercategories == above
    merged = open_dataset(tmp_path, map="supercategories")
    assert merged.labels.names == ("background", "soft", "hard", "leaf")
    assert drawn(merged)[0, 0] == 2


def test_categories_without_any_above_them_cannot_be_merged_so(tmp_path: Path) -> None:
    one(tmp_path, region(1, 3, LEFT), categories=[{"id": 3, "name": "bag"}])
    with pytest.raises(ConfigError, match="no super-categories"):
        open_dataset(tmp_path, map="supercategories")


def test_pictures_that_are_not_listed_are_told_by_the_check(tmp_path: Path) -> None:
    dataset = one(tmp_path, region(1, 3, LEFT))
    for name in ("b.png", "._a.png"):
        Image.new("RGB", (8, 6)).save(tmp_path / "train2017" / name)
    report = check_dataset(dataset)
    assert report.ok
    assert any("passed over: " in w and w.endswith("b.png") for w in report.warnings)


def test_two_layouts_in_one_folder_need_a_word_from_the_user(tmp_path: Path) -> None:
    one(tmp_path, region(1, 3, LEFT))
    (tmp_path / "stuffthingmaps" / "train2017").mkdir(parents=True)
    with pytest.raises(ConfigError, match="coco or coco-stuff"):
        open_dataset(tmp_path)


class TestRealCoco:
    @pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # in theirs
    def test_shares_are_those_of_cocos_own_tools(self, real_data: Path) -> None:
        """Drawn once more from masks of pycocotools, by the rule that is told."""
        root = real_data / "coco"
        report = check_dataset(instances.read(root), workers=1)
        assert report.ok
        for split in report.splits:
            api = pytest.importorskip("pycocotools.coco").COCO(
                str(root / "annotations" / f"instances_{split.name}2017.json")
            )
            train_ids = {number: i for i, number in enumerate(sorted(api.cats), 1)}
            counts = np.zeros(256, np.int64)
            for number, told in api.imgs.items():
                labels_HW = np.zeros((told["height"], told["width"]), np.uint8)
                found = [(api.annToMask(a), a) for a in api.imgToAnns[number]]
                for mask_HW, a in sorted(found, key=lambda pair: -int(pair[0].sum())):
                    value = 255 if a["iscrowd"] else train_ids[a["category_id"]]
                    labels_HW[mask_HW == 1] = value
                counts += np.bincount(labels_HW.ravel(), minlength=256)
            assert list(split.pixels) == counts[:81].tolist()
            assert split.ignore_share == pytest.approx(counts[255] / counts.sum())
            assert counts[255] > 0

    def test_it_is_detected_as_nothing_else(self, real_data: Path) -> None:
        for name in ("coco", "taco"):
            assert [n for n, f in FORMATS.items() if f.detect(real_data / name)] == ["coco"]

    def test_samples_load_in_another_process(self, real_data: Path) -> None:
        dataset = pickle.loads(pickle.dumps(open_dataset(real_data / "coco")))
        assert len(dataset.split("train")) == 90
        assert len(dataset.split("val")) == 40
        _, labels_HW = dataset.load(dataset.split("val")[-1])
        assert labels_HW.any()

    def test_the_panoptic_samples_in_detection_form_are_drawn(
        self, real_data: Path, tmp_path: Path
    ) -> None:
        """Their run lengths are strings that COCO's own tools wrote."""
        source = real_data / "fixtures" / "panoptic" / "panoptic_coco_detection_format.json"
        told = json.loads(source.read_text(encoding="utf-8"))
        write(
            tmp_path / "annotations.json",
            told["images"],
            told["annotations"],
            tmp_path,
            told["categories"],
        )
        dataset = instances.read(tmp_path)
        for split in dataset.splits.values():
            for sample in split:
                _, labels_HW = dataset.load(sample)
                number = int(sample.name)
                areas = [a["area"] for a in told["annotations"] if a["image_id"] == number]
                assert (labels_HW > 0).sum() == sum(areas)  # panoptic: nothing overlaps


def test_real_taco_is_read_with_pictures_of_its_sizes(real_data: Path, tmp_path: Path) -> None:
    """Cut to the smallest of its images; blank pictures stand in for them."""
    told = json.loads((real_data / "taco" / "annotations.json").read_text(encoding="utf-8"))
    few = sorted(told["images"], key=lambda each: each["width"] * each["height"])[:12]
    ids = {each["id"] for each in few}
    annotations = [a for a in told["annotations"] if a["image_id"] in ids]
    write(tmp_path / "annotations.json", few, annotations, tmp_path, told["categories"])
    dataset = open_dataset(tmp_path)
    assert dataset.labels.num_classes == 61
    assert dataset.labels.names[1] == "Aluminium foil"  # its id is 0
    report = check_dataset(dataset, workers=1)
    assert report.ok
    assert sum(split.images for split in report.splits) == 12
    kinds = {a["category_id"] + 1 for a in annotations}
    seen = {i for split in report.splits for i, n in enumerate(split.pixels) if i and n}
    assert seen <= kinds
    assert len(seen) > len(kinds) // 2
