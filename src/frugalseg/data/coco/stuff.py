"""COCO-Stuff: PNGs with a class for each pixel, of COCO's images.

    stuffthingmaps_trainval2017/<split>2017/*.png    or stuffthingmaps/, either in annotations/ too,
    annotations/<split>2017/*.png                    as its readme unpacks it;
    images in <split>2017/ or images/<split>2017/

A value is the id of a class less one. There are ids to 182; eleven of them are of things that no
pixel was ever labelled with, so 171 classes remain, and a mask that holds one of the eleven is
refused. 255 is unlabelled and ignored. Names and ids are those of labels.txt in nightrome/cocostuff
on GitHub (commit cad9456), and what was never labelled is marked in its labels.md.
"""

from functools import partial
from pathlib import Path

from frugalseg.core.errors import DataError
from frugalseg.core.labels import IGNORE, LabelSpace, palette
from frugalseg.data.coco.layout import image_folders, split_told
from frugalseg.data.dataset import Dataset, Sample, refuse
from frugalseg.data.files import files_by_stem, pairs
from frugalseg.data.masks import rasterise_mask
from frugalseg.imaging.read import IMAGE_SUFFIXES

NAMES_IN_ORDER = """
person, bicycle, car, motorcycle, airplane, bus, train, truck, boat, traffic light, fire hydrant,
street sign, stop sign, parking meter, bench, bird, cat, dog, horse, sheep, cow, elephant, bear,
zebra, giraffe, hat, backpack, umbrella, shoe, eye glasses, handbag, tie, suitcase, frisbee, skis,
snowboard, sports ball, kite, baseball bat, baseball glove, skateboard, surfboard, tennis racket,
bottle, plate, wine glass, cup, fork, knife, spoon, bowl, banana, apple, sandwich, orange, broccoli,
carrot, hot dog, pizza, donut, cake, chair, couch, potted plant, bed, mirror, dining table, window,
desk, toilet, door, tv, laptop, mouse, remote, keyboard, cell phone, microwave, oven, toaster, sink,
refrigerator, blender, book, clock, vase, scissors, teddy bear, hair drier, toothbrush, hair brush,
banner, blanket, branch, bridge, building-other, bush, cabinet, cage, cardboard, carpet,
ceiling-other, ceiling-tile, cloth, clothes, clouds, counter, cupboard, curtain, desk-stuff, dirt,
door-stuff, fence, floor-marble, floor-other, floor-stone, floor-tile, floor-wood, flower, fog,
food-other, fruit, furniture-other, grass, gravel, ground-other, hill, house, leaves, light, mat,
metal, mirror-stuff, moss, mountain, mud, napkin, net, paper, pavement, pillow, plant-other,
plastic, platform, playingfield, railing, railroad, river, road, rock, roof, rug, salad, sand, sea,
shelf, sky-other, skyscraper, snow, solid-other, stairs, stone, straw, structural-other, table,
tent, textile-other, towel, tree, vegetable, wall-brick, wall-concrete, wall-other, wall-panel,
wall-stone, wall-tile, wall-wood, water-other, waterdrops, window-blind, window-other, wood
"""
NEVER_LABELLED = frozenset({
    "street sign", "hat", "shoe", "eye glasses", "plate", "mirror", "window", "desk", "door",
    "blender", "hair brush",
})  # fmt: skip

_FOLDERS = ("stuffthingmaps_trainval2017", "stuffthingmaps")
_PLAIN = ("train2017", "val2017")


def detect(root: Path) -> bool:
    """Tell whether this is the layout of `root`."""
    return bool(_mask_folders(root))


def read(root: Path) -> Dataset:
    """List the samples, without decoding anything; raises DataError with all that do not match."""
    problems: list[str] = []
    splits: dict[str, tuple[Sample, ...]] = {}
    for masks in _mask_folders(root):
        split = split_told(masks.name)
        if split in splits:
            problems.append(f"{masks}: a second folder for {split!r}")
        folders = image_folders(root, masks.name)
        images = next((folder for folder in folders if folder.is_dir()), folders[0])
        splits[split] = pairs(
            files_by_stem(images, IMAGE_SUFFIXES, problems, root=images),  # it may be a link itself
            files_by_stem(masks, IMAGE_SUFFIXES, problems, root=root),
            problems,
            place=f"{masks}/*.png",
            pictures=images,
        )
    refuse(root, problems)
    if not any(splits.values()):
        raise DataError(f"{root}: no images beside the masks (JPEG, PNG, BMP or WebP)")
    labels = stuff_labels()
    return Dataset(
        root=root,
        format="coco-stuff",
        labels=labels,
        splits=splits,
        rasterise=partial(rasterise_mask, labels=labels),
    )


def stuff_labels() -> LabelSpace:
    """Give the 171 classes, and the value of each.

    >>> labels = stuff_labels()
    >>> labels.num_classes, labels.names[-1], labels.from_disk[181], 11 in labels.from_disk
    (171, 'wood', 170, False)
    """
    every = " ".join(NAMES_IN_ORDER.split()).split(", ")
    names = [name for name in every if name not in NEVER_LABELLED]
    from_disk = {every.index(name): train_id for train_id, name in enumerate(names)}
    return LabelSpace(
        names=tuple(names), colors=palette(len(names)), from_disk=from_disk | {IGNORE: IGNORE}
    )


def _mask_folders(root: Path) -> list[Path]:
    tops = [parent / name for parent in (root, root / "annotations") for name in _FOLDERS]
    named = [
        folder
        for top in tops
        if top.is_dir()
        for folder in sorted(top.iterdir())
        if folder.is_dir() and split_told(folder.name)
    ]
    plain = [root / "annotations" / name for name in _PLAIN]
    return named + [folder for folder in plain if folder.is_dir()]
